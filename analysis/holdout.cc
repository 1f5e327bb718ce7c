#include "analysis/holdout.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "analysis/bootstrap.h"
#include "analysis/frontier.h"
#include "analysis/holdout_baseline.h"
#include "analysis/isoflop_fit.h"
#include "analysis/law_fit.h"
#include "analysis/prediction.h"
#include "analysis/statistics.h"
#include "analysis/subset_fit.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr size_t kFewestTrainRows = 5;  // below, no form can be fitted
constexpr size_t kMostWindows = 12;     // each costs a fit and its draws

HoldoutSplit SplitAt(absl::Span<const KeptRow> rows, std::vector<size_t> train, std::vector<size_t> held) {
  HoldoutSplit split{.train = std::move(train), .held = std::move(held)};
  std::sort(split.train.begin(), split.train.end());
  std::sort(split.held.begin(), split.held.end());
  for (const size_t row : split.train) split.train_max_flops = std::max(split.train_max_flops, rows[row].flops);
  return split;
}

// --- one window -------------------------------------------------------------------

constexpr uint64_t kSeedOffset = 10'000;  // of the windows' draws; window i adds i
constexpr int kMostDraws = 200, kFewestDraws = 40;
constexpr double kRowRefits = 600'000;    // rows times draws that all windows may cost together

// As many draws a window as the rows allow in about a second.
int DrawsFor(absl::Span<const HoldoutSplit> windows) {
  double rows = 0;
  for (const HoldoutSplit& window : windows) rows += static_cast<double>(window.train.size());
  return std::clamp(static_cast<int>(kRowRefits / std::max(rows, 1.0)), kFewestDraws, kMostDraws);
}

// The columns with the weights of one draw, rows of weight 0 left out; centred as
// before.
FitRows Drawn(const FitRows& columns, absl::Span<const double> weights) {
  FitRows drawn = columns;
  size_t kept = 0;
  for (size_t i = 0; i < columns.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    drawn.n[kept] = columns.n[i];
    drawn.d[kept] = columns.d[i];
    drawn.loss[kept] = columns.loss[i];
    drawn.ln_loss[kept] = columns.ln_loss[i];
    drawn.weight[kept++] = weights[i];
  }
  for (std::vector<double>* column : {&drawn.n, &drawn.d, &drawn.loss, &drawn.ln_loss, &drawn.weight}) {
    column->resize(kept);
  }
  return drawn;
}

struct WindowFit {
  LawFit fit;
  std::vector<LossLaw> draws;
};

// Refits on draws of the window's own rows. The methods that need the full fit's
// noise (wild, parametric) are pairs or clusters here.
std::vector<LossLaw> DrawLaws(const AnalysisResult& result, const HoldoutSplit& window, const FitRows& columns,
                              const LawFit& fit, const LawFitOptions& options, int draws, uint64_t seed, int threads) {
  std::vector<KeptRow> train;
  for (const size_t row : window.train) {
    KeptRow light = result.rows[row];
    light.observation.curve.clear();
    train.push_back(std::move(light));
  }
  const std::string& asked = result.options.spec.bootstrap_method;
  const std::string method = asked == "pairs" || asked == "cluster" ? asked : AutoBootstrapMethod(train);
  const std::vector<std::vector<size_t>> clusters = BootstrapClusters(train, method);
  const std::vector<uint16_t> counts = DrawCounts(clusters, train.size(), draws, seed);
  std::vector<Theta> starts = {fit.theta};
  starts.insert(starts.end(), fit.other_basins.begin(), fit.other_basins.end());
  std::vector<std::optional<LossLaw>> laws(static_cast<size_t>(draws));
  ParallelFor(draws, threads, [&](int first, int last) {
    for (int draw = first; draw < last; ++draw) {
      std::vector<double> weights(train.size());
      std::vector<size_t> in_draw;
      for (size_t i = 0; i < train.size(); ++i) {
        weights[i] = counts[static_cast<size_t>(draw) * train.size() + i] * train[i].weight;
        if (weights[i] > 0) in_draw.push_back(i);
      }
      if (RefuseSubset(train, in_draw, options)) continue;
      const Refit refit = RefitLossLaw(Drawn(columns, weights), options, starts);
      if (std::isfinite(refit.f)) laws[static_cast<size_t>(draw)] = LawOf(columns, refit.theta);
    }
  });
  std::vector<LossLaw> found;
  for (const std::optional<LossLaw>& law : laws) {
    if (law) found.push_back(*law);
  }
  return found;
}

std::vector<HeldRow> PredictHeld(const AnalysisResult& result, const HoldoutSplit& window, const WindowFit& fit,
                                 absl::Span<const BudgetGroup> groups) {
  const std::optional<EnvelopeBaseline> envelope = FitEnvelopeBaseline(result.rows, groups, window.train);
  std::vector<HeldRow> held;
  for (const size_t i : window.held) {
    const KeptRow& row = result.rows[i];
    HeldRow out{.row = i, .train_max_flops = window.train_max_flops};
    out.distance_decades = std::max(0.0, std::log10(row.flops / window.train_max_flops));
    out.predicted_loss = PredictedLossOf(fit.fit.law, row);
    out.relative_error = out.predicted_loss / row.loss - 1;
    // Bits a byte back to nats a token, in which perplexity is defined.
    const double nats = result.options.spec.loss == LossUnit::kNats ? 1 : row.observation.final_loss_nats / row.loss;
    out.perplexity_ratio = std::exp((out.predicted_loss - row.loss) * nats);
    std::vector<double> ln_draws;
    for (const LossLaw& law : fit.draws) ln_draws.push_back(std::log(PredictedLossOf(law, row)));
    const double sigma = result.noise.from_replicates ? result.noise.SigmaAt(out.predicted_loss)
                                                      : fit.fit.certificate.sigma;
    const double se = std::hypot(StandardDeviation(ln_draws), sigma);
    if (ln_draws.size() >= 20 && se > 0 && std::isfinite(se)) out.z = std::log(row.loss / out.predicted_loss) / se;
    out.nearest_error = NearestLoss(result.rows, window.train, row) / row.loss - 1;
    if (envelope) out.envelope_error = envelope->LossAt(row.flops) / row.loss - 1;
    held.push_back(out);
  }
  return held;
}

// --- sums over held rows -------------------------------------------------------------

struct Score {
  double mean_relative_error = 0, nearest_error = 0, skill = 0;
  std::optional<double> envelope_error;
};

// Skill is against the better baseline; the envelope's is compared on the rows for
// which there was one.
Score ScoreOf(absl::Span<const HeldRow> held) {
  Score score;
  double envelope = 0, beside_envelope = 0;
  int with_envelope = 0;
  for (const HeldRow& row : held) {
    score.mean_relative_error += std::abs(row.relative_error);
    score.nearest_error += std::abs(row.nearest_error);
    if (!row.envelope_error) continue;
    envelope += std::abs(*row.envelope_error);
    beside_envelope += std::abs(row.relative_error);
    ++with_envelope;
  }
  if (held.empty()) return score;
  score.mean_relative_error /= static_cast<double>(held.size());
  score.nearest_error /= static_cast<double>(held.size());
  if (score.nearest_error > 0) score.skill = 1 - score.mean_relative_error / score.nearest_error;
  if (with_envelope > 0) {
    score.envelope_error = envelope / with_envelope;
    if (envelope > 0) score.skill = std::min(score.skill, 1 - beside_envelope / envelope);
  }
  return score;
}

std::vector<HoldoutBin> BinsOf(absl::Span<const HeldRow> held) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<HoldoutBin> bins;
  for (const auto& [lo, hi] : {std::pair{0.0, 0.5}, std::pair{0.5, 1.0}, std::pair{1.0, 2.0}, std::pair{2.0, kInfinity}}) {
    std::vector<HeldRow> inside;
    for (const HeldRow& row : held) {
      // A budget a whole half decade away belongs to the nearer bin, whatever rounding says.
      const bool above = lo == 0 || row.distance_decades > lo + 1e-6;
      if (above && row.distance_decades <= hi + 1e-6) inside.push_back(row);
    }
    if (inside.empty()) continue;
    const Score score = ScoreOf(inside);
    bins.push_back({.distance_lo = lo,
                    .distance_hi = hi,
                    .rows = static_cast<int>(inside.size()),
                    .mean_relative_error = score.mean_relative_error,
                    .nearest_error = score.nearest_error,
                    .envelope_error = score.envelope_error,
                    .skill = score.skill});
  }
  return bins;
}

// FLOPs spent on `subset`, and hi/lo at 95 % of N*(C_T) over `laws`; nullopt where
// the interval is open.
std::optional<std::pair<double, double>> WidthOf(const AnalysisResult& result, absl::Span<const size_t> subset,
                                                 absl::Span<const LossLaw> laws, const ComputeModel& compute) {
  double spent = 0;
  for (const size_t row : subset) spent += result.rows[row].flops;
  std::vector<double> params;
  for (const LossLaw& law : laws) {
    params.push_back(HasOptimum(law) ? compute.OptimumAt(law, result.target_flops).params
                                     : std::numeric_limits<double>::infinity());
  }
  if (params.size() < 20) return std::nullopt;
  std::sort(params.begin(), params.end());
  const double lo = SortedQuantile(params, 0.025), hi = SortedQuantile(params, 0.975);
  if (!(lo > 0) || !std::isfinite(hi)) return std::nullopt;
  return std::pair{spent, hi / lo};
}

}  // namespace

std::optional<HoldoutSplit> LargestBudgetSplit(absl::Span<const KeptRow> rows, double budget_tolerance) {
  constexpr size_t kFewestHeld = 3, kFewestTrain = 6;
  if (rows.size() < kFewestHeld + kFewestTrain) return std::nullopt;
  std::vector<bool> is_held(rows.size(), false);
  const std::vector<BudgetGroup> groups = GroupByBudget(rows, budget_tolerance);
  if (groups.back().rows.size() >= kFewestHeld) {
    for (const size_t row : groups.back().rows) is_held[row] = true;
  } else {
    double max_flops = 0;
    for (const KeptRow& row : rows) max_flops = std::max(max_flops, row.flops);
    for (size_t i = 0; i < rows.size(); ++i) is_held[i] = rows[i].flops > max_flops / 3;
  }
  std::vector<size_t> train, held;
  for (size_t i = 0; i < rows.size(); ++i) (is_held[i] ? held : train).push_back(i);
  if (held.size() < kFewestHeld || train.size() < kFewestTrain) return std::nullopt;
  return SplitAt(rows, std::move(train), std::move(held));
}

std::vector<HoldoutSplit> ExpandingWindows(absl::Span<const KeptRow> rows, double budget_tolerance) {
  std::vector<HoldoutSplit> windows;
  const std::vector<BudgetGroup> groups = GroupByBudget(rows, budget_tolerance);
  for (size_t last = 1; last + 1 < groups.size(); ++last) {
    std::vector<size_t> train, held;
    for (size_t g = 0; g < groups.size(); ++g) {
      std::vector<size_t>& side = g <= last ? train : held;
      side.insert(side.end(), groups[g].rows.begin(), groups[g].rows.end());
    }
    if (train.size() >= kFewestTrainRows) windows.push_back(SplitAt(rows, std::move(train), std::move(held)));
  }
  if (windows.size() <= kMostWindows) return windows;
  std::vector<HoldoutSplit> spread;
  for (size_t i = 0; i < kMostWindows; ++i) {
    spread.push_back(std::move(windows[i * (windows.size() - 1) / (kMostWindows - 1)]));
  }
  return spread;
}

Holdout ScoreHoldout(const AnalysisResult& result, int threads) {
  Holdout holdout;
  if (!result.parametric) {
    // A part of the rows may pass where all of them do not: it would demonstrate nothing.
    const Refusal none{Code::kUnderdetermined, "no law was fitted", "isoflop fit"};
    const Refusal& whole = result.parametric_refusal ? *result.parametric_refusal : none;
    holdout.refusal = Refusal{whole.code, absl::StrCat("no law to hold out for (", whole.message, ")"), whole.cure};
    return holdout;
  }
  const double tolerance = result.options.spec.budget_tolerance;
  const std::vector<BudgetGroup> groups = GroupByBudget(result.rows, tolerance);
  std::vector<HoldoutSplit> windows = ExpandingWindows(result.rows, tolerance);
  const std::optional<HoldoutSplit> largest = LargestBudgetSplit(result.rows, tolerance);
  const bool is_a_window = largest && !windows.empty() && windows.back().train == largest->train;
  const size_t expanding = windows.size();
  if (largest && !is_a_window) windows.push_back(*largest);

  const LawFitOptions options = LawFitOptionsOf(result.options);
  const ComputeModel compute = ComputeModelOf(result);
  const int draws = DrawsFor(windows);
  std::vector<std::optional<Refusal>> refusals(windows.size());
  std::vector<WindowFit> fits(windows.size());
  ParallelFor(static_cast<int>(windows.size()), threads, [&](int first, int last) {
    for (size_t i = static_cast<size_t>(first); i < static_cast<size_t>(last); ++i) {
      refusals[i] = RefuseSubset(result.rows, windows[i].train, options);
      if (!refusals[i]) fits[i].fit = FitLossLaw(FitRowsOfSubset(result.rows, windows[i].train), options);
    }
  });
  std::optional<Refusal> first_refusal;
  for (size_t i = 0; i < windows.size(); ++i) {
    const HoldoutSplit& window = windows[i];
    if (refusals[i]) {
      if (!first_refusal) first_refusal = std::move(refusals[i]);
      continue;
    }
    const FitRows columns = FitRowsOfSubset(result.rows, window.train);
    WindowFit& fit = fits[i];
    fit.draws = DrawLaws(result, window, columns, fit.fit, options, draws,
                         result.options.spec.bootstrap_seed + kSeedOffset + i, threads);
    const std::vector<HeldRow> held = PredictHeld(result, window, fit, groups);
    if (i < expanding) {
      holdout.windows.insert(holdout.windows.end(), held.begin(), held.end());
      const auto width = WidthOf(result, window.train, fit.draws, compute);
      if (width) holdout.width_by_flops.push_back(*width);
    }
    if (i + 1 == windows.size() && largest) holdout.largest = held;
  }
  if (HasOptimum(result.parametric->law)) {
    const auto width = WidthOf(result, AllRows(result.rows.size()), result.bootstrap.laws, compute);
    if (width) holdout.width_by_flops.push_back(*width);
    const LossLaw& law = result.parametric->law;
    const double params = compute.ParamsAtRatio(20, result.target_flops);
    holdout.gain_over_20 = law.LossAt(params, 20 * params) - compute.OptimumAt(law, result.target_flops).loss;
  }
  if (holdout.windows.empty() && holdout.largest.empty()) {
    holdout.refusal = Refusal{
        Code::kUnderdetermined,
        windows.empty() ? absl::StrCat(Plural(static_cast<int64_t>(groups.size()), "budget"), " with ",
                                       Plural(static_cast<int64_t>(result.rows.size()), "row"),
                                       ": a hold-out needs 3 budgets, or 6 rows below the held ones")
                        : absl::StrCat("no budget can be held out: the rows below do not carry a law (",
                                       first_refusal->message, ")"),
        "more budgets, or more sizes at the smaller ones"};
    return holdout;
  }
  // Without a window that could be fitted the top budget alone speaks.
  const std::vector<HeldRow>& scored = holdout.windows.empty() ? holdout.largest : holdout.windows;
  const Score score = ScoreOf(scored);
  holdout.bins = BinsOf(scored);
  holdout.mean_relative_error = score.mean_relative_error;
  holdout.skill = score.skill;
  holdout.demonstrated_decades = DemonstratedDecades(scored, result.options.spec.holdout_error);
  return holdout;
}

double DemonstratedDecades(absl::Span<const HeldRow> held, double limit) {
  std::vector<std::pair<double, double>> errors;  // distance, |relative error|
  for (const HeldRow& row : held) errors.emplace_back(row.distance_decades, std::abs(row.relative_error));
  std::sort(errors.begin(), errors.end());
  double sum = 0, demonstrated = 0;
  for (size_t i = 0; i < errors.size(); ++i) {
    sum += errors[i].second;
    // Rows at one distance are told apart by nothing: all of them count.
    if (i + 1 < errors.size() && errors[i + 1].first <= errors[i].first + 1e-9) continue;
    if (sum <= limit * static_cast<double>(i + 1)) demonstrated = errors[i].first;
  }
  return demonstrated;
}

}  // namespace isoflop
