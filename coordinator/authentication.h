// Who may connect: the owner's uid through a unix socket in a folder of his own,
// or whoever holds the token through loopback. Anything else is refused before
// it listens.
//
// Thread-safe after construction. No error text ever holds a token.
#ifndef ISOFLOP_COORDINATOR_AUTHENTICATION_H_
#define ISOFLOP_COORDINATOR_AUTHENTICATION_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace isoflop {

// Makes the folder of `socket_path` (mode 0700) when it is not there, and
// checks it. PermissionDenied: it is a link, belongs to another user, or others
// may write into it. InvalidArgument: the path is too long for a socket.
absl::Status PrepareSocketFolder(const std::string& socket_path);

// Checks that "host:port" is loopback (127.0.0.0/8, ::1, localhost) and that
// its port is a number; returns it as gRPC wants it. InvalidArgument: anything
// else, with the cure.
absl::StatusOr<std::string> CheckListenAddress(const std::string& listen);

class Authentication {
 public:
  // `tokens`: one or two that are valid; none: only unix sockets are served.
  explicit Authentication(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {}

  // `peer`: as gRPC names it ("unix:...", "ipv4:127.0.0.1:4711").
  // `authorization`: the metadata's value, empty when there is none. Compared
  // in constant time. Unauthenticated: says what is missing and the cure.
  absl::Status Check(absl::string_view peer, absl::string_view authorization) const;

 private:
  const std::vector<std::string> tokens_;
};

}  // namespace isoflop

#endif  // ISOFLOP_COORDINATOR_AUTHENTICATION_H_
