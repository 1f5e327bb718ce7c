#include "store/store_check.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cstdlib>
#include <memory>

#include "absl/strings/str_cat.h"
#include "store/database.h"
#include "store/schema.h"
#include "store/sqlite_status.h"
#include "store/store_writer.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

int64_t SizeOf(const std::string& path) {
  struct stat facts {};
  return stat(path.c_str(), &facts) == 0 ? static_cast<int64_t>(facts.st_size) : 0;
}

}  // namespace

absl::StatusOr<StoreFacts> CheckStore(const std::string& db_path) {
  StoreFacts facts;
  ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<SQLite::Database> db, OpenAnyVersion(db_path));
  facts.bytes = SizeOf(db_path);
  facts.wal_bytes = SizeOf(db_path + "-wal");
  ISOFLOP_ASSIGN_OR_RETURN(const Verdict verdict, QuickCheck(*db, db_path));
  facts.verdict = verdict.text;
  facts.journal_mode = verdict.journal_mode;
  ISOFLOP_ASSIGN_OR_RETURN(facts.schema_version, SchemaVersion(*db));
  if (facts.schema_version != kSchemaVersion || facts.verdict != "ok") return facts;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite(db_path, [&] {
    facts.store_id = db->execAndGet("SELECT value FROM meta WHERE key = 'store_id'").getString();
    facts.epoch = std::atoll(db->execAndGet("SELECT value FROM meta WHERE key = 'coordinator_epoch'").getText());
    facts.studies = db->execAndGet("SELECT count(*) FROM study").getInt64();
    facts.trials = db->execAndGet("SELECT count(*) FROM trial").getInt64();
    facts.loss_points = db->execAndGet("SELECT count(*) FROM loss_point").getInt64();
  }));
  return facts;
}

absl::Status MigrateStore(const std::string& db_path) { return StoreWriter::Open(db_path).status(); }

bool DiskSpace::is_low() const {
  return free_bytes < (int64_t{1} << 30) || static_cast<double>(free_bytes) < 0.05 * static_cast<double>(total_bytes);
}

absl::StatusOr<DiskSpace> DiskSpaceOf(const std::string& folder) {
  struct statvfs facts {};
  if (statvfs(folder.c_str(), &facts) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(folder, ": cannot be read"));
  }
  const int64_t block = static_cast<int64_t>(facts.f_frsize);
  return DiskSpace{.free_bytes = static_cast<int64_t>(facts.f_bavail) * block,
                   .total_bytes = static_cast<int64_t>(facts.f_blocks) * block};
}

}  // namespace isoflop
