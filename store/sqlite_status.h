// SQLite's errors as statuses: the exceptions of SQLiteCpp end here.
//
// ResourceExhausted: the disk is full or refuses, or the file is busy; the same
// may go through later. DataLoss: the file is damaged. InvalidArgument: the SQL
// is wrong. Internal: a constraint, which is a bug of ours.
#ifndef ISOFLOP_STORE_SQLITE_STATUS_H_
#define ISOFLOP_STORE_SQLITE_STATUS_H_

#include <functional>
#include <string>

#include "absl/status/status.h"

struct sqlite3;

namespace isoflop {

// The status for a result code, its message after `where: `.
absl::Status SqliteError(int code, const std::string& where, const std::string& message);

// Runs `body`; an SQLite::Exception comes back as SqliteError.
absl::Status CatchSqlite(const std::string& where, const std::function<void()>& body);

}  // namespace isoflop

#endif  // ISOFLOP_STORE_SQLITE_STATUS_H_
