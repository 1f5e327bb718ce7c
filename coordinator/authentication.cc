#include "coordinator/authentication.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proto/channel.h"

namespace isoflop {
namespace {

// sizeof(sockaddr_un::sun_path) - 1.
constexpr size_t kMaxSocketPath = 107;

// The time depends on the length of `said` alone.
bool IsSame(absl::string_view said, absl::string_view token) {
  unsigned char different = said.size() == token.size() ? 0 : 1;
  for (size_t i = 0; i < said.size(); ++i) {
    different = static_cast<unsigned char>(
        different | (static_cast<unsigned char>(said[i]) ^
                     static_cast<unsigned char>(token[token.empty() ? 0 : i % token.size()])));
  }
  return different == 0 && !token.empty();
}

}  // namespace

absl::Status PrepareSocketFolder(const std::string& socket_path) {
  if (socket_path.size() > kMaxSocketPath) {
    return absl::InvalidArgumentError(absl::StrCat("socket ", socket_path, ": ", socket_path.size(),
                                                   " bytes, a socket's path holds ", kMaxSocketPath,
                                                   "; cure: a shorter ISOFLOP_HOME"));
  }
  const std::string folder = std::filesystem::path(socket_path).parent_path().string();
  if (folder.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("socket ", socket_path, ": a path with its folder is wanted"));
  }
  std::error_code error;
  const std::filesystem::path above = std::filesystem::path(folder).parent_path();
  if (!above.empty()) std::filesystem::create_directories(above, error);
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::PermissionDeniedError(absl::StrCat("folder ", folder, ": ", strerror(errno)));
  }
  struct stat info;
  if (lstat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return absl::PermissionDeniedError(absl::StrCat(
        "folder ", folder, ": is a link or no folder; cure: a folder of your own as ISOFLOP_HOME"));
  }
  if (info.st_uid != geteuid()) {
    return absl::PermissionDeniedError(absl::StrCat(
        "folder ", folder, ": belongs to another user; cure: a folder of your own as ISOFLOP_HOME"));
  }
  if ((info.st_mode & 022) != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("folder ", folder, ": others may write into it; cure: chmod 700 ", folder));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> CheckListenAddress(const std::string& listen) {
  absl::string_view address = listen;
  absl::ConsumePrefix(&address, "tcp:");
  const size_t colon = address.rfind(':');
  int port = -1;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) ||
      port < 0 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("listen ", listen, ": host:port is wanted; cure: --listen 127.0.0.1:8264"));
  }
  const absl::string_view host = address.substr(0, colon);
  int a = 0, b = 0, c = 0, d = 0, end = 0;
  const std::string text(host);
  const bool is_v4_loopback =
      sscanf(text.c_str(), "%d.%d.%d.%d%n", &a, &b, &c, &d, &end) == 4 &&
      end == static_cast<int>(text.size()) && a == 127;
  if (is_v4_loopback || host == "[::1]") return std::string(address);
  if (host == "localhost") return absl::StrCat("127.0.0.1:", port);
  return absl::InvalidArgumentError(absl::StrCat(
      "listen ", listen, ": plain text beyond loopback is refused; cure: --listen 127.0.0.1:", port,
      " and a tunnel (ssh -L ", port, ":127.0.0.1:", port, " this-host)"));
}

absl::Status Authentication::Check(absl::string_view peer, absl::string_view authorization) const {
  // A unix socket is guarded by its folder and mode.
  if (absl::StartsWith(peer, "unix")) return absl::OkStatus();
  if (authorization.empty()) {
    return absl::UnauthenticatedError(
        "no token; cure: ISOFLOP_TOKEN_FILE or --token-file with the coordinator's file");
  }
  absl::ConsumePrefix(&authorization, kTokenMetadataPrefix);
  bool is_valid = false;
  for (const std::string& token : tokens_) is_valid = IsSame(authorization, token) || is_valid;
  if (is_valid) return absl::OkStatus();
  return absl::UnauthenticatedError(
      "wrong token; cure: ISOFLOP_TOKEN_FILE or --token-file with the coordinator's file");
}

}  // namespace isoflop
