// Rows of read-only SQL, from the store's file or from a coordinator.
#ifndef ISOFLOP_TOOLS_ISOFLOP_QUERY_ROWS_H_
#define ISOFLOP_TOOLS_ISOFLOP_QUERY_ROWS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/isoflop/command.h"
#include "tools/isoflop/row_table.h"

namespace isoflop {

// Runs `sql` on the store of `context`, read-only, or on the coordinator when a
// server is named (and no --db). At most `limit` rows come back (0: all);
// RowTable::rows_total counts on, a coordinator only says that there are more.
// InvalidArgument: the SQL, with did-you-mean for a column or table.
absl::StatusOr<RowTable> QueryRows(const Context& context, const std::string& sql, int64_t limit);

// One table or view of the store, for `query --schema`.
struct SchemaTable {
  std::string name;
  bool is_view = false;
  std::vector<std::string> columns;
  std::vector<std::string> types;  // empty for an expression of a view
};

// The public views first, then the tables.
absl::StatusOr<std::vector<SchemaTable>> StoreSchema(const Context& context);

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_QUERY_ROWS_H_
