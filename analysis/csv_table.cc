#include "analysis/csv_table.h"

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace isoflop {
namespace {

absl::Status Bad(const std::string& name, int line, const std::string& what, const std::string& cure) {
  return absl::InvalidArgumentError(
      absl::StrCat(name, line > 0 ? absl::StrCat(":", line) : "", ": ", what, "\ncure: ", cure));
}

}  // namespace

absl::StatusOr<CsvTable> ParseCsv(absl::string_view text, const std::string& name) {
  CsvTable table;
  table.name = name;
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
  int line = 1;
  CsvRow row{1, {}};
  std::string cell;
  bool quoted = false, was_quoted = false;
  std::vector<CsvRow> rows;
  const auto end_cell = [&] {
    row.cells.push_back(was_quoted ? cell : std::string(absl::StripAsciiWhitespace(cell)));
    cell.clear();
    was_quoted = false;
  };
  const auto end_row = [&] {
    end_cell();
    if (row.cells.size() > 1 || !row.cells[0].empty()) rows.push_back(std::move(row));
    row = {line, {}};
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') ++line;
    if (quoted) {
      if (c != '"') {
        cell += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        cell += text[++i];
      } else {
        quoted = false;
      }
    } else if (c == '"' && absl::StripAsciiWhitespace(cell).empty()) {
      quoted = was_quoted = true;
      cell.clear();
    } else if (c == ',') {
      end_cell();
    } else if (c == '\n') {
      end_row();
    } else if (c != '\r') {
      cell += c;
    }
  }
  if (quoted) return Bad(name, row.line, "a quote is not closed", "close it with \"");
  if (!cell.empty() || was_quoted || !row.cells.empty()) end_row();

  if (rows.empty()) return Bad(name, 0, "the file is empty", "a header and a row a trial");
  table.header = std::move(rows.front().cells);
  std::set<std::string> seen;
  for (const std::string& header : table.header) {
    if (!header.empty() && !seen.insert(header).second) {
      return Bad(name, 1, absl::StrCat("the header has '", header, "' twice"), "rename one of them");
    }
  }
  if (rows.size() == 1) return Bad(name, 0, "there is a header and no row", "a row a trial");
  for (size_t i = 1; i < rows.size(); ++i) {
    if (rows[i].cells.size() != table.header.size()) {
      return Bad(name, rows[i].line,
                 absl::StrCat(rows[i].cells.size(), " cells, the header has ", table.header.size()),
                 "as many cells as the header has, quoted where they hold a comma");
    }
    table.rows.push_back(std::move(rows[i]));
  }
  return table;
}

}  // namespace isoflop
