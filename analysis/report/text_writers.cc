// Markdown, and tables as CSV.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "analysis/report/report.h"

namespace isoflop {
namespace {

std::string Md(const std::string& text) {
  return absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"<", "&lt;"}, {"|", "\\|"}, {"*", "\\*"}, {"_", "\\_"}, {"`", "\\`"}, {"[", "\\["}, {"\n", " "}, {"\r", " "}});
}

std::string TableMarkdown(const Table& table) {
  std::string out = absl::StrCat("**", table.number, table.number.empty() ? "" : " ", Md(table.title), "**\n\n|");
  for (const Column& column : table.columns) absl::StrAppend(&out, " ", Md(column.label), " |");
  out += "\n|";
  for (const Column& column : table.columns) out += column.numeric ? " ---: |" : " :--- |";
  out += "\n";
  for (const std::vector<Cell>& row : table.rows) {
    out += "|";
    // Markdown has no grey.
    for (const Cell& cell : row) absl::StrAppend(&out, cell.dim && !cell.text.empty() ? absl::StrCat(" *", Md(cell.text), "*") : absl::StrCat(" ", Md(cell.text)), " |");
    out += "\n";
  }
  if (!table.caption.empty()) absl::StrAppend(&out, "\n", Md(table.caption), "\n");
  return out + "\n";
}

// A sentence of the verdict: **bold** stays bold.
std::string MdSentence(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, "**");
  if (parts.size() % 2 == 0) return Md(text);  // not in pairs
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) absl::StrAppend(&out, i == 0 ? "" : "**", Md(parts[i]));
  return out;
}

std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

}  // namespace

std::string RenderMarkdown(const Report& report) {
  std::string out = absl::StrCat("# ", Md(report.title), "\n\n");
  if (!report.description.empty()) absl::StrAppend(&out, Md(report.description), "\n\n");
  for (const auto& [label, text] : report.facts) absl::StrAppend(&out, "- ", Md(label), ": ", Md(text), "\n");
  out += "\n## Verdict\n\n";
  for (size_t i = 0; i < report.verdict.size(); ++i) {
    absl::StrAppend(&out, i == 0 ? "**" : "", i == 0 ? Md(report.verdict[i]) : MdSentence(report.verdict[i]), i == 0 ? "**\n\n" : "\n");
  }
  out += "\n";
  for (const auto* notes : {&report.refusals, &report.warnings}) {
    for (const ReportNote& note : *notes) {
      absl::StrAppend(&out, "- `", note.code, "` ", Md(note.text), note.cure.empty() ? "" : absl::StrCat(" Cure: ", Md(note.cure)), "\n");
    }
  }
  for (size_t s = 0; s < report.sections.size(); ++s) {
    absl::StrAppend(&out, "\n## ", s + 1, " ", Md(report.sections[s].title), "\n\n");
    for (const Block& block : report.sections[s].blocks) {
      switch (block.kind) {
        case Block::Kind::kText: absl::StrAppend(&out, Md(block.text), "\n\n"); break;
        case Block::Kind::kTable: out += TableMarkdown(block.table); break;
        case Block::Kind::kFigure:
          absl::StrAppend(&out, "![", Md(block.figure.title), "](figures/", block.figure.name, ".svg)\n\n**", block.figure.number, "** ", Md(block.figure.title),
                          ". ", Md(block.figure.caption), "\n\n");
          break;
        case Block::Kind::kCode: {
          // Indented: no text can end the block early.
          absl::StrAppend(&out, Md(block.title), ":\n\n");
          absl::StrAppend(&out, "    ", absl::StrReplaceAll(block.text, {{"\n", "\n    "}}), "\n\n");
          break;
        }
      }
    }
  }
  return out;
}

std::string RenderTableCsv(const Table& table) {
  std::string out;
  for (size_t c = 0; c < table.columns.size(); ++c) absl::StrAppend(&out, c == 0 ? "" : ",", CsvField(table.columns[c].key));
  out += "\n";
  for (const std::vector<Cell>& row : table.rows) {
    for (size_t c = 0; c < row.size(); ++c) absl::StrAppend(&out, c == 0 ? "" : ",", CsvField(row[c].exact));
    out += "\n";
  }
  return out;
}

}  // namespace isoflop
