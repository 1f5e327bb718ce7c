#include "tools/isoflop/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>

namespace isoflop {
namespace {

bool IsSet(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

std::string Paint(const char* code, const std::string& text) {
  return UseColor() ? std::string("\x1b[") + code + "m" + text + "\x1b[0m" : text;
}

bool LooksNumeric(const std::string& text) {
  if (text.empty()) return true;
  const unsigned char first = static_cast<unsigned char>(text[0]);
  return std::isdigit(first) != 0 || ((first == '-' || first == '+' || first == '.') && text.size() > 1 &&
                                      std::isdigit(static_cast<unsigned char>(text[1])) != 0);
}

int DisplayWidth(const std::string& text) {
  int width = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) ++width;
  }
  return width;
}

std::string PadTo(const std::string& text, int width, bool right) {
  const int missing = width - DisplayWidth(text);
  if (missing <= 0) return text;
  const std::string blanks(static_cast<size_t>(missing), ' ');
  return right ? blanks + text : text + blanks;
}

}  // namespace

bool StdoutIsTerminal() { return isatty(STDOUT_FILENO) == 1; }
bool StdinIsTerminal() { return isatty(STDIN_FILENO) == 1; }

bool UseColor() {
  const char* term = std::getenv("TERM");
  return StdoutIsTerminal() && !IsSet("NO_COLOR") && term != nullptr && std::strcmp(term, "dumb") != 0;
}

bool UseRedraw() {
  const char* term = std::getenv("TERM");
  return StdoutIsTerminal() && !IsSet("CI") && term != nullptr && std::strcmp(term, "dumb") != 0;
}

int TerminalWidth() {
  if (!StdoutIsTerminal()) return 0;
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

std::string Bold(const std::string& text) { return Paint("1", text); }
std::string Dim(const std::string& text) { return Paint("2", text); }
std::string Green(const std::string& text) { return Paint("32", text); }
std::string Red(const std::string& text) { return Paint("31", text); }
std::string Yellow(const std::string& text) { return Paint("33", text); }

bool AskYesNo(const std::string& question, bool default_yes, bool* asked) {
  *asked = StdinIsTerminal() && StdoutIsTerminal();
  if (!*asked) return false;
  while (true) {
    std::cout << question << (default_yes ? " [Y/n] " : " [y/N] ") << std::flush;
    std::string answer;
    if (!std::getline(std::cin, answer)) return false;
    if (answer.empty()) return default_yes;
    if (answer[0] == 'y' || answer[0] == 'Y') return true;
    if (answer[0] == 'n' || answer[0] == 'N') return false;
  }
}

std::string ProgressBar(double share, int width) {
  const double clamped = std::clamp(share, 0.0, 1.0);
  const auto filled = static_cast<size_t>(clamped * width);
  return "[" + std::string(filled, '#') + std::string(static_cast<size_t>(width) - filled, '-') + "]";
}

std::string CutToWidth(const std::string& text, int width) {
  if (width <= 0) return text;
  std::string out;
  int used = 0;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '\x1b') {  // an escape sequence takes no room
      size_t end = i + 1;
      while (end < text.size() && std::isalpha(static_cast<unsigned char>(text[end])) == 0) ++end;
      out.append(text, i, end - i + 1);
      i = end + 1;
      continue;
    }
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80 && ++used > width) break;
    out.push_back(text[i++]);
  }
  return out;
}

LiveBlock::LiveBlock() {
  if (UseRedraw()) std::fputs("\x1b[?25l", stdout);
}

LiveBlock::~LiveBlock() {
  if (UseRedraw()) {
    std::fputs("\x1b[?25h", stdout);
    std::fflush(stdout);
  }
}

void LiveBlock::Clear() {
  if (drawn_ > 0) std::printf("\x1b[%dA\x1b[J", drawn_);
  drawn_ = 0;
}

void LiveBlock::Scroll(const std::string& line) {
  if (UseRedraw()) Clear();
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

void LiveBlock::Draw(const std::vector<std::string>& lines) {
  if (!UseRedraw()) return;
  std::string out;
  if (drawn_ > 0) out = "\x1b[" + std::to_string(drawn_) + "A\x1b[J";
  const int width = TerminalWidth();
  for (const std::string& line : lines) out += CutToWidth(line, width) + "\n";
  std::fputs(out.c_str(), stdout);
  std::fflush(stdout);
  drawn_ = static_cast<int>(lines.size());
}

TextTable::TextTable(std::vector<std::string> header) : header_(std::move(header)) {}

void TextTable::AddRow(std::vector<std::string> row) {
  row.resize(header_.size());
  rows_.push_back(std::move(row));
}

std::string TextTable::ToString() const {
  std::vector<int> widths(header_.size());
  std::vector<bool> right(header_.size(), !rows_.empty());
  for (size_t c = 0; c < header_.size(); ++c) {
    widths[c] = DisplayWidth(header_[c]);
    for (const auto& row : rows_) {
      widths[c] = std::max(widths[c], DisplayWidth(row[c]));
      right[c] = right[c] && LooksNumeric(row[c]);
    }
  }
  std::string out;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t c = 0; c < cells.size(); ++c) line += " " + PadTo(cells[c], widths[c], right[c]) + " ";
    while (!line.empty() && line.back() == ' ') line.pop_back();
    out += line + "\n";
  };
  add_line(header_);
  for (const auto& row : rows_) add_line(row);
  return out;
}

std::string TextTable::ToMarkdown() const {
  std::string out = "|";
  for (const std::string& name : header_) out += " " + name + " |";
  out += "\n|";
  for (size_t c = 0; c < header_.size(); ++c) out += "---|";
  out += "\n";
  for (const auto& row : rows_) {
    out += "|";
    for (std::string cell : row) {
      for (size_t at = 0; (at = cell.find('|', at)) != std::string::npos; at += 2) cell.insert(at, "\\");
      out += " " + cell + " |";
    }
    out += "\n";
  }
  return out;
}

}  // namespace isoflop
