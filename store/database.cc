#include "store/database.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "store/schema.h"
#include "store/sqlite_status.h"
#include "study/status_macros.h"

namespace isoflop {

absl::StatusOr<std::unique_ptr<SQLite::Database>> OpenForWriting(const std::string& path,
                                                                 const std::string& vfs) {
  std::unique_ptr<SQLite::Database> db;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite(path, [&] {
    db = std::make_unique<SQLite::Database>(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE,
                                            /*busy timeout, ms*/ 5000, vfs);
    // FULL: NORMAL lost acknowledged rows in power cuts, and group commit makes
    // FULL as fast.
    db->exec("PRAGMA journal_mode = WAL");
    db->exec("PRAGMA synchronous = FULL");
    db->exec("PRAGMA foreign_keys = ON");
    db->exec("PRAGMA trusted_schema = OFF");
  }));
  return db;
}

absl::StatusOr<std::unique_ptr<SQLite::Database>> OpenAnyVersion(const std::string& path) {
  struct stat facts {};
  if (stat(path.c_str(), &facts) != 0) {
    return absl::NotFoundError(
        absl::StrCat(path, ": no store is there\ncure: isoflop run STUDY.yaml makes one; --db names another"));
  }
  std::unique_ptr<SQLite::Database> db;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite(path, [&] {
    db = std::make_unique<SQLite::Database>(path, SQLite::OPEN_READONLY, 5000);
    // Our views read the trial's JSON, and SQLite 3.40 counts its JSON functions
    // as unsafe. A connection that cannot write has no function that could harm.
    db->exec("PRAGMA trusted_schema = ON");
  }));
  return db;
}

absl::StatusOr<std::unique_ptr<SQLite::Database>> OpenForReading(const std::string& path) {
  ISOFLOP_ASSIGN_OR_RETURN(std::unique_ptr<SQLite::Database> db, OpenAnyVersion(path));
  ISOFLOP_ASSIGN_OR_RETURN(const int version, SchemaVersion(*db));
  ISOFLOP_RETURN_IF_ERROR(CheckSchemaVersion(version, path));
  if (version == 0) {
    return absl::NotFoundError(absl::StrCat(path, ": the store is empty\ncure: isoflop run STUDY.yaml"));
  }
  if (version < kSchemaVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": the database has schema version ", version, ", this program reads ", kSchemaVersion,
                     "\ncure: isoflop doctor --migrate brings it up to date, a copy of before stays beside it"));
  }
  return db;
}

absl::StatusOr<Verdict> QuickCheck(SQLite::Database& db, const std::string& path) {
  Verdict verdict;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite(path, [&] {
    verdict.text = db.execAndGet("PRAGMA quick_check(1)").getString();
    verdict.journal_mode = db.execAndGet("PRAGMA journal_mode").getString();
  }));
  return verdict;
}

void TruncateWal(SQLite::Database& db) {
  const absl::Status ignored = CatchSqlite("truncate", [&] {
    db.setBusyTimeout(0);
    db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  });
  (void)ignored;  // the WAL is read at the next start
}

absl::StatusOr<std::unique_ptr<SQLite::Database>> OpenSnapshot(const std::string& path) {
  ISOFLOP_ASSIGN_OR_RETURN(std::unique_ptr<SQLite::Database> db, OpenForReading(path));
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite(path, [&] {
    db->exec("BEGIN");
    db->execAndGet("SELECT count(*) FROM meta");  // the snapshot is taken by the first read
  }));
  return db;
}

}  // namespace isoflop
