// isoflop pause, resume, cancel and retry: wishes of people, told to a coordinator.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "study/format.h"
#include "study/status_macros.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/study_source.h"
#include "tools/isoflop/terminal.h"

namespace isoflop {
namespace {

struct ControlFlags {
  std::vector<std::string> targets;
  std::string reason;
  bool now = false;
  bool failed = false;
  bool diverged = false;
  int slots = 0;
};

// Numbers are trials; else one study (a name or its YAML).
absl::Status AddTargets(const std::vector<std::string>& targets, wire::ControlRequest& request) {
  for (const std::string& target : targets) {
    int64_t id = 0;
    if (absl::SimpleAtoi(target, &id)) {
      request.add_trial_ids(id);
      continue;
    }
    if (!request.study_name().empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", request.study_name(), "' and '", target, "': one study at a time\ncure: one command a study"));
    }
    ISOFLOP_ASSIGN_OR_RETURN(const std::string name, StudyNameOf(target));
    request.set_study_name(name);
  }
  if (request.trial_ids_size() > 0 && !request.study_name().empty()) {
    return absl::InvalidArgumentError(absl::StrCat("'", request.study_name(),
                                                   "' beside numbers of trials: which of both?\n"
                                                   "cure: the study alone, or the trials alone"));
  }
  return absl::OkStatus();
}

nlohmann::json AsJson(const char* schema, bool dry_run, const wire::ControlReply& reply) {
  nlohmann::json changes = nlohmann::json::array();
  for (const wire::Change& change : reply.changes()) {
    nlohmann::json row = {{"before", change.before()}, {"after", change.after()}, {"trial", nullptr}};
    if (change.trial_id() != 0) row["trial"] = change.trial_id();
    changes.push_back(std::move(row));
  }
  return {{"schema", schema},
          {"dry_run", dry_run},
          {"changes", std::move(changes)},
          {"running", reply.running()},
          {"waiting", reply.waiting()},
          {"results_kept", reply.results_kept()}};
}

bool IsNameOfWorker(StudyAdminClient& client, const std::string& name) {
  wire::WorkerFilter filter;
  filter.set_name(name);
  const auto workers = client.ListWorkers(filter);
  return workers.ok() && workers->workers_size() > 0;
}

absl::StatusOr<int> PauseOrResume(const ControlFlags& flags, bool is_pause, Context& context) {
  ISOFLOP_ASSIGN_OR_RETURN(const auto client, ConnectToServer(context.environment));
  wire::ControlRequest request;
  request.set_action(is_pause ? wire::CONTROL_ACTION_PAUSE : wire::CONTROL_ACTION_RESUME);
  request.set_now(flags.now);
  request.set_reason(flags.reason);
  request.set_dry_run(context.flags.dry_run);
  if (!flags.targets.empty()) {
    ISOFLOP_ASSIGN_OR_RETURN(const std::string name, StudyNameOf(flags.targets[0]));
    wire::StudyRef ref;
    ref.set_name(name);
    // A study first: a worker may bear its name.
    const absl::Status is_study = client->GetStudy(ref).status();
    if (!is_study.ok() && IsNameOfWorker(*client, name)) {
      request.set_worker(name);
    } else {
      ISOFLOP_RETURN_IF_ERROR(is_study);
      request.set_study_name(name);
    }
  }
  ISOFLOP_ASSIGN_OR_RETURN(const wire::ControlReply reply, client->Control(request));
  if (context.flags.json) {
    std::printf("%s\n", AsJson(is_pause ? "isoflop.pause/1" : "isoflop.resume/1", context.flags.dry_run, reply).dump().c_str());
    return kExitOk;
  }
  if (context.flags.quiet) return kExitOk;
  const char* verb = is_pause ? "paused" : "resumed";
  const char* would = context.flags.dry_run ? "would be " : "";
  if (!request.worker().empty()) {
    std::printf("worker %s %s%s%s\n", request.worker().c_str(), would, verb,
                is_pause ? (flags.now ? ": its trials checkpoint and stop" : ": its trials finish, no new ones") : "");
  } else if (reply.changes().empty()) {
    std::printf("%s already\n", is_pause ? "paused" : "active");
  } else if (is_pause) {
    std::printf("%s%s: %s %s, %d wait\n", would, verb, Plural(reply.running(), "trial").c_str(),
                flags.now ? "checkpoint and stop" : reply.running() == 1 ? "finishes" : "finish", reply.waiting());
  } else {
    std::printf("%s%s: %s wait for slots\n", would, verb, Plural(reply.waiting(), "trial").c_str());
  }
  return kExitOk;
}

absl::StatusOr<int> Cancel(const ControlFlags& flags, Context& context) {
  ISOFLOP_ASSIGN_OR_RETURN(const auto client, ConnectToServer(context.environment));
  wire::ControlRequest request;
  request.set_action(wire::CONTROL_ACTION_CANCEL);
  request.set_reason(flags.reason);
  ISOFLOP_RETURN_IF_ERROR(AddTargets(flags.targets, request));
  request.set_dry_run(true);
  ISOFLOP_ASSIGN_OR_RETURN(wire::ControlReply reply, client->Control(request));
  if (!context.flags.dry_run && !reply.changes().empty()) {
    if (!context.flags.yes) {
      bool asked = false;
      const bool yes = AskYesNo(absl::StrCat("Cancel ", Plural(reply.changes_size(), "trial"), " for good (", reply.running(),
                                             " running)? ", Plural(reply.results_kept(), "result"), " stay."),
                                false, &asked);
      if (!asked) {
        return absl::InvalidArgumentError(
            absl::StrCat("cancel: asks before it ends anything, and nobody is there to answer\n"
                         "cure: isoflop cancel ", absl::StrJoin(flags.targets, " "), " -y"));
      }
      if (!yes) {
        std::printf("nothing was cancelled\n");
        return kExitOk;
      }
    }
    request.set_dry_run(false);
    ISOFLOP_ASSIGN_OR_RETURN(reply, client->Control(request));
  }
  if (context.flags.json) {
    std::printf("%s\n", AsJson("isoflop.cancel/1", context.flags.dry_run, reply).dump().c_str());
  } else if (!context.flags.quiet) {
    std::printf("%s %s; %s kept\n", context.flags.dry_run ? "would cancel" : "cancelled",
                Plural(reply.changes_size(), "trial").c_str(), Plural(reply.results_kept(), "result").c_str());
  }
  return kExitOk;
}

absl::StatusOr<int> Retry(const ControlFlags& flags, Context& context) {
  ISOFLOP_ASSIGN_OR_RETURN(const auto client, ConnectToServer(context.environment));
  wire::ControlRequest request;
  request.set_action(wire::CONTROL_ACTION_RETRY);
  request.set_failed(flags.failed);
  request.set_diverged(flags.diverged);
  request.set_slots(flags.slots);
  request.set_dry_run(context.flags.dry_run);
  ISOFLOP_RETURN_IF_ERROR(AddTargets(flags.targets, request));
  if (request.trial_ids_size() == 0 && !flags.failed && !flags.diverged) {
    return absl::InvalidArgumentError(
        "retry: which trials?\ncure: isoflop retry STUDY --failed, --diverged, or numbers of trials");
  }
  ISOFLOP_ASSIGN_OR_RETURN(const wire::ControlReply reply, client->Control(request));
  if (context.flags.json) {
    std::printf("%s\n", AsJson("isoflop.retry/1", context.flags.dry_run, reply).dump().c_str());
    return kExitOk;
  }
  if (context.flags.quiet) return kExitOk;
  if (reply.changes().empty()) {
    std::printf("nothing to queue again\n");
    return kExitOk;
  }
  std::vector<int64_t> ids;
  for (const wire::Change& change : reply.changes()) ids.push_back(change.trial_id());
  std::printf("%s: %s\n", context.flags.dry_run ? "would queue again" : "queued again", absl::StrJoin(ids, " ").c_str());
  return kExitOk;
}

void AddReason(CLI::App& app, ControlFlags& flags) {
  app.add_option("--reason", flags.reason, "kept in the history")->type_name("TEXT");
}

}  // namespace

CommandBody AddPauseCommand(CLI::App& app) {
  auto flags = std::make_shared<ControlFlags>();
  app.add_option("target", flags->targets, "a study (name or YAML; default: the newest) or a worker")
      ->type_name("STUDY|WORKER")->expected(0, 1);
  app.add_flag("--now", flags->now, "running trials checkpoint and stop, too");
  AddReason(app, *flags);
  return [flags](Context& context) { return PauseOrResume(*flags, true, context); };
}

CommandBody AddResumeCommand(CLI::App& app) {
  auto flags = std::make_shared<ControlFlags>();
  app.add_option("target", flags->targets, "a study (name or YAML; default: the newest) or a worker")
      ->type_name("STUDY|WORKER")->expected(0, 1);
  return [flags](Context& context) { return PauseOrResume(*flags, false, context); };
}

CommandBody AddCancelCommand(CLI::App& app) {
  auto flags = std::make_shared<ControlFlags>();
  app.add_option("target", flags->targets, "a study, or trials by number")->type_name("STUDY|TRIAL...")->required();
  AddReason(app, *flags);
  return [flags](Context& context) { return Cancel(*flags, context); };
}

CommandBody AddRetryCommand(CLI::App& app) {
  auto flags = std::make_shared<ControlFlags>();
  app.add_option("target", flags->targets, "trials by number; or the study of --failed, --diverged (default: the newest)")
      ->type_name("STUDY|TRIAL...");
  app.add_flag("--failed", flags->failed, "all failed trials of the study");
  app.add_flag("--diverged", flags->diverged, "all diverged ones");
  app.add_option("--slots", flags->slots, "slots a trial from now on")->type_name("N")->check(CLI::Range(1, 1024));
  return [flags](Context& context) { return Retry(*flags, context); };
}

}  // namespace isoflop
