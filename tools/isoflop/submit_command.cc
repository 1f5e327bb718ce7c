// isoflop submit: plan, ask, hand over to a coordinator.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "study/format.h"
#include "study/status_macros.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/study_loading.h"
#include "tools/isoflop/study_source.h"
#include "tools/isoflop/terminal.h"

namespace isoflop {
namespace {

struct SubmitFlags {
  std::string yaml;
  std::vector<std::string> overrides;
  bool paused = false;
};

// "30 trials (24 observations, 6 trunks), 6.93e19 FLOPs, about 49 slot hours"
std::string Price(const Plan& plan, const wire::SubmitReply& reply) {
  double slot_seconds = 0;
  bool is_timed = true;
  for (const PlannedTrial& trial : plan.trials) {
    if (trial.known) continue;
    slot_seconds += trial.seconds_estimate;
    is_timed = is_timed && trial.seconds_estimate > 0;
  }
  std::string text = absl::StrCat(Plural(reply.added(), "trial"));
  if (reply.added() == static_cast<int>(plan.trials.size())) {
    absl::StrAppend(&text, " (", Plural(plan.observations, "observation"));
    if (plan.trunks > 0) absl::StrAppend(&text, ", ", Plural(plan.trunks, "trunk"));
    absl::StrAppend(&text, ")");
  }
  absl::StrAppend(&text, ", ", FormatFlops(plan.flops_to_spend), " FLOPs");
  if (is_timed && slot_seconds > 0) {
    absl::StrAppend(&text, ", about ",
                    slot_seconds < 5400 ? FormatSeconds(slot_seconds) + " of slots"
                                        : FormatSignificant(slot_seconds / 3600, 2) + " slot hours");
  }
  return text;
}

// What a known name holds already.
std::string Difference(const wire::SubmitReply& reply) {
  if (reply.kept() == 0 && reply.missing_size() == 0) return "";
  std::string text = absl::StrCat("study '", reply.study_name(), "' is known: ", reply.kept(), " kept, ",
                                  reply.added(), " new");
  if (reply.missing_size() > 0) {
    absl::StrAppend(&text, "; no longer in the YAML, and left as they are: ", absl::StrJoin(reply.missing(), " "));
  }
  return text;
}

absl::StatusOr<int> RunSubmit(const SubmitFlags& flags, Context& context) {
  const bool speaks = !context.flags.quiet && !context.flags.json;
  LoadingOptions options;
  options.overrides = flags.overrides;
  if (speaks) {
    options.progress = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
  }
  // Who listens is asked first: a plan of minutes for nobody helps nobody.
  ISOFLOP_ASSIGN_OR_RETURN(const auto client, ConnectToServer(context.environment));
  ISOFLOP_RETURN_IF_ERROR(client->ListWorkers({}).status());
  ISOFLOP_ASSIGN_OR_RETURN(const LoadedStudy study, LoadStudy(flags.yaml, context.environment, options));
  wire::SubmitHeader header = SubmitHeaderOf(study);
  header.set_paused(flags.paused);
  header.set_dry_run(true);
  ISOFLOP_ASSIGN_OR_RETURN(wire::SubmitReply reply, client->SubmitPlan(study.plan, header));
  const std::string difference = Difference(reply);
  if (speaks && !difference.empty()) std::printf("%s\n", difference.c_str());
  if (speaks) {
    std::fflush(stdout);
    for (const std::string& warning : study.plan.warnings) std::fprintf(stderr, "warning: %s\n", warning.c_str());
  }
  if (!context.flags.dry_run) {
    if (!context.flags.yes && reply.added() > 0) {
      bool asked = false;
      const bool yes = AskYesNo(absl::StrCat("Submit ", Price(study.plan, reply), "?"), true, &asked);
      if (!asked) {
        return absl::InvalidArgumentError(
            absl::StrCat(flags.yaml, ": submit asks before it hands over, and nobody is there to answer\n"
                         "cure: isoflop submit ", flags.yaml, " -y"));
      }
      if (!yes) {
        if (speaks) std::printf("nothing was submitted\n");
        return kExitOk;
      }
    }
    header.set_dry_run(false);
    ISOFLOP_ASSIGN_OR_RETURN(reply, client->SubmitPlan(study.plan, header));
  }
  const std::string& name = study.plan.study_name;
  if (context.flags.json) {
    nlohmann::json object = {{"schema", "isoflop.submit/1"},
                             {"study", name},
                             {"dry_run", context.flags.dry_run},
                             {"added", reply.added()},
                             {"kept", reply.kept()},
                             {"known", reply.known()},
                             {"missing", std::vector<int64_t>(reply.missing().begin(), reply.missing().end())},
                             {"trials", std::vector<int64_t>(reply.trial_ids().begin(), reply.trial_ids().end())},
                             {"flops_to_spend", study.plan.flops_to_spend}};
    std::printf("%s\n", object.dump().c_str());
    return kExitOk;
  }
  if (context.flags.dry_run) {
    std::printf("would submit %s\n", Price(study.plan, reply).c_str());
    return kExitOk;
  }
  if (context.flags.quiet) return kExitOk;
  std::printf("submitted %s%s\n", Price(study.plan, reply).c_str(), flags.paused ? ", paused" : "");
  std::printf("  watch it      isoflop status %s -w\n", name.c_str());
  std::printf("  why it waits  isoflop explain %s\n", name.c_str());
  std::printf("  report        isoflop report %s\n", name.c_str());
  std::printf("  take it back  isoflop cancel %s\n", name.c_str());
  return kExitOk;
}

}  // namespace

CommandBody AddSubmitCommand(CLI::App& app) {
  auto flags = std::make_shared<SubmitFlags>();
  app.add_option("yaml", flags->yaml, "the study")->type_name("YAML")->required();
  app.add_option("--set", flags->overrides, "takes the place of a key, grid.budgets=[1e17,1e18]; again for more")
      ->type_name("KEY=VALUE")->allow_extra_args(false);
  app.add_flag("--paused", flags->paused, "no lease before `isoflop resume`");
  return [flags](Context& context) { return RunSubmit(*flags, context); };
}

}  // namespace isoflop
