#include "coordinator/server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "coordinator/authentication.h"
#include "coordinator/coordinator.h"
#include "coordinator/study_admin_service.h"
#include "coordinator/work_queue_service.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/health_check_service_interface.h"
#include "proto/token_file.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

constexpr int kMaxMessageBytes = 256 * 1024;
constexpr absl::Duration kTick = absl::Milliseconds(200);
// What Shutdown gives the calls that are still open after they were answered.
constexpr std::chrono::seconds kShutdownGrace(1);

void Configure(grpc::ServerBuilder& builder) {
  grpc::EnableDefaultHealthCheckService(true);
  // Else two servers may share a port.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // Clients ping every 20 s; the default cuts them off at the third.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 8 * 1024);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 100);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  grpc::ResourceQuota quota("isoflop");
  quota.Resize(512u << 20);
  quota.SetMaxThreads(2 * static_cast<int>(std::max(1u, std::thread::hardware_concurrency())) + 2);
  builder.SetResourceQuota(quota);
}

}  // namespace

absl::Status CheckServerOptions(const ServerOptions& options) {
  if (options.socket_path.empty() && options.listen.empty()) {
    return absl::InvalidArgumentError("coordinator: neither a socket nor an address to listen on");
  }
  if (options.listen.empty()) return absl::OkStatus();
  ISOFLOP_RETURN_IF_ERROR(CheckListenAddress(options.listen).status());
  if (geteuid() == 0 && !options.allow_root) {
    return absl::InvalidArgumentError(
        absl::StrCat("listen ", options.listen,
                     ": root is refused on a TCP listener; cure: another user, or --allow-root"));
  }
  if (options.token_file.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("listen ", options.listen,
                     ": any local user can connect, so a token is needed; cure: --token-file FILE"));
  }
  return absl::OkStatus();
}

struct Server::Parts {
  ServerOptions options;
  int port = 0;
  std::unique_ptr<Ledger> ledger;
  std::unique_ptr<Coordinator> coordinator;
  std::unique_ptr<Authentication> authentication;
  std::unique_ptr<WorkQueueService> work_queue;
  std::unique_ptr<StudyAdminService> study_admin;
  std::unique_ptr<grpc::Server> server;
  absl::Notification stopped;
  std::thread ticker;
  bool is_down = false;

  void Tick() {
    bool was_healthy = true;
    while (!stopped.WaitForNotificationWithTimeout(kTick)) {
      coordinator->Tick();
      const bool is_healthy = coordinator->Health().empty();
      if (is_healthy != was_healthy) {
        server->GetHealthCheckService()->SetServingStatus(is_healthy);
        if (options.log) {
          options.log(is_healthy ? "store: commits go through again"
                                 : absl::StrCat("store: ", coordinator->Health()));
        }
        was_healthy = is_healthy;
      }
    }
  }
};

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Server::~Server() { Shutdown(); }

absl::StatusOr<std::unique_ptr<Server>> Server::StartOn(std::unique_ptr<Ledger> ledger,
                                                        ServerOptions options) {
  auto parts = std::make_unique<Parts>();
  std::string address;
  std::vector<std::string> tokens;
  ISOFLOP_RETURN_IF_ERROR(CheckServerOptions(options));
  if (!options.listen.empty()) {
    ISOFLOP_ASSIGN_OR_RETURN(address, CheckListenAddress(options.listen));
    const absl::Status made = CreateTokenFile(options.token_file);
    if (!made.ok() && !absl::IsAlreadyExists(made)) return made;
    ISOFLOP_ASSIGN_OR_RETURN(tokens, ReadTokenFile(options.token_file));
  }
  if (!options.socket_path.empty()) {
    ISOFLOP_RETURN_IF_ERROR(PrepareSocketFolder(options.socket_path));
  }
  parts->ledger = std::move(ledger);
  const Coordinator::Clock clock = {
      .monotonic =
          [] {
            return absl::UnixEpoch() +
                   absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
          },
      .wall = [] { return absl::Now(); }};
  ISOFLOP_ASSIGN_OR_RETURN(parts->coordinator,
                           Coordinator::Create(options.coordinator, parts->ledger.get(), clock,
                                               options.log));
  parts->authentication = std::make_unique<Authentication>(std::move(tokens));
  parts->work_queue = std::make_unique<WorkQueueService>(parts->coordinator.get(),
                                                         parts->authentication.get());
  parts->study_admin = std::make_unique<StudyAdminService>(
      parts->coordinator.get(), parts->ledger.get(), parts->authentication.get());

  grpc::ServerBuilder builder;
  Configure(builder);
  if (!address.empty()) {
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &parts->port);
  }
  int socket_port = 0;
  if (!options.socket_path.empty()) {
    // Whoever holds the store's lock may remove a socket that is left over.
    unlink(options.socket_path.c_str());
    builder.AddListeningPort(absl::StrCat("unix:", options.socket_path),
                             grpc::InsecureServerCredentials(), &socket_port);
  }
  builder.RegisterService(parts->work_queue.get());
  builder.RegisterService(parts->study_admin.get());
  // The socket is made by bind: nobody else may connect in between either.
  const mode_t mask = umask(0177);
  parts->server = builder.BuildAndStart();
  umask(mask);
  if (parts->server == nullptr || (!address.empty() && parts->port == 0)) {
    return absl::UnavailableError(absl::StrCat(
        "listen ", address.empty() ? options.socket_path : address,
        ": cannot listen there (in use, or not permitted); cure: another --listen"));
  }
  if (!options.socket_path.empty() && chmod(options.socket_path.c_str(), 0600) != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("socket ", options.socket_path, ": cannot set its mode to 0600"));
  }
  parts->options = std::move(options);
  Parts* const running = parts.get();
  parts->ticker = std::thread([running] { running->Tick(); });
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

int Server::port() const { return parts_->port; }
const std::string& Server::socket_path() const { return parts_->options.socket_path; }
Coordinator& Server::coordinator() { return *parts_->coordinator; }

void Server::Shutdown() {
  Parts& parts = *parts_;
  if (parts.is_down) return;
  parts.is_down = true;
  parts.server->GetHealthCheckService()->SetServingStatus(false);
  parts.stopped.Notify();
  parts.ticker.join();
  parts.coordinator->Stop();
  // What can be committed is, and its answers leave; the rest is not told.
  parts.ledger->Close();
  const absl::Status stopping = absl::UnavailableError("coordinator: stopping");
  parts.work_queue->EndAll(stopping);
  parts.study_admin->EndAll(stopping);
  parts.server->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
  parts.server->Wait();
  if (!parts.options.socket_path.empty()) unlink(parts.options.socket_path.c_str());
  parts.server.reset();
  parts.study_admin.reset();
  parts.work_queue.reset();
  parts.coordinator.reset();
  parts.ledger.reset();
}

}  // namespace isoflop
