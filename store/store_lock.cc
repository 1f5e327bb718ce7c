#include "store/store_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace isoflop {

absl::StatusOr<StoreLock> StoreLock::Take(const std::string& db_path) {
  const std::string path = db_path + ".lock";
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot be opened: ", strerror(errno)));
  }
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    const bool held = errno == EWOULDBLOCK;
    char pid[32] = {};
    const ssize_t got = pread(descriptor, pid, sizeof(pid) - 1, 0);
    close(descriptor);
    if (!held) return absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot be locked"));
    const std::string holder(absl::StripAsciiWhitespace(absl::string_view(pid, got > 0 ? static_cast<size_t>(got) : 0)));
    return absl::FailedPreconditionError(
        absl::StrCat("store: ", db_path, " is held by another coordinator, process ", holder.empty() ? "?" : holder,
                     "\ncure: isoflop submit, status and query reach it; or stop it; or name another store by --db"));
  }
  const std::string text = absl::StrCat(getpid(), "\n");
  if (ftruncate(descriptor, 0) != 0 ||
      pwrite(descriptor, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    // The pid is for the message only; a full disk must not keep a coordinator
    // from starting.
  }
  return StoreLock(descriptor);
}

StoreLock::StoreLock(StoreLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
StoreLock& StoreLock::operator=(StoreLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}
StoreLock::~StoreLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

absl::Status CheckFilesystem(const std::string& folder) {
  struct statfs facts {};
  if (statfs(folder.c_str(), &facts) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("store: ", folder, ": cannot be read"));
  }
  static constexpr std::pair<unsigned long, const char*> kShared[] = {
      {0x6969, "NFS"},         {0x517B, "SMB"},    {0xFF534D42, "CIFS"}, {0xFE534D42, "SMB2"},
      {0x0BD00BD0, "Lustre"},  {0x47504653, "GPFS"}, {0x01021997, "9P"},  {0x19830326, "BeeGFS"},
      {0x65735546, "FUSE"},    {0x00C36400, "Ceph"}};
  for (const auto& [magic, name] : kShared) {
    if (static_cast<unsigned long>(facts.f_type) == magic) {
      return absl::FailedPreconditionError(
          absl::StrCat("store: ", folder, " lies on ", name, ", where WAL loses data\ncure: a local disk (ISOFLOP_HOME); "
                       "only --checkpoints may be shared; --force-filesystem at your own risk"));
    }
  }
  return absl::OkStatus();
}

}  // namespace isoflop
