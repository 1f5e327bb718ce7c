// isoflop extend: which trials would narrow the interval of N*(C_T) most a FLOP.
//
// This release says what it would add; adding comes in a later one.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/analyze.h"
#include "analysis/experiment_design.h"
#include "study/format.h"
#include "study/quantity.h"
#include "study/status_macros.h"
#include "tools/isoflop/analysis_input.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/extend_shapes.h"

namespace isoflop {
namespace {

using Json = nlohmann::json;

constexpr const char* kDryRun = "isoflop extend STUDY --auto --dry-run";

struct ExtendFlags {
  AnalysisFlags analysis;
  bool is_auto = false, keep_going = false;
  std::string spend, budgets, points, tokens, seeds;
};

absl::Status CheckFlags(const ExtendFlags& flags, bool dry_run) {
  const std::pair<const char*, bool> later[] = {{"--budgets", !flags.budgets.empty()}, {"--points", !flags.points.empty()},
                                                {"--tokens", !flags.tokens.empty()},   {"--seeds", !flags.seeds.empty()},
                                                {"--keep-going", flags.keep_going}};
  for (const auto& [flag, is_given] : later) {
    if (is_given) return BadFlag(flag, "comes in a later release", kDryRun);
  }
  if (!flags.is_auto) return BadFlag("extend", "nothing says what to add", kDryRun);
  if (!dry_run) {
    return BadFlag("--auto", "adding the trials comes in a later release; this one says which",
                   absl::StrCat(kDryRun, ", then the sizes and budgets into the YAML and 'isoflop submit'"));
  }
  return absl::OkStatus();
}

std::string FactorText(double factor) { return std::isfinite(factor) ? absl::StrFormat("x%.2g", factor) : "open"; }

// "trial 31: 310M x 6.2B, interval x2.1 -> x1.6".
std::string TrialLine(const DesignTrial& trial, int64_t number, double factor_before) {
  std::string line = absl::StrCat("trial ", number, ": ", FormatCount(trial.params), " x ", FormatTokens(trial.tokens));
  if (trial.seeds > 1) absl::StrAppend(&line, ", ", Plural(trial.seeds, "seed"));
  if (trial.factor_after > 0) {
    absl::StrAppend(&line, ", interval ", FactorText(factor_before), " -> ", FactorText(trial.factor_after));
  }
  absl::StrAppend(&line, "  ", FormatFlops(trial.flops), " FLOPs");
  if (!trial.from_trunk.empty()) absl::StrAppend(&line, ", from trunk ", trial.from_trunk);
  if (!trial.why.empty()) absl::StrAppend(&line, "; ", trial.why);
  return line;
}

Json JsonOf(const ExperimentDesign& design, const std::string& name, int64_t next_trial) {
  Json trials = Json::array();
  int64_t number = next_trial;
  for (const DesignTrial& trial : design.trials) {
    trials.push_back({{"trial", number},
                      {"params", trial.params},
                      {"tokens", trial.tokens},
                      {"flops", trial.flops},
                      {"from_trunk", trial.from_trunk.empty() ? Json() : Json(trial.from_trunk)},
                      {"seeds", trial.seeds},
                      {"why", trial.why},
                      {"factor_after", trial.factor_after > 0 && std::isfinite(trial.factor_after) ? Json(trial.factor_after)
                                                                                                   : Json()}});
    number += trial.seeds;
  }
  Json refusal;
  if (design.refusal) {
    refusal = {{"code", ToString(design.refusal->code)},
               {"message", design.refusal->message},
               {"cure", design.refusal->cure}};
  }
  return {{"schema", "isoflop.extend/1"},
          {"source", name},
          {"dry_run", true},
          {"target_flops", design.target_flops},
          {"goal_factor", design.goal_factor},
          {"factor_now", design.factor_now > 0 && std::isfinite(design.factor_now) ? Json(design.factor_now) : Json()},
          {"trials", std::move(trials)},
          {"stop", design.stop},
          {"reason", design.reason},
          {"refusal", std::move(refusal)}};
}

void PrintDesign(const ExperimentDesign& design, const std::string& name, int64_t next_trial) {
  std::printf("%s: interval of N* at %s %s, goal %s\n", name.c_str(), FormatFlops(design.target_flops).c_str(),
              FactorText(design.factor_now).c_str(), FactorText(design.goal_factor).c_str());
  double factor = design.factor_now, flops = 0;
  int64_t number = next_trial;
  for (const DesignTrial& trial : design.trials) {
    std::printf("%s\n", TrialLine(trial, number, factor).c_str());
    if (trial.factor_after > 0) factor = trial.factor_after;
    flops += trial.flops;
    number += trial.seeds;
  }
  if (!design.trials.empty()) {
    std::printf("+%s, %s FLOPs; nothing was added (--dry-run)\n", Plural(number - next_trial, "trial").c_str(),
                FormatFlops(flops).c_str());
  }
  if (!design.reason.empty()) std::printf("%s: %s\n", design.stop ? "stop" : "why", design.reason.c_str());
}

absl::StatusOr<int> RunExtend(const ExtendFlags& flags, const Context& context) {
  ISOFLOP_RETURN_IF_ERROR(CheckFlags(flags, context.flags.dry_run));
  double spend = 0;
  if (!flags.spend.empty()) {
    const std::optional<double> amount = ParseAmount(flags.spend);
    if (!amount || !(*amount > 0) || !std::isfinite(*amount)) {
      return BadFlag("--flops", absl::StrCat("'", flags.spend, "' is not a number of FLOPs to spend"), "--flops 5e19");
    }
    spend = *amount;
  }
  ISOFLOP_ASSIGN_OR_RETURN(AnalysisInput input, LoadAnalysisInput(flags.analysis, context));
  ExtendChoices choices;
  choices.next_trial = static_cast<int64_t>(input.observations.size()) + 1;
  if (!input.is_csv) {
    ISOFLOP_ASSIGN_OR_RETURN(choices, StudyChoices(context.environment.db, input.name, input.options));
  }
  choices.design.flops = spend;
  ISOFLOP_ASSIGN_OR_RETURN(const AnalysisResult result, Analyze(std::move(input.observations), input.options));
  const ExperimentDesign design = DesignNextTrials(result, choices.design);
  if (context.flags.json) {
    std::printf("%s\n", JsonOf(design, input.name, choices.next_trial)
                            .dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
  } else if (design.refusal) {
    PrintRefusal("extend", *design.refusal);
  } else {
    PrintDesign(design, input.name, choices.next_trial);
  }
  return design.refusal ? kExitInPart : kExitOk;
}

}  // namespace

CommandBody AddExtendCommand(CLI::App& app) {
  auto flags = std::make_shared<ExtendFlags>();
  app.add_flag("--auto", flags->is_auto, "the trials that narrow N*(C_T) most a FLOP; with --dry-run");
  app.add_option("--flops", flags->spend, "to spend; default half of what the study has spent")->type_name("FLOPS");
  for (const auto& [name, variable] : {std::pair<const char*, std::string*>{"--budgets", &flags->budgets},
                                       {"--points", &flags->points},
                                       {"--tokens", &flags->tokens},
                                       {"--seeds", &flags->seeds}}) {
    app.add_option(name, *variable, "in a later release")->type_name("X");
  }
  app.add_flag("--keep-going", flags->keep_going, "in a later release");
  AddAnalysisFlags(app, &flags->analysis, {"--flops"});
  return [flags](Context& context) { return RunExtend(*flags, context); };
}

}  // namespace isoflop
