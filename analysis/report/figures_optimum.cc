// F10-F12: the compute-optimal N*(C), D*(C), D/N(C).
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/report/report_parts.h"
#include "study/format.h"

namespace isoflop {
namespace {

// What F10, F11 and F12 differ in.
struct OptimumView {
  const char* name;
  const char* number;
  const char* title;
  const char* what;
  std::string (*format)(double);
  const Estimate& (*of)(const FrontierPoint& point);
  std::optional<double> (*of_budget)(const IsoflopBudget& budget);
  double kaplan, hoffmann;  // exponents of this quantity
};

const Estimate& ParamsOfPoint(const FrontierPoint& point) { return point.params; }
const Estimate& TokensOfPoint(const FrontierPoint& point) { return point.tokens; }
const Estimate& RatioOfPoint(const FrontierPoint& point) { return point.tokens_per_parameter; }

std::optional<double> ParamsOfBudget(const IsoflopBudget& budget) {
  if (!budget.params_optimal.has_value()) return std::nullopt;
  return budget.params_optimal->value;
}
std::optional<double> TokensOfBudget(const IsoflopBudget& budget) {
  if (!budget.tokens_optimal.has_value()) return std::nullopt;
  return budget.tokens_optimal->value;
}
std::optional<double> RatioOfBudget(const IsoflopBudget& budget) {
  if (!budget.params_optimal.has_value() || !budget.tokens_optimal.has_value()) return std::nullopt;
  return budget.tokens_optimal->value / budget.params_optimal->value;
}

// The two papers' exponents, drawn through approach 3 at the middle of the data.
void AddReferences(const AnalysisResult& result, const OptimumView& view, const Frontier& frontier, Figure* figure) {
  if (frontier.points.size() < 2) return;
  const FrontierPoint* anchor = &frontier.points.front();
  const double middle = std::sqrt(frontier.points.front().budget_flops * std::max(result.max_flops, frontier.points.front().budget_flops));
  for (const FrontierPoint& point : frontier.points) {
    if (std::abs(std::log(point.budget_flops / middle)) < std::abs(std::log(anchor->budget_flops / middle))) anchor = &point;
  }
  for (const bool kaplan : {true, false}) {
    const double exponent = kaplan ? view.kaplan : view.hoffmann;
    const std::string power = exponent == 0 ? "constant" : absl::StrFormat("C^%.2f", exponent);
    Series line{.label = absl::StrCat(kaplan ? "Kaplan, " : "Hoffmann, ", power),
                .line = true,
                .dotted = true,
                .color = kaplan ? "#8a5a9e" : kColorReference,
                .line_width = 1.3,
                .ignored_by_range = true};
    for (const FrontierPoint& point : frontier.points) {
      line.x.push_back(point.budget_flops);
      line.y.push_back(view.of(*anchor).value * std::pow(point.budget_flops / anchor->budget_flops, exponent));
    }
    figure->series.push_back(std::move(line));
  }
}

void AddFrontier(const Frontier& frontier, const OptimumView& view, double level, Figure* figure) {
  const char* color = ColorOf(frontier.approach);
  for (const bool extrapolated : {false, true}) {
    Series line{.label = extrapolated ? "" : ToString(frontier.approach), .line = true, .dashed = extrapolated, .color = color, .line_width = 1.5};
    bool banded = true;
    for (size_t i = 0; i < frontier.points.size(); ++i) {
      const FrontierPoint& point = frontier.points[i];
      // The dashed part begins where the solid one ends.
      const bool joint = extrapolated && !point.extrapolated && i + 1 < frontier.points.size() && frontier.points[i + 1].extrapolated;
      if (point.extrapolated != extrapolated && !joint) continue;
      line.x.push_back(point.budget_flops);
      line.y.push_back(view.of(point).value);
      const Interval* interval = view.of(point).At(level);
      line.lo.push_back(interval != nullptr ? interval->lo : NAN);
      line.hi.push_back(interval != nullptr ? interval->hi : NAN);
      banded = banded && interval != nullptr;
    }
    if (!banded) line.lo.clear(), line.hi.clear();
    if (line.x.size() < 2) continue;
    if (extrapolated && (figure->series.empty() || figure->series.back().label != ToString(frontier.approach))) {
      line.label = ToString(frontier.approach) + ", extrapolated";
    }
    figure->series.push_back(std::move(line));
  }
}

void AddMinima(const AnalysisResult& result, const OptimumView& view, Figure* figure) {
  if (!result.isoflop.has_value()) return;
  for (const bool rejected : {false, true}) {
    Series minima{.label = rejected ? "minimum, rejected" : "minimum of a budget",
                  .mark = Glyph::kDiamond,
                  .hollow = rejected,
                  .color = kColorIsoflop,
                  .mark_size = 3.2};
    minima.ignored_by_range = rejected;
    for (const IsoflopBudget& budget : result.isoflop->budgets) {
      const std::optional<double> value = view.of_budget(budget);
      if (budget.rejection.has_value() != rejected || !value.has_value()) continue;
      minima.x.push_back(budget.budget_flops);
      minima.y.push_back(*value);
      minima.hover.push_back(absl::StrCat("C = ", FormatFlops(budget.budget_flops), "<br>", view.format(*value)));
    }
    if (!minima.x.empty()) figure->series.push_back(std::move(minima));
  }
}

}  // namespace

std::vector<Figure> OptimumFigures(const AnalysisResult& result) {
  if (result.frontiers.empty()) return {};
  const double level = MainLevel(result);
  // Kaplan et al. 2020: N* as C^0.73; Hoffmann et al. 2022: as C^0.50 (approaches
  // 1 and 2: 0.50, 0.49; 3: 0.46).
  const OptimumView views[] = {
      {"fig10_params_optimal", "F10", "Compute-optimal size N*(C)", "N*", FormatCount, ParamsOfPoint, ParamsOfBudget, 0.73, 0.50},
      {"fig11_tokens_optimal", "F11", "Compute-optimal data D*(C)", "D*", FormatTokens, TokensOfPoint, TokensOfBudget, 0.27, 0.50},
      {"fig12_ratio_optimal", "F12", "Compute-optimal tokens per parameter", "D*/N*", FormatRatio, RatioOfPoint, RatioOfBudget, -0.46, 0.0},
  };
  std::vector<Figure> figures;
  for (const OptimumView& view : views) {
    Figure figure{.name = view.name, .number = view.number, .title = view.title};
    figure.x = {.label = FlopsLabel(result), .scale = Scale::kLog, .notation = Notation::kPower};
    figure.y = {.label = view.of == ParamsOfPoint ? "N* [parameters]" : view.of == TokensOfPoint ? "D* [tokens]" : "tokens per parameter, D*/N*",
                .scale = Scale::kLog};
    figure.height_inches = 3.8;
    // Approach 3 on top.
    for (const Approach approach : {Approach::kEnvelope, Approach::kIsoflop, Approach::kParametric}) {
      if (const Frontier* frontier = FrontierOf(result, approach)) AddFrontier(*frontier, view, level, &figure);
    }
    AddMinima(result, view, &figure);
    const Frontier* anchor = FrontierOf(result, Approach::kParametric);
    AddReferences(result, view, anchor != nullptr ? *anchor : result.frontiers.front(), &figure);
    const Estimate* shown = anchor != nullptr && !anchor->points.empty() ? &view.of(anchor->points.front()) : nullptr;
    const std::string band = shown == nullptr ? "" : LevelAndMethod(*shown, level);
    figure.caption = absl::StrCat("n = ", result.rows.size(), band.empty() ? "" : ". Bands: " + band,
                                  ". Dashed: beyond what was demonstrated. Dotted: the exponents of Kaplan et al. 2020 and Hoffmann et "
                                  "al. 2022, drawn through approach 3 at the middle of the data.");
    if (view.of == RatioOfPoint) {
      figure.caption += " Hoffmann et al. found D of about 20 N; some courses write N = 20 D, which is the inverse.";
    }
    figures.push_back(std::move(figure));
  }
  return figures;
}

}  // namespace isoflop
