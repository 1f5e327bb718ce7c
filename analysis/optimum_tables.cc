#include "analysis/optimum_tables.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "analysis/beyond_optimum.h"
#include "analysis/power_law_draws.h"
#include "analysis/prediction.h"

namespace isoflop {
namespace {

constexpr int kFrontierPoints = 49;
constexpr double kRatios[] = {4, 10, 20, 40, 100};  // tokens per parameter of T7

std::vector<double> LogSpaced(double from, double to, int points) {
  std::vector<double> values;
  for (int i = 0; i < points; ++i) {
    values.push_back(from * std::pow(to / from, static_cast<double>(i) / (points - 1)));
  }
  return values;
}

Frontier ParametricFrontier(const AnalysisResult& result, absl::Span<const double> budgets) {
  Frontier frontier{.approach = Approach::kParametric};
  AnalysisResult all = result;  // the curve goes to C_T, however weak: it is drawn dashed there
  all.options.allow_extrapolation = true;
  for (const double budget : budgets) {
    const OptimalRow row = PredictOptimum(all, budget);
    if (EstimateIn(row.params) == nullptr) return frontier;
    frontier.points.push_back({budget, row.log10_over_max, row.extrapolated, *EstimateIn(row.params),
                               *EstimateIn(row.tokens), *EstimateIn(row.tokens_per_parameter), *EstimateIn(row.loss)});
  }
  return frontier;
}

// Slot hours that `flops` cost at the speed of the row nearest in ln N whose
// speed is known.
std::optional<double> HoursAt(const AnalysisResult& result, double params, double tokens) {
  const KeptRow* nearest = nullptr;
  for (const KeptRow& row : result.rows) {
    if (!row.observation.tokens_per_second || *row.observation.tokens_per_second <= 0) continue;
    if (nearest == nullptr ||
        std::abs(std::log(row.params / params)) < std::abs(std::log(nearest->params / params))) {
      nearest = &row;
    }
  }
  if (nearest == nullptr) return std::nullopt;
  // FLOPs a second stay, FLOPs a token grow with N.
  const double seconds_per_token = params / nearest->params / *nearest->observation.tokens_per_second;
  return tokens * seconds_per_token / 3600;
}

std::optional<double> UniqueTokens(const AnalysisResult& result) {
  for (const KeptRow& row : result.rows) {
    if (row.observation.unique_tokens) return row.observation.unique_tokens;
  }
  return std::nullopt;
}

}  // namespace

void FillFrontiers(absl::Span<const ResampledFit> fits, double from_flops, AnalysisResult* result) {
  std::vector<double> budgets = LogSpaced(from_flops, result->target_flops, kFrontierPoints);
  // The largest budget trained is a point: where the verdict speaks and dashes begin.
  const double max_flops = result->max_flops;
  const auto above = std::upper_bound(budgets.begin(), budgets.end(), max_flops);
  if (above != budgets.begin() && above != budgets.end() && *(above - 1) < max_flops) budgets.insert(above, max_flops);
  const auto add = [&](Approach approach, const auto& fit) {
    if (!fit || !fit->params_law || !fit->tokens_law) return;
    result->frontiers.push_back(
        PowerLawFrontier(approach, *fit->params_law, *fit->tokens_law, PowerLawsOf(fits, approach), budgets, *result));
  };
  add(Approach::kEnvelope, result->envelope);
  add(Approach::kIsoflop, result->isoflop);
  if (!result->parametric) return;
  Frontier frontier = ParametricFrontier(*result, budgets);
  if (!frontier.points.empty()) result->frontiers.push_back(std::move(frontier));
}

void FillOptimumTables(double from_flops, AnalysisResult* result) {
  if (!result->parametric) return;
  std::vector<std::pair<double, bool>> budgets;  // C, asked by the user
  for (double decade = std::floor(std::log10(from_flops)); decade <= std::log10(result->target_flops) + 1e-9; ++decade) {
    const double budget = std::pow(10, decade);
    if (budget >= from_flops * (1 - 1e-9)) budgets.emplace_back(budget, false);
  }
  budgets.emplace_back(result->target_flops, result->options.spec.goal_budget.has_value());
  for (const double budget : result->options.budgets) budgets.emplace_back(budget, true);
  std::stable_sort(budgets.begin(), budgets.end());
  for (size_t i = 0; i < budgets.size(); ++i) {
    if (i + 1 < budgets.size() && budgets[i + 1].first <= budgets[i].first * (1 + 1e-9)) {
      budgets[i + 1].second = budgets[i + 1].second || budgets[i].second;
      continue;
    }
    OptimalRow row = PredictOptimum(*result, budgets[i].first);
    row.asked = budgets[i].second;
    if (const Estimate* tokens = EstimateIn(row.tokens)) {
      if (const std::optional<double> unique = UniqueTokens(*result)) row.epochs = tokens->value / *unique;
      row.hours = HoursAt(*result, EstimateIn(row.params)->value, tokens->value);
    }
    if (row.asked || budgets[i].first == result->target_flops) {
      for (const double ratio : kRatios) {
        if (std::optional<EfficiencyRow> cost = PredictEfficiency(*result, row.budget_flops, ratio)) {
          result->efficiency.push_back(*std::move(cost));
        }
      }
    }
    result->optimal.push_back(std::move(row));
  }
  // Beside the optimum.
  const double target = result->target_flops;
  result->overtraining = OvertrainingRows(*result, target);
  const OptimalRow at_target = PredictOptimum(*result, target);
  if (const Estimate* tokens = EstimateIn(at_target.tokens)) {
    std::vector<double> inference_tokens = result->options.inference_tokens;
    if (inference_tokens.empty()) inference_tokens = {tokens->value, 10 * tokens->value, 100 * tokens->value};
    for (const double inference : inference_tokens) {
      if (auto row = PredictInference(*result, target, inference)) result->inference.push_back(*std::move(row));
    }
  }
  const std::optional<double> unique = result->options.unique_tokens ? result->options.unique_tokens : UniqueTokens(*result);
  if (!unique) return;
  result->data_exhausted_flops = DataExhaustedFlops(*result, *unique);
  if (result->parametric->law.form != LawForm::kDataConstrained) return;
  for (const OptimalRow& row : result->optimal) {
    if (auto repeated = PredictRepeatedData(*result, row.budget_flops, *unique)) {
      result->repeated_data.push_back(*std::move(repeated));
    }
  }
}

}  // namespace isoflop
