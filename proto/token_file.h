// The file that holds a token: 32 random bytes in base64 a line, mode 0600. The
// first line is what a client sends; a second is still accepted by a server, so
// that a token can be changed without a gap.
//
// The token never appears in an error text, an argument, a log or the store.
#ifndef ISOFLOP_PROTO_TOKEN_FILE_H_
#define ISOFLOP_PROTO_TOKEN_FILE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace isoflop {

// One or two tokens. NotFound: no such file. PermissionDenied: not a plain file
// of ours, or others may read it (the message says `chmod 600`).
// InvalidArgument: not 32 bytes in base64, or more than two.
absl::StatusOr<std::vector<std::string>> ReadTokenFile(const std::string& path);

// Makes `path` with a new token, mode 0600. AlreadyExists: there is one; it is
// left as it is.
absl::Status CreateTokenFile(const std::string& path);

}  // namespace isoflop

#endif  // ISOFLOP_PROTO_TOKEN_FILE_H_
