#include "study/source_text.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace isoflop {
namespace {

constexpr size_t kMaxShownColumns = 100;

// `line` and a caret under `column` (from 1); a long line is cut round it.
std::string LineWithCaret(std::string line, size_t column) {
  size_t at = std::min(column == 0 ? 0 : column - 1, line.size());
  if (line.size() > kMaxShownColumns) {
    const size_t begin = at > kMaxShownColumns / 2 ? at - kMaxShownColumns / 2 : 0;
    line = line.substr(begin, kMaxShownColumns);
    at -= begin;
  }
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';  // a tab is one column to the parser
  }
  return absl::StrCat("\n  ", line, "\n  ", std::string(at, ' '), "^");
}

}  // namespace

Mark SourceText::Find(const std::string& path) const {
  std::string at = path;
  while (true) {
    const auto found = marks.find(at);
    if (found != marks.end()) return found->second;
    const size_t end = at.find_last_of(".[");
    if (end == std::string::npos) return Mark{};
    at.resize(end);
  }
}

std::string SourceText::Picture(Mark mark, const std::string& what, const std::string& cure) const {
  std::string picture;
  if (mark.override_number > 0) {
    const std::string& given = overrides[static_cast<size_t>(mark.override_number) - 1];
    const std::string key = given.substr(0, given.find('='));
    picture = absl::StrCat("--set ", key, ": ", what);
    if (mark.line == 1) {
      const size_t value_begin = std::min(given.size(), key.size() + 1);
      absl::StrAppend(&picture, LineWithCaret(absl::StrCat("--set ", given),
                                              6 + value_begin + static_cast<size_t>(std::max(mark.column, 1))));
    }
  } else if (mark.line > 0) {
    picture = absl::StrCat(name, ":", mark.line, ":", mark.column, ": ", what);
    const std::vector<std::string> lines = absl::StrSplit(text, '\n');
    if (static_cast<size_t>(mark.line) <= lines.size()) {
      absl::StrAppend(&picture, LineWithCaret(lines[static_cast<size_t>(mark.line) - 1],
                                              static_cast<size_t>(mark.column)));
    }
  } else {
    picture = absl::StrCat(name.empty() ? "study" : name, ": ", what);
  }
  if (!cure.empty()) absl::StrAppend(&picture, "\ncure: ", cure);
  return picture;
}

void ErrorList::Add(Mark mark, const std::string& what, const std::string& cure) {
  errors_.push_back(Error{mark, source_->Picture(mark, what, cure)});
}

void ErrorList::AddAt(const std::string& path, const std::string& what, const std::string& cure) {
  Add(source_->Find(path), what, cure);
}

absl::Status ErrorList::ToStatus() const {
  if (errors_.empty()) return absl::OkStatus();
  std::vector<Error> sorted = errors_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Error& a, const Error& b) {
    return std::tie(a.mark.override_number, a.mark.line, a.mark.column) <
           std::tie(b.mark.override_number, b.mark.line, b.mark.column);
  });
  std::string message;
  for (size_t i = 0; i < std::min(sorted.size(), kMaxErrors); ++i) {
    absl::StrAppend(&message, i == 0 ? "" : "\n", sorted[i].picture);
  }
  if (sorted.size() > kMaxErrors) absl::StrAppend(&message, "\nand ", sorted.size() - kMaxErrors, " more errors");
  return absl::InvalidArgumentError(message);
}

}  // namespace isoflop
