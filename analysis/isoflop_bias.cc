#include "analysis/isoflop_bias.h"

#include <cmath>
#include <utility>
#include <vector>

namespace isoflop {
namespace {

constexpr double kLn10 = 2.302585092994046;

double LnVariance(const std::optional<Estimate>& estimate) {
  return estimate && estimate->se ? std::pow(*estimate->se / estimate->value, 2) : 0;
}

}  // namespace

ComputeModel ComputeModelOf(absl::Span<const KeptRow> rows, FlopsConvention flops) {
  if (flops != FlopsConvention::kExact) return ComputeModel();
  std::vector<double> params, flops_per_token;
  for (const KeptRow& row : rows) {
    params.push_back(row.params);
    flops_per_token.push_back(row.flops / row.tokens);
  }
  std::optional<FlopsPerTokenCurve> curve = FlopsPerTokenCurve::Through(params, flops_per_token);
  return curve ? ComputeModel(*std::move(curve)) : ComputeModel();
}

std::optional<IsoflopBias> BiasOfBudget(absl::Span<const KeptRow> rows, const BudgetGroup& group,
                                        absl::Span<const double> weights, const IsoflopCorrection& correction,
                                        const IsoflopOptions& options) {
  std::vector<double> x, z, y, w;
  for (const size_t row : group.rows) {
    if (!(weights[row] > 0)) continue;
    x.push_back(std::log10(rows[row].params));
    if (options.flops == FlopsConvention::kExact) z.push_back(std::log10(rows[row].tokens));
    y.push_back(correction.law->LossAt(rows[row].params, rows[row].tokens));
    w.push_back(weights[row]);
  }
  const std::optional<SectionMinimum> by_params = MinimumOfSection(options.minimum, x, y, w);
  if (!by_params) return std::nullopt;
  const OptimalPoint optimum = correction.compute->OptimumAt(*correction.law, group.budget_flops);
  IsoflopBias bias;
  bias.params = kLn10 * by_params->x - std::log(optimum.params);
  if (options.flops != FlopsConvention::kExact) {
    bias.tokens = -bias.params;
    return bias;
  }
  const std::optional<SectionMinimum> by_tokens = MinimumOfSection(options.minimum, z, y, w);
  if (!by_tokens) return std::nullopt;
  bias.tokens = kLn10 * by_tokens->x - std::log(optimum.tokens);
  return bias;
}

void AddIsoflopBias(absl::Span<const KeptRow> rows, const LossLaw& law, double target_flops,
                    const IsoflopOptions& options, IsoflopFit* fit) {
  if (!HasOptimum(law)) return;
  const bool with_tokens = options.flops == FlopsConvention::kExact;
  const ComputeModel compute = ComputeModelOf(rows, options.flops);
  const IsoflopCorrection correction{&law, &compute};
  std::vector<double> weights;
  for (const KeptRow& row : rows) weights.push_back(row.weight);
  IsoflopMinima corrected, noise_free;
  for (IsoflopBudget& budget : fit->budgets) {
    const BudgetGroup group{.budget_flops = budget.budget_flops, .rows = budget.rows};
    const std::optional<IsoflopBias> bias = BiasOfBudget(rows, group, weights, correction, options);
    if (!bias) continue;
    budget.bias = bias->params;
    if (budget.rejection) continue;
    const OptimalPoint optimum = compute.OptimumAt(law, budget.budget_flops);
    const auto add = [&](double params, double tokens, IsoflopMinima* minima) {
      minima->flops.push_back(budget.budget_flops);
      minima->params.push_back(params);
      minima->tokens.push_back(tokens);
      minima->params_variance.push_back(LnVariance(budget.params_optimal));
      minima->tokens_variance.push_back(LnVariance(budget.tokens_optimal));
    };
    add(optimum.params * std::exp(bias->params), optimum.tokens * std::exp(bias->tokens), &noise_free);
    add(budget.params_optimal->value * std::exp(-bias->params), budget.tokens_optimal->value * std::exp(-bias->tokens),
        &corrected);
  }
  if (corrected.flops.size() < 2) return;
  const IsoflopPowerLaws without_noise = FitMinima(noise_free, with_tokens);
  fit->bias_at_target =
      std::log(without_noise.params.At(target_flops) / compute.OptimumAt(law, target_flops).params);
  IsoflopPowerLaws laws = FitMinima(corrected, with_tokens);
  fit->params_law_corrected = std::move(laws.params);
  fit->tokens_law_corrected = std::move(laws.tokens);
}

}  // namespace isoflop
