// Whole files and mapped files, with errors that say where, what and the cure.
#ifndef ISOFLOP_CORPUS_FILE_ACCESS_H_
#define ISOFLOP_CORPUS_FILE_ACCESS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace isoflop {

// "<path>: <what>: <strerror>" with the code of `error_number`: NotFound,
// PermissionDenied, ResourceExhausted (the disk is full), else Unavailable.
absl::Status ErrnoError(const std::string& path, const std::string& what, int error_number);

// "<path>: offset <offset>: <what>; cure: <cure>".
absl::Status BadDataError(absl::StatusCode code, const std::string& path, std::int64_t offset,
                          const std::string& what, const std::string& cure);

// The whole file as bytes, for the small ones.
absl::Status ReadWholeFile(const std::string& path, std::string* content);

// Writes `content` to `path` through a temporary file beside it, which is
// synced and renamed: the file is whole or not there.
absl::Status WriteDataFile(const std::string& path, const std::string& content);

// Canonical path, device, inode, size and times of a file: what changes when
// its content does. For an index on this machine, never for a name of data.
absl::StatusOr<std::string> FileIdentity(const std::string& path);

// A file mapped for reading, unmapped at the end of its life. A file that
// another process cuts while it is mapped ends this one by SIGBUS.
class MappedFile {
 public:
  static absl::StatusOr<MappedFile> Open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  // Valid while this object lives, also after it was moved to another.
  std::string_view bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

 private:
  MappedFile(std::string path, const char* data, std::size_t size)
      : path_(std::move(path)), data_(data), size_(size) {}

  std::string path_;
  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_FILE_ACCESS_H_
