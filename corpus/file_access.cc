#include "corpus/file_access.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"

namespace isoflop {

absl::Status ErrnoError(const std::string& path, const std::string& what, int error_number) {
  const std::string message = absl::StrCat(path, ": ", what, ": ", std::strerror(error_number));
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(message);
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(
          absl::StrCat(message, "; cure: free space there, or name another folder"));
    default:
      return absl::UnavailableError(message);
  }
}

absl::Status BadDataError(absl::StatusCode code, const std::string& path, std::int64_t offset,
                          const std::string& what, const std::string& cure) {
  return absl::Status(code, absl::StrCat(path, ": offset ", offset, ": ", what, "; cure: ", cure));
}

absl::Status ReadWholeFile(const std::string& path, std::string* content) {
  const auto file = MappedFile::Open(path);
  if (!file.ok()) return file.status();
  content->assign(file->bytes());
  return absl::OkStatus();
}

absl::Status WriteDataFile(const std::string& path, const std::string& content) {
  const std::string temporary = absl::StrCat(path, ".tmp-", getpid());
  std::FILE* file = std::fopen(temporary.c_str(), "wb");
  if (file == nullptr) return ErrnoError(temporary, "cannot be written", errno);
  bool ok = std::fwrite(content.data(), 1, content.size(), file) == content.size();
  ok = std::fflush(file) == 0 && ok;
  ok = ok && fsync(fileno(file)) == 0;
  int error_number = errno;
  if (std::fclose(file) != 0 && ok) {
    ok = false;
    error_number = errno;
  }
  if (ok && std::rename(temporary.c_str(), path.c_str()) == 0) return absl::OkStatus();
  if (ok) error_number = errno;
  std::remove(temporary.c_str());
  return ErrnoError(path, "cannot be written", error_number);
}

absl::StatusOr<std::string> FileIdentity(const std::string& path) {
  struct stat facts {};
  if (stat(path.c_str(), &facts) != 0) return ErrnoError(path, "cannot be read", errno);
  std::error_code error;
  const std::string canonical = std::filesystem::canonical(path, error).string();
  if (error) return ErrnoError(path, "cannot be read", error.value());
  return absl::StrCat(canonical, " ", facts.st_dev, " ", facts.st_ino, " ", facts.st_size, " ",
                      facts.st_mtim.tv_sec, ".", facts.st_mtim.tv_nsec, " ",
                      facts.st_ctim.tv_sec, ".", facts.st_ctim.tv_nsec);
}

absl::StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return ErrnoError(path, "cannot be opened", errno);
  struct stat facts {};
  if (fstat(descriptor, &facts) != 0) {
    const int error_number = errno;
    close(descriptor);
    return ErrnoError(path, "cannot be read", error_number);
  }
  if (!S_ISREG(facts.st_mode)) {
    close(descriptor);
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a file; cure: name a file"));
  }
  const auto size = static_cast<std::size_t>(facts.st_size);
  void* data = nullptr;
  if (size > 0) {
    data = mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0);
    if (data == MAP_FAILED) {
      const int error_number = errno;
      close(descriptor);
      return ErrnoError(path, "cannot be mapped", error_number);
    }
  }
  close(descriptor);
  return MappedFile(path, static_cast<const char*>(data), size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(other.data_), size_(other.size_) {
  other.data_ = nullptr;
  other.size_ = 0;
}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<char*>(data_), size_);
}

}  // namespace isoflop
