// F2, the loss curves with approach 1's envelope; F3, the final losses; F4, the seed noise.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/report/report_parts.h"
#include "study/format.h"

namespace isoflop {
namespace {

// Points of a curve: at most 500, fewer where there are many curves, so that a
// thousand trials still make a page.
constexpr size_t kAllCurvePoints = 60'000;
size_t CurvePoints(size_t curves) { return std::clamp<size_t>(kAllCurvePoints / std::max<size_t>(curves, 1), 24, 160); }

double FlopsOf(const AnalysisResult& result, const ReportTrial& trial) {
  return result.options.flops == FlopsConvention::k6nd ? trial.flops_6nd : trial.flops_exact;
}

struct Curve {
  std::vector<double> tokens{}, loss{};
  double flops_per_token = 0, flops = 0;
  bool is_eval = false;
};

// The evaluations where there are enough of them, else the training loss; the other
// way round under an envelope, which is taken of training losses.
std::optional<Curve> CurveOf(const std::vector<LossPoint>& points, bool prefer_train) {
  Curve eval{.is_eval = true}, train;
  for (const LossPoint& point : points) {
    if (!point.loss_nats.has_value() || point.tokens <= 0) continue;
    Curve& to = point.kind == LossKind::kEval ? eval : train;
    to.tokens.push_back(static_cast<double>(point.tokens));
    to.loss.push_back(*point.loss_nats);
  }
  const bool use_eval = prefer_train ? train.tokens.size() < 4 : eval.tokens.size() >= 4 || train.tokens.size() < 2;
  Curve& best = use_eval ? eval : train;
  if (best.tokens.size() < 2) return std::nullopt;
  return best;
}

std::vector<Curve> CurvesOf(const AnalysisResult& result, const ReportContext& context, bool prefer_train) {
  std::vector<Curve> curves;
  const auto add = [&](const std::vector<LossPoint>& points, double flops, double tokens) {
    std::optional<Curve> curve = CurveOf(points, prefer_train);
    if (!curve.has_value() || !(flops > 0) || !(tokens > 0)) return;
    curve->flops = flops;
    curve->flops_per_token = flops / tokens;
    curves.push_back(std::move(*curve));
  };
  if (!context.trials.empty()) {
    for (const ReportTrial& trial : context.trials) {
      if (!trial.is_trunk) add(trial.curve, FlopsOf(result, trial), trial.tokens_planned);
    }
  } else {
    for (const KeptRow& row : result.rows) add(row.observation.curve, row.flops, row.tokens);
  }
  for (Curve& curve : curves) ThinCurve(curve.tokens, curve.loss, CurvePoints(curves.size()));
  return curves;
}

void AddEnvelope(const EnvelopeFit& envelope, bool by_tokens, Figure* figure) {
  // Straight on log-log axes: the hull's edges. By tokens the vertices have no common
  // edge.
  Series hull{.label = by_tokens ? "vertex of the envelope" : "envelope (approach 1)",
              .line = !by_tokens,
              .mark = Glyph::kCircle,
              .color = kColorEnvelope,
              .line_width = 1.4,
              .mark_size = 2.6};
  for (const EnvelopePoint& point : envelope.hull) {
    hull.x.push_back(by_tokens ? point.tokens : point.flops);
    hull.y.push_back(point.loss);
    hull.hover.push_back(absl::StrCat("N ", FormatCount(point.params), "  D ", FormatTokens(point.tokens), "  C ", FormatFlops(point.flops), "<br>loss ",
                                      FormatLoss(point.loss)));
  }
  figure->series.push_back(std::move(hull));
  figure->legend = true;
}

std::string EnvelopeWords(const EnvelopeFit& envelope) {
  return absl::StrCat(" Envelope: the lower convex hull of ", Plural(envelope.curve_points, "smoothed point"), " of training loss, ",
                      envelope.hull.size(), envelope.hull.size() == 1 ? " vertex" : " vertices", "; one size holds ",
                      absl::StrFormat("%.0f %%", 100 * envelope.largest_share), " of them.",
                      envelope.ends_at_extreme_sizes ? " The extreme sizes hold its ends." : "");
}

}  // namespace

std::vector<Figure> CurveFigures(const AnalysisResult& result, const ReportContext& context) {
  const bool has_hull = result.envelope.has_value() && !result.envelope->hull.empty();
  const std::vector<Curve> curves = CurvesOf(result, context, has_hull);
  if (curves.empty()) return {};
  double lo = INFINITY, hi = 0;
  int evaluated = 0;
  for (const Curve& curve : curves) {
    lo = std::min(lo, curve.flops);
    hi = std::max(hi, curve.flops);
    evaluated += curve.is_eval ? 1 : 0;
  }
  const std::string what = evaluated == static_cast<int>(curves.size()) ? "evaluation loss"
                           : evaluated == 0                             ? "training loss"
                                                                        : "evaluation or training loss";
  std::vector<Figure> figures(2);
  for (int f = 0; f < 2; ++f) {
    Figure& figure = figures[static_cast<size_t>(f)];
    const bool by_tokens = f == 0;
    figure.name = by_tokens ? "fig02a_loss_tokens" : "fig02b_loss_flops";
    figure.number = by_tokens ? "F2a" : "F2b";
    figure.title = by_tokens ? "Loss while training, by tokens" : "Loss while training, by compute";
    figure.x = {.label = by_tokens ? "tokens seen" : FlopsLabel(result),
                .scale = Scale::kLog,
                .notation = by_tokens ? Notation::kShort : Notation::kPower};
    figure.y = {.label = "loss [nats/token]", .scale = Scale::kLog};
    figure.legend = false;
    figure.height_inches = 3.4;
    for (const Curve& curve : curves) {
      Series series{.y = curve.loss, .line = true, .color = ColorOfBudget(curve.flops, lo, hi), .line_width = 0.7};
      for (const double tokens : curve.tokens) series.x.push_back(by_tokens ? tokens : tokens * curve.flops_per_token);
      figure.series.push_back(std::move(series));
    }
    SetColorBar(lo, hi, &figure);
    figure.caption = absl::StrCat("n = ", Plural(static_cast<int64_t>(curves.size()), "trial"), ", ", what, "; colour: C at the end. ");
    figure.caption += by_tokens ? "A branch begins where its trunk was left." : "The lower edge is the envelope of approach 1.";
    if (has_hull) {
      AddEnvelope(*result.envelope, by_tokens, &figure);
      if (!by_tokens) figure.caption += EnvelopeWords(*result.envelope);
    }
  }
  return figures;
}

std::optional<Figure> FinalLossFigure(const AnalysisResult& result) {
  if (result.rows.empty()) return std::nullopt;
  Figure figure{.name = "fig03_final_losses", .number = "F3", .title = "Final losses by compute"};
  figure.x = {.label = FlopsLabel(result), .scale = Scale::kLog, .notation = Notation::kPower};
  figure.y = {.label = LossLabel(result), .scale = Scale::kLog};
  figure.width_inches = 3.25;
  figure.height_inches = 2.9;
  Series kept{.label = "observations", .mark = Glyph::kCircle, .color = kColorInk, .mark_size = 2};
  for (const KeptRow& row : result.rows) {
    kept.x.push_back(row.flops);
    kept.y.push_back(row.loss);
    kept.hover.push_back(HoverOf(row));
  }
  Series left{.label = "left out", .mark = Glyph::kCircle, .hollow = true, .color = kColorInk, .mark_size = 2};
  left.ignored_by_range = true;
  for (const Exclusion& exclusion : result.exclusions) {
    if (!exclusion.flops.has_value() || !exclusion.loss.has_value()) continue;
    left.x.push_back(*exclusion.flops);
    left.y.push_back(*exclusion.loss);
    left.hover.push_back(absl::StrCat(EscapeXml(exclusion.source), "<br>", EscapeXml(exclusion.detail)));
  }
  figure.series.push_back(std::move(kept));
  if (!left.x.empty()) figure.series.push_back(std::move(left));
  const double level = MainLevel(result);
  std::string band;
  if (const Frontier* frontier = FrontierOf(result, Approach::kParametric)) {
    Series best{.label = "L*(C)", .line = true, .color = kColorParametric};
    bool banded = true;
    const FrontierPoint* before = nullptr;
    for (const FrontierPoint& point : frontier->points) {
      if (!point.loss.has_value()) continue;
      // The line ends at the largest budget: between the points around it on log axes.
      const bool is_beyond = point.budget_flops > result.max_flops;
      if (is_beyond && before == nullptr) break;
      const double t = is_beyond ? std::log(result.max_flops / before->budget_flops) / std::log(point.budget_flops / before->budget_flops) : 1;
      const auto between = [&](double from, double to) { return from * std::pow(to / from, t); };
      const Estimate& from = is_beyond ? *before->loss : *point.loss;
      const Interval* low = from.At(level);
      const Interval* high = point.loss->At(level);
      best.x.push_back(is_beyond ? result.max_flops : point.budget_flops);
      best.y.push_back(between(from.value, point.loss->value));
      best.lo.push_back(low != nullptr && high != nullptr ? between(low->lo, high->lo) : NAN);
      best.hi.push_back(low != nullptr && high != nullptr ? between(low->hi, high->hi) : NAN);
      banded = banded && low != nullptr && high != nullptr;
      if (band.empty()) band = LevelAndMethod(*point.loss, level);
      if (is_beyond) break;
      before = &point;
    }
    if (!banded) best.lo.clear(), best.hi.clear();
    if (best.x.size() > 1) figure.series.push_back(std::move(best));
  }
  figure.caption = absl::StrCat(FitWords(result), ". Line: the loss of the compute-optimal run by approach 3", band.empty() ? "" : "; band: " + band, ".");
  if (FrontierOf(result, Approach::kParametric) == nullptr) figure.caption = FitWords(result) + ".";
  return figure;
}

std::optional<Figure> SeedNoiseFigure(const AnalysisResult& result) {
  const SeedNoise& noise = result.noise;
  if (noise.replicates.empty()) return std::nullopt;
  Figure figure{.name = "fig04_seed_noise", .number = "F4", .title = "What another seed changes"};
  figure.x = {.label = absl::StrCat("mean ", LossLabel(result), " of the cell")};
  figure.y = {.label = "ln L − mean of the cell [%]"};
  figure.width_inches = 3.25;
  figure.height_inches = 2.9;
  Series seeds{.label = "a seed", .mark = Glyph::kCircle, .color = kColorInk, .mark_size = 2};
  Range losses{INFINITY, 0};
  int runs = 0;
  for (const SeedCell& cell : noise.replicates) {
    double mean_ln = 0;
    for (const double loss : cell.losses) mean_ln += std::log(loss) / static_cast<double>(cell.losses.size());
    for (const double loss : cell.losses) {
      seeds.x.push_back(std::exp(mean_ln));
      seeds.y.push_back(100 * (std::log(loss) - mean_ln));
      seeds.hover.push_back(absl::StrCat("N ", FormatCount(cell.params), "  D ", FormatTokens(cell.tokens), "<br>loss ", FormatLoss(loss)));
    }
    losses = {std::min(losses.lo, std::exp(mean_ln)), std::max(losses.hi, std::exp(mean_ln))};
    runs += static_cast<int>(cell.losses.size());
  }
  Series band{.label = "± sigma", .color = kColorParametric, .line_width = 0.8};
  for (int k = 0; k <= 24 && losses.hi > 0; ++k) {
    const double loss = losses.lo + (losses.hi - losses.lo) * k / 24, sigma = 100 * noise.SigmaAt(loss);
    band.x.push_back(loss);
    band.y.push_back(0);
    band.lo.push_back(-sigma);
    band.hi.push_back(sigma);
  }
  if (noise.sigma > 0 && losses.hi > losses.lo) figure.series.push_back(std::move(band));
  figure.series.push_back(std::move(seeds));
  figure.caption = absl::StrFormat("n = %d runs in %d cells with two or more seeds, %d degrees of freedom; sigma of ln L: %.3g %%%s.", runs,
                                   static_cast<int>(noise.replicates.size()), noise.degrees_of_freedom, 100 * noise.sigma,
                                   noise.ln_sigma_slope.has_value() ? ", log-linear in L" : "");
  return figure;
}

}  // namespace isoflop
