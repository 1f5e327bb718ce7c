#include "analysis/prediction.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "analysis/bootstrap.h"
#include "analysis/minimize.h"
#include "analysis/statistics.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kMaxDecades = 3;     // beyond the largest C kept, unless allowed
constexpr double kWidestExponent = 0.4;

Estimate FromDraws(const AnalysisResult& result, double value, std::vector<double> draws) {
  return EstimateFromDraws(value, std::move(draws), result.options.spec.levels, result.bootstrap.method);
}

// A draw whose data saw no gain from tokens (B = 0) wants all compute in
// parameters, and the other way round.
OptimalPoint OptimumOfDraw(const ComputeModel& compute, const LossLaw& law, double budget_flops) {
  if (HasOptimum(law)) return compute.OptimumAt(law, budget_flops);
  if (law.B <= 0 && law.A > 0) return {kInfinity, 0, kNan};
  if (law.A <= 0 && law.B > 0) return {0, kInfinity, kNan};
  return {kNan, kNan, kNan};
}

// The quantile at `p` of lognormals, equally likely: medians exp(center), widths
// sigma > 0 in logs.
double MixtureQuantile(absl::Span<const double> centers, absl::Span<const double> sigmas, double p) {
  double lo = kInfinity, hi = -kInfinity;
  for (size_t i = 0; i < centers.size(); ++i) {
    lo = std::min(lo, centers[i] - 10 * sigmas[i]);
    hi = std::max(hi, centers[i] + 10 * sigmas[i]);
  }
  const auto excess = [&](double x) {
    double sum = 0;
    for (size_t i = 0; i < centers.size(); ++i) {
      sum += 0.5 * std::erfc((centers[i] - x) / (sigmas[i] * 1.4142135623730951));
    }
    return sum / static_cast<double>(centers.size()) - p;
  };
  return std::exp(BrentRoot(excess, lo, hi, 1e-12));
}

}  // namespace

Estimate EstimateOverDraws(const AnalysisResult& result, const std::function<double(const LossLaw&)>& number) {
  std::vector<double> draws;
  draws.reserve(result.bootstrap.laws.size());
  for (const LossLaw& law : result.bootstrap.laws) draws.push_back(number(law));
  return FromDraws(result, number(result.parametric->law), std::move(draws));
}

ComputeModel ComputeModelOf(const AnalysisResult& result) {
  if (result.options.flops != FlopsConvention::kExact) return ComputeModel();
  std::vector<double> params, flops_per_token;
  for (const KeptRow& row : result.rows) {
    params.push_back(row.params);
    flops_per_token.push_back(row.flops / row.tokens);
  }
  std::optional<FlopsPerTokenCurve> curve = FlopsPerTokenCurve::Through(params, flops_per_token);
  return curve ? ComputeModel(*std::move(curve)) : ComputeModel();
}

double DemonstratedDecades(const AnalysisResult& result) {
  return result.holdout && !result.holdout->refusal ? result.holdout->demonstrated_decades : 0;
}

bool IsExtrapolated(const AnalysisResult& result, double budget_flops) {
  if (!(result.max_flops > 0)) return false;
  return std::log10(budget_flops / result.max_flops) > DemonstratedDecades(result) + 1e-9;
}

std::optional<Refusal> RefuseOptimum(const AnalysisResult& result, double budget_flops) {
  if (!result.parametric) {
    if (result.parametric_refusal) return result.parametric_refusal;
    return Refusal{Code::kUnderdetermined, "no law was fitted", "isoflop fit"};
  }
  if (!HasOptimum(result.parametric->law)) {
    std::string bounds;
    for (const std::string& bound : result.parametric->certificate.at_bounds) {
      absl::StrAppend(&bounds, bounds.empty() ? "" : ", ", bound);
    }
    return Refusal{Code::kNoInteriorOptimum, absl::StrCat("the fitted law has no optimum inside a budget", bounds.empty() ? "" : absl::StrCat(" (", bounds, ")")),
                   "rows that vary N and D more"};
  }
  if (result.options.allow_extrapolation || budget_flops <= result.max_flops) return std::nullopt;
  const Interval* a = result.parametric->a.At(95);
  if (a != nullptr && a->hi - a->lo > kWidestExponent) {
    return Refusal{Code::kWeaklyIdentified,
                   absl::StrCat("the 95% interval of a is ", FormatSignificant(a->hi - a->lo, 2),
                                " wide; N* outside the data would be a guess"),
                   "more budgets or seeds; --allow-extrapolation prints it all the same"};
  }
  const double decades = std::log10(budget_flops / result.max_flops);
  const bool has_holdout = result.holdout && !result.holdout->refusal;
  const double reach = has_holdout ? 2 * DemonstratedDecades(result) : kMaxDecades;
  if (decades <= std::min(reach, kMaxDecades) + 1e-9) return std::nullopt;
  std::string message = absl::StrCat(FormatFlops(budget_flops), " lies ", FormatSignificant(decades, 2),
                                     " decades beyond the largest budget ", FormatFlops(result.max_flops));
  if (reach < kMaxDecades) {
    const std::string limit = absl::StrCat(FormatSignificant(100 * result.options.spec.holdout_error, 2), "%");
    if (reach > 0) {
      absl::StrAppend(&message, ", more than twice the ", FormatSignificant(DemonstratedDecades(result), 2),
                      " decades over which held-out losses were predicted within ", limit);
    } else {
      absl::StrAppend(&message, ", and no held-out budget was predicted within ", limit);
    }
  }
  return Refusal{Code::kExtrapolation, std::move(message), "a larger budget, or --allow-extrapolation"};
}

OptimalRow PredictOptimum(const AnalysisResult& result, double budget_flops) {
  OptimalRow row;
  row.budget_flops = budget_flops;
  row.log10_over_max = result.max_flops > 0 ? std::log10(budget_flops / result.max_flops) : 0;
  row.extrapolated = IsExtrapolated(result, budget_flops);
  if (const std::optional<Refusal> refusal = RefuseOptimum(result, budget_flops)) {
    row.params = row.tokens = row.tokens_per_parameter = row.loss = *refusal;
    return row;
  }
  const ComputeModel compute = ComputeModelOf(result);
  std::vector<double> params, tokens, ratio, loss;
  for (const LossLaw& law : result.bootstrap.laws) {
    const OptimalPoint point = OptimumOfDraw(compute, law, budget_flops);
    params.push_back(point.params);
    tokens.push_back(point.tokens);
    ratio.push_back(point.tokens / point.params);
    loss.push_back(point.loss);
  }
  const OptimalPoint best = compute.OptimumAt(result.parametric->law, budget_flops);
  row.params = FromDraws(result, best.params, std::move(params));
  row.tokens = FromDraws(result, best.tokens, std::move(tokens));
  row.tokens_per_parameter = FromDraws(result, best.tokens / best.params, std::move(ratio));
  row.loss = FromDraws(result, best.loss, std::move(loss));
  return row;
}

std::optional<EfficiencyRow> PredictEfficiency(const AnalysisResult& result, double budget_flops,
                                               double tokens_per_parameter) {
  if (RefuseOptimum(result, budget_flops)) return std::nullopt;
  const ComputeModel compute = ComputeModelOf(result);
  EfficiencyRow row;
  row.budget_flops = budget_flops;
  row.tokens_per_parameter = tokens_per_parameter;
  row.params = compute.ParamsAtRatio(tokens_per_parameter, budget_flops);
  row.tokens = tokens_per_parameter * row.params;
  row.loss = EstimateOverDraws(result, [&](const LossLaw& law) { return law.LossAt(row.params, row.tokens); });

  const auto equivalent = [&](const LossLaw& law) {
    return HasOptimum(law) ? compute.FlopsForLoss(law, law.LossAt(row.params, row.tokens)) : kNan;
  };
  const LossLaw& law = result.parametric->law;
  const double equivalent_flops = equivalent(law);
  std::vector<double> excess, flops, wasted;
  for (const LossLaw& draw : result.bootstrap.laws) {
    const double flops_of_draw = equivalent(draw);
    flops.push_back(flops_of_draw);
    wasted.push_back(1 - flops_of_draw / budget_flops);
    excess.push_back(HasOptimum(draw) ? draw.LossAt(row.params, row.tokens) -
                                            compute.OptimumAt(draw, budget_flops).loss
                                      : kNan);
  }
  row.excess_loss =
      FromDraws(result, row.loss.value - compute.OptimumAt(law, budget_flops).loss, std::move(excess));
  row.equivalent_flops = FromDraws(result, equivalent_flops, std::move(flops));
  row.wasted_fraction = FromDraws(result, 1 - equivalent_flops / budget_flops, std::move(wasted));
  row.wasted_flops = budget_flops - equivalent_flops;
  return row;
}

Quantity PredictLoss(const AnalysisResult& result, double params, double tokens) {
  if (!result.parametric) {
    return result.parametric_refusal.value_or(Refusal{Code::kUnderdetermined, "no law was fitted", "isoflop fit"});
  }
  return EstimateOverDraws(result, [&](const LossLaw& law) { return law.LossAt(params, tokens); });
}

Quantity PredictNewRun(const AnalysisResult& result, double params, double tokens) {
  Quantity quantity = PredictLoss(result, params, tokens);
  Estimate* const estimate = std::get_if<Estimate>(&quantity);
  if (estimate == nullptr || estimate->intervals.empty()) return quantity;
  std::vector<double> centers, sigmas, means;
  double noise_variance = 0;
  for (const LossLaw& law : result.bootstrap.laws) {
    const double loss = law.LossAt(params, tokens), sigma = result.noise.SigmaAt(loss);
    if (!(loss > 0) || !std::isfinite(loss)) continue;
    if (!(sigma > 0)) return quantity;
    centers.push_back(std::log(loss));
    sigmas.push_back(sigma);
    // Mean and variance of one lognormal.
    means.push_back(loss * std::exp(0.5 * sigma * sigma));
    noise_variance += means.back() * means.back() * std::expm1(sigma * sigma);
  }
  if (centers.empty()) return quantity;
  estimate->method = absl::StrCat(result.bootstrap.method, " with seed noise");
  estimate->se = std::hypot(StandardDeviation(means), std::sqrt(noise_variance / static_cast<double>(means.size())));
  for (Interval& interval : estimate->intervals) {
    const double tail = 0.5 * (1 - interval.level / 100);
    interval.lo = MixtureQuantile(centers, sigmas, tail);
    interval.hi = MixtureQuantile(centers, sigmas, 1 - tail);
  }
  return quantity;
}

LossTarget PredictBudgetForLoss(const AnalysisResult& result, double loss) {
  LossTarget target;
  const auto refuse = [&](const Refusal& refusal) {
    target.budget_flops = target.params = target.tokens = refusal;
    return target;
  };
  if (const std::optional<Refusal> refusal = RefuseOptimum(result, result.max_flops)) return refuse(*refusal);
  const LossLaw& law = result.parametric->law;
  if (loss <= law.E) {
    return refuse({Code::kNoInteriorOptimum,
                   absl::StrCat("loss ", FormatLoss(loss), " is not above E = ", FormatLoss(law.E)),
                   "ask for a higher loss"});
  }
  const ComputeModel compute = ComputeModelOf(result);
  const double budget = compute.FlopsForLoss(law, loss);
  if (const std::optional<Refusal> refusal = RefuseOptimum(result, budget)) return refuse(*refusal);
  std::vector<double> flops, params, tokens;
  for (const LossLaw& draw : result.bootstrap.laws) {
    const double needed = HasOptimum(draw) ? compute.FlopsForLoss(draw, loss) : kNan;
    flops.push_back(needed);
    const OptimalPoint point = std::isfinite(needed) ? compute.OptimumAt(draw, needed)
                                                     : OptimalPoint{needed, needed, kNan};
    params.push_back(point.params);
    tokens.push_back(point.tokens);
  }
  const OptimalPoint best = compute.OptimumAt(law, budget);
  target.budget_flops = FromDraws(result, budget, std::move(flops));
  target.params = FromDraws(result, best.params, std::move(params));
  target.tokens = FromDraws(result, best.tokens, std::move(tokens));
  return target;
}

}  // namespace isoflop
