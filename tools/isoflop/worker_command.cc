// isoflop worker: holds leases and supervises trainers, until it is told to stop.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "nlohmann/json.hpp"
#include "study/status_macros.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/interrupts.h"
#include "tools/isoflop/machine.h"
#include "tools/isoflop/study_source.h"
#include "tools/isoflop/version.h"
#include "worker/agent/agent.h"

namespace isoflop {
namespace {

struct WorkerFlags {
  std::string slots = "auto";
  std::vector<std::string> data;
  std::string checkpoints;
  std::string spool;
  std::string name;
  std::string idle_exit;
  std::string orphan_limit;
  std::string beat;
  std::string grace;
  bool builtin_only = false;
};

absl::Status ReadDuration(const char* flag, const std::string& text, absl::Duration most,
                          absl::Duration* out) {
  if (text.empty()) return absl::OkStatus();
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration <= absl::ZeroDuration() || duration > most) {
    return absl::InvalidArgumentError(absl::StrCat(
        flag, ": '", text, "' is not a time", most == absl::InfiniteDuration() ? "" : " up to ",
        most == absl::InfiniteDuration() ? "" : absl::FormatDuration(most),
        "\ncure: ", flag, " 90s, 5m or 2h"));
  }
  *out = duration;
  return absl::OkStatus();
}

std::string HostShortName() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

// What a line of the worker looks like on the screen, or as one object a line.
void Print(const Context& context, const std::string& name, const std::string& line) {
  if (context.flags.json) {
    const nlohmann::json object = {{"schema", "isoflop.worker/1"},
                                   {"at", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone())},
                                   {"worker", name},
                                   {"text", line}};
    std::printf("%s\n", object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  } else {
    std::printf("%s %s: %s\n", absl::FormatTime("%H:%M:%S", absl::Now(), absl::LocalTimeZone()).c_str(),
                name.c_str(), line.c_str());
  }
  std::fflush(stdout);
}

absl::StatusOr<AgentOptions> OptionsOf(const WorkerFlags& flags, const Context& context) {
  const Environment& environment = context.environment;
  AgentOptions options;
  options.server = ServerAddress(environment);
  const bool is_unix = absl::StartsWith(options.server, "unix:") || absl::StartsWith(options.server, "/");
  if (!is_unix) options.token_file = environment.token_file;
  options.name = flags.name;
  options.slots = flags.slots;
  if (flags.slots == "auto") {
    std::vector<int> gpus;
    for (size_t i = 0; i < GpuNames().size(); ++i) gpus.push_back(static_cast<int>(i));
    options.slots = gpus.empty() ? "cpu" : absl::StrCat("gpu:", absl::StrJoin(gpus, ","));
  }
  options.data_roots = flags.data;
  options.data_roots.push_back(environment.datasets);
  options.checkpoint_root = flags.checkpoints.empty() ? environment.checkpoints : flags.checkpoints;
  options.spool_dir = flags.spool.empty()
                          ? absl::StrCat(environment.spool, "/", flags.name.empty() ? HostShortName() : flags.name)
                          : flags.spool;
  if (const std::string trainer = FindTrainer(); !trainer.empty()) options.trainer = {trainer};
  options.trainer_version = VersionText();
  options.builtin_only = flags.builtin_only;
  const absl::Duration any = absl::InfiniteDuration();
  ISOFLOP_RETURN_IF_ERROR(ReadDuration("--idle-exit", flags.idle_exit, any, &options.idle_exit));
  ISOFLOP_RETURN_IF_ERROR(ReadDuration("--orphan-limit", flags.orphan_limit, any, &options.orphan_limit));
  ISOFLOP_RETURN_IF_ERROR(ReadDuration("--grace", flags.grace, absl::Hours(1), &options.grace));
  ISOFLOP_RETURN_IF_ERROR(ReadDuration("--beat", flags.beat, absl::Seconds(10), &options.busy_beat));
  return options;
}

absl::StatusOr<int> RunWorker(const WorkerFlags& flags, Context& context) {
  ISOFLOP_ASSIGN_OR_RETURN(AgentOptions options, OptionsOf(flags, context));
  ISOFLOP_RETURN_IF_ERROR(MakePrivateFolder(context.environment.home));
  const std::string name = options.name.empty() ? HostShortName() : options.name;
  if (!context.flags.quiet) {
    options.log = [&context, name](const std::string& line) { Print(context, name, line); };
  }
  if (context.flags.verbose) {
    options.on_durable = [&context, name](int64_t lease, uint64_t seq) {
      Print(context, name, absl::StrCat("lease ", lease, ": ", seq, " points are stored"));
    };
  }
  const std::string server = options.server;
  const std::string slots = options.slots;
  Interrupts interrupts;
  ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<Agent> agent, Agent::Create(std::move(options)));
  if (!context.flags.quiet) {
    Print(context, name, absl::StrCat("pid ", getpid(), ", slots ", slots, ", coordinator at ", server));
  }
  // Run stays on this thread: trainers die with the thread that started them.
  std::atomic<bool> has_ended{false};
  std::thread drains([&] {
    int seen = 0;
    while (!has_ended.load()) {
      const int now = interrupts.WaitBeyond(seen, absl::Milliseconds(200));
      for (; seen < now; ++seen) agent->Drain();
    }
  });
  const absl::Status status = agent->Run();
  has_ended.store(true);
  drains.join();
  ISOFLOP_RETURN_IF_ERROR(status);
  return kExitOk;
}

}  // namespace

CommandBody AddWorkerCommand(CLI::App& app) {
  auto flags = std::make_shared<WorkerFlags>();
  app.add_option("--slots", flags->slots, "auto (all GPUs, else all cores), gpu:0,1 or cpu:4")->type_name("SLOTS");
  app.add_option("--data", flags->data, "folder that holds prepared data (dataset.json below it); again for more")
      ->type_name("DIR")->allow_extra_args(false);
  app.add_option("--checkpoints", flags->checkpoints,
                 "folder of all checkpoints; workers may share it; default $ISOFLOP_HOME/checkpoints")
      ->type_name("DIR");
  app.add_option("--spool", flags->spool, "this worker's own folder for what is not stored yet; default $ISOFLOP_HOME/spool/NAME")
      ->type_name("DIR");
  app.add_option("--name", flags->name, "[a-z0-9][a-z0-9._-]*; default: the host's name")->type_name("W");
  app.add_option("--idle-exit", flags->idle_exit, "leave after so long without a lease; default: never")->type_name("TIME");
  app.add_option("--orphan-limit", flags->orphan_limit,
                 "without a coordinator for so long: checkpoint and stop; default 2h")->type_name("TIME");
  app.add_option("--grace", flags->grace, "from SIGTERM to SIGKILL of a trainer; default 60s")->type_name("TIME");
  app.add_option("--beat", flags->beat, "points are told so often; default and most 10s")->type_name("TIME");
  app.add_flag("--builtin-only", flags->builtin_only, "refuse studies that bring a command as their trainer");
  return [flags](Context& context) { return RunWorker(*flags, context); };
}

}  // namespace isoflop
