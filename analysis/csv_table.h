// A CSV file as rows of text cells (RFC 4180: commas, quotes, quoted newlines;
// CRLF and a byte-order mark are taken too).
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_CSV_TABLE_H_
#define ISOFLOP_ANALYSIS_CSV_TABLE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace isoflop {

struct CsvRow {
  int line = 0;  // where it starts, counted from 1
  std::vector<std::string> cells;
};

struct CsvTable {
  std::string name;  // "runs.csv", for messages
  std::vector<std::string> header;
  std::vector<CsvRow> rows;  // each as long as the header; blank lines left out
};

// InvalidArgument, with name and line: no header, no row, a row of another
// length, an open quote, a header twice.
absl::StatusOr<CsvTable> ParseCsv(absl::string_view text, const std::string& name);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_CSV_TABLE_H_
