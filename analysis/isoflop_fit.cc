#include "analysis/isoflop_fit.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr double kLn10 = 2.302585092994046;

// In logs: exp of a normal interval around ln value.
Estimate LogNormalEstimate(double value, double ln_se, const std::string& method) {
  Estimate estimate{.value = value};
  if (!(ln_se > 0)) return estimate;
  estimate.se = value * ln_se;
  estimate.method = method;
  for (const auto& [level, z] : {std::pair{80.0, 1.2815515655446004}, std::pair{95.0, 1.959963984540054}}) {
    estimate.intervals.push_back({level, value * std::exp(-z * ln_se), value * std::exp(z * ln_se)});
  }
  return estimate;
}

std::vector<IsoflopSection> FitSections(absl::Span<const KeptRow> rows, absl::Span<const BudgetGroup> groups,
                                        absl::Span<const double> weights, absl::Span<const double> losses,
                                        const IsoflopOptions& options) {
  std::vector<IsoflopSection> sections;
  sections.reserve(groups.size());
  for (const BudgetGroup& group : groups) sections.push_back(FitSection(rows, group, weights, losses, options));
  return sections;
}

// The budget's minimum, whether or not it counts.
void FillMinimum(const IsoflopSection& section, double sigma, IsoflopBudget* budget) {
  if (!section.by_params) return;
  const SectionMinimum& by_params = *section.by_params;
  const std::string method = by_params.jackknife_var_x ? "jackknife over sizes" : "delta method";
  const double ln_se = kLn10 * std::sqrt(by_params.VarianceOfX(sigma));
  budget->params_optimal = LogNormalEstimate(std::pow(10, by_params.x), ln_se, method);
  if (!section.with_tokens) {
    budget->tokens_optimal = LogNormalEstimate(budget->budget_flops / (6 * budget->params_optimal->value), ln_se, method);
  } else if (section.by_tokens) {
    budget->tokens_optimal = LogNormalEstimate(std::pow(10, section.by_tokens->x),
                                               kLn10 * std::sqrt(section.by_tokens->VarianceOfX(sigma)), method);
  }
  budget->loss_optimal = Estimate{.value = by_params.loss};
  const double variance = by_params.VarianceOfLoss(sigma);
  if (variance > 0) budget->loss_optimal->se = std::sqrt(variance);
}

// The corrected minima of a draw.
std::optional<IsoflopLaws::Corrected> CorrectMinima(absl::Span<const KeptRow> rows,
                                                    absl::Span<const BudgetGroup> groups,
                                                    absl::Span<const size_t> accepted,
                                                    absl::Span<const double> weights,
                                                    const IsoflopCorrection& correction, const IsoflopOptions& options,
                                                    const IsoflopMinima& minima) {
  IsoflopMinima corrected;
  for (size_t k = 0; k < accepted.size(); ++k) {
    const std::optional<IsoflopBias> bias = BiasOfBudget(rows, groups[accepted[k]], weights, correction, options);
    if (!bias) continue;
    corrected.flops.push_back(minima.flops[k]);
    corrected.params.push_back(minima.params[k] * std::exp(-bias->params));
    corrected.tokens.push_back(minima.tokens[k] * std::exp(-bias->tokens));
    corrected.params_variance.push_back(minima.params_variance[k]);
    corrected.tokens_variance.push_back(minima.tokens_variance[k]);
  }
  if (corrected.flops.size() < 2) return std::nullopt;
  const IsoflopPowerLaws laws = FitMinima(corrected, options.flops == FlopsConvention::kExact);
  return IsoflopLaws::Corrected{laws.params.ln_coefficient.value, laws.params.exponent.value,
                                laws.tokens.ln_coefficient.value, laws.tokens.exponent.value};
}

}  // namespace

IsoflopFit FitIsoflop(absl::Span<const KeptRow> rows, const IsoflopOptions& options) {
  IsoflopFit fit;
  std::vector<double> losses, weights;
  for (const KeptRow& row : rows) {
    losses.push_back(row.loss);
    weights.push_back(row.weight);
  }
  const std::vector<BudgetGroup> groups = GroupByBudget(rows, options.budget_tolerance);
  const std::vector<IsoflopSection> sections = FitSections(rows, groups, weights, losses, options);
  fit.pooled_sigma = PooledSigma(sections);
  const double sigma = fit.pooled_sigma > 0 ? fit.pooled_sigma : options.seed_sigma;

  IsoflopMinima minima;
  for (size_t i = 0; i < groups.size(); ++i) {
    const IsoflopSection& section = sections[i];
    IsoflopBudget budget{.budget_flops = groups[i].budget_flops,
                         .rows = groups[i].rows,
                         .snapped = groups[i].snap_range > 1e-6,
                         .snap_range = groups[i].snap_range,
                         .sizes = section.sizes};
    if (section.parabola) {
      budget.parabola = section.parabola->parabola;
      budget.parabola->p_se = SigmaOf(section, sigma) * std::sqrt(section.parabola->unit_var_p);
    }
    FillMinimum(section, sigma, &budget);
    budget.rejection = RejectSection(section, sigma);
    if (!budget.rejection) {
      AddMinimum(section, sigma, &minima);
      ++fit.accepted;
    }
    fit.budgets.push_back(std::move(budget));
  }
  if (fit.accepted < 2) {
    fit.refusal = Refusal{Code::kTooFewPoints,
                          absl::StrCat(Plural(fit.accepted, "budget"), " of ", fit.budgets.size(),
                                       " with a minimum, a power law needs 2"),
                          "more budgets, or sizes on both sides of each minimum"};
    return fit;
  }
  const bool with_tokens = options.flops == FlopsConvention::kExact;
  IsoflopPowerLaws laws = FitMinima(minima, with_tokens);
  IsoflopPowerLaws ordinary = FitMinima(minima, with_tokens, /*weighted=*/false);
  fit.params_law = std::move(laws.params);
  fit.tokens_law = std::move(laws.tokens);
  fit.params_law_ols = std::move(ordinary.params);
  fit.tokens_law_ols = std::move(ordinary.tokens);
  return fit;
}

std::optional<IsoflopLaws> RefitIsoflop(absl::Span<const KeptRow> rows, absl::Span<const BudgetGroup> groups,
                                        absl::Span<const double> weights, absl::Span<const double> losses,
                                        const IsoflopOptions& options, const IsoflopCorrection* correction) {
  const std::vector<IsoflopSection> sections = FitSections(rows, groups, weights, losses, options);
  const double pooled = PooledSigma(sections);
  const double sigma = pooled > 0 ? pooled : options.seed_sigma;
  IsoflopMinima minima;
  std::vector<size_t> accepted;
  for (size_t i = 0; i < sections.size(); ++i) {
    if (RejectSection(sections[i], sigma)) continue;
    AddMinimum(sections[i], sigma, &minima);
    accepted.push_back(i);
  }
  if (accepted.size() < 2) return std::nullopt;
  const IsoflopPowerLaws fitted = FitMinima(minima, options.flops == FlopsConvention::kExact);
  IsoflopLaws laws{fitted.params.ln_coefficient.value, fitted.params.exponent.value,
                   fitted.tokens.ln_coefficient.value, fitted.tokens.exponent.value, std::nullopt};
  if (correction != nullptr && HasOptimum(*correction->law)) {
    laws.corrected = CorrectMinima(rows, groups, accepted, weights, *correction, options, minima);
  }
  return laws;
}

}  // namespace isoflop
