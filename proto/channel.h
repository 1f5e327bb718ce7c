// The client's side of a conversation with the coordinator: a channel by address
// and the token that goes with each call. Used by the agent and the tools.
//
// Not a wrapper of the services: make a stub on `channel()`.
//
// Thread-safe after construction.
#ifndef ISOFLOP_PROTO_CHANNEL_H_
#define ISOFLOP_PROTO_CHANNEL_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace grpc {
class Channel;
class ClientContext;
class Status;
}  // namespace grpc

namespace isoflop {

class CoordinatorChannel {
 public:
  // `address`: "unix:/path/to.sock", a path that begins with "/", or
  // "host:port". `token_file`: empty for a unix socket; else a file as
  // proto/token_file.h wants it. Nothing is connected yet, so a coordinator
  // that is not there shows at the first call (Unavailable).
  //
  // InvalidArgument: the address. Unauthenticated: no token for a TCP address,
  // or one that cannot be used; the message names the cure.
  static absl::StatusOr<std::unique_ptr<CoordinatorChannel>> Create(std::string address,
                                                                    std::string token_file);
  ~CoordinatorChannel();

  std::shared_ptr<grpc::Channel> channel() const { return channel_; }
  const std::string& address() const { return address_; }

  // Sets the deadline and the token of one call. InfiniteDuration: no deadline,
  // for streams that follow.
  void Prepare(grpc::ClientContext& context, absl::Duration timeout) const;

  // The status of a call as the house knows it: same code; Unavailable and a
  // cancelled stop name the address and say what to start.
  absl::Status ToStatus(const grpc::Status& status) const;

 private:
  CoordinatorChannel(std::string address, std::string token);

  // Constant after construction.
  const std::string address_;
  const std::string token_;
  std::shared_ptr<grpc::Channel> channel_;
};

// The metadata key and value of a token on a plain loopback channel.
inline constexpr char kTokenMetadataKey[] = "authorization";
inline constexpr char kTokenMetadataPrefix[] = "Bearer ";

}  // namespace isoflop

#endif  // ISOFLOP_PROTO_CHANNEL_H_
