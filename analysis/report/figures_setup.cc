// F1, the grid.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/report/report_parts.h"
#include "study/format.h"
#include "study/param_counts.h"

namespace isoflop {
namespace {

double ParamsOf(const AnalysisResult& result, const ReportTrial& trial) {
  return static_cast<double>(ParamsUnder(result.options.count, trial.counts, trial.shape));
}

// The distinct planned budgets, rising; of the rows where nobody planned.
std::vector<double> Budgets(const AnalysisResult& result, const ReportContext& context) {
  std::set<double> budgets;
  for (const ReportTrial& trial : context.trials) {
    if (trial.budget_flops > 0) budgets.insert(trial.budget_flops);
  }
  if (budgets.empty() && result.isoflop.has_value()) {
    for (const IsoflopBudget& budget : result.isoflop->budgets) budgets.insert(budget.budget_flops);
  }
  return {budgets.begin(), budgets.end()};
}

// A point of the grid, gathered by look.
class PointSeries {
 public:
  void Add(const std::string& key, const Series& look, double x, double y, const std::string& hover) {
    const auto [at, is_new] = index_.emplace(key, series_.size());
    if (is_new) series_.push_back(look);
    Series& series = series_[at->second];
    series.x.push_back(x);
    series.y.push_back(y);
    series.hover.push_back(hover);
  }
  std::vector<Series> Take() { return std::move(series_); }

 private:
  std::map<std::string, size_t> index_;
  std::vector<Series> series_;
};

void AddGridPoints(const AnalysisResult& result, const ReportContext& context, const Range& flops, Figure* figure) {
  PointSeries points;
  std::set<std::string> drawn;
  for (const KeptRow& row : result.rows) {
    drawn.insert(row.observation.trial_id);
    points.Add(absl::StrCat(row.flops),
               {.mark = Glyph::kCircle, .color = ColorOfBudget(row.flops, flops.lo, flops.hi), .mark_size = 3}, row.params, row.tokens,
               HoverOf(row));
  }
  for (const Exclusion& exclusion : result.exclusions) {
    if (!exclusion.params.has_value() || !exclusion.tokens.has_value()) continue;
    if (exclusion.rule == ExclusionRule::kNotCompleted && !context.trials.empty()) continue;  // by its state, below
    drawn.insert(exclusion.trial_id);
    points.Add("left out", {.label = "left out", .mark = Glyph::kCircle, .hollow = true, .color = kColorInk, .mark_size = 3},
               *exclusion.params, *exclusion.tokens, absl::StrCat(EscapeXml(exclusion.source), "<br>", EscapeXml(exclusion.detail)));
  }
  for (const ReportTrial& trial : context.trials) {
    if (trial.is_trunk || drawn.count(trial.id) > 0) continue;
    const bool failed = trial.state == TrialState::kFailed || trial.state == TrialState::kDiverged ||
                        trial.state == TrialState::kCancelled;
    const bool running = trial.state == TrialState::kLeased;
    const std::string label = failed ? "failed or cancelled" : running ? "running" : "waiting";
    points.Add(label,
               {.label = label,
                .mark = failed ? Glyph::kCross : Glyph::kCircle,
                .hollow = !failed,
                .color = failed ? "#b3261e" : running ? kColorParametric : "#999999",
                .mark_size = 3},
               ParamsOf(result, trial), trial.tokens_planned,
               absl::StrCat("trial ", trial.id, " ", ToString(trial.state)));
  }
  for (Series& series : points.Take()) figure->series.push_back(std::move(series));
}

}  // namespace

std::optional<Figure> GridFigure(const AnalysisResult& result, const ReportContext& context) {
  Figure figure{.name = "fig01_grid", .number = "F1", .title = "The grid: sizes and data of every trial"};
  figure.x = {.label = ParamsLabel(result), .scale = Scale::kLog};
  figure.y = {.label = "D [tokens]", .scale = Scale::kLog};
  // Budgets that are still to come have their colour too.
  Range flops = FlopsRange(result);
  const std::vector<double> budgets = Budgets(result, context);
  if (!budgets.empty()) flops = result.rows.empty() ? Range{budgets.front(), budgets.back()} : Range{std::min(flops.lo, budgets.front()), std::max(flops.hi, budgets.back())};
  AddGridPoints(result, context, flops, &figure);
  if (figure.series.empty()) return std::nullopt;
  // Lines of equal C behind the points; D = C / (6N) holds for 6ND only.
  std::vector<Series> lines;
  if (result.options.flops == FlopsConvention::k6nd && budgets.size() <= 12) {
    const Range x = RangeOf(figure, true);
    for (const double budget : budgets) {
      Series line{.line = true, .color = ColorOfBudget(budget, flops.lo, flops.hi), .line_width = 0.7};
      line.ignored_by_range = true;
      for (int k = 0; k <= 1; ++k) {
        const double params = k == 0 ? x.lo : x.hi;
        line.x.push_back(params);
        line.y.push_back(budget / (6 * params));
      }
      line.hover.assign(2, absl::StrCat("C = ", FormatFlops(budget), " FLOPs"));
      lines.push_back(std::move(line));
    }
  }
  figure.series.insert(figure.series.begin(), lines.begin(), lines.end());
  SetColorBar(flops.lo, flops.hi, &figure);
  figure.caption = absl::StrCat(Plural(static_cast<int64_t>(result.rows.size()), "observation"), " in the fit, ",
                                result.exclusions.size(), " not. Colour: C",
                                lines.empty() ? "" : "; lines: equal C",
                                "; seeds of a cell stand on one another; hollow: not in the fit.");
  return figure;
}

}  // namespace isoflop
