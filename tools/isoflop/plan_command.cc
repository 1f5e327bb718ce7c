// isoflop plan: what a study would train, and its price.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "study/plan_table.h"
#include "study/status_macros.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/plan_json.h"
#include "tools/isoflop/study_loading.h"

namespace isoflop {
namespace {

struct PlanFlags {
  std::string yaml;
  std::string slots;
  std::string law;
  std::string output;
  std::vector<std::string> overrides;
  bool trials = false;
};

absl::StatusOr<int> RunPlan(const PlanFlags& flags, Context& context) {
  if (!flags.law.empty()) {
    return absl::InvalidArgumentError(
        "--law: sizes round another study's law come in a later release\n"
        "cure: --set grid.center={tokens_per_parameter: 20}, with the ratio that `isoflop predict` tells");
  }
  LoadingOptions options;
  options.overrides = flags.overrides;
  ISOFLOP_RETURN_IF_ERROR(ParseSlots(flags.slots, &options.slots, &options.device));
  if (!context.flags.quiet) {
    options.progress = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
  }
  ISOFLOP_ASSIGN_OR_RETURN(const LoadedStudy study, LoadStudy(flags.yaml, context.environment, options));
  const Plan& plan = study.plan;
  if (context.flags.json) {
    std::printf("%s\n", PlanJson(plan).c_str());
    return kExitOk;
  }
  std::string text;
  if (flags.output == "yaml") {
    text = plan.resolved_yaml;
  } else if (flags.output == "csv") {
    text = PlanCsv(plan);
  } else {
    text = absl::StrCat(PlanTable(plan), flags.trials ? PlanTrialsTable(plan) : "");
  }
  std::fputs(text.c_str(), stdout);
  if (!context.flags.quiet) {
    std::fflush(stdout);
    for (const std::string& warning : plan.warnings) std::fprintf(stderr, "warning: %s\n", warning.c_str());
  }
  return kExitOk;
}

}  // namespace

CommandBody AddPlanCommand(CLI::App& app) {
  auto flags = std::make_shared<PlanFlags>();
  app.add_option("yaml", flags->yaml, "the study")->type_name("YAML")->required();
  app.add_option("--slots", flags->slots, "slots to tell the time for: 4, cpu:4 or 8xH100; default this machine's")
      ->type_name("N");
  app.add_option("--set", flags->overrides, "takes the place of a key, grid.budgets=[1e17,1e18]; again for more")
      ->type_name("KEY=VALUE")->allow_extra_args(false);
  app.add_option("--law", flags->law, "centre the sizes on the law of a study (a later release)")->type_name("STUDY");
  app.add_flag("--trials", flags->trials, "every trial under the table");
  app.add_option("-o,--output", flags->output, "csv: a row a trial; yaml: the study with all defaults and rules resolved")
      ->type_name("csv|yaml")->check(CLI::IsMember({"csv", "yaml"}));
  return [flags](Context& context) { return RunPlan(*flags, context); };
}

}  // namespace isoflop
