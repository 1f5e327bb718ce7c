#include "analysis/isoflop_fit.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "analysis/frontier.h"
#include "analysis/power_law.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr double kLn10 = 2.302585092994046;

// What approach 2 makes of one budget.
struct Section {
  double budget_flops = 0;
  std::optional<ParabolaFit> by_params, by_tokens;
  int points = 0;  // of weight > 0
  int sizes = 0;
  double lowest = 0, highest = 0;  // log10 N of the extreme sizes
};

Section FitSection(absl::Span<const KeptRow> rows, const BudgetGroup& group, absl::Span<const double> weights,
                   absl::Span<const double> losses, bool with_tokens) {
  Section section{.budget_flops = group.budget_flops};
  std::vector<double> x, z, y, w;
  for (const size_t row : group.rows) {
    if (weights[row] <= 0) continue;
    x.push_back(std::log10(rows[row].params));
    z.push_back(std::log10(rows[row].tokens));
    y.push_back(losses[row]);
    w.push_back(weights[row]);
  }
  section.points = static_cast<int>(x.size());
  section.sizes = static_cast<int>(std::set<double>(x.begin(), x.end()).size());
  if (x.empty()) return section;
  section.lowest = *std::min_element(x.begin(), x.end());
  section.highest = *std::max_element(x.begin(), x.end());
  section.by_params = FitParabola(x, y, w);
  if (with_tokens) section.by_tokens = FitParabola(z, y, w);
  return section;
}

// Noise of the loss around the parabolas, pooled over budgets; 0 without a
// degree of freedom.
double PooledSigma(absl::Span<const Section> sections) {
  double rss = 0;
  int freedom = 0;
  for (const Section& section : sections) {
    if (!section.by_params || section.points <= 3) continue;
    rss += section.by_params->rss;
    freedom += section.points - 3;
  }
  return freedom > 0 ? std::sqrt(rss / freedom) : 0;
}

// Noise that the curvature of one budget is judged by: its own scatter where
// three or more degrees of freedom tell it, for noise differs between budgets.
double SigmaOf(const Section& section, double pooled) {
  const int freedom = section.points - 3;
  return section.by_params && freedom >= 3 ? std::sqrt(section.by_params->rss / freedom) : pooled;
}

std::optional<Refusal> Reject(const Section& section, double pooled) {
  const std::string at = absl::StrCat("budget ", FormatFlops(section.budget_flops), ": ");
  if (!section.by_params) {
    return Refusal{Code::kTooFewPoints, absl::StrCat(at, Plural(section.sizes, "size"), ", a parabola needs 3"),
                   "train more sizes at this budget"};
  }
  const ParabolaFit& fit = *section.by_params;
  if (!(fit.parabola.p > 0)) {
    return Refusal{Code::kNotConvex, absl::StrCat(at, "the parabola opens downwards"),
                   "more sizes, or more seeds against noise"};
  }
  if (fit.vertex <= section.lowest || fit.vertex >= section.highest) {
    const bool low = fit.vertex <= section.lowest;
    return Refusal{Code::kMinimumAtEdge,
                   absl::StrCat(at, "no size is ", low ? "smaller" : "larger", " than the minimum"),
                   absl::StrCat("train ", low ? "smaller" : "larger", " sizes at this budget")};
  }
  if (fit.parabola.p < 2 * SigmaOf(section, pooled) * std::sqrt(fit.unit_var_p)) {
    return Refusal{Code::kNotConvex, absl::StrCat(at, "the parabola is flat within two standard errors"),
                   "a wider spread of sizes, or more seeds against noise"};
  }
  return std::nullopt;
}

// In logs: exp of a normal interval around ln value.
Estimate LogNormalEstimate(double value, double ln_se) {
  Estimate estimate{.value = value};
  if (!(ln_se > 0)) return estimate;
  estimate.se = value * ln_se;
  estimate.method = "delta method";
  for (const auto& [level, z] : {std::pair{80.0, 1.2815515655446004}, std::pair{95.0, 1.959963984540054}}) {
    estimate.intervals.push_back({level, value * std::exp(-z * ln_se), value * std::exp(z * ln_se)});
  }
  return estimate;
}

std::vector<double> LossesOf(absl::Span<const KeptRow> rows) {
  std::vector<double> losses;
  for (const KeptRow& row : rows) losses.push_back(row.loss);
  return losses;
}

std::vector<double> WeightsOf(absl::Span<const KeptRow> rows) {
  std::vector<double> weights;
  for (const KeptRow& row : rows) weights.push_back(row.weight);
  return weights;
}

// The minima that count, as columns for FitPowerLaw.
struct Minima {
  std::vector<double> flops, params, tokens;
  std::vector<double> params_variance, tokens_variance;  // of the logs; all 0 where noise is not known
};

void AddMinimum(const Section& section, double sigma, bool with_tokens, Minima* minima) {
  const double params = std::pow(10, section.by_params->vertex);
  minima->flops.push_back(section.budget_flops);
  minima->params.push_back(params);
  const double variance = kLn10 * kLn10 * sigma * sigma * section.by_params->unit_var_vertex;
  minima->params_variance.push_back(variance);
  if (with_tokens) {
    minima->tokens.push_back(std::pow(10, section.by_tokens->vertex));
    minima->tokens_variance.push_back(kLn10 * kLn10 * sigma * sigma * section.by_tokens->unit_var_vertex);
  } else {
    minima->tokens.push_back(section.budget_flops / (6 * params));
    minima->tokens_variance.push_back(variance);
  }
}

absl::Span<const double> UsableVariances(const std::vector<double>& variances) {
  for (const double variance : variances) {
    if (!(variance > 0)) return {};
  }
  return variances;
}

// D* = C/(6N*): the exponents add up to 1, the errors are the same.
PowerLaw TokensFromParams(const PowerLaw& params) {
  PowerLaw tokens = params;
  tokens.exponent.value = 1 - params.exponent.value;
  tokens.ln_coefficient.value = -std::log(6.0) - params.ln_coefficient.value;
  return tokens;
}

bool HasTokensMinimum(const Section& section, bool with_tokens) {
  return !with_tokens || (section.by_tokens && section.by_tokens->parabola.p > 0);
}

}  // namespace

std::vector<BudgetGroup> GroupByBudget(absl::Span<const KeptRow> rows, double tolerance) {
  std::vector<size_t> planned, free;
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::optional<double>& budget = rows[i].observation.budget_flops;
    (budget && *budget > 0 ? planned : free).push_back(i);
  }
  std::vector<BudgetGroup> groups;
  const auto by = [](const auto& key) {
    return [key](size_t x, size_t y) { return key(x) != key(y) ? key(x) < key(y) : x < y; };
  };
  const auto budget_of = [&](size_t i) { return *rows[i].observation.budget_flops; };
  const auto flops_of = [&](size_t i) { return rows[i].flops; };
  std::sort(planned.begin(), planned.end(), by(budget_of));
  for (const size_t i : planned) {
    if (groups.empty() || budget_of(i) > groups.back().budget_flops * (1 + 1e-9)) {
      groups.push_back({.budget_flops = budget_of(i)});
    }
    groups.back().rows.push_back(i);
  }
  std::sort(free.begin(), free.end(), by(flops_of));
  for (size_t first = 0; first < free.size();) {
    BudgetGroup group;
    double ln_sum = 0;
    size_t last = first;
    for (; last < free.size() && flops_of(free[last]) <= flops_of(free[first]) * (1 + tolerance); ++last) {
      group.rows.push_back(free[last]);
      ln_sum += std::log(flops_of(free[last]));
    }
    group.snap_range = flops_of(free[last - 1]) / flops_of(free[first]) - 1;
    group.budget_flops = group.snap_range < 1e-9 ? flops_of(free[first])
                                                 : std::exp(ln_sum / static_cast<double>(last - first));
    groups.push_back(std::move(group));
    first = last;
  }
  for (BudgetGroup& group : groups) {
    std::stable_sort(group.rows.begin(), group.rows.end(),
                     [&](size_t x, size_t y) { return rows[x].params < rows[y].params; });
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [](const auto& x, const auto& y) { return x.budget_flops < y.budget_flops; });
  return groups;
}

std::optional<ParabolaFit> FitParabola(absl::Span<const double> x, absl::Span<const double> y,
                                       absl::Span<const double> weights) {
  double w_sum = 0, center = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    w_sum += weights[i];
    center += weights[i] * x[i];
  }
  center /= w_sum;
  std::set<double> distinct;
  Eigen::Matrix3d normal = Eigen::Matrix3d::Zero();
  Eigen::Vector3d right = Eigen::Vector3d::Zero();
  for (size_t i = 0; i < x.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    distinct.insert(x[i]);
    const double t = x[i] - center;
    const Eigen::Vector3d column(t * t, t, 1);
    normal += weights[i] * column * column.transpose();
    right += weights[i] * column * y[i];
  }
  if (distinct.size() < 3) return std::nullopt;
  const Eigen::LDLT<Eigen::Matrix3d> factor(normal);
  Eigen::Vector3d c = factor.solve(right);
  c += factor.solve(right - normal * c);  // one step of refinement
  if (factor.info() != Eigen::Success || !c.allFinite()) return std::nullopt;

  ParabolaFit fit;
  fit.parabola = {.center = center, .p = c[0], .q = c[1], .r = c[2]};
  for (size_t i = 0; i < x.size(); ++i) {
    const double t = x[i] - center;
    const double residual = y[i] - (c[0] * t * t + c[1] * t + c[2]);
    fit.rss += weights[i] * residual * residual;
  }
  const Eigen::Matrix3d inverse = factor.solve(Eigen::Matrix3d::Identity());
  const double t = -c[1] / (2 * c[0]);
  fit.vertex = center + t;
  fit.minimum = c[2] - c[1] * c[1] / (4 * c[0]);
  fit.unit_var_p = inverse(0, 0);
  const Eigen::Vector3d slope(c[1] / (2 * c[0] * c[0]), -1 / (2 * c[0]), 0);
  fit.unit_var_vertex = slope.dot(inverse * slope);
  const Eigen::Vector3d at_vertex(t * t, t, 1);
  fit.unit_var_minimum = at_vertex.dot(inverse * at_vertex);
  return fit;
}

IsoflopFit FitIsoflop(absl::Span<const KeptRow> rows, const IsoflopOptions& options) {
  IsoflopFit fit;
  const bool with_tokens = options.flops == FlopsConvention::kExact;
  const std::vector<double> losses = LossesOf(rows), weights = WeightsOf(rows);
  const std::vector<BudgetGroup> groups = GroupByBudget(rows, options.budget_tolerance);
  std::vector<Section> sections;
  for (const BudgetGroup& group : groups) {
    sections.push_back(FitSection(rows, group, weights, losses, with_tokens));
  }
  fit.pooled_sigma = PooledSigma(sections);
  const double sigma = fit.pooled_sigma > 0 ? fit.pooled_sigma : options.seed_sigma;

  Minima minima;
  for (size_t i = 0; i < groups.size(); ++i) {
    const Section& section = sections[i];
    IsoflopBudget budget{.budget_flops = groups[i].budget_flops,
                         .rows = groups[i].rows,
                         .snapped = groups[i].snap_range > 1e-6,
                         .snap_range = groups[i].snap_range,
                         .sizes = section.sizes};
    budget.rejection = Reject(section, sigma);
    if (!budget.rejection && !HasTokensMinimum(section, with_tokens)) {
      budget.rejection = Refusal{Code::kNotConvex,
                                 absl::StrCat("budget ", FormatFlops(budget.budget_flops),
                                              ": the parabola in tokens opens downwards"),
                                 "more sizes, or more seeds against noise"};
    }
    if (section.by_params) {
      const ParabolaFit& parabola = *section.by_params;
      budget.parabola = parabola.parabola;
      budget.parabola->p_se = SigmaOf(section, sigma) * std::sqrt(parabola.unit_var_p);
      if (parabola.parabola.p > 0) {
        const double ln_se = kLn10 * sigma * std::sqrt(parabola.unit_var_vertex);
        budget.params_optimal = LogNormalEstimate(std::pow(10, parabola.vertex), ln_se);
        if (!with_tokens) {
          budget.tokens_optimal =
              LogNormalEstimate(budget.budget_flops / (6 * budget.params_optimal->value), ln_se);
        } else if (HasTokensMinimum(section, true)) {
          budget.tokens_optimal = LogNormalEstimate(
              std::pow(10, section.by_tokens->vertex), kLn10 * sigma * std::sqrt(section.by_tokens->unit_var_vertex));
        }
        budget.loss_optimal = Estimate{.value = parabola.minimum};
        if (sigma > 0) budget.loss_optimal->se = sigma * std::sqrt(parabola.unit_var_minimum);
      }
    }
    if (!budget.rejection) {
      AddMinimum(section, sigma, with_tokens, &minima);
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
  fit.params_law_ols = FitPowerLaw(minima.flops, minima.params);
  fit.params_law = FitPowerLaw(minima.flops, minima.params, UsableVariances(minima.params_variance));
  if (with_tokens) {
    fit.tokens_law_ols = FitPowerLaw(minima.flops, minima.tokens);
    fit.tokens_law = FitPowerLaw(minima.flops, minima.tokens, UsableVariances(minima.tokens_variance));
  } else {
    fit.tokens_law_ols = TokensFromParams(*fit.params_law_ols);
    fit.tokens_law = TokensFromParams(*fit.params_law);
  }
  return fit;
}

std::optional<IsoflopLaws> RefitIsoflop(absl::Span<const KeptRow> rows, absl::Span<const BudgetGroup> groups,
                                        absl::Span<const double> weights, absl::Span<const double> losses,
                                        const IsoflopOptions& options) {
  const bool with_tokens = options.flops == FlopsConvention::kExact;
  std::vector<Section> sections;
  for (const BudgetGroup& group : groups) {
    sections.push_back(FitSection(rows, group, weights, losses, with_tokens));
  }
  const double pooled = PooledSigma(sections);
  const double sigma = pooled > 0 ? pooled : options.seed_sigma;
  Minima minima;
  for (const Section& section : sections) {
    if (!Reject(section, sigma) && HasTokensMinimum(section, with_tokens)) {
      AddMinimum(section, sigma, with_tokens, &minima);
    }
  }
  if (minima.flops.size() < 2) return std::nullopt;
  const PowerLaw params = FitPowerLaw(minima.flops, minima.params, UsableVariances(minima.params_variance));
  const PowerLaw tokens = with_tokens
                              ? FitPowerLaw(minima.flops, minima.tokens, UsableVariances(minima.tokens_variance))
                              : TokensFromParams(params);
  return IsoflopLaws{params.ln_coefficient.value, params.exponent.value, tokens.ln_coefficient.value,
                     tokens.exponent.value};
}

void AddIsoflopBias(absl::Span<const KeptRow> rows, const LossLaw& law, double target_flops,
                    const IsoflopOptions& options, IsoflopFit* fit) {
  if (options.flops != FlopsConvention::k6nd || !HasOptimum(law)) return;
  std::vector<double> losses;
  for (const KeptRow& row : rows) losses.push_back(law.LossAt(row.params, row.tokens));
  const std::vector<double> weights = WeightsOf(rows);
  std::vector<double> flops, params, variances;
  for (IsoflopBudget& budget : fit->budgets) {
    const BudgetGroup group{.budget_flops = budget.budget_flops, .rows = budget.rows};
    const Section section = FitSection(rows, group, weights, losses, false);
    if (!section.by_params || !(section.by_params->parabola.p > 0)) continue;
    const double optimum = std::pow(10, section.by_params->vertex);
    budget.bias = std::log(optimum / OptimumAt(law, budget.budget_flops).params);
    if (budget.rejection) continue;
    flops.push_back(budget.budget_flops);
    params.push_back(optimum);
    variances.push_back(budget.params_optimal->se ? std::pow(*budget.params_optimal->se / budget.params_optimal->value, 2)
                                                  : 0);
  }
  if (flops.size() < 2) return;
  const PowerLaw power = FitPowerLaw(flops, params, UsableVariances(variances));
  fit->bias_at_target = std::log(power.At(target_flops) / OptimumAt(law, target_flops).params);
}

}  // namespace isoflop
