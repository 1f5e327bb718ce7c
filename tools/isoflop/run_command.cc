// isoflop run: plan, ask, train here, fit, report.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "analysis/report/report.h"
#include "store/result_store.h"
#include "study/format.h"
#include "study/plan_table.h"
#include "study/status_macros.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/fit_text.h"
#include "tools/isoflop/interrupts.h"
#include "tools/isoflop/local_cluster.h"
#include "tools/isoflop/machine.h"
#include "tools/isoflop/report_making.h"
#include "tools/isoflop/study_admin_client.h"
#include "tools/isoflop/study_loading.h"
#include "tools/isoflop/study_watch.h"
#include "tools/isoflop/terminal.h"

namespace isoflop {
namespace {

using Json = nlohmann::json;

// A coordinator elsewhere may be restarted meanwhile. One on this machine that
// falls silent has ended, and its store is free.
constexpr absl::Duration kUnheard = absl::Minutes(5);
constexpr absl::Duration kHolderUnheard = absl::Seconds(3);
// A store whose holder does not answer is tried again for so long.
constexpr absl::Duration kHolderEnds = absl::Seconds(15);
constexpr absl::Duration kHolderPause = absl::Milliseconds(200);

struct RunFlags {
  std::string yaml;
  std::string slots;
  std::string output;
  std::vector<std::string> overrides;
};

// One run from its command line to its exit code.
class Run {
 public:
  Run(const RunFlags& flags, Context& context) : flags_(flags), context_(context) {}

  absl::StatusOr<int> Execute();

 private:
  absl::Status Load();
  absl::StatusOr<bool> Confirm();
  absl::Status CheckMachine();
  // Trains until the study has ended, or whatever else ends it: here, or where
  // the store is held already.
  absl::StatusOr<WatchResult> Train();
  absl::StatusOr<WatchResult> TrainHere(LocalCluster& cluster);
  absl::StatusOr<WatchResult> TrainThere(absl::Duration unheard);
  absl::StatusOr<wire::SubmitReply> Submit(StudyAdminClient& client);
  StudyWatchOptions WatchOptions(const wire::SubmitReply& reply, const std::string& slot_kind) const;
  // Fits, reports and says how it went.
  absl::StatusOr<int> Finish(const WatchResult& result);

  void Say(const std::string& line) const {
    if (context_.flags.quiet || context_.flags.json) return;
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
  }

  const RunFlags& flags_;
  Context& context_;
  LoadedStudy study_;
  bool uses_gpus_ = false;
  bool trains_here_ = false;
};

absl::Status Run::Load() {
  LoadingOptions options;
  options.overrides = flags_.overrides;
  ISOFLOP_RETURN_IF_ERROR(ParseSlots(flags_.slots, &options.slots, &options.device));
  if (!options.device.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--slots: '", flags_.slots, "' names a device, and run trains on this machine\n"
                     "cure: --slots 2, or isoflop plan --slots ", flags_.slots));
  }
  options.progress = [this](const std::string& line) { Say(line); };
  ISOFLOP_ASSIGN_OR_RETURN(study_, LoadStudy(flags_.yaml, context_.environment, options));
  std::string table = PlanTable(study_.plan);
  while (!table.empty() && table.back() == '\n') table.pop_back();
  Say(table);
  for (const std::string& warning : study_.plan.warnings) {
    if (!context_.flags.quiet) std::fprintf(stderr, "warning: %s\n", warning.c_str());
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Run::Confirm() {
  const Plan& plan = study_.plan;
  if (context_.flags.yes || plan.flops_to_spend == 0) return true;
  const std::string question = absl::StrCat(
      "Train ", Plural(static_cast<int64_t>(plan.trials.size()) - plan.known, "trial"), " here, ",
      FormatFlops(plan.flops_to_spend), " FLOPs",
      plan.seconds_makespan > 0
          ? absl::StrCat(", about ", FormatSeconds(plan.seconds_makespan), " on ",
                         plan.slots_available, " ", plan.slot_kind, " slot",
                         plan.slots_available == 1 ? "" : "s")
          : "",
      "?");
  bool asked = false;
  const bool yes = AskYesNo(question, /*default_yes=*/!plan.over_limit, &asked);
  if (!asked) {
    return absl::InvalidArgumentError(
        absl::StrCat(flags_.yaml, ": run asks before it trains, and nobody is there to answer\n"
                     "cure: isoflop run ", flags_.yaml, " -y"));
  }
  return yes;
}

absl::Status Run::CheckMachine() {
  const SlotChoice slot = study_.spec.resources.slot;
  const bool has_gpu = !GpuNames().empty();
  uses_gpus_ = slot == SlotChoice::kGpu || (slot == SlotChoice::kAny && has_gpu);
  if (slot == SlotChoice::kGpu && !has_gpu) {
    return absl::FailedPreconditionError(
        absl::StrCat(flags_.yaml, ": resources.slot is gpu, and this machine has none\n"
                     "cure: --set resources.slot=cpu, or isoflop submit ", flags_.yaml,
                     " to a coordinator with GPU workers"));
  }
  for (const PlannedTrial& trial : study_.plan.trials) {
    if (trial.slots > study_.plan.slots_available) {
      return absl::InvalidArgumentError(absl::StrCat(
          flags_.yaml, ": a trial wants ", trial.slots, " slots, and ",
          study_.plan.slots_available, " are here\ncure: --set resources.slots_per_trial=1, or --slots ",
          trial.slots));
    }
  }
  if (!study_.spec.trainer.has_value() && FindTrainer().empty()) {
    return absl::FailedPreconditionError(
        "isoflop-trainer: is neither beside isoflop nor on PATH\n"
        "cure: build it (-DISOFLOP_WITH_TRAINER=ON), or name your own in the study: trainer: {command: [...]}");
  }
  return absl::OkStatus();
}

absl::StatusOr<wire::SubmitReply> Run::Submit(StudyAdminClient& client) {
  ISOFLOP_ASSIGN_OR_RETURN(const wire::SubmitReply reply,
                           client.SubmitPlan(study_.plan, SubmitHeaderOf(study_)));
  if (!reply.missing().empty()) {
    Say(absl::StrCat("no longer in the YAML, and left as they are: ",
                     Plural(reply.missing_size(), "trial"), " (",
                     absl::StrJoin(reply.missing(), " "), ")"));
  }
  // The same command goes on.
  wire::StudyRef ref;
  ref.set_id(reply.study_id());
  ISOFLOP_ASSIGN_OR_RETURN(const wire::Study study, client.GetStudy(ref));
  if (study.state() == "paused") {
    wire::ControlRequest resume;
    resume.set_action(wire::CONTROL_ACTION_RESUME);
    resume.set_study_name(study.name());
    ISOFLOP_RETURN_IF_ERROR(client.Control(resume).status());
  }
  return reply;
}

StudyWatchOptions Run::WatchOptions(const wire::SubmitReply& reply,
                                    const std::string& slot_kind) const {
  StudyWatchOptions options;
  options.study_name = study_.spec.name;
  options.quiet = context_.flags.quiet || context_.flags.json;
  options.view.count = study_.spec.grid.count;
  options.view.slot_kind = slot_kind;
  for (int i = 0; i < reply.trial_ids_size(); ++i) {
    const PlannedTrial& trial = study_.plan.trials[static_cast<size_t>(i)];
    if (trial.seconds_estimate > 0) {
      options.view.expected_seconds[reply.trial_ids(i)] = trial.seconds_estimate * trial.slots;
    }
  }
  AnalysisOptions& fit = options.fit.emplace();
  fit.spec = study_.spec.analysis;
  fit.count = study_.spec.grid.count;
  fit.flops = study_.spec.grid.flops;
  return options;
}

// Other unfinished studies of the store wait while this one runs here.
class OthersAside {
 public:
  OthersAside(StudyAdminClient& client, const std::string& db, const std::string& name)
      : client_(client) {
    const auto store = ResultStore::Open(db);
    if (!store.ok()) return;
    const auto studies = (*store)->Studies();
    if (!studies.ok()) return;
    for (const StudyRecord& study : *studies) {
      if (study.name == name || study.state != "active") continue;
      if (Control(study.name, wire::CONTROL_ACTION_PAUSE)) names_.push_back(study.name);
    }
  }
  ~OthersAside() {
    for (const std::string& name : names_) Control(name, wire::CONTROL_ACTION_RESUME);
  }
  OthersAside(const OthersAside&) = delete;
  OthersAside& operator=(const OthersAside&) = delete;

  const std::vector<std::string>& names() const { return names_; }

 private:
  bool Control(const std::string& name, wire::ControlAction action) {
    wire::ControlRequest request;
    request.set_action(action);
    request.set_study_name(name);
    request.set_reason("another study runs here");
    return client_.Control(request).ok();
  }
  StudyAdminClient& client_;
  std::vector<std::string> names_;
};

absl::StatusOr<WatchResult> Run::TrainHere(LocalCluster& cluster) {
  ISOFLOP_ASSIGN_OR_RETURN(std::unique_ptr<StudyAdminClient> client,
                           StudyAdminClient::Connect(cluster.address(), ""));
  ISOFLOP_ASSIGN_OR_RETURN(const wire::SubmitReply reply, Submit(*client));
  const OthersAside others(*client, context_.environment.db, study_.spec.name);
  if (!others.names().empty()) {
    Say(absl::StrCat("waiting meanwhile: ", absl::StrJoin(others.names(), ", ")));
  }
  LocalWorkerOptions worker;
  const int slots = study_.plan.slots_available;
  if (uses_gpus_) {
    std::vector<int> gpus;
    for (int i = 0; i < slots; ++i) gpus.push_back(i);
    worker.slots = absl::StrCat("gpu:", absl::StrJoin(gpus, ","));
  } else {
    worker.slots = absl::StrCat("cpu:", slots);
  }
  worker.data_root = std::filesystem::path(study_.dataset_path).parent_path().string();
  worker.trainer = FindTrainer();
  if (context_.flags.verbose) {
    worker.log = [](const std::string& line) { std::fprintf(stderr, "worker: %s\n", line.c_str()); };
  }
  Interrupts interrupts;
  ISOFLOP_RETURN_IF_ERROR(cluster.StartWorker(worker));
  StudyWatchOptions options = WatchOptions(reply, uses_gpus_ ? "gpu" : "cpu");
  options.has_ended = [&] { return cluster.WorkerEnded(); };
  options.on_interrupt = [&](int count) -> std::string {
    if (count == 1) {
      cluster.Drain();
      return " stopping: running trials write checkpoints (Ctrl-C again: at once)";
    }
    cluster.StopNow();
    return " stopping at once";
  };
  ISOFLOP_ASSIGN_OR_RETURN(WatchResult result, WatchStudy(*client, options, interrupts));
  if (result.end == WatchEnd::kStopped) {
    const absl::Status status = cluster.worker_status();
    return status.ok() ? absl::InternalError("run: its worker ended before the study did") : status;
  }
  cluster.Drain();  // nothing runs any more, or it was told already
  return result;
}

absl::StatusOr<WatchResult> Run::TrainThere(absl::Duration unheard) {
  ISOFLOP_ASSIGN_OR_RETURN(std::unique_ptr<StudyAdminClient> client,
                           StudyAdminClient::Connect(context_.environment));
  ISOFLOP_ASSIGN_OR_RETURN(const wire::SubmitReply reply, Submit(*client));
  Say(absl::StrCat("handed to the coordinator at ", client->address(), "; its workers train"));
  Interrupts interrupts;
  StudyWatchOptions options = WatchOptions(reply, "");
  options.unheard = unheard;
  return WatchStudy(*client, options, interrupts);
}

absl::StatusOr<int> Run::Finish(const WatchResult& result) {
  const wire::StateCounts& counts = result.study.trials();
  int code = kExitOk;
  if (counts.failed() > 0) {
    code = kExitInPart;
    Say(absl::StrCat(Plural(counts.failed(), "trial"), " failed; why: isoflop explain ",
                     study_.spec.name));
  }
  if (result.end == WatchEnd::kPaused) {
    code = kExitInPart;
    Say(absl::StrCat("paused", result.study.state_reason().empty() ? "" : ": ",
                     result.study.state_reason(), "; the same command goes on"));
  }
  Json object = {{"schema", "isoflop.run/1"},
                 {"study", result.study.name()},
                 {"state", result.study.state()},
                 {"observations_done", result.study.observations_done()},
                 {"observations_total", result.study.observations_total()},
                 {"trials",
                  {{"completed", counts.completed()},
                   {"diverged", counts.diverged()},
                   {"failed", counts.failed()},
                   {"cancelled", counts.cancelled()}}},
                 {"flops_total", result.study.flops_total()},
                 {"seconds", result.seconds},
                 {"report", nullptr},
                 {"fit", nullptr}};
  // The store of a coordinator elsewhere is not read from here.
  if (context_.environment.server_is_default) {
    ReportRequest request;
    request.flags.source = study_.spec.name;
    request.output = flags_.output;
    ISOFLOP_ASSIGN_OR_RETURN(const MadeReport made, MakeReport(request, context_));
    for (const std::string& line : FitLines(made.analysis)) Say(line);
    Say(WrittenLine(made.written));
    // Approach 2 wants budgets; only a grid of them promises it.
    const AnalysisResult& analysis = made.analysis;
    const bool is_refused =
        analysis.parametric_refusal.has_value() ||
        (study_.spec.grid.kind == GridKind::kIsoflop && analysis.isoflop.has_value() &&
         analysis.isoflop->refusal.has_value());
    if (is_refused) code = kExitInPart;
    for (const ReportNote& refusal : is_refused ? made.report.refusals : std::vector<ReportNote>()) {
      std::fprintf(stderr, "fit: %s: %s\n", refusal.code.c_str(), refusal.text.c_str());
      if (!refusal.cure.empty()) std::fprintf(stderr, "cure: %s\n", refusal.cure.c_str());
    }
    object["report"] = made.written.html_path;
    object["fit"] = Json::parse(AnalysisJson(made.analysis));
  } else {
    Say(absl::StrCat("its report, where its store is: isoflop report ", study_.spec.name));
  }
  if (context_.flags.json) {
    std::printf("%s\n", object.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
  }
  return code;
}

absl::StatusOr<WatchResult> Run::Train() {
  absl::Time deadline = absl::Now() + kHolderEnds;
  while (true) {
    absl::StatusOr<std::unique_ptr<LocalCluster>> cluster =
        LocalCluster::Start(context_.environment, nullptr);
    if (cluster.ok()) {
      trains_here_ = true;
      absl::StatusOr<WatchResult> result = TrainHere(**cluster);
      (*cluster)->Shutdown();
      return result;
    }
    if (!absl::IsFailedPrecondition(cluster.status())) return cluster.status();
    // The coordinator that holds the store trains it there, if it answers. One
    // that is about to end does not; then the store is free in a moment.
    context_.environment.server = absl::StrCat("unix:", LocalSocket(context_.environment));
    const absl::Time asked_at = absl::Now();
    absl::StatusOr<WatchResult> there = TrainThere(kHolderUnheard);
    if (!absl::IsUnavailable(there.status())) return there;
    // It trained for a while and went away.
    if (absl::Now() - asked_at > kHolderUnheard) deadline = absl::Now() + kHolderEnds;
    if (absl::Now() > deadline) return cluster.status();
    absl::SleepFor(kHolderPause);
  }
}

absl::StatusOr<int> Run::Execute() {
  ISOFLOP_RETURN_IF_ERROR(Load());
  if (context_.flags.dry_run) return kExitOk;
  const bool is_elsewhere = !context_.environment.server_is_default;
  if (!is_elsewhere) ISOFLOP_RETURN_IF_ERROR(CheckMachine());
  ISOFLOP_ASSIGN_OR_RETURN(const bool confirmed, Confirm());
  if (!confirmed) {
    Say("nothing was done");
    return kExitOk;
  }
  ISOFLOP_ASSIGN_OR_RETURN(const WatchResult result, is_elsewhere ? TrainThere(kUnheard) : Train());
  if (result.end == WatchEnd::kInterrupted) {
    Say(trains_here_ ? absl::StrCat("stopped; the same command goes on: isoflop run ", flags_.yaml)
                     : absl::StrCat("the study goes on there; watch it: isoflop status ",
                                    study_.spec.name));
    return kExitInterrupted;
  }
  return Finish(result);
}

}  // namespace

CommandBody AddRunCommand(CLI::App& app) {
  const auto flags = std::make_shared<RunFlags>();
  app.add_option("YAML", flags->yaml, "the study")->required();
  app.add_option("--slots", flags->slots, "slots of this machine, cpu:2 or 2; default: all cores or GPUs")
      ->type_name("N");
  app.add_option("-o,--output", flags->output, "folder of the report; default ./<study>-report")
      ->type_name("DIR");
  app.add_option("--set", flags->overrides, "takes the place of a key: --set grid.budgets=[1e17,1e18]")
      ->type_name("KEY=VALUE")->allow_extra_args(false);
  return [flags](Context& context) { return Run(*flags, context).Execute(); };
}

}  // namespace isoflop
