// F9, the IsoFLOP parabolas.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/report/report_parts.h"
#include "study/format.h"

namespace isoflop {
namespace {

void AddBudget(const AnalysisResult& result, const IsoflopBudget& budget, const std::string& color,
               const std::vector<int64_t>& seeds, bool in_legend, Figure* figure) {
  std::vector<Series> by_seed(seeds.size());
  Range span{INFINITY, 0};
  for (const size_t index : budget.rows) {
    const KeptRow& row = result.rows[index];
    span.lo = std::min(span.lo, row.params);
    span.hi = std::max(span.hi, row.params);
    const auto at = std::find(seeds.begin(), seeds.end(), row.observation.seed);
    Series& series = by_seed[static_cast<size_t>(at - seeds.begin())];
    series.mark = MarkOfSeed(seeds, row.observation.seed);
    series.color = color;
    series.mark_size = 2.4;
    series.x.push_back(row.params);
    series.y.push_back(row.loss);
    series.hover.push_back(HoverOf(row));
  }
  if (budget.parabola.has_value() && span.hi > span.lo) {
    Series line{.line = true, .dashed = budget.rejection.has_value(), .color = color, .line_width = 1};
    if (in_legend) line.label = absl::StrCat("C = ", FormatFlops(budget.budget_flops));
    line.hover.assign(41, absl::StrCat("C = ", FormatFlops(budget.budget_flops)));
    for (int k = 0; k <= 40; ++k) {
      const double params = span.lo / 1.08 * std::pow(span.hi / span.lo * 1.1664, k / 40.0);
      line.x.push_back(params);
      line.y.push_back(budget.parabola->LossAt(params));
    }
    figure->series.push_back(std::move(line));
  }
  for (Series& series : by_seed) {
    if (!series.x.empty()) figure->series.push_back(std::move(series));
  }
}

void AddMinimum(const IsoflopBudget& budget, const std::string& color, double level, Figure* figure) {
  if (!budget.params_optimal.has_value() || !budget.loss_optimal.has_value()) return;
  Series minimum{.mark = Glyph::kDiamond, .hollow = budget.rejection.has_value(), .color = color, .mark_size = 3.6};
  // A minimum far outside must not stretch the axis.
  minimum.ignored_by_range = budget.rejection.has_value();
  minimum.x = {budget.params_optimal->value};
  minimum.y = {budget.loss_optimal->value};
  if (const Interval* interval = budget.params_optimal->At(level); interval != nullptr && !budget.rejection.has_value()) {
    minimum.x_lo = {interval->lo};
    minimum.x_hi = {interval->hi};
  }
  minimum.hover = {absl::StrCat("minimum at C = ", FormatFlops(budget.budget_flops), "<br>N* ",
                                WithInterval(*budget.params_optimal, level, FormatCount),
                                budget.rejection.has_value() ? "<br>rejected: " + ToString(budget.rejection->code) : "")};
  figure->series.push_back(std::move(minimum));
}

}  // namespace

std::optional<Figure> IsoflopFigure(const AnalysisResult& result) {
  if (!result.isoflop.has_value() || result.isoflop->budgets.empty()) return std::nullopt;
  Figure figure{.name = "fig09_isoflop", .number = "F9", .title = "IsoFLOP parabolas and their minima"};
  figure.x = {.label = ParamsLabel(result), .scale = Scale::kLog};
  figure.y = {.label = LossLabel(result)};
  figure.height_inches = 4.4;
  const std::vector<IsoflopBudget>& budgets = result.isoflop->budgets;
  const double lo = budgets.front().budget_flops, hi = budgets.back().budget_flops, level = MainLevel(result);
  const std::vector<int64_t> seeds = SeedsOf(result);
  int points = 0;
  bool has_interval = false;
  // Many budgets, as a CSV may have, are told by a colour bar.
  const bool in_legend = budgets.size() <= 12;
  if (!in_legend) SetColorBar(lo, hi, &figure);
  for (const IsoflopBudget& budget : budgets) {
    AddBudget(result, budget, ColorOfBudget(budget.budget_flops, lo, hi), seeds, in_legend, &figure);
    points += static_cast<int>(budget.rows.size());
  }
  for (const IsoflopBudget& budget : budgets) {
    AddMinimum(budget, ColorOfBudget(budget.budget_flops, lo, hi), level, &figure);
    has_interval = has_interval || (budget.params_optimal.has_value() && budget.params_optimal->At(level) != nullptr);
  }
  figure.caption = absl::StrCat("n = ", points, " in ", Plural(static_cast<int64_t>(budgets.size()), "budget"),
                                ", least squares on log10 N. Diamonds: minima", has_interval ? absl::StrFormat(" with their %g %% intervals", level) : "",
                                "; hollow, dashed: rejected (minimum at the edge, or no minimum).",
                                seeds.size() > 1 ? " Mark: seed." : "");
  return figure;
}

}  // namespace isoflop
