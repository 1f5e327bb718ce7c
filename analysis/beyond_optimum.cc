#include "analysis/beyond_optimum.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "analysis/bootstrap.h"
#include "analysis/minimize.h"
#include "analysis/prediction.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The least of `points` values of f on [lo, hi], then Brent around it.
double SearchMinimum(const std::function<double(double)>& f, double lo, double hi, int points) {
  const double step = (hi - lo) / (points - 1);
  double best = lo, best_value = f(lo);
  for (int i = 1; i < points; ++i) {
    const double value = f(lo + i * step);
    if (value < best_value) {
      best = lo + i * step;
      best_value = value;
    }
  }
  return BrentMinimum(f, std::max(lo, best - step), std::min(hi, best + step));
}

// One number of each draw beside that of the fitted law.
class Column {
 public:
  explicit Column(double value) : value_(value) {}
  void Add(double draw) { draws_.push_back(draw); }
  Estimate Finish(const AnalysisResult& result) && {
    return EstimateFromDraws(value_, std::move(draws_), result.options.spec.levels, result.bootstrap.method);
  }

 private:
  double value_;
  std::vector<double> draws_;
};

bool IsRefused(const AnalysisResult& result, double budget_flops) {
  return RefuseOptimum(result, budget_flops).has_value();
}

// A term's value at the training optimum splits what the loss has above E; with
// the share s of the data term, A N^-alpha = (1 - s) x and B D^-beta = s x.
struct Split {
  const LossLaw& law;
  double excess;  // x: l - E, or l^(1/kappa) for kaplan
  double ParamsAt(double s) const { return std::pow(law.A / ((1 - s) * excess), 1 / law.alpha); }
  double TokensAt(double s) const { return std::pow(law.B / (s * excess), 1 / law.beta); }
};

double ExcessOf(const LossLaw& law, double loss) {
  return law.form == LawForm::kKaplan ? std::pow(loss, 1 / law.kappa) : loss - law.E;
}

}  // namespace

std::vector<OvertrainingRow> OvertrainingRows(const AnalysisResult& result, double budget_flops) {
  std::vector<OvertrainingRow> rows;
  if (IsRefused(result, budget_flops)) return rows;
  const ComputeModel compute = ComputeModelOf(result);
  const LossLaw& law = result.parametric->law;
  const OptimalPoint best = compute.OptimumAt(law, budget_flops);
  std::vector<double> loss_of_draw;
  for (const LossLaw& draw : result.bootstrap.laws) {
    loss_of_draw.push_back(HasOptimum(draw) ? compute.OptimumAt(draw, budget_flops).loss : kNan);
  }
  for (const double factor : {0.125, 0.25, 0.5, 1.0}) {
    OvertrainingRow row{.budget_flops = budget_flops, .params_factor = factor, .params = factor * best.params};
    const auto tokens_for = [&](const LossLaw& of, double loss) {
      return TokensForLoss(of, row.params, loss).value_or(kInfinity);
    };
    // At N* itself the inversion would only add rounding.
    const double tokens = factor == 1 ? best.tokens : tokens_for(law, best.loss);
    if (!std::isfinite(tokens)) {
      const Refusal refusal{Code::kNoInteriorOptimum,
                            absl::StrCat("no amount of tokens brings ", FormatCount(row.params),
                                         " parameters to loss ", FormatLoss(best.loss)),
                            "a larger size"};
      row.tokens = row.tokens_per_parameter = row.overhead_fraction = refusal;
      rows.push_back(std::move(row));
      continue;
    }
    const auto overhead_of = [&](double d) { return compute.FlopsAt(row.params, d) / budget_flops - 1; };
    Column tokens_column(tokens), ratio(tokens / row.params), overhead(factor == 1 ? 0 : overhead_of(tokens));
    for (size_t i = 0; i < loss_of_draw.size(); ++i) {
      const double d = std::isnan(loss_of_draw[i]) ? kNan : tokens_for(result.bootstrap.laws[i], loss_of_draw[i]);
      tokens_column.Add(d);
      ratio.Add(d / row.params);
      overhead.Add(overhead_of(d));
    }
    row.tokens = std::move(tokens_column).Finish(result);
    row.tokens_per_parameter = std::move(ratio).Finish(result);
    row.overhead_fraction = std::move(overhead).Finish(result);
    rows.push_back(std::move(row));
  }
  return rows;
}

std::optional<InferencePoint> InferenceOptimum(const LossLaw& law, double loss, double inference_tokens,
                                               double inference_price, const ComputeModel& compute) {
  if (!HasOptimum(law)) return std::nullopt;
  const Split split{law, ExcessOf(law, loss)};
  if (!(split.excess > 0)) return std::nullopt;
  // An inferred token costs a third of a trained one, times the price: D_inf counts
  // as this many trained tokens.
  const double extra = inference_price * inference_tokens / 3;
  const auto cost = [&](double s) { return compute.FlopsAt(split.ParamsAt(s), split.TokensAt(s) + extra); };
  const double s_training_6nd = law.alpha / (law.alpha + law.beta);
  double s = 0, s_training = s_training_6nd;
  if (compute.is_6nd()) {
    // alpha (1 - s) = beta s (1 + extra / D): rising in ln s, one root below the
    // training optimum's share.
    const auto slope = [&](double ln_s) {
      const double share = std::exp(ln_s);
      return law.beta * share * (1 + extra / split.TokensAt(share)) - law.alpha * (1 - share);
    };
    const double hi = std::log(s_training);
    double lo = hi - 1;
    while (slope(lo) > 0 && lo > -600) lo -= 2 * (hi - lo);
    s = extra > 0 ? std::exp(BrentRoot(slope, lo, hi, 1e-15)) : s_training;
  } else {
    // Over the logit of s.
    const auto share = [](double t) { return 1 / (1 + std::exp(-t)); };
    const auto least = [&](double added) {
      return share(SearchMinimum(
          [&](double t) {
            return std::log(compute.FlopsAt(split.ParamsAt(share(t)), split.TokensAt(share(t)) + added));
          },
          -24, 24, 193));
    };
    s_training = least(0);
    s = extra > 0 ? least(extra) : s_training;
  }
  return InferencePoint{split.ParamsAt(s), split.TokensAt(s), 1 - cost(s) / cost(s_training)};
}

std::optional<InferenceRow> PredictInference(const AnalysisResult& result, double budget_flops,
                                             double inference_tokens, double inference_price) {
  if (IsRefused(result, budget_flops)) return std::nullopt;
  const ComputeModel compute = ComputeModelOf(result);
  const auto point_of = [&](const LossLaw& law) -> std::optional<InferencePoint> {
    if (!HasOptimum(law)) return std::nullopt;
    return InferenceOptimum(law, compute.OptimumAt(law, budget_flops).loss, inference_tokens, inference_price, compute);
  };
  const std::optional<InferencePoint> best = point_of(result.parametric->law);
  if (!best) return std::nullopt;
  Column params(best->params), tokens(best->tokens), ratio(best->tokens / best->params), saving(best->saving_fraction);
  for (const LossLaw& draw : result.bootstrap.laws) {
    // As in PredictOptimum: a draw that saw no gain from tokens wants parameters only.
    InferencePoint point = point_of(draw).value_or(InferencePoint{kNan, kNan, kNan});
    if (draw.B <= 0 && draw.A > 0) point = {kInfinity, 0, kNan};
    if (draw.A <= 0 && draw.B > 0) point = {0, kInfinity, kNan};
    params.Add(point.params);
    tokens.Add(point.tokens);
    ratio.Add(point.tokens / point.params);
    saving.Add(point.saving_fraction);
  }
  InferenceRow row{.inference_tokens = inference_tokens, .budget_flops = budget_flops};
  row.params = std::move(params).Finish(result);
  row.tokens = std::move(tokens).Finish(result);
  row.tokens_per_parameter = std::move(ratio).Finish(result);
  row.saving_fraction = std::move(saving).Finish(result);
  return row;
}

std::optional<OptimalPoint> LifetimeOptimum(const LossLaw& law, double lifetime_flops, double inference_tokens,
                                            double inference_price, const ComputeModel& compute) {
  if (!HasOptimum(law) || !(lifetime_flops > 0)) return std::nullopt;
  const OptimalPoint training = compute.OptimumAt(law, lifetime_flops);
  const double extra = inference_price * inference_tokens / 3;
  if (!(extra > 0)) return training;
  const auto tokens_at = [&](double ln_params) { return lifetime_flops / compute.FlopsAt(std::exp(ln_params), 1) - extra; };
  // Where inference alone eats the budget; the optimum lies below.
  double hi = std::log(training.params);
  constexpr double kWidth = 23;  // ten decades
  if (tokens_at(hi) <= 0) {
    double lo = hi - kWidth;
    if (tokens_at(lo) <= 0) return std::nullopt;
    hi = BrentRoot(tokens_at, lo, hi, 1e-12);
  }
  const auto loss_at = [&](double ln_params) {
    const double tokens = tokens_at(ln_params);
    return tokens > 0 ? law.LossAt(std::exp(ln_params), tokens) : kInfinity;
  };
  OptimalPoint point;
  point.params = std::exp(SearchMinimum(loss_at, hi - kWidth, hi, 231));
  point.tokens = tokens_at(std::log(point.params));
  point.loss = law.LossAt(point.params, point.tokens);
  return point;
}

OptimalPoint SearchOptimum(const std::function<double(double, double)>& loss_at, const ComputeModel& compute,
                           double budget_flops, double params_near) {
  const auto tokens_at = [&](double params) { return budget_flops / compute.FlopsAt(params, 1); };
  const auto along_budget = [&](double ln_params) {
    const double params = std::exp(ln_params);
    return loss_at(params, tokens_at(params));
  };
  constexpr double kHalfWidth = 9.210340371976184;  // ln 10^4
  const double center = std::log(params_near);
  OptimalPoint point;
  point.params = std::exp(SearchMinimum(along_budget, center - kHalfWidth, center + kHalfWidth, 129));
  point.tokens = tokens_at(point.params);
  point.loss = loss_at(point.params, point.tokens);
  return point;
}

OptimalPoint RepeatedDataOptimum(const LossLaw& law, const ComputeModel& compute, double budget_flops,
                                 double unique_tokens) {
  return SearchOptimum([&](double params, double tokens) { return law.LossAt(params, tokens, unique_tokens); }, compute,
                       budget_flops, compute.OptimumAt(law, budget_flops).params);
}

std::optional<RepeatedDataRow> PredictRepeatedData(const AnalysisResult& result, double budget_flops,
                                                   double unique_tokens) {
  if (IsRefused(result, budget_flops)) return std::nullopt;
  const ComputeModel compute = ComputeModelOf(result);
  const OptimalPoint best = RepeatedDataOptimum(result.parametric->law, compute, budget_flops, unique_tokens);
  Column params(best.params), tokens(best.tokens), epochs(best.tokens / unique_tokens), loss(best.loss);
  for (const LossLaw& draw : result.bootstrap.laws) {
    OptimalPoint point{kNan, kNan, kNan};
    if (HasOptimum(draw)) {
      point = RepeatedDataOptimum(draw, compute, budget_flops, unique_tokens);
    } else if (draw.B <= 0 && draw.A > 0) {
      point = {kInfinity, 0, kNan};
    } else if (draw.A <= 0 && draw.B > 0) {
      point = {0, kInfinity, kNan};
    }
    params.Add(point.params);
    tokens.Add(point.tokens);
    epochs.Add(point.tokens / unique_tokens);
    loss.Add(point.loss);
  }
  RepeatedDataRow row{.budget_flops = budget_flops, .unique_tokens = unique_tokens};
  row.params = std::move(params).Finish(result);
  row.tokens = std::move(tokens).Finish(result);
  row.epochs = std::move(epochs).Finish(result);
  row.loss = std::move(loss).Finish(result);
  return row;
}

std::optional<double> DataExhaustedFlops(const AnalysisResult& result, double unique_tokens) {
  if (!result.parametric || !HasOptimum(result.parametric->law) || !(unique_tokens > 0)) return std::nullopt;
  const ComputeModel compute = ComputeModelOf(result);
  const auto excess = [&](double ln_flops) {
    return std::log(compute.OptimumAt(result.parametric->law, std::exp(ln_flops)).tokens / unique_tokens);
  };
  // From D = 20 N outwards.
  const double guess = std::log(6 * unique_tokens * unique_tokens / 20);
  double lo = guess - 3, hi = guess + 3;
  for (int i = 0; i < 40 && excess(lo) > 0; ++i) lo -= 6;
  for (int i = 0; i < 40 && excess(hi) < 0; ++i) hi += 6;
  if (!(excess(lo) <= 0 && excess(hi) >= 0)) return std::nullopt;
  return std::exp(BrentRoot(excess, lo, hi, 1e-13));
}

}  // namespace isoflop
