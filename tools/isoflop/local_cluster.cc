#include "tools/isoflop/local_cluster.h"

#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "study/status_macros.h"
#include "study/trial_text.h"
#include "tools/isoflop/version.h"

namespace isoflop {
namespace {

// The screen follows its own worker closely; a cluster's workers speak every
// ten seconds.
constexpr absl::Duration kBeat = absl::Seconds(1);

// What distinguishes a store that is not the default one; empty for that.
std::string StoreMark(const Environment& environment) {
  std::error_code ignored;
  const std::filesystem::path db = std::filesystem::weakly_canonical(environment.db, ignored);
  const std::filesystem::path usual =
      std::filesystem::weakly_canonical(environment.home + "/isoflop.db", ignored);
  return db == usual ? "" : Sha256Hex(db.string()).substr(0, 12);
}

}  // namespace

std::string LocalSocket(const Environment& environment) {
  const std::string mark = StoreMark(environment);
  return mark.empty() ? environment.default_socket()
                      : absl::StrCat(environment.run_folder(), "/", mark, ".sock");
}

absl::StatusOr<std::unique_ptr<LocalCluster>> LocalCluster::Start(
    const Environment& environment, std::function<void(const std::string&)> log) {
  ISOFLOP_RETURN_IF_ERROR(MakePrivateFolder(environment.home));
  ISOFLOP_RETURN_IF_ERROR(MakePrivateFolder(environment.run_folder()));
  ServerOptions options;
  options.db_path = environment.db;
  options.socket_path = LocalSocket(environment);
  options.log = std::move(log);
  ISOFLOP_ASSIGN_OR_RETURN(std::unique_ptr<Server> server, Server::Start(std::move(options)));
  return std::unique_ptr<LocalCluster>(new LocalCluster(environment, std::move(server)));
}

LocalCluster::~LocalCluster() {
  if (agent_ != nullptr) agent_->StopNow();
  Shutdown();
}

std::string LocalCluster::address() const {
  return absl::StrCat("unix:", LocalSocket(environment_));
}

absl::Status LocalCluster::StartWorker(const LocalWorkerOptions& options) {
  ISOFLOP_RETURN_IF_ERROR(MakePrivateFolder(environment_.checkpoints));
  AgentOptions agent;
  agent.server = address();
  agent.name = "local";
  agent.slots = options.slots;
  agent.data_roots = {options.data_root};
  agent.checkpoint_root = environment_.checkpoints;
  const std::string mark = StoreMark(environment_);
  agent.spool_dir = absl::StrCat(environment_.spool, "/local", mark.empty() ? "" : "-", mark);
  ISOFLOP_RETURN_IF_ERROR(MakePrivateFolder(agent.spool_dir));
  if (!options.trainer.empty()) agent.trainer = {options.trainer};
  agent.trainer_version = CodeVersion();
  agent.busy_beat = kBeat;
  agent.idle_beat = kBeat;
  agent.log = options.log;
  ISOFLOP_ASSIGN_OR_RETURN(agent_, Agent::Create(std::move(agent)));
  // Trainers die with the thread that started them, so it lasts as long as they.
  worker_ = std::thread([this] {
    absl::Status status = agent_->Run();
    const absl::MutexLock lock(&mu_);
    worker_ended_ = true;
    worker_status_ = std::move(status);
  });
  return absl::OkStatus();
}

void LocalCluster::Drain() { agent_->Drain(); }
void LocalCluster::StopNow() { agent_->StopNow(); }

bool LocalCluster::WorkerEnded() const {
  const absl::MutexLock lock(&mu_);
  return worker_ended_;
}

absl::Status LocalCluster::worker_status() const {
  const absl::MutexLock lock(&mu_);
  return worker_status_;
}

void LocalCluster::Shutdown() {
  if (worker_.joinable()) worker_.join();
  if (server_ != nullptr) server_->Shutdown();
  server_.reset();
}

}  // namespace isoflop
