#include "store/sqlite_status.h"

#include <SQLiteCpp/Exception.h>
#include <sqlite3.h>

#include "absl/strings/str_cat.h"

namespace isoflop {

absl::Status SqliteError(int code, const std::string& where, const std::string& message) {
  const std::string text = absl::StrCat(where, ": ", message);
  switch (code & 0xff) {
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(
          absl::StrCat(text, "\ncure: free space on the disk of the store; nothing acknowledged is lost"));
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
    case SQLITE_PROTOCOL:
      return absl::ResourceExhaustedError(text);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(
          absl::StrCat(text, "\ncure: restore a copy made by `isoflop export --format sqlite`"));
    case SQLITE_INTERRUPT:
      return absl::DeadlineExceededError(text);
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
      return absl::InternalError(text);
    default:
      return absl::InvalidArgumentError(text);
  }
}

absl::Status CatchSqlite(const std::string& where, const std::function<void()>& body) {
  try {
    body();
    return absl::OkStatus();
  } catch (const SQLite::Exception& e) {
    return SqliteError(e.getErrorCode(), where, e.what());
  }
}

}  // namespace isoflop
