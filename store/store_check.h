// What `isoflop doctor` asks of a store: facts and a check of the file, without
// being its writer.
#ifndef ISOFLOP_STORE_STORE_CHECK_H_
#define ISOFLOP_STORE_STORE_CHECK_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace isoflop {

struct StoreFacts {
  int64_t bytes = 0;      // of the database
  int64_t wal_bytes = 0;  // not yet brought into it
  int schema_version = 0;
  std::string journal_mode;  // "wal"
  std::string verdict;       // of quick_check: "ok", or what is wrong
  std::string store_id;
  int64_t epoch = 0;
  int64_t studies = 0;
  int64_t trials = 0;
  int64_t loss_points = 0;
};

// Reads all of the file (quick_check). NotFound: there is none. DataLoss: it
// cannot be read. An older or newer schema is a fact, not an error; what only
// today's has is left 0.
absl::StatusOr<StoreFacts> CheckStore(const std::string& db_path);

// Brings the database to today's schema, as any writer does at its start.
// FailedPrecondition: another process writes it, or its schema is newer.
absl::Status MigrateStore(const std::string& db_path);

struct DiskSpace {
  int64_t free_bytes = 0;  // for us, not for root alone
  int64_t total_bytes = 0;
  // Under 1 GiB or 5 %.
  bool is_low() const;
};
absl::StatusOr<DiskSpace> DiskSpaceOf(const std::string& folder);

}  // namespace isoflop

#endif  // ISOFLOP_STORE_STORE_CHECK_H_
