// F5-F8: the law L(N, D) as contours, as a surface, and in slices.
#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/report/report_parts.h"
#include "study/format.h"

namespace isoflop {
namespace {

Range RangeOfRows(const AnalysisResult& result, double KeptRow::* value, double margin) {
  Range range{INFINITY, 0};
  for (const KeptRow& row : result.rows) {
    range.lo = std::min(range.lo, row.*value);
    range.hi = std::max(range.hi, row.*value);
  }
  return {range.lo / margin, range.hi * margin};
}

std::vector<double> LogSpaced(const Range& range, int count) {
  std::vector<double> values;
  for (int k = 0; k < count; ++k) {
    values.push_back(range.lo * std::pow(range.hi / range.lo, static_cast<double>(k) / std::max(count - 1, 1)));
  }
  return values;
}

Field LawField(const AnalysisResult& result, int count) {
  Field field{.x = LogSpaced(RangeOfRows(result, &KeptRow::params, 1.5), count),
              .y = LogSpaced(RangeOfRows(result, &KeptRow::tokens, 1.5), count),
              .label = LossLabel(result)};
  for (const double tokens : field.y) {
    for (const double params : field.x) field.z.push_back(result.parametric->law.LossAt(params, tokens));
  }
  return field;
}

// About a dozen rounded levels, denser near E: log-spaced in L - E.
std::vector<double> Levels(const Field& field, double irreducible) {
  const auto [lo, hi] = std::minmax_element(field.z.begin(), field.z.end());
  const double floor = std::min(irreducible, *lo * 0.999);
  const double digits = std::pow(10, std::floor(std::log10(*hi - *lo)) - 2);
  std::set<double> levels;
  for (int k = 1; k < 13; ++k) {
    const double level = floor + (*lo - floor) * std::pow((*hi - floor) / (*lo - floor), k / 13.0);
    levels.insert(std::round(level / digits) * digits);
  }
  return {levels.begin(), levels.end()};
}

// N*(C) and D*(C) of approach 3 within the field, solid where demonstrated.
std::vector<Series> OptimalLine(const AnalysisResult& result, const Field& field, bool on_surface) {
  const Frontier* frontier = FrontierOf(result, Approach::kParametric);
  if (frontier == nullptr) return {};
  std::vector<Series> lines;
  for (const bool extrapolated : {false, true}) {
    Series line{.label = extrapolated ? "optimal, extrapolated" : "compute-optimal N*, D*",
                .line = true,
                .dashed = extrapolated,
                .color = "#d03030",
                .line_width = 1.6,
                .ignored_by_range = true};
    const FrontierPoint* before = nullptr;
    for (const FrontierPoint& point : frontier->points) {
      const double params = point.params.value, tokens = point.tokens.value;
      const bool inside = params >= field.x.front() && params <= field.x.back() && tokens >= field.y.front() &&
                          tokens <= field.y.back();
      if (inside && point.extrapolated == extrapolated) {
        // The dashed part begins where the solid one ends.
        if (extrapolated && line.x.empty() && before != nullptr) {
          line.x.push_back(before->params.value);
          line.y.push_back(before->tokens.value);
        }
        line.x.push_back(params);
        line.y.push_back(tokens);
      }
      if (inside) before = &point;
    }
    if (line.x.size() < 2) continue;
    for (size_t i = 0; on_surface && i < line.x.size(); ++i) {
      line.z.push_back(result.parametric->law.LossAt(line.x[i], line.y[i]));
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

std::vector<Series> Observations(const AnalysisResult& result, bool on_surface) {
  Series kept{.label = "observations", .mark = Glyph::kCircle, .color = kColorInk, .mark_size = 2.3};
  for (const KeptRow& row : result.rows) {
    kept.x.push_back(row.params);
    kept.y.push_back(row.tokens);
    if (on_surface) kept.z.push_back(row.loss);
    kept.hover.push_back(HoverOf(row));
  }
  Series left{.label = "left out", .mark = Glyph::kCircle, .hollow = true, .color = kColorInk, .mark_size = 2.3};
  left.ignored_by_range = true;
  for (const Exclusion& exclusion : result.exclusions) {
    if (!exclusion.params.has_value() || !exclusion.tokens.has_value() || !exclusion.loss.has_value()) continue;
    left.x.push_back(*exclusion.params);
    left.y.push_back(*exclusion.tokens);
    if (on_surface) left.z.push_back(*exclusion.loss);
    left.hover.push_back(absl::StrCat(EscapeXml(exclusion.source), "<br>", EscapeXml(exclusion.detail)));
  }
  std::vector<Series> out = {std::move(kept)};
  if (!left.x.empty()) out.push_back(std::move(left));
  return out;
}

// Up to `limit` values at which to cut: those of the rows if they are few, else
// log-spaced between the 5th and the 95th percentile.
std::vector<double> Slices(const AnalysisResult& result, double KeptRow::* value, int limit) {
  std::vector<double> values;
  for (const KeptRow& row : result.rows) values.push_back(row.*value);
  std::sort(values.begin(), values.end());
  std::vector<double> distinct;
  for (const double v : values) {
    if (distinct.empty() || v > distinct.back() * 1.02) distinct.push_back(v);
  }
  if (static_cast<int>(distinct.size()) <= limit) return distinct;
  const double last = static_cast<double>(values.size() - 1);
  return LogSpaced({values[static_cast<size_t>(0.05 * last)], values[static_cast<size_t>(0.95 * last)]}, limit - 1);
}

// L along `along` at fixed values of `fixed`. An observation stands at the slice
// nearest to it, moved there along the law, so that its residual stays.
std::optional<Figure> SliceFigure(const AnalysisResult& result, double KeptRow::* along, double KeptRow::* fixed,
                                  std::string (*name_of)(double), const char* symbol) {
  if (!result.parametric.has_value() || result.rows.empty()) return std::nullopt;
  const LossLaw& law = result.parametric->law;
  const bool along_params = along == &KeptRow::params;
  const auto loss_at = [&](double x, double slice) {
    return along_params ? law.LossAt(x, slice) : law.LossAt(slice, x);
  };
  Figure figure;
  figure.x = {.label = along_params ? ParamsLabel(result) : "D [tokens]", .scale = Scale::kLog};
  figure.y = {.label = LossLabel(result)};
  figure.offset_switch = law.E;
  figure.offset_label = "L − E, log axis";
  figure.height_inches = 3.6;
  const std::vector<double> slices = Slices(result, fixed, 6);
  const std::vector<double> grid = LogSpaced(RangeOfRows(result, along, 1.3), 60);
  std::vector<Series> points(slices.size());
  double moved = 0;
  for (const KeptRow& row : result.rows) {
    size_t nearest = 0;
    for (size_t s = 1; s < slices.size(); ++s) {
      if (std::abs(std::log(slices[s] / (row.*fixed))) < std::abs(std::log(slices[nearest] / (row.*fixed)))) nearest = s;
    }
    moved = std::max(moved, std::abs(std::log(slices[nearest] / (row.*fixed))));
    points[nearest].x.push_back(row.*along);
    points[nearest].y.push_back(row.loss * loss_at(row.*along, slices[nearest]) / loss_at(row.*along, row.*fixed));
    points[nearest].hover.push_back(HoverOf(row));
  }
  for (size_t s = 0; s < slices.size(); ++s) {
    const std::string color = Viridis(slices.size() > 1 ? 0.9 * static_cast<double>(s) / static_cast<double>(slices.size() - 1) : 0.4);
    Series line{.label = absl::StrCat(symbol, " = ", name_of(slices[s])), .x = grid, .line = true, .color = color};
    for (const double x : grid) line.y.push_back(loss_at(x, slices[s]));
    figure.series.push_back(std::move(line));
    points[s].mark = Glyph::kCircle;
    points[s].color = color;
    points[s].mark_size = 2.3;
    if (!points[s].x.empty()) figure.series.push_back(std::move(points[s]));
  }
  figure.caption = absl::StrCat("Lines: the law (", FitWords(result), "). Marks: observations",
                                moved > 0.02 ? ", each at the nearest slice and moved to it along the law (its residual stays)" : "",
                                ". E = ", FormatSignificant(law.E, 4), ".");
  return figure;
}

}  // namespace

std::optional<Figure> ContourFigure(const AnalysisResult& result) {
  if (!result.parametric.has_value() || result.rows.empty()) return std::nullopt;
  Figure figure{.name = "fig05_contour", .number = "F5", .title = "Contours of the law L(N, D)"};
  figure.kind = FigureKind::kContour;
  figure.field = LawField(result, 48);
  figure.field->levels = Levels(*figure.field, result.parametric->law.E);
  figure.x = {.label = ParamsLabel(result), .scale = Scale::kLog, .lo = figure.field->x.front(), .hi = figure.field->x.back()};
  figure.y = {.label = "D [tokens]", .scale = Scale::kLog, .lo = figure.field->y.front(), .hi = figure.field->y.back()};
  figure.height_inches = 4.4;
  for (Series& series : Observations(result, false)) figure.series.push_back(std::move(series));
  for (Series& series : OptimalLine(result, *figure.field, false)) figure.series.push_back(std::move(series));
  figure.caption = absl::StrCat("Levels in ", result.options.spec.loss == LossUnit::kNats ? "nats/token" : "bits/byte", "; ",
                                FitWords(result), ". Red: the compute-optimal line",
                                figure.series.size() > 2 && figure.series.back().dashed ? ", dashed where extrapolated." : ".");
  return figure;
}

std::optional<Figure> SurfaceFigure(const AnalysisResult& result) {
  if (!result.parametric.has_value() || result.rows.empty()) return std::nullopt;
  Figure figure{.name = "fig06_surface", .number = "F6", .title = "The law L(N, D) as a surface"};
  figure.kind = FigureKind::kSurface;
  figure.field = LawField(result, 30);
  figure.x = {.label = "N [parameters]", .scale = Scale::kLog};
  figure.y = {.label = "D [tokens]", .scale = Scale::kLog};
  figure.height_inches = 4.6;
  for (Series& series : Observations(result, true)) figure.series.push_back(std::move(series));
  for (Series& series : OptimalLine(result, *figure.field, true)) figure.series.push_back(std::move(series));
  figure.caption = absl::StrCat("Marks stand at the observed loss; ", FitWords(result), ". N: ", CountWords(result), ".");
  return figure;
}

std::optional<Figure> LossBySizeFigure(const AnalysisResult& result) {
  std::optional<Figure> figure = SliceFigure(result, &KeptRow::params, &KeptRow::tokens, FormatTokens, "D");
  if (!figure.has_value()) return figure;
  figure->name = "fig07_loss_params";
  figure->number = "F7";
  figure->title = "Loss against N at fixed D";
  return figure;
}

std::optional<Figure> LossByTokensFigure(const AnalysisResult& result) {
  std::optional<Figure> figure = SliceFigure(result, &KeptRow::tokens, &KeptRow::params, FormatCount, "N");
  if (!figure.has_value()) return figure;
  figure->name = "fig08_loss_tokens";
  figure->number = "F8";
  figure->title = "Loss against D at fixed N";
  return figure;
}

}  // namespace isoflop
