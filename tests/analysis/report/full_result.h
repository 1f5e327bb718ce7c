// An AnalysisResult with every section filled: a real fit of a simulated study, and
// on top of it plausible numbers for the sections that other parts of the analysis
// compute. For the report's own tests, which draw them.
#ifndef ISOFLOP_TESTS_ANALYSIS_REPORT_FULL_RESULT_H_
#define ISOFLOP_TESTS_ANALYSIS_REPORT_FULL_RESULT_H_

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "analysis/analysis_result.h"
#include "analysis/frontier.h"
#include "study/format.h"

namespace isoflop {

inline Estimate With95(double value, double lo, double hi) {
  Estimate estimate{.value = value};
  estimate.se = (hi - lo) / 4;
  const double middle = (lo + hi) / 2, half = (hi - lo) / 2;
  estimate.intervals = {{80, middle - 0.64 * half, middle + 0.64 * half}, {95, lo, hi}};
  estimate.method = "cluster";
  return estimate;
}

inline Estimate Times(double value, double factor) { return With95(value, value / factor, value * factor); }

inline void SkewBca(Estimate* estimate) {
  estimate->bca.clear();
  for (const Interval& interval : estimate->intervals) estimate->bca.push_back({interval.level, interval.lo * 1.03, interval.hi * 1.08});
}

// The lower convex hull of the curves in (ln C, ln L), or of the rows without.
inline EnvelopeFit FakeEnvelope(const AnalysisResult& result) {
  EnvelopeFit envelope;
  std::vector<EnvelopePoint> points;
  for (size_t r = 0; r < result.rows.size(); ++r) {
    const KeptRow& row = result.rows[r];
    for (const LossPoint& point : row.observation.curve) {
      const double tokens = static_cast<double>(point.tokens);
      if (tokens > 0) points.push_back({r, row.flops * tokens / row.tokens, row.params, tokens, point.loss_nats.value_or(10)});
    }
    points.push_back({r, row.flops, row.params, row.tokens, row.loss});
  }
  std::sort(points.begin(), points.end(), [](const EnvelopePoint& a, const EnvelopePoint& b) { return std::pair(a.flops, a.loss) < std::pair(b.flops, b.loss); });
  for (const EnvelopePoint& p : points) {
    while (envelope.hull.size() > 1) {
      const EnvelopePoint &a = envelope.hull[envelope.hull.size() - 2], &b = envelope.hull.back();
      const double cross = std::log(b.flops / a.flops) * std::log(p.loss / a.loss) - std::log(b.loss / a.loss) * std::log(p.flops / a.flops);
      if (cross > 0) break;
      envelope.hull.pop_back();
    }
    envelope.hull.push_back(p);
  }
  std::vector<EnvelopePoint> falling;
  for (const EnvelopePoint& p : envelope.hull) {
    if (falling.empty() || p.loss < falling.back().loss) falling.push_back(p);
  }
  envelope.hull = falling;
  envelope.curve_points = static_cast<int>(points.size());
  std::map<double, int> by_size;
  for (const EnvelopePoint& p : envelope.hull) envelope.largest_share = std::max(envelope.largest_share, ++by_size[p.params] / static_cast<double>(envelope.hull.size()));
  PowerLaw params{.exponent = With95(0.47, 0.36, 0.58), .ln_coefficient = With95(0, -1, 1), .points = static_cast<int>(envelope.hull.size())};
  params.ln_coefficient.value = std::log(envelope.hull.front().params) - 0.47 * std::log(envelope.hull.front().flops);
  PowerLaw tokens = params;
  tokens.exponent = With95(0.53, 0.42, 0.64);
  envelope.params_law = params;
  envelope.tokens_law = tokens;
  return envelope;
}

// A frontier N = n0 (C/c0)^exponent over the budgets of approach 3's.
inline Frontier FakeFrontier(const AnalysisResult& result, Approach approach, double exponent, double offset) {
  Frontier frontier;
  for (const Frontier& other : result.frontiers) {
    if (other.approach == Approach::kParametric) frontier = other;
  }
  frontier.approach = approach;
  const double c0 = frontier.points.front().budget_flops, n0 = frontier.points.front().params.value * offset;
  for (FrontierPoint& point : frontier.points) {
    const double params = n0 * std::pow(point.budget_flops / c0, exponent), tokens = point.budget_flops / (6 * params);
    const double spread = 1.1 + 0.1 * std::abs(std::log10(point.budget_flops / c0) - 0.5);
    point.params = Times(params, spread);
    point.tokens = Times(tokens, spread);
    point.tokens_per_parameter = Times(tokens / params, spread * spread);
    point.loss.reset();
  }
  return frontier;
}

inline void ClearSections(AnalysisResult* result) {
  result->profiles.clear();
  result->influence.clear();
  result->sensitivity.clear();
  result->overtraining.clear();
  result->inference.clear();
  result->repeated_data.clear();
  result->conventions.clear();
}

inline void FillUncertainty(AnalysisResult* result) {
  ParametricFit& fit = *result->parametric;
  for (Estimate* estimate : {&fit.A, &fit.B, &fit.optimum_coefficient}) SkewBca(estimate);
  for (OptimalRow& row : result->optimal) {
    for (Quantity* quantity : {&row.params, &row.tokens, &row.tokens_per_parameter}) {
      if (Estimate* estimate = std::get_if<Estimate>(quantity)) SkewBca(estimate);
    }
  }
  if (result->noise.replicates.empty()) {
    std::map<std::pair<double, double>, SeedCell> cells;
    for (const KeptRow& row : result->rows) {
      SeedCell& cell = cells[{row.flops, row.params}];
      cell.params = row.params;
      cell.tokens = row.tokens;
      cell.losses.push_back(row.loss);
    }
    for (const auto& [key, cell] : cells) {
      if (cell.losses.size() > 1) result->noise.replicates.push_back(cell);
    }
  }
  result->noise.ln_sigma_intercept = std::log(0.004);
  result->noise.ln_sigma_slope = 0.4;
  result->noise.lack_of_fit = LackOfFit{.F = 1.21, .p = 0.31, .df_law = 21, .df_seeds = 26};
  const double difference = fit.law.alpha - fit.law.beta;
  for (const char* name : {"alpha", "beta", "alpha - beta", "E", "ln N*(C_T)"}) {
    Profile profile{.name = name};
    const bool is_open = std::string(name) == "E";
    profile.at_best = std::string(name) == "alpha - beta" ? difference : std::string(name) == "alpha" ? fit.law.alpha : std::string(name) == "beta" ? fit.law.beta : std::string(name) == "E" ? fit.law.E : 11.2;
    for (int k = -20; k <= 20; ++k) {
      profile.value.push_back(profile.at_best + 0.012 * k);
      const double x = k / 10.0;
      profile.statistic.push_back((k < 0 && is_open ? 0.6 : 3.4) * x * x * (1 + 0.1 * x));
    }
    profile.hi = profile.at_best + 0.012 * 10.2;
    if (!is_open) profile.lo = profile.at_best - 0.012 * 11.1;
    result->profiles.push_back(profile);
  }
  const double ses[] = {1.9, -1.2, 0.8, 0.5, -0.4, 0.1};
  const char* whats[] = {"budget 6e11", "size 97.6K", "trial 52", "trial 17", "size 7.2K", "trial 3"};
  for (int k = 0; k < 6; ++k) {
    result->influence.push_back({.what = whats[k], .rows = k < 2 ? 12 : 1, .delta_a = 0.012 * ses[k], .delta_ln_params_at_target = 0.08 * ses[k], .delta_a_se = 0.9 * ses[k], .delta_ln_params_se = ses[k]});
  }
  result->coverage = Coverage{.method = "fast", .studies = 500, .rows = {{"a", 95, 94.2}, {"E", 95, 95.8}, {"alpha", 95, 93.4}, {"beta", 95, 96.0}, {"ln N*(C_T)", 95, 90.6}, {"L*(C_T)", 95, 95.2}}};
}

inline void FillVerdict(AnalysisResult* result) {
  Agreement agreement;
  agreement.verdict = Verdict::kAgreeInPractice;
  agreement.reason = "approach 2 differs from 3 in a, yet following any of them costs under 2 % of the compute";
  const std::pair<Approach, Approach> pairs[] = {{Approach::kParametric, Approach::kIsoflop}, {Approach::kParametric, Approach::kEnvelope}, {Approach::kIsoflop, Approach::kEnvelope}};
  for (const auto& [first, second] : pairs) {
    ApproachDifference d{.first = first, .second = second};
    d.exponent = With95(0.021, -0.02 + (second == Approach::kIsoflop ? 0.03 : 0), 0.06);
    d.ln_params_at_target = With95(0.11, -0.2, 0.42);
    d.loss_at_target = first == Approach::kParametric ? Quantity(With95(0.0004, -0.001, 0.002)) : Quantity(Refusal{Code::kTooFewPoints, "9 % of the draws have no minimum", "more sizes"});
    d.real = second == Approach::kIsoflop;
    d.missing_share = 0.015;
    agreement.differences.push_back(d);
  }
  agreement.costs = {{Approach::kParametric, 0.456, 1.14e5, 0}, {Approach::kIsoflop, 0.437, 1.05e5, 0.0031}, {Approach::kEnvelope, 0.47, 1.3e5, 0.0094}};
  agreement.causes_tried = {"approach-2 bias taken off: ln N* differs by 0.09 instead of 0.11", "edge minima left out: none is at the edge"};
  result->agreement = agreement;
  const auto row = [&](const char* group, const char* name, double ln_params) {
    SensitivityRow sensitivity{.group = group, .name = name, .rows_used = static_cast<int>(result->rows.size())};
    sensitivity.delta_a = Estimate{.value = 0.15 * ln_params};
    sensitivity.delta_ln_params = Estimate{.value = ln_params};
    sensitivity.delta_loss = Estimate{.value = 0.002 * ln_params};
    sensitivity.a_in_se = 4 * ln_params;
    sensitivity.ln_params_in_se = 5 * ln_params;
    sensitivity.loss_in_se = 0.3 * ln_params;
    sensitivity.certificate = "optimal";
    result->sensitivity.push_back(sensitivity);
  };
  row("convention", "N total, C = 6ND", 0.62);
  row("outliers", "5 dropped", -0.45);
  row("objective", "mse on log loss", 0.12);
  row("delta", "delta 1e-2", 0.08);
  row("leave out", "budget 6e11 (the worst of 4)", -0.07);
  row("objective", "lad on log loss", 0.02);
  row("points", "all checkpoints", -0.01);
  SensitivityRow refused{.group = "loss", .name = "bits per byte"};
  const Refusal why{Code::kMixedEvaluation, "no row has bits per byte", "evaluate with eval_bytes"};
  refused.delta_a = why, refused.delta_ln_params = why, refused.delta_loss = why;
  result->sensitivity.push_back(refused);
}

inline void FillHoldout(AnalysisResult* result) {
  Holdout holdout;
  std::vector<double> budgets;
  for (const IsoflopBudget& budget : result->isoflop->budgets) budgets.push_back(budget.budget_flops);
  for (size_t b = 1; b + 1 < budgets.size(); ++b) {
    for (size_t r = 0; r < result->rows.size(); ++r) {
      const KeptRow& kept = result->rows[r];
      if (kept.flops < budgets[b] * 1.2) continue;
      HeldRow held{.row = r, .train_max_flops = budgets[b], .distance_decades = std::log10(kept.flops / budgets[b])};
      held.relative_error = std::expm1(-kept.residual.value_or(0)) * (1 + held.distance_decades);
      held.predicted_loss = kept.loss * (1 + held.relative_error);
      held.perplexity_ratio = std::exp(held.predicted_loss - kept.loss);
      held.z = held.relative_error / 0.006;
      held.nearest_error = 0.03 * held.distance_decades + 0.01;
      held.envelope_error = 0.011 + 0.004 * held.distance_decades;
      holdout.windows.push_back(held);
      if (b + 2 == budgets.size()) holdout.largest.push_back(held);
    }
  }
  holdout.bins = {{.distance_lo = 0, .distance_hi = 0.5, .rows = 30, .mean_relative_error = 0.0042, .nearest_error = 0.021, .envelope_error = 0.012, .skill = 0.65},
                  {.distance_lo = 0.5, .distance_hi = 1, .rows = 12, .mean_relative_error = 0.0081, .nearest_error = 0.034, .envelope_error = 0.014, .skill = 0.42},
                  {.distance_lo = 1, .distance_hi = 2, .rows = 0},
                  {.distance_lo = 2, .distance_hi = std::numeric_limits<double>::infinity(), .rows = 0}};
  holdout.mean_relative_error = 0.0055;
  holdout.skill = 0.58;
  holdout.gain_over_20 = 0.021;
  for (size_t b = 1; b < budgets.size(); ++b) holdout.width_by_flops.push_back({budgets[b] * 13 * static_cast<double>(b + 1), 1.3 + 6 / std::pow(static_cast<double>(b), 2)});
  holdout.demonstrated_decades = 0.72;
  result->holdout = holdout;
  for (Frontier& frontier : result->frontiers) {
    for (FrontierPoint& point : frontier.points) point.extrapolated = point.log10_over_max > holdout.demonstrated_decades;
  }
  for (OptimalRow& row : result->optimal) row.extrapolated = row.log10_over_max > holdout.demonstrated_decades;
}

inline void FillBeyond(AnalysisResult* result) {
  const LossLaw& law = result->parametric->law;
  const double target = result->target_flops, best = isoflop::OptimumAt(law, target).params;
  const double loss = isoflop::OptimumAt(law, target).loss;
  for (const double factor : {0.125, 0.25, 0.5, 1.0}) {
    OvertrainingRow row{.budget_flops = target, .params_factor = factor, .params = best * factor};
    if (const std::optional<double> tokens = TokensForLoss(law, row.params, loss)) {
      row.tokens = Times(*tokens, 1.2);
      row.tokens_per_parameter = Times(*tokens / row.params, 1.2);
      row.overhead_fraction = Estimate{.value = 6 * row.params * *tokens / target - 1};
    } else {
      const Refusal why{Code::kNoInteriorOptimum, "no amount of tokens brings this size to that loss", "a larger N"};
      row.tokens = why, row.tokens_per_parameter = why, row.overhead_fraction = why;
    }
    result->overtraining.push_back(row);
  }
  for (const double tokens : {1e8, 1e10, 1e12}) {
    const double shrink = 1 / (1 + 0.1 * std::log10(tokens / 1e7));
    result->inference.push_back({.inference_tokens = tokens, .budget_flops = target, .params = Times(best * shrink, 1.2), .tokens = Times(target / (6 * best) / shrink, 1.2),
                                 .tokens_per_parameter = Times(40 / shrink / shrink, 1.4), .saving_fraction = With95(0.12 * (1 - shrink), 0.01, 0.1)});
  }
  result->repeated_data.push_back({.budget_flops = target, .unique_tokens = 3.62e6, .params = Times(1.6e5, 1.3), .tokens = Times(6.2e6, 1.3), .epochs = Times(1.7, 1.3), .loss = Times(1.51, 1.01)});
  result->data_exhausted_flops = 1.9e12;
  const CountConvention counts[] = {CountConvention::kNonEmbeddingPlusHead, CountConvention::kTotal, CountConvention::kNonEmbedding};
  for (const CountConvention count : counts) {
    for (const FlopsConvention flops : {FlopsConvention::k6nd, FlopsConvention::kExact}) {
      ConventionRow row{.count = count, .flops = flops};
      const double shift = count == CountConvention::kTotal ? 0.08 : count == CountConvention::kNonEmbedding ? -0.07 : 0;
      row.a_parametric = With95(0.456 + shift, 0.40 + shift, 0.51 + shift);
      row.a_isoflop = With95(0.437 + shift, 0.38 + shift, 0.50 + shift);
      row.a_envelope = Refusal{Code::kScheduleNotEnded, "points of schedules that had not ended", "wsd with cooldowns"};
      row.chosen = count == result->options.count && flops == result->options.flops;
      result->conventions.push_back(row);
    }
  }
  FormRanking ranking;
  const std::pair<LawForm, int> forms[] = {{LawForm::kChinchilla, 5}, {LawForm::kTied, 4}, {LawForm::kKaplan, 4}, {LawForm::kMultiplicative, 4}};
  for (const auto& [form, parameters] : forms) {
    FormScore score{.form = form, .parameters = parameters, .law = law, .certificate = "optimal", .f = 0.00012 * (1 + static_cast<double>(ranking.forms.size()))};
    Estimate error{.value = 0.0055 * (1 + 0.2 * static_cast<double>(ranking.forms.size()))};
    error.se = 0.0007;
    score.holdout_error = error;
    score.recommended = form == LawForm::kTied;
    ranking.forms.push_back(score);
  }
  ranking.forms.push_back({.form = LawForm::kDataConstrained, .parameters = 7, .holdout_error = Refusal{Code::kUnderdetermined, "no row repeats data", "rows with D > U"}});
  ranking.nested = {{LawForm::kTied, LawForm::kChinchilla, 0.041, 0.087, 999}};
  ranking.recommended = LawForm::kTied;
  result->forms = ranking;
  ExperimentDesign design{.target_flops = target, .goal_factor = 1.5, .factor_now = 2.1};
  for (int k = 0; k < 4; ++k) {
    design.trials.push_back({.params = 4.1e4 * (k + 1), .tokens = 2.9e6 / (k + 1), .flops = 7e11, .from_trunk = k == 1 ? "41" : "", .seeds = k == 0 ? 3 : 1,
                             .why = absl::StrCat("cuts the variance of ln N* at ", FormatFlops(target), " by ", 12 - 2 * k, " %"), .factor_after = 1.95 - 0.12 * k});
  }
  design.reason = "the interval of N* is a factor 2.1 wide, the goal is 1.5";
  result->design = design;
}

// `result` of a simulated study with a law and two or more budgets.
inline void FillEverySection(AnalysisResult* result) {
  ClearSections(result);
  result->envelope = FakeEnvelope(*result);
  std::erase_if(result->frontiers, [](const Frontier& frontier) { return frontier.approach == Approach::kEnvelope; });
  result->frontiers.push_back(FakeFrontier(*result, Approach::kEnvelope, 0.47, 0.93));
  if (result->isoflop.has_value() && result->isoflop->params_law.has_value()) {
    result->isoflop->params_law_corrected = result->isoflop->params_law;
    result->isoflop->params_law_corrected->exponent.value += 0.004;
    result->isoflop->tokens_law_corrected = result->isoflop->tokens_law;
    result->isoflop->bias_at_target = -0.031;
    for (IsoflopBudget& budget : result->isoflop->budgets) budget.bias = -0.012;
  }
  FillUncertainty(result);
  FillVerdict(result);
  FillHoldout(result);
  FillBeyond(result);
}

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_ANALYSIS_REPORT_FULL_RESULT_H_
