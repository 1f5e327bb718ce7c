#include "proto/token_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

constexpr size_t kTokenBytes = 32;

// Closes on every way out.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

std::string Errno() { return strerror(errno); }

}  // namespace

absl::StatusOr<std::vector<std::string>> ReadTokenFile(const std::string& path) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  if (file.fd < 0) {
    if (errno == ENOENT) return absl::NotFoundError(absl::StrCat("token file ", path, ": not there"));
    return absl::PermissionDeniedError(
        absl::StrCat("token file ", path, ": ", errno == ELOOP ? "is a link" : Errno()));
  }
  struct stat info;
  if (fstat(file.fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return absl::PermissionDeniedError(absl::StrCat("token file ", path, ": not a plain file"));
  }
  if (info.st_uid != geteuid()) {
    return absl::PermissionDeniedError(
        absl::StrCat("token file ", path, ": belongs to another user"));
  }
  if ((info.st_mode & 077) != 0) {
    return absl::PermissionDeniedError(absl::StrCat(
        "token file ", path, ": others may read or write it; cure: chmod 600 ", path));
  }
  char text[4096];
  size_t size = 0;
  while (size < sizeof(text)) {
    const ssize_t n = read(file.fd, text + size, sizeof(text) - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::UnavailableError(absl::StrCat("token file ", path, ": ", Errno()));
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  std::vector<std::string> tokens;
  for (absl::string_view line :
       absl::StrSplit(absl::string_view(text, size), absl::ByAnyChar("\r\n"), absl::SkipWhitespace())) {
    std::string bytes;
    if (!absl::Base64Unescape(line, &bytes) || bytes.size() != kTokenBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("token file ", path, ": a line is not 32 bytes in base64; cure: remove the "
                       "file, and the coordinator makes a new one"));
    }
    tokens.emplace_back(line);
  }
  if (tokens.empty() || tokens.size() > 2) {
    return absl::InvalidArgumentError(absl::StrCat("token file ", path, ": holds ", tokens.size(),
                                                   " tokens, it must hold one or two"));
  }
  return tokens;
}

absl::Status CreateTokenFile(const std::string& path) {
  char bytes[kTokenBytes];
  if (getrandom(bytes, sizeof(bytes), 0) != static_cast<ssize_t>(sizeof(bytes))) {
    return absl::UnavailableError("token file: no random bytes");
  }
  const Descriptor file{
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (file.fd < 0) {
    if (errno == EEXIST) return absl::AlreadyExistsError(absl::StrCat("token file ", path));
    return absl::PermissionDeniedError(absl::StrCat("token file ", path, ": ", Errno()));
  }
  const std::string line =
      absl::StrCat(absl::Base64Escape(absl::string_view(bytes, sizeof(bytes))), "\n");
  if (write(file.fd, line.data(), line.size()) != static_cast<ssize_t>(line.size()) ||
      fsync(file.fd) != 0) {
    const std::string why = Errno();
    unlink(path.c_str());
    return absl::UnavailableError(absl::StrCat("token file ", path, ": ", why));
  }
  return absl::OkStatus();
}

}  // namespace isoflop
