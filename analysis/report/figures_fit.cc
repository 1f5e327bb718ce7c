// F13 and F14: predicted against observed, and the residuals.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/report/report_parts.h"
#include "study/format.h"

namespace isoflop {

std::vector<Figure> FitFigures(const AnalysisResult& result) {
  if (!result.parametric.has_value()) return {};
  Figure predicted{.name = "fig13_predicted", .number = "F13", .title = "Predicted against observed loss"};
  Figure residuals{.name = "fig14_residuals", .number = "F14", .title = "Residuals of the law"};
  predicted.x = {.label = "predicted " + LossLabel(result)};
  predicted.y = {.label = "observed " + LossLabel(result)};
  residuals.x = {.label = FlopsLabel(result), .scale = Scale::kLog, .notation = Notation::kPower};
  residuals.y = {.label = "ln L − ln predicted [%]"};
  const Range flops = FlopsRange(result);
  const std::vector<int64_t> seeds = SeedsOf(result);
  Range losses{INFINITY, -INFINITY};
  for (const int64_t seed : seeds) {
    Series both{.mark = MarkOfSeed(seeds, seed), .color = kColorParametric, .mark_size = 2.4};
    if (seeds.size() > 1 && seeds.size() <= 4) both.label = absl::StrCat("seed ", seed);
    Series left = both, right = both;
    for (const KeptRow& row : result.rows) {
      if (row.observation.seed != seed || !row.predicted_loss.has_value() || !row.residual.has_value()) continue;
      losses.lo = std::min({losses.lo, row.loss, *row.predicted_loss});
      losses.hi = std::max({losses.hi, row.loss, *row.predicted_loss});
      left.x.push_back(*row.predicted_loss);
      left.y.push_back(row.loss);
      left.hover.push_back(HoverOf(row));
      right.x.push_back(row.flops);
      right.y.push_back(100 * *row.residual);
      right.hover.push_back(HoverOf(row));
    }
    if (left.x.empty()) continue;
    predicted.series.push_back(std::move(left));
    residuals.series.push_back(std::move(right));
  }
  if (predicted.series.empty()) return {};
  Series diagonal{.x = {losses.lo, losses.hi}, .y = {losses.lo, losses.hi}, .line = true, .color = "#999999", .line_width = 0.8};
  predicted.series.insert(predicted.series.begin(), diagonal);
  Series zero{.x = {flops.lo, flops.hi}, .y = {0, 0}, .line = true, .color = "#999999", .line_width = 0.8};
  residuals.series.insert(residuals.series.begin(), zero);
  const double sigma = result.parametric->certificate.sigma;
  if (sigma > 0) {
    Series band{.label = "± 2 sigma", .x = {flops.lo, flops.hi}, .y = {0, 0}, .lo = {-200 * sigma, -200 * sigma}, .hi = {200 * sigma, 200 * sigma}};
    band.color = "#999999";
    residuals.series.insert(residuals.series.begin(), std::move(band));
  }
  predicted.caption = absl::StrCat(FitWords(result), ". On the line: observed as predicted.");
  residuals.caption = absl::StrFormat("%s. sigma = %.2f %% (1.4826 median |r|).", FitWords(result), 100 * sigma);
  for (Figure* figure : {&predicted, &residuals}) {
    figure->width_inches = 3.25;
    figure->height_inches = 2.9;
  }
  return {std::move(predicted), std::move(residuals)};
}

}  // namespace isoflop
