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
#include "tools/isoflop/predict_extras.h"

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
  if (flags.budget.empty() && (!flags.inference_tokens.empty() || !flags.unique_tokens.empty())) {
    const std::string flag = flags.inference_tokens.empty() ? "--unique-tokens" : "--inference-tokens";
    return BadFlag(flag, "is asked of a budget", absl::StrCat("--budget 1e21 ", flag, " 2T"));
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

void PrintJson(Json object, const AnalysisInput& input) {
  object["schema"] = "isoflop.predict/1";
  object["source"] = input.name;
  std::printf("%s\n", object.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
}

// --- the three questions ------------------------------------------------------------------------

// Prints the refusal in `quantity`, if it is one.
bool Refused(const Quantity& quantity) {
  if (EstimateIn(quantity) != nullptr) return false;
  PrintRefusal("predict", std::get<Refusal>(quantity));
  return true;
}

int PredictAtBudget(const AnalysisResult& result, const AnalysisInput& input, double budget,
                    std::optional<double> inference_tokens, std::optional<double> unique_tokens, bool json) {
  const OptimalRow row = PredictOptimum(result, budget);
  std::vector<EfficiencyRow> costs;
  for (const double ratio : {4.0, 10.0, 20.0, 40.0, 100.0}) {
    if (std::optional<EfficiencyRow> cost = PredictEfficiency(result, budget, ratio)) costs.push_back(*std::move(cost));
  }
  const bool refused = EstimateIn(row.params) == nullptr;
  const BudgetExtras extras = refused ? BudgetExtras() : ExtrasAt(result, row, inference_tokens, unique_tokens);
  const int code = refused || extras.repeated_refusal ? kExitInPart : kExitOk;
  if (json) {
    Json efficiency = Json::array();
    for (const EfficiencyRow& cost : costs) {
      efficiency.push_back({{"tokens_per_parameter", cost.tokens_per_parameter},
                            {"params", cost.params},
                            {"tokens", cost.tokens},
                            {"loss", EstimateJson(cost.loss)},
                            {"excess_loss", EstimateJson(cost.excess_loss)},
                            {"equivalent_flops", EstimateJson(cost.equivalent_flops)},
                            {"wasted_fraction", EstimateJson(cost.wasted_fraction)},
                            {"wasted_flops", cost.wasted_flops}});
    }
    Json object = ExtrasJson(extras);
    object.update({{"budget_flops", budget},
                   {"extrapolated", row.extrapolated},
                   {"log10_over_max", row.log10_over_max},
                   {"params", EstimateJson(row.params)},
                   {"tokens", EstimateJson(row.tokens)},
                   {"tokens_per_parameter", EstimateJson(row.tokens_per_parameter)},
                   {"loss", EstimateJson(row.loss)},
                   {"efficiency", std::move(efficiency)}});
    PrintJson(std::move(object), input);
    return code;
  }
  if (Refused(row.params)) return kExitInPart;
  const Estimate& ratio = *EstimateIn(row.tokens_per_parameter);
  const Estimate& loss = *EstimateIn(row.loss);
  std::printf("%s  %s  D/N %s%s  loss %s%s\n", NamedCount("N*", *EstimateIn(row.params)).c_str(),
              NamedCount("D*", *EstimateIn(row.tokens)).c_str(), FormatSignificant(ratio.value, 3).c_str(),
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
    const double demonstrated = result.holdout && !result.holdout->refusal ? result.holdout->demonstrated_decades : 0;
    std::printf("beyond %s: %s decades over the largest budget %s\n",
                demonstrated > 0 ? absl::StrFormat("what hold-out demonstrated (%.2gx)", std::pow(10, demonstrated)).c_str()
                                 : "the data",
                FormatSignificant(row.log10_over_max, 2).c_str(), FormatFlops(result.max_flops).c_str());
  }
  PrintExtras(extras);
  return code;
}

int PredictAtPoint(const AnalysisResult& result, const AnalysisInput& input, double params, double tokens, bool json) {
  const Quantity loss = PredictLoss(result, params, tokens);
  const Quantity new_run = PredictNewRun(result, params, tokens);
  const double flops = ComputeModelOf(result).FlopsAt(params, tokens);
  if (json) {
    PrintJson({{"params", params}, {"tokens", tokens}, {"flops", flops}, {"loss", EstimateJson(loss)},
               {"new_run", EstimateJson(new_run)}, {"new_run_sigma", result.noise.sigma}},
              input);
    return EstimateIn(loss) == nullptr ? kExitInPart : kExitOk;
  }
  if (Refused(loss)) return kExitInPart;
  const Estimate& estimate = *EstimateIn(loss);
  std::printf("loss %s%s  C %s  D/N %s", FormatLoss(estimate.value).c_str(), PlainInterval(estimate, 4).c_str(),
              FormatFlops(flops).c_str(), FormatSignificant(tokens / params, 3).c_str());
  // The law's band above is of the mean of many runs; one run scatters about it.
  const Estimate* run = EstimateIn(new_run);
  if (run != nullptr && ShownInterval(*run) != nullptr) {
    std::printf("  a new run%s", PlainInterval(*run, 4).c_str());
  } else if (result.noise.sigma > 0) {
    std::printf("  a new run +-%s (1 sigma)", FormatSignificant(result.noise.sigma * estimate.value, 2).c_str());
  }
  std::printf("\n");
  return kExitOk;
}

int PredictAtLoss(const AnalysisResult& result, const AnalysisInput& input, double loss, bool json) {
  const LossTarget target = PredictBudgetForLoss(result, loss);
  if (json) {
    PrintJson({{"loss", loss},
               {"budget_flops", EstimateJson(target.budget_flops)},
               {"params", EstimateJson(target.params)},
               {"tokens", EstimateJson(target.tokens)}},
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
              NamedCount("N*", *EstimateIn(target.params)).c_str(), NamedCount("D*", *EstimateIn(target.tokens)).c_str());
  return kExitOk;
}

absl::StatusOr<int> RunPredict(const PredictFlags& flags, const Context& context) {
  ISOFLOP_RETURN_IF_ERROR(CheckQuestion(flags));
  ISOFLOP_ASSIGN_OR_RETURN(AnalysisInput input, LoadAnalysisInput(flags.analysis, context));
  double budget = 0, params = 0, tokens = 0, loss = 0;
  std::optional<double> inference_tokens, unique_tokens;
  if (!flags.inference_tokens.empty()) {
    ISOFLOP_ASSIGN_OR_RETURN(inference_tokens, Amount("--inference-tokens", flags.inference_tokens, "2T"));
    input.options.inference_tokens = {*inference_tokens};
  }
  if (!flags.unique_tokens.empty()) {
    ISOFLOP_ASSIGN_OR_RETURN(unique_tokens, Amount("--unique-tokens", flags.unique_tokens, "25B"));
    input.options.unique_tokens = unique_tokens;
  }
  if (!flags.budget.empty()) {
    ISOFLOP_ASSIGN_OR_RETURN(budget, Amount("--budget", flags.budget, "1e21"));
  } else if (!flags.loss.empty()) {
    ISOFLOP_ASSIGN_OR_RETURN(loss, Amount("--loss", flags.loss, "2.3"));
  } else {
    ISOFLOP_ASSIGN_OR_RETURN(params, Amount("--params", flags.params, "1.3B"));
    ISOFLOP_ASSIGN_OR_RETURN(tokens, Amount("--tokens", flags.tokens, "26B"));
  }
  // How far an optimum may lie from the data is what hold-out demonstrated.
  input.options.sections.holdout = params == 0;
  ISOFLOP_ASSIGN_OR_RETURN(const AnalysisResult result, Analyze(input.observations, input.options));
  if (input.is_newest && !context.flags.json) std::printf("%s\n", input.name.c_str());
  if (budget > 0) return PredictAtBudget(result, input, budget, inference_tokens, unique_tokens, context.flags.json);
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
  app.add_option("--inference-tokens", flags->inference_tokens, "with --budget: N and D of that loss that cost least when T tokens are served")->type_name("T");
  app.add_option("--unique-tokens", flags->unique_tokens, "with --budget: the optimum when the corpus has U tokens")->type_name("U");
  return [flags](Context& context) { return RunPredict(*flags, context); };
}

}  // namespace isoflop
