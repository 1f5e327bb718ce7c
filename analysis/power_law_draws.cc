#include "analysis/power_law_draws.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "analysis/bootstrap.h"
#include "analysis/prediction.h"

namespace isoflop {
namespace {

template <class Laws>
std::optional<PowerLawPair> PairOf(const std::optional<Laws>& laws) {
  if (!laws) return std::nullopt;
  return PowerLawPair{laws->params_ln_coefficient, laws->params_exponent, laws->tokens_ln_coefficient,
                      laws->tokens_exponent};
}

}  // namespace

std::vector<std::optional<PowerLawPair>> PowerLawsOf(absl::Span<const ResampledFit> fits, Approach approach) {
  std::vector<std::optional<PowerLawPair>> laws;
  for (const ResampledFit& fit : fits) {
    laws.push_back(approach == Approach::kIsoflop ? PairOf(fit.isoflop) : PairOf(fit.envelope));
  }
  return laws;
}

std::vector<std::optional<PowerLawPair>> CorrectedPowerLawsOf(absl::Span<const ResampledFit> fits) {
  std::vector<std::optional<PowerLawPair>> laws;
  for (const ResampledFit& fit : fits) laws.push_back(fit.isoflop ? PairOf(fit.isoflop->corrected) : std::nullopt);
  return laws;
}

void AddPowerLawIntervals(absl::Span<const std::optional<PowerLawPair>> draws, absl::Span<const double> levels,
                          const std::string& method, PowerLaw* params, PowerLaw* tokens) {
  const auto found = std::count_if(draws.begin(), draws.end(), [](const auto& draw) { return draw.has_value(); });
  if (found == 0 || 2 * found < static_cast<int64_t>(draws.size())) return;
  const auto fill = [&](Estimate* estimate, double PowerLawPair::*number) {
    std::vector<double> values;
    for (const auto& draw : draws) values.push_back(draw ? *draw.*number : std::numeric_limits<double>::quiet_NaN());
    *estimate = EstimateFromDraws(estimate->value, std::move(values), levels, method);
  };
  fill(&params->exponent, &PowerLawPair::params_exponent);
  fill(&params->ln_coefficient, &PowerLawPair::params_ln_coefficient);
  fill(&tokens->exponent, &PowerLawPair::tokens_exponent);
  fill(&tokens->ln_coefficient, &PowerLawPair::tokens_ln_coefficient);
}

Frontier PowerLawFrontier(Approach approach, const PowerLaw& params, const PowerLaw& tokens,
                          absl::Span<const std::optional<PowerLawPair>> draws, absl::Span<const double> budgets,
                          const AnalysisResult& result) {
  Frontier frontier{.approach = approach};
  const bool with_intervals = !params.exponent.intervals.empty();
  for (const double budget : budgets) {
    const double ln_budget = std::log(budget);
    std::vector<double> params_draws, tokens_draws, ratio_draws;
    for (const auto& draw : draws) {
      if (!with_intervals || !draw) continue;
      params_draws.push_back(std::exp(draw->params_ln_coefficient + draw->params_exponent * ln_budget));
      tokens_draws.push_back(std::exp(draw->tokens_ln_coefficient + draw->tokens_exponent * ln_budget));
      ratio_draws.push_back(tokens_draws.back() / params_draws.back());
    }
    const auto estimate = [&](double value, std::vector<double> values) {
      return EstimateFromDraws(value, std::move(values), result.options.spec.levels, result.bootstrap.method);
    };
    FrontierPoint point;
    point.budget_flops = budget;
    point.log10_over_max = std::log10(budget / result.max_flops);
    point.extrapolated = IsExtrapolated(result, budget);
    point.params = estimate(params.At(budget), std::move(params_draws));
    point.tokens = estimate(tokens.At(budget), std::move(tokens_draws));
    point.tokens_per_parameter = estimate(tokens.At(budget) / params.At(budget), std::move(ratio_draws));
    frontier.points.push_back(std::move(point));
  }
  return frontier;
}

}  // namespace isoflop
