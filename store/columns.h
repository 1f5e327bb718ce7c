// Reads the columns of a row from left to right.
#ifndef ISOFLOP_STORE_COLUMNS_H_
#define ISOFLOP_STORE_COLUMNS_H_

#include <SQLiteCpp/Column.h>
#include <SQLiteCpp/Statement.h>

#include <cstdint>
#include <optional>
#include <string>

#include "store/time_text.h"

namespace isoflop {

// A NULL is 0 or the empty text unless the reader asks for Maybe.
class Columns {
 public:
  explicit Columns(SQLite::Statement& row) : row_(row) {}
  int64_t Int() { return row_.getColumn(next_++).getInt64(); }
  double Double() { return row_.getColumn(next_++).getDouble(); }
  std::string Text() { return row_.getColumn(next_++).getString(); }
  std::optional<int64_t> MaybeInt() {
    const SQLite::Column column = row_.getColumn(next_++);
    return column.isNull() ? std::nullopt : std::optional<int64_t>(column.getInt64());
  }
  std::optional<double> MaybeDouble() {
    const SQLite::Column column = row_.getColumn(next_++);
    return column.isNull() ? std::nullopt : std::optional<double>(column.getDouble());
  }
  std::optional<absl::Time> MaybeTime() {
    const SQLite::Column column = row_.getColumn(next_++);
    return column.isNull() ? std::nullopt : std::optional<absl::Time>(ParseTimeText(column.getString()));
  }

 private:
  SQLite::Statement& row_;
  int next_ = 0;
};

}  // namespace isoflop

#endif  // ISOFLOP_STORE_COLUMNS_H_
