// A row of a statement as QueryValues.
#ifndef ISOFLOP_STORE_QUERY_VALUE_H_
#define ISOFLOP_STORE_QUERY_VALUE_H_

#include <SQLiteCpp/Column.h>
#include <SQLiteCpp/Statement.h>

#include <vector>

#include "store/query.h"

namespace isoflop {

// Throws SQLite::Exception.
inline std::vector<QueryValue> RowValues(SQLite::Statement& row) {
  std::vector<QueryValue> values;
  values.reserve(static_cast<size_t>(row.getColumnCount()));
  for (int i = 0; i < row.getColumnCount(); ++i) {
    const SQLite::Column column = row.getColumn(i);
    QueryValue& value = values.emplace_back();
    if (column.isInteger()) {
      value.value.emplace<int64_t>(column.getInt64());
    } else if (column.isFloat()) {
      value.value.emplace<double>(column.getDouble());
    } else if (!column.isNull()) {
      value.value.emplace<std::string>(column.getString());
      value.is_blob = column.isBlob();
    }
  }
  return values;
}

}  // namespace isoflop

#endif  // ISOFLOP_STORE_QUERY_VALUE_H_
