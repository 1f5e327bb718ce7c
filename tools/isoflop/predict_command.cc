// isoflop predict: reads the fitted law at a budget, at (N, D), or at a loss.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/analyze.h"
#include "analysis/prediction.h"
#include "study/format.h"
#include "study/quantity.h"
#include "study/status_macros.h"
#include "tools/isoflop/analysis_input.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/fit_text.h"

namespace isoflop {
namespace {

using Json = nlohmann::json;

struct PredictFlags {
  AnalysisFlags analysis;
  std::string budget, params, tokens, loss, inference_tokens, unique_tokens;
};

absl::StatusOr<double> Amount(const std::string& flag, const std::string& text, const std::string& example) {
  const std::optional<double> value = ParseAmount(text);
  if (!value || !(*value > 0) || !std::isfinite(*value)) {
    return BadFlag(flag, absl::StrCat("'", text, "' is not a positive number"), absl::StrCat(flag, " ", example));
  }
  return *value;
}

// Exactly one question.
absl::Status CheckQuestion(const PredictFlags& flags) {
  if (!flags.inference_tokens.empty()) {
    return BadFlag("--inference-tokens", "comes in a later release", "isoflop predict --budget 1e21");
  }
  if (!flags.unique_tokens.empty()) {
    return BadFlag("--unique-tokens", "comes in a later release", "isoflop predict --budget 1e21");
  }
  if (flags.params.empty() != flags.tokens.empty()) {
    return BadFlag(flags.params.empty() ? "--tokens" : "--params", "the loss needs both N and D",
                   "--params 1.3B --tokens 26B");
  }
  const int questions = !flags.budget.empty() + !flags.params.empty() + !flags.loss.empty();
  if (questions != 1) {
    return BadFlag("predict", questions == 0 ? "nothing to predict" : "one question at a time",
                   "--budget 1e21, or --params 1.3B --tokens 26B, or --loss 2.3");
  }
  return absl::OkStatus();
}

// --- JSON ---------------------------------------------------------------------------------

Json ToJson(const Estimate& estimate) {
  Json intervals = Json::array();
  for (const Interval& interval : estimate.intervals) {
    intervals.push_back({{"level", interval.level}, {"lo", interval.lo}, {"hi", interval.hi}});
  }
  return {{"value", estimate.value},
          {"se", estimate.se ? Json(*estimate.se) : Json()},
          {"intervals", std::move(intervals)},
          {"method", estimate.method}};
}

Json ToJson(const Quantity& quantity) {
  if (const Estimate* estimate = EstimateIn(quantity)) return ToJson(*estimate);
  const Refusal& refusal = std::get<Refusal>(quantity);
  return {{"refusal", {{"code", ToString(refusal.code)}, {"message", refusal.message}, {"cure", refusal.cure}}}};
}

void PrintJson(Json object, const AnalysisInput& input) {
  object["schema"] = "isoflop.predict/1";
  object["source"] = input.name;
  std::printf("%s\n", object.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
}

// --- the three questions ------------------------------------------------------------------------

// Prints the refusal in `quantity`, if it is one.
bool Refused(const Quantity& quantity) {
  if (EstimateIn(quantity) != nullptr) return false;
  const Refusal& refusal = std::get<Refusal>(quantity);
  std::fflush(stdout);
  std::fprintf(stderr, "predict: %s: %s\ncure: %s\n", ToString(refusal.code).c_str(), refusal.message.c_str(),
               refusal.cure.c_str());
  return true;
}

std::string Count(const std::string& name, const Estimate& estimate) {
  return absl::StrCat(name, " ", FormatCount(estimate.value), CountInterval(estimate));
}

int PredictAtBudget(const AnalysisResult& result, const AnalysisInput& input, double budget, bool json) {
  const OptimalRow row = PredictOptimum(result, budget);
  std::vector<EfficiencyRow> costs;
  for (const double ratio : {4.0, 10.0, 20.0, 40.0, 100.0}) {
    if (std::optional<EfficiencyRow> cost = PredictEfficiency(result, budget, ratio)) costs.push_back(*std::move(cost));
  }
  const bool refused = EstimateIn(row.params) == nullptr;
  if (json) {
    Json efficiency = Json::array();
    for (const EfficiencyRow& cost : costs) {
      efficiency.push_back({{"tokens_per_parameter", cost.tokens_per_parameter},
                            {"params", cost.params},
                            {"tokens", cost.tokens},
                            {"loss", ToJson(cost.loss)},
                            {"excess_loss", ToJson(cost.excess_loss)},
                            {"equivalent_flops", ToJson(cost.equivalent_flops)},
                            {"wasted_fraction", ToJson(cost.wasted_fraction)},
                            {"wasted_flops", cost.wasted_flops}});
    }
    PrintJson({{"budget_flops", budget},
               {"extrapolated", row.extrapolated},
               {"log10_over_max", row.log10_over_max},
               {"params", ToJson(row.params)},
               {"tokens", ToJson(row.tokens)},
               {"tokens_per_parameter", ToJson(row.tokens_per_parameter)},
               {"loss", ToJson(row.loss)},
               {"efficiency", std::move(efficiency)}},
              input);
    return refused ? kExitInPart : kExitOk;
  }
  if (Refused(row.params)) return kExitInPart;
  const Estimate& ratio = *EstimateIn(row.tokens_per_parameter);
  const Estimate& loss = *EstimateIn(row.loss);
  std::printf("%s  %s  D/N %s%s  loss %s%s\n", Count("N*", *EstimateIn(row.params)).c_str(),
              Count("D*", *EstimateIn(row.tokens)).c_str(), FormatSignificant(ratio.value, 3).c_str(),
              PlainInterval(ratio, 3).c_str(), FormatLoss(loss.value).c_str(), PlainInterval(loss, 4).c_str());
  std::string line = "wasted compute at D/N ";
  for (const EfficiencyRow& cost : costs) {
    const bool is_first = &cost == &costs.front();
    absl::StrAppendFormat(&line, "%s%g: %.1f%%", is_first ? "" : ", ", cost.tokens_per_parameter,
                          100 * cost.wasted_fraction.value);
    const Interval* interval = ShownInterval(cost.wasted_fraction);
    if (is_first && interval != nullptr) absl::StrAppendFormat(&line, " [%.0f, %.0f]", 100 * interval->lo, 100 * interval->hi);
  }
  std::printf("%s\n", line.c_str());
  if (row.extrapolated) {
    std::printf("beyond the data: %s decades over the largest budget %s\n",
                FormatSignificant(row.log10_over_max, 2).c_str(), FormatFlops(result.max_flops).c_str());
  }
  return kExitOk;
}

int PredictAtPoint(const AnalysisResult& result, const AnalysisInput& input, double params, double tokens, bool json) {
  const Quantity loss = PredictLoss(result, params, tokens);
  const double flops = ComputeModelOf(result).FlopsAt(params, tokens);
  if (json) {
    PrintJson({{"params", params}, {"tokens", tokens}, {"flops", flops}, {"loss", ToJson(loss)},
               {"new_run_sigma", result.noise.sigma}},
              input);
    return EstimateIn(loss) == nullptr ? kExitInPart : kExitOk;
  }
  if (Refused(loss)) return kExitInPart;
  const Estimate& estimate = *EstimateIn(loss);
  std::printf("loss %s%s  C %s  D/N %s", FormatLoss(estimate.value).c_str(), PlainInterval(estimate, 4).c_str(),
              FormatFlops(flops).c_str(), FormatSignificant(tokens / params, 3).c_str());
  if (result.noise.sigma > 0) {
    std::printf("  a new run +-%s (1 sigma)", FormatSignificant(result.noise.sigma * estimate.value, 2).c_str());
  }
  std::printf("\n");
  return kExitOk;
}

int PredictAtLoss(const AnalysisResult& result, const AnalysisInput& input, double loss, bool json) {
  const LossTarget target = PredictBudgetForLoss(result, loss);
  if (json) {
    PrintJson({{"loss", loss},
               {"budget_flops", ToJson(target.budget_flops)},
               {"params", ToJson(target.params)},
               {"tokens", ToJson(target.tokens)}},
              input);
    return EstimateIn(target.budget_flops) == nullptr ? kExitInPart : kExitOk;
  }
  if (Refused(target.budget_flops)) return kExitInPart;
  const Estimate& budget = *EstimateIn(target.budget_flops);
  std::string interval;
  if (const Interval* shown = ShownInterval(budget)) {
    const auto end = [](double value) { return std::isfinite(value) ? FormatFlops(value) : "open"; };
    interval = absl::StrCat(" [", end(shown->lo), ", ", end(shown->hi), "]");
  }
  std::printf("C %s%s  %s  %s\n", FormatFlops(budget.value).c_str(), interval.c_str(),
              Count("N*", *EstimateIn(target.params)).c_str(), Count("D*", *EstimateIn(target.tokens)).c_str());
  return kExitOk;
}

absl::StatusOr<int> RunPredict(const PredictFlags& flags, const Context& context) {
  ISOFLOP_RETURN_IF_ERROR(CheckQuestion(flags));
  ISOFLOP_ASSIGN_OR_RETURN(AnalysisInput input, LoadAnalysisInput(flags.analysis, context));
  double budget = 0, params = 0, tokens = 0, loss = 0;
  if (!flags.budget.empty()) {
    ISOFLOP_ASSIGN_OR_RETURN(budget, Amount("--budget", flags.budget, "1e21"));
  } else if (!flags.loss.empty()) {
    ISOFLOP_ASSIGN_OR_RETURN(loss, Amount("--loss", flags.loss, "2.3"));
  } else {
    ISOFLOP_ASSIGN_OR_RETURN(params, Amount("--params", flags.params, "1.3B"));
    ISOFLOP_ASSIGN_OR_RETURN(tokens, Amount("--tokens", flags.tokens, "26B"));
  }
  ISOFLOP_ASSIGN_OR_RETURN(const AnalysisResult result, Analyze(input.observations, input.options));
  if (input.is_newest && !context.flags.json) std::printf("%s\n", input.name.c_str());
  if (budget > 0) return PredictAtBudget(result, input, budget, context.flags.json);
  if (loss > 0) return PredictAtLoss(result, input, loss, context.flags.json);
  return PredictAtPoint(result, input, params, tokens, context.flags.json);
}

}  // namespace

CommandBody AddPredictCommand(CLI::App& app) {
  auto flags = std::make_shared<PredictFlags>();
  AddAnalysisFlags(app, &flags->analysis);
  app.add_option("--budget", flags->budget, "N*, D* and loss at this C, and what other D/N waste")->type_name("FLOPS");
  app.add_option("--params", flags->params, "with --tokens: the loss there")->type_name("N");
  app.add_option("--tokens", flags->tokens, "with --params")->type_name("D");
  app.add_option("--loss", flags->loss, "the least C that reaches it")->type_name("L");
  app.add_option("--inference-tokens", flags->inference_tokens, "in a later release")->type_name("T");
  app.add_option("--unique-tokens", flags->unique_tokens, "in a later release")->type_name("U");
  return [flags](Context& context) { return RunPredict(*flags, context); };
}

}  // namespace isoflop
