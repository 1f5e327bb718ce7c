// Read-only SQL of a person, fenced in: SELECT on tables and views, no ATTACH,
// no PRAGMA but table_info, no load_extension, a limit on time.
#ifndef ISOFLOP_STORE_QUERY_H_
#define ISOFLOP_STORE_QUERY_H_

#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace isoflop {

struct QueryValue {
  // NULL, INTEGER, REAL, TEXT or BLOB (as bytes).
  std::variant<std::monostate, int64_t, double, std::string> value;
  bool is_blob = false;
};

struct QueryHead {
  std::vector<std::string> names;
  std::vector<std::string> types;  // as declared; empty for expressions
};

// Runs one statement on a connection of its own. `head` is called once before
// the rows, `row` for each; false ends it. InvalidArgument: the SQL, with
// SQLite's words, or a thing that is not allowed. DeadlineExceeded: `limit`.
absl::Status RunQuery(const std::string& db_path, const std::string& sql, absl::Duration limit,
                      const std::function<void(const QueryHead&)>& head,
                      const std::function<bool(std::vector<QueryValue>)>& row);

}  // namespace isoflop

#endif  // ISOFLOP_STORE_QUERY_H_
