// The schema, its versions, and how an older database becomes a newer one.
//
// Forward only: a migration is never changed once it has been released.
#ifndef ISOFLOP_STORE_SCHEMA_H_
#define ISOFLOP_STORE_SCHEMA_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace SQLite {
class Database;
}

namespace isoflop {

// What this program writes and reads.
inline constexpr int kSchemaVersion = 3;

// PRAGMA user_version; 0: an empty file.
absl::StatusOr<int> SchemaVersion(SQLite::Database& db);

// FailedPrecondition when the database is newer than this program;
// `path` is for the message.
absl::Status CheckSchemaVersion(int version, const std::string& path);

// Brings the database to kSchemaVersion in one transaction; a new one gets its
// `store_id`. Statuses are those of store/sqlite_status.h.
absl::Status Migrate(SQLite::Database& db, int from_version);

}  // namespace isoflop

#endif  // ISOFLOP_STORE_SCHEMA_H_
