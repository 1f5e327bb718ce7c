#include "proto/channel.h"

#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"
#include "proto/token_file.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

constexpr absl::string_view kUnixPrefix = "unix:";

bool IsHostAndPort(absl::string_view address) {
  const size_t colon = address.rfind(':');
  int port = 0;
  return colon != absl::string_view::npos && colon > 0 &&
         absl::SimpleAtoi(address.substr(colon + 1), &port) && port > 0 && port < 65536;
}

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  // Without calls too: a hanging request is all that an idle worker has.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // Despite its name the least time that one attempt to connect gets: a busy
  // machine needs more than the 100 ms that it would be cut to.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 10'000);
  // Subchannels of the process are shared otherwise, with their back-off.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(64 * 1024 * 1024);
  return arguments;
}

}  // namespace

CoordinatorChannel::CoordinatorChannel(std::string address, std::string token)
    : address_(std::move(address)), token_(std::move(token)) {
  channel_ = grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), Arguments());
}

CoordinatorChannel::~CoordinatorChannel() = default;

absl::StatusOr<std::unique_ptr<CoordinatorChannel>> CoordinatorChannel::Create(
    std::string address, std::string token_file) {
  if (absl::StartsWith(address, "/")) address = absl::StrCat(kUnixPrefix, address);
  std::string token;
  if (absl::StartsWith(address, kUnixPrefix)) {
    if (address.size() - kUnixPrefix.size() > 107) {
      return absl::InvalidArgumentError(
          absl::StrCat("server ", address, ": a socket's path holds at most 107 bytes; cure: a "
                       "shorter ISOFLOP_HOME or --server"));
    }
  } else {
    if (!IsHostAndPort(address)) {
      return absl::InvalidArgumentError(
          absl::StrCat("server ", address, ": is neither unix:/path nor host:port"));
    }
    if (token_file.empty()) {
      return absl::UnauthenticatedError(
          absl::StrCat("server ", address, ": a TCP address needs a token; cure: ISOFLOP_TOKEN_FILE "
                       "or --token-file with the coordinator's file"));
    }
    auto tokens = ReadTokenFile(token_file);
    if (!tokens.ok()) {
      return absl::UnauthenticatedError(
          absl::StrCat("server ", address, ": ", std::string(tokens.status().message())));
    }
    token = tokens->front();
  }
  return std::unique_ptr<CoordinatorChannel>(
      new CoordinatorChannel(std::move(address), std::move(token)));
}

void CoordinatorChannel::Prepare(grpc::ClientContext& context, absl::Duration timeout) const {
  if (timeout != absl::InfiniteDuration()) {
    context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
  }
  if (!token_.empty()) {
    context.AddMetadata(kTokenMetadataKey, absl::StrCat(kTokenMetadataPrefix, token_));
  }
}

absl::Status CoordinatorChannel::ToStatus(const grpc::Status& status) const {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  // A stopping server shows CANCELLED first, then UNAVAILABLE.
  if (code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kCancelled) {
    return absl::UnavailableError(absl::StrCat(
        "coordinator at ", address_, ": nobody listens (", status.error_message(),
        "); cure: isoflop coordinator, or ISOFLOP_SERVER"));
  }
  if (code == absl::StatusCode::kDeadlineExceeded) {
    return absl::DeadlineExceededError(absl::StrCat("coordinator at ", address_, ": no answer in time"));
  }
  return absl::Status(code, status.error_message());
}

}  // namespace isoflop
