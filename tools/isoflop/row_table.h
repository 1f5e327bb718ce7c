// Rows of a query as a person or a program wants them: an aligned table, CSV,
// JSON or Markdown.
#ifndef ISOFLOP_TOOLS_ISOFLOP_ROW_TABLE_H_
#define ISOFLOP_TOOLS_ISOFLOP_ROW_TABLE_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "store/query.h"

namespace isoflop {

struct RowTable {
  QueryHead head;
  std::vector<std::vector<QueryValue>> rows;
  // Rows that the statement has; more than rows.size() when a limit cut them.
  int64_t rows_total = 0;
  // A limit cut them, and nobody counted on.
  bool has_more = false;
};

// One value: NULL is empty, a real number has 6 digits, a blob is X'..'.
std::string ValueForTable(const QueryValue& value);

// RFC 4180, reals in the fewest digits that read back the same: one field, and one line with its \r\n.
std::string CsvField(const QueryValue& value);
std::string CsvField(const std::string& text);
std::string CsvLine(const std::vector<std::string>& fields);

// Null for NULL and for numbers that JSON cannot hold; a blob is hex.
nlohmann::json ValueAsJson(const QueryValue& value);

// `format`: table, csv, json (an array of objects, one a row) or markdown.
std::string RenderRows(const RowTable& table, const std::string& format);

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_ROW_TABLE_H_
