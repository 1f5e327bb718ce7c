// The right to write one store: a lock file beside the database, and the checks
// before anything is opened.
#ifndef ISOFLOP_STORE_STORE_LOCK_H_
#define ISOFLOP_STORE_STORE_LOCK_H_

#include <string>

#include "absl/status/statusor.h"

namespace isoflop {

// Holds `<db>.lock` by flock until destroyed; the file stays, with the pid of
// its last holder. Movable.
class StoreLock {
 public:
  // FailedPrecondition: another process holds it (names its pid).
  // PermissionDenied, ResourceExhausted: the file cannot be made.
  static absl::StatusOr<StoreLock> Take(const std::string& db_path);
  StoreLock(StoreLock&& other) noexcept;
  StoreLock& operator=(StoreLock&& other) noexcept;
  ~StoreLock();

 private:
  explicit StoreLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

// FailedPrecondition where WAL loses data: NFS, SMB, Lustre and the like.
absl::Status CheckFilesystem(const std::string& folder);

}  // namespace isoflop

#endif  // ISOFLOP_STORE_STORE_LOCK_H_
