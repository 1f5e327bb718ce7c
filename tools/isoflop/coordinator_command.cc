// isoflop coordinator: owns the store, hands out leases, until it is told to stop.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/coordinator.h"
#include "coordinator/server.h"
#include "store/result_store.h"
#include "study/status_macros.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/interrupts.h"
#include "tools/isoflop/local_cluster.h"
#include "tools/isoflop/study_source.h"

namespace isoflop {
namespace {

struct CoordinatorFlags {
  std::string listen;
  std::string token_file;
  bool force_filesystem = false;
  bool allow_root = false;
};

// A TCP address, which then needs a token; the socket of the store is there
// beside it, for people on this machine.
void AddListener(const std::string& listen, const Environment& environment, ServerOptions& options) {
  const std::string address = listen.empty() ? ServerAddress(environment) : listen;
  if (absl::StartsWith(address, "unix:")) {
    options.socket_path = address.substr(5);
  } else if (absl::StartsWith(address, "/")) {
    options.socket_path = address;
  } else {
    options.listen = address;
    options.socket_path = LocalSocket(environment);
  }
}

std::string Waiting(const std::string& db) {
  const auto store = ResultStore::Open(db);
  if (!store.ok()) return "";
  const auto studies = (*store)->Studies();
  if (!studies.ok()) return "";
  int waiting = 0;
  for (const StudyRecord& study : *studies) {
    if (study.state != "active") continue;
    const auto trials = (*store)->Trials(study.id);
    if (!trials.ok()) return "";
    for (const StoredTrial& trial : *trials) waiting += !IsFinal(trial.standing.state);
  }
  return absl::StrCat(waiting, " trials to do, ");
}

absl::StatusOr<int> RunCoordinator(const CoordinatorFlags& flags, Context& context) {
  const Environment& environment = context.environment;
  ServerOptions options;
  options.db_path = environment.db;
  options.token_file = flags.token_file.empty() ? environment.token_file : flags.token_file;
  options.force_filesystem = flags.force_filesystem;
  options.allow_root = flags.allow_root;
  AddListener(flags.listen, environment, options);
  ISOFLOP_RETURN_IF_ERROR(CheckServerOptions(options));
  ISOFLOP_RETURN_IF_ERROR(MakePrivateFolder(environment.home));
  if (context.flags.verbose) {
    options.log = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
  }
  // Before the server's threads, so that a signal is never missed.
  Interrupts interrupts;
  ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<Server> server, Server::Start(std::move(options)));
  std::vector<std::string> places;
  if (!server->socket_path().empty()) places.push_back("unix:" + server->socket_path());
  if (server->port() != 0) places.push_back(absl::StrCat("127.0.0.1:", server->port()));
  if (context.flags.json) {
    const nlohmann::json object = {{"schema", "isoflop.coordinator/1"},
                                   {"listening", places},
                                   {"pid", getpid()},
                                   {"db", environment.db},
                                   {"epoch", server->coordinator().epoch()}};
    std::printf("%s\n", object.dump().c_str());
  } else {
    std::string where;
    for (const std::string& place : places) absl::StrAppend(&where, where.empty() ? "" : " and ", place);
    std::printf("%slistening on %s\n", Waiting(environment.db).c_str(), where.c_str());
  }
  std::fflush(stdout);
  interrupts.WaitBeyond(0, absl::InfiniteDuration());
  if (!context.flags.quiet && !context.flags.json) {
    std::printf("stopping: trainers go on, workers come back when a coordinator does\n");
    std::fflush(stdout);
  }
  // A second signal ends it at once, which is as safe as kill -9 is.
  std::mutex mu;
  bool is_down = false;
  std::thread watchdog([&] {
    while (interrupts.WaitBeyond(1, absl::Milliseconds(100)) <= 1) {
      const std::lock_guard lock(mu);
      if (is_down) return;
    }
    _exit(kExitInterrupted);
  });
  server->Shutdown();
  {
    const std::lock_guard lock(mu);
    is_down = true;
  }
  watchdog.join();
  return kExitOk;
}

}  // namespace

CommandBody AddCoordinatorCommand(CLI::App& app) {
  auto flags = std::make_shared<CoordinatorFlags>();
  app.add_option("--listen", flags->listen,
                 "unix:/path, or 127.0.0.1:8264 (then a token guards it); default: the socket in $ISOFLOP_HOME")
      ->type_name("ADDR");
  app.add_option("--token-file", flags->token_file,
                 "of mode 0600, made when it is not there; default ISOFLOP_TOKEN_FILE, else $ISOFLOP_HOME/token")
      ->type_name("FILE");
  app.add_flag("--force-filesystem", flags->force_filesystem, "take a store on NFS, at your own risk");
  app.add_flag("--allow-root", flags->allow_root, "as root on a TCP address");
  return [flags](Context& context) { return RunCoordinator(*flags, context); };
}

}  // namespace isoflop
