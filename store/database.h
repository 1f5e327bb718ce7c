// Connections to the store: every PRAGMA stands in database.cc.
#ifndef ISOFLOP_STORE_DATABASE_H_
#define ISOFLOP_STORE_DATABASE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace SQLite {
class Database;
}

namespace isoflop {

// The one connection that writes: WAL, synchronous=FULL, foreign keys on. Makes
// the file when it is not there. `vfs`: for tests; empty: the system's.
absl::StatusOr<std::unique_ptr<SQLite::Database>> OpenForWriting(const std::string& path,
                                                                 const std::string& vfs = "");

// A connection that cannot write, with a read transaction open: all that it
// reads is of one moment. NotFound: no such file. FailedPrecondition: the
// schema is newer, or older and nobody has migrated it yet.
absl::StatusOr<std::unique_ptr<SQLite::Database>> OpenSnapshot(const std::string& path);

// The same without the transaction: each statement sees what is committed then.
absl::StatusOr<std::unique_ptr<SQLite::Database>> OpenForReading(const std::string& path);

// The same whatever the version of its schema.
absl::StatusOr<std::unique_ptr<SQLite::Database>> OpenAnyVersion(const std::string& path);

// PRAGMA quick_check: "ok", or the first thing that is wrong.
struct Verdict {
  std::string text;
  std::string journal_mode;
};
absl::StatusOr<Verdict> QuickCheck(SQLite::Database& db, const std::string& path);

// Brings the WAL into the database and empties it, unless a reader is in the
// way: a stop waits for nobody.
void TruncateWal(SQLite::Database& db);

}  // namespace isoflop

#endif  // ISOFLOP_STORE_DATABASE_H_
