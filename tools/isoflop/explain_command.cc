// isoflop explain: the history of a study, a trial or a worker, and what it waits
// for.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "study/format.h"
#include "study/status_macros.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/event_text.h"
#include "tools/isoflop/status_table.h"
#include "tools/isoflop/study_source.h"

namespace isoflop {
namespace {

struct ExplainFlags {
  std::string target;
  int lines = 40;
};

// Why no fit has this trial; empty when one may.
std::string NotInFits(const wire::Trial& trial) {
  if (trial.role() == wire::TRIAL_ROLE_TRUNK) return "never in fits (a trunk's rate has not ended)";
  if (trial.state() == "completed") return "";
  if (trial.state() == "diverged") return "not in fits (diverged)";
  return "not in fits yet (not_completed)";
}

// "trial 19: 235M x 3.29B, seed 1, branch of trunk 4 at step 5.0K; ..."
std::string HeadOf(const wire::Trial& trial) {
  std::string line = absl::StrCat("trial ", trial.id(), ": ",
                                  SizeOfTrial(trial, CountConvention::kNonEmbeddingPlusHead), ", seed ", trial.seed());
  if (trial.role() == wire::TRIAL_ROLE_TRUNK) absl::StrAppend(&line, ", trunk");
  if (trial.role() == wire::TRIAL_ROLE_BRANCH) {
    absl::StrAppend(&line, ", branch of trunk ", trial.parent_trial_id(), " at step ",
                    FormatCount(static_cast<double>(trial.branch_step())));
  }
  absl::StrAppend(&line, ", study ", trial.study_name(), "; ", trial.state());
  if (trial.has_final_loss_nats()) absl::StrAppend(&line, ", loss ", FormatLoss(trial.final_loss_nats()));
  if (!trial.outcome_detail().empty() && trial.state() != "completed") absl::StrAppend(&line, ": ", trial.outcome_detail());
  if (const std::string why = NotInFits(trial); !why.empty()) absl::StrAppend(&line, "; ", why);
  return line;
}

// What a person may do about a trial that has ended without a result.
std::string CureOf(const wire::Trial& trial) {
  if (trial.state() != "failed") return "";
  if (trial.outcome() == "oom") {
    return absl::StrCat("cure: isoflop retry ", trial.id(), " --slots ", 2 * std::max(1, trial.slots_wanted()));
  }
  if (trial.outcome() == "config") return "cure: mend the study or its trainer, then isoflop retry " + absl::StrCat(trial.id());
  return absl::StrCat("see: isoflop logs ", trial.id(), "; again: isoflop retry ", trial.id());
}

void PrintHistory(const std::vector<wire::Event>& events, int lines, bool with_subject) {
  size_t first = 0;
  if (lines > 0 && events.size() > static_cast<size_t>(lines)) {
    first = events.size() - static_cast<size_t>(lines);
    std::printf(" ... %zu earlier: -n 0\n", first);
  }
  for (size_t i = first; i < events.size(); ++i) {
    std::printf(" %s  %s\n", EventTime(events[i]).c_str(), EventText(events[i], with_subject).c_str());
  }
}

absl::StatusOr<int> Finish(const char* kind, const nlohmann::json& about, const std::string& head,
                           const std::vector<std::string>& notes, const std::vector<wire::Event>& events,
                           const ExplainFlags& flags, bool with_subject, Context& context) {
  if (context.flags.json) {
    nlohmann::json history = nlohmann::json::array();
    for (const wire::Event& event : events) history.push_back(EventJson(event));
    const nlohmann::json object = {{"schema", "isoflop.explain/1"}, {kind, about}, {"summary", head}, {"notes", notes}, {"history", history}};
    std::printf("%s\n", object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return kExitOk;
  }
  std::printf("%s\n", head.c_str());
  PrintHistory(events, flags.lines, with_subject);
  for (const std::string& note : notes) std::printf(" %s\n", note.c_str());
  return kExitOk;
}

absl::StatusOr<int> ExplainTrial(int64_t id, const ExplainFlags& flags, Context& context) {
  ISOFLOP_ASSIGN_OR_RETURN(const wire::Trial trial, FindTrialView(context.environment, id));
  wire::WatchRequest request;
  request.set_trial_id(id);
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<wire::Event> events, ReadHistory(context.environment, request));
  std::vector<std::string> notes;
  if (!trial.waits_for().empty()) notes.push_back("now: waits for " + trial.waits_for());
  if (trial.state() == "leased" && trial.waits_for().empty()) {
    notes.push_back(absl::StrCat("now: on ", trial.worker(), ", step ", trial.step(), " of ", trial.steps()));
  }
  if (const std::string cure = CureOf(trial); !cure.empty()) notes.push_back(cure);
  return Finish("trial", id, HeadOf(trial), notes, events, flags, false, context);
}

absl::StatusOr<int> ExplainWorker(const wire::Worker& worker, const ExplainFlags& flags, Context& context) {
  wire::WatchRequest request;
  request.set_worker(worker.name());
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<wire::Event> events, ReadHistory(context.environment, request));
  std::string head = absl::StrCat("worker ", worker.name(), " on ", worker.host(), ": ", worker.state(), ", ",
                                  worker.free_slots_size(), " of ", Plural(worker.slots_size(), "slot"), " free");
  if (worker.unheard_seconds() >= 1) absl::StrAppend(&head, ", unheard for ", FormatSeconds(worker.unheard_seconds()));
  std::vector<std::string> notes;
  if (!worker.notice().empty()) notes.push_back("now: " + worker.notice());
  return Finish("worker", worker.name(), head, notes, events, flags, true, context);
}

absl::StatusOr<int> ExplainStudy(const StudyView& view, const ExplainFlags& flags, Context& context) {
  wire::WatchRequest request;
  request.set_study_name(view.study.name());
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<wire::Event> events, ReadHistory(context.environment, request));
  // Trials that wait for the same are told together.
  std::map<std::string, std::vector<int64_t>> waiting;
  std::vector<std::string> notes;
  int in_fits = 0;
  for (const wire::Trial& trial : view.trials) {
    in_fits += NotInFits(trial).empty();
    if (!trial.waits_for().empty()) waiting[trial.waits_for()].push_back(trial.id());
    if (trial.state() == "failed") {
      notes.push_back(absl::StrCat("trial ", trial.id(), " failed: ", trial.outcome_detail(), "; ", CureOf(trial)));
    }
  }
  for (const auto& [what, ids] : waiting) {
    notes.push_back(absl::StrCat(ids.size() == 1 ? absl::StrCat("trial ", ids[0], " waits")
                                                 : absl::StrCat(ids.size(), " trials (", ids[0], " ...) wait"),
                                 " for ", what));
  }
  if (!view.is_live && view.study.state() == "active") {
    notes.push_back("no coordinator listens: nothing runs; isoflop run its YAML, or isoflop coordinator");
  }
  std::string head = absl::StrCat(view.study.name(), ": ", view.study.state());
  if (!view.study.state_reason().empty()) absl::StrAppend(&head, " (", view.study.state_reason(), ")");
  absl::StrAppend(&head, ", ", view.study.observations_done(), " of ", Plural(view.study.observations_total(), "observation"),
                  ", ", in_fits, " in fits");
  return Finish("study", view.study.name(), head, notes, events, flags, true, context);
}

absl::StatusOr<int> RunExplain(const ExplainFlags& flags, Context& context) {
  int64_t id = 0;
  if (absl::SimpleAtoi(flags.target, &id)) return ExplainTrial(id, flags, context);
  ISOFLOP_ASSIGN_OR_RETURN(const std::string name, StudyNameOf(flags.target));
  const absl::StatusOr<StudyView> view = FindStudyView(context.environment, name);
  if (view.ok()) return ExplainStudy(*view, flags, context);
  if (absl::IsNotFound(view.status()) && !name.empty()) {
    ISOFLOP_ASSIGN_OR_RETURN(const auto client, ConnectToServer(context.environment));
    wire::WorkerFilter filter;
    filter.set_name(name);
    const auto workers = client->ListWorkers(filter);
    if (workers.ok() && !workers->workers().empty()) return ExplainWorker(workers->workers(0), flags, context);
  }
  return view.status();
}

}  // namespace

CommandBody AddExplainCommand(CLI::App& app) {
  auto flags = std::make_shared<ExplainFlags>();
  app.add_option("target", flags->target, "a study, a trial's number or a worker; default: the newest study")
      ->type_name("STUDY|TRIAL|WORKER");
  app.add_option("-n,--lines", flags->lines, "the last N entries of its history, 0: all; default 40")->type_name("N")->check(CLI::Range(0, 100000000));
  return [flags](Context& context) { return RunExplain(*flags, context); };
}

}  // namespace isoflop
