// F17: how far off the law is on budgets that it has not seen, and what more
// compute has bought.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/report/report_parts.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr size_t kMostPoints = 500;

// The mean of each bin of distance as a stroke over the bin.
Series Strokes(const std::vector<HoldoutBin>& bins, double farthest, const char* label, const char* color, std::optional<double> (*of)(const HoldoutBin&)) {
  Series strokes{.label = label, .line = true, .color = color, .line_width = 2.2};
  for (const HoldoutBin& bin : bins) {
    const std::optional<double> error = of(bin);
    if (bin.rows == 0 || !error.has_value() || !(*error > 0)) continue;
    const double hi = std::isfinite(bin.distance_hi) ? bin.distance_hi : std::max(farthest, bin.distance_lo + 0.5);
    strokes.x.insert(strokes.x.end(), {bin.distance_lo, hi, NAN});
    strokes.y.insert(strokes.y.end(), {100 * *error, 100 * *error, NAN});
  }
  return strokes;
}

std::optional<Figure> ErrorFigure(const AnalysisResult& result) {
  const Holdout& holdout = *result.holdout;
  if (holdout.windows.empty()) return std::nullopt;
  Figure figure{.name = "fig17a_holdout", .number = "F17a", .title = "Error on budgets that the law had not seen"};
  figure.x = {.label = "decades of C beyond the training budgets"};
  figure.y = {.label = "|relative error| [%]", .scale = Scale::kLog};
  figure.height_inches = 3.4;
  double farthest = 0;
  for (const HeldRow& held : holdout.windows) farthest = std::max(farthest, held.distance_decades);
  Series rows{.label = "a held row, law", .mark = Glyph::kCircle, .color = "#8fa6c6", .mark_size = 1.6};
  const size_t every = (holdout.windows.size() + kMostPoints - 1) / kMostPoints;
  for (size_t i = 0; i < holdout.windows.size(); i += every) {
    const HeldRow& held = holdout.windows[i];
    // A logarithmic axis has no 0: what is below a hundredth of a percent stands there.
    rows.x.push_back(held.distance_decades);
    rows.y.push_back(std::max(100 * std::abs(held.relative_error), 0.01));
    if (held.row < result.rows.size()) rows.hover.push_back(HoverOf(result.rows[held.row]));
  }
  if (rows.hover.size() != rows.x.size()) rows.hover.clear();
  figure.series.push_back(std::move(rows));
  figure.series.push_back(Strokes(holdout.bins, farthest, "law, mean", kColorParametric, [](const HoldoutBin& b) -> std::optional<double> { return b.mean_relative_error; }));
  figure.series.push_back(Strokes(holdout.bins, farthest, "nearest training run", kColorIsoflop, [](const HoldoutBin& b) -> std::optional<double> { return b.nearest_error; }));
  Series envelope = Strokes(holdout.bins, farthest, "envelope's power law", kColorEnvelope, [](const HoldoutBin& b) { return b.envelope_error; });
  if (!envelope.x.empty()) figure.series.push_back(std::move(envelope));
  const double limit = 100 * result.options.spec.holdout_error;
  figure.series.push_back({.label = absl::StrFormat("limit %g %%", limit), .x = {0, std::max(farthest, 0.5)}, .y = {limit, limit}, .line = true,
                           .color = kColorReference, .line_width = 0.8});
  figure.caption = absl::StrCat("n = ", Plural(static_cast<int64_t>(holdout.windows.size()), "prediction"),
                                every > 1 ? absl::StrCat(" (one in ", every, " drawn)") : "",
                                ", expanding window: fitted up to a budget, predicting all above. Strokes: mean |relative error| by distance; the envelope's is E + K C^-gamma. ",
                                absl::StrFormat("Mean %.2g %%, skill against the better baseline %.2f. ", 100 * holdout.mean_relative_error, holdout.skill),
                                holdout.demonstrated_decades > 0
                                    ? absl::StrFormat("Within %g %% up to %.2f decades.", limit, holdout.demonstrated_decades)
                                    : absl::StrFormat("Nowhere within %g %%.", limit));
  return figure;
}

std::optional<Figure> WidthFigure(const AnalysisResult& result) {
  const Holdout& holdout = *result.holdout;
  Series width{.label = "as budgets were added", .line = true, .mark = Glyph::kCircle, .color = kColorParametric};
  for (const auto& [flops, factor] : holdout.width_by_flops) {
    if (!(flops > 0) || !std::isfinite(factor) || !(factor > 0)) continue;
    width.x.push_back(flops);
    width.y.push_back(factor);
  }
  if (width.x.size() < 2) return std::nullopt;
  Figure figure{.name = "fig17b_width", .number = "F17b", .title = "What compute has bought: the interval of N*"};
  figure.x = {.label = "FLOPs spent", .scale = Scale::kLog, .notation = Notation::kPower};
  figure.y = {.label = absl::StrCat("hi/lo of N* at ", FormatFlops(result.target_flops), " FLOPs"), .scale = Scale::kLog};
  figure.height_inches = 2.9;
  const double goal = result.options.spec.goal_factor;
  Series wish{.label = absl::StrFormat("goal x%.3g", goal), .x = {width.x.front(), width.x.back()}, .y = {goal, goal}, .line = true, .color = kColorIsoflop, .line_width = 0.9};
  figure.series = {std::move(width), std::move(wish)};
  figure.caption = absl::StrCat("n = ", result.rows.size(), " in the end; 95 %, ", result.bootstrap.method.empty() ? "bootstrap" : result.bootstrap.method,
                                ". Each point: the law fitted to the budgets up to there.");
  return figure;
}

}  // namespace

std::vector<Figure> HoldoutFigures(const AnalysisResult& result) {
  if (!result.holdout.has_value()) return {};
  std::vector<Figure> figures;
  for (std::optional<Figure>& figure : std::vector<std::optional<Figure>>{ErrorFigure(result), WidthFigure(result)}) {
    if (figure.has_value()) figures.push_back(std::move(*figure));
  }
  return figures;
}

}  // namespace isoflop
