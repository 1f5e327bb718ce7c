#include "analysis/report/plotly_writer.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace isoflop {
namespace {

using nlohmann::json;

json Number(double value) {
  if (!std::isfinite(value)) return nullptr;
  return std::strtod(absl::StrFormat("%.7g", value).c_str(), nullptr);
}

json Numbers(const std::vector<double>& values) {
  json out = json::array();
  for (const double value : values) out.push_back(Number(value));
  return out;
}

const char* Symbol(Glyph mark) {
  switch (mark) {
    case Glyph::kNone:
    case Glyph::kCircle: return "circle";
    case Glyph::kSquare: return "square";
    case Glyph::kDiamond: return "diamond";
    case Glyph::kTriangle: return "triangle-up";
    case Glyph::kCross: return "x-thin";
  }
  return "circle";
}

const char* Dash(const Series& series) { return series.dotted ? "dot" : series.dashed ? "dash" : "solid"; }

json ViridisScale(double brightest) {
  json scale = json::array();
  for (int k = 0; k <= 8; ++k) scale.push_back({k / 8.0, Viridis(brightest * k / 8)});
  return scale;
}

std::string Translucent(const std::string& color) {
  const auto byte = [&](size_t at) { return std::strtol(color.substr(at, 2).c_str(), nullptr, 16); };
  return absl::StrCat("rgba(", byte(1), ",", byte(3), ",", byte(5), ",0.16)");
}

json Marker(const Series& series, double scale) {
  json marker = {{"symbol", std::string(Symbol(series.mark)) + (series.hollow && series.mark != Glyph::kCross ? "-open" : "")},
                 {"size", series.mark_size * scale},
                 {"color", series.color}};
  if (series.hollow || series.mark == Glyph::kCross) {
    marker["line"] = {{"width", 1.4}, {"color", series.color}};
  } else {
    marker["line"] = {{"width", 0.5}, {"color", "white"}};
  }
  return marker;
}

// Distances of an interval's ends from the points, as error bars want them.
json ErrorBar(const std::vector<double>& at, const std::vector<double>& lo, const std::vector<double>& hi,
              const std::string& color) {
  json up = json::array(), down = json::array();
  for (size_t i = 0; i < at.size(); ++i) {
    up.push_back(Number(hi[i] - at[i]));
    down.push_back(Number(at[i] - lo[i]));
  }
  return {{"type", "data"},  {"symmetric", false}, {"array", up},   {"arrayminus", down},
          {"thickness", 1.2}, {"width", 3},         {"color", color}};
}

bool HasInterval(const Series& series) { return !series.x.empty() && series.lo.size() == series.x.size() && series.hi.size() == series.x.size(); }

// Bands below all lines, as in the SVG.
void AddBand(const Series& series, size_t index, json* data) {
  if (!HasInterval(series) || series.mark != Glyph::kNone) return;
  const std::string group = absl::StrCat("s", index);
  json lower = {{"type", "scatter"},    {"mode", "lines"},        {"x", Numbers(series.x)}, {"y", Numbers(series.lo)},
                {"hoverinfo", "skip"},  {"line", {{"width", 0}}}, {"showlegend", false},    {"legendgroup", group}};
  json upper = lower;
  upper["y"] = Numbers(series.hi);
  upper["fill"] = "tonexty";
  upper["fillcolor"] = Translucent(series.color);
  if (!series.line && !series.label.empty()) {
    upper["name"] = series.label;
    upper["showlegend"] = true;
  }
  data->push_back(std::move(lower));
  data->push_back(std::move(upper));
}

void AddSeries(const Series& series, size_t index, json* data) {
  if (HasInterval(series) && series.mark == Glyph::kNone && !series.line) return;  // a band alone
  const std::string group = absl::StrCat("s", index);
  json trace = {{"type", "scatter"},
                {"x", Numbers(series.x)},
                {"y", Numbers(series.y)},
                {"mode", series.line ? (series.mark == Glyph::kNone ? "lines" : "lines+markers") : "markers"},
                {"name", series.label},
                {"showlegend", !series.label.empty()},
                {"legendgroup", group}};
  if (series.line) trace["line"] = {{"color", series.color}, {"width", series.line_width * 1.4}, {"dash", Dash(series)}};
  if (series.mark != Glyph::kNone) {
    trace["marker"] = Marker(series, 2.6);
    if (HasInterval(series)) trace["error_y"] = ErrorBar(series.y, series.lo, series.hi, series.color);
    if (series.x_lo.size() == series.x.size() && series.x_hi.size() == series.x.size() && !series.x.empty()) {
      trace["error_x"] = ErrorBar(series.x, series.x_lo, series.x_hi, series.color);
    }
  }
  if (!series.hover.empty()) {
    trace["hovertext"] = series.hover;
    trace["hovertemplate"] = "%{hovertext}<extra></extra>";
  }
  data->push_back(std::move(trace));
}

void AddContours(const Figure& figure, json* data) {
  const Field& field = *figure.field;
  if (field.levels.empty()) return;
  const double lo = field.levels.front(), hi = field.levels.back();
  for (const double level : field.levels) {
    const std::string color = Viridis(hi > lo ? 0.88 * (level - lo) / (hi - lo) : 0.5);
    for (const ContourLine& line : ContourLines(field, level, figure.x.scale, figure.y.scale)) {
      const std::string label = absl::StrFormat("%.4g", level);
      json text = json::array();
      for (size_t i = 0; i < line.x.size(); ++i) text.push_back("");
      // Lines leave through the right edge or the top; the label stands there.
      const bool first = line.x.front() > line.x.back();
      text[first ? 0 : line.x.size() - 1] = label;
      data->push_back({{"type", "scatter"},
                       {"mode", "lines+text"},
                       {"x", Numbers(line.x)},
                       {"y", Numbers(line.y)},
                       {"text", text},
                       {"textposition", "middle right"},
                       {"textfont", {{"size", 10}, {"color", color}}},
                       {"cliponaxis", false},
                       {"line", {{"color", color}, {"width", 1.3}}},
                       {"showlegend", false},
                       {"hovertemplate", absl::StrCat(field.label, " ", label, "<extra></extra>")}});
    }
  }
}

void AddSurface(const Figure& figure, json* data) {
  const Field& field = *figure.field;
  const size_t nx = field.x.size();
  json rows = json::array();
  for (size_t j = 0; j < field.y.size(); ++j) {
    rows.push_back(Numbers({field.z.begin() + static_cast<std::ptrdiff_t>(j * nx),
                            field.z.begin() + static_cast<std::ptrdiff_t>((j + 1) * nx)}));
  }
  data->push_back({{"type", "surface"},
                   {"x", Numbers(field.x)},
                   {"y", Numbers(field.y)},
                   {"z", rows},
                   {"colorscale", ViridisScale(1)},
                   {"opacity", 0.92},
                   {"colorbar", {{"thickness", 12}, {"len", 0.6}, {"title", {{"text", field.label}, {"font", {{"size", 11}}}}}}},
                   {"contours", {{"z", {{"show", true}, {"color", "white"}, {"width", 1}}}}},
                   {"hovertemplate", "N %{x:.3s}<br>D %{y:.3s}<br>loss %{z:.4f}<extra>law</extra>"}});
  const auto [low, high] = std::minmax_element(field.z.begin(), field.z.end());
  for (const Series& series : figure.series) {
    // A line on the surface is lifted a little, or the two would flicker.
    std::vector<double> z = series.z;
    if (series.line) {
      for (double& height : z) height += 0.006 * (*high - *low);
    }
    json trace = {{"type", "scatter3d"},
                  {"x", Numbers(series.x)},
                  {"y", Numbers(series.y)},
                  {"z", Numbers(z)},
                  {"mode", series.line ? "lines" : "markers"},
                  {"name", series.label},
                  {"showlegend", !series.label.empty()}};
    if (series.line) trace["line"] = {{"color", series.color}, {"width", 5}, {"dash", Dash(series)}};
    if (series.mark != Glyph::kNone) {
      // 3-D marks know fewer symbols.
      trace["marker"] = {{"size", series.mark_size * 1.3},
                         {"color", series.color},
                         {"symbol", series.mark == Glyph::kSquare    ? "square"
                                    : series.mark == Glyph::kDiamond ? "diamond"
                                    : series.mark == Glyph::kCross   ? "x"
                                                                    : "circle"}};
      if (series.hollow) trace["marker"]["symbol"] = "circle-open";
    }
    if (!series.hover.empty()) {
      trace["hovertext"] = series.hover;
      trace["hovertemplate"] = "%{hovertext}<extra></extra>";
    }
    data->push_back(std::move(trace));
  }
}

// Ticks are those of the SVG; the page lets plotly choose its own while zoomed in.
json AxisJson(const Axis& axis, const Range& range, bool in_scene) {
  const bool is_log = axis.scale == Scale::kLog;
  json values = json::array(), labels = json::array();
  for (const Tick& tick : Ticks(range.lo, range.hi, axis.scale, axis.notation)) {
    if (in_scene && tick.label.empty()) continue;
    values.push_back(Number(tick.at));
    labels.push_back(tick.label);
  }
  json out = {{"title", {{"text", axis.label}, {"standoff", 8}}},
              {"type", is_log ? "log" : "linear"},
              {"tickmode", "array"},
              {"tickvals", values},
              {"ticktext", labels},
              {"range", {Number(is_log ? std::log10(range.lo) : range.lo), Number(is_log ? std::log10(range.hi) : range.hi)}},
              {"exponentformat", axis.notation == Notation::kPower ? "power" : "B"},
              {"gridcolor", "#e4e4e4"},
              {"zeroline", false}};
  if (!in_scene) {
    out["linecolor"] = "#666";
    out["mirror"] = true;
    out["showline"] = true;
    out["ticks"] = "outside";
    out["ticklen"] = 3;
    out["tickcolor"] = "#999";
  }
  return out;
}

// A bar for C: a trace without points that carries the scale.
void AddColorBar(const Figure& figure, json* data) {
  json values = json::array(), labels = json::array();
  for (const Tick& tick : Ticks(*figure.color_lo, *figure.color_hi, Scale::kLog, Notation::kPower)) {
    if (tick.label.empty()) continue;
    values.push_back(Number(std::log10(tick.at)));
    labels.push_back(tick.label);
  }
  data->push_back({{"type", "scatter"},
                   {"mode", "markers"},
                   {"x", {nullptr}},
                   {"y", {nullptr}},
                   {"showlegend", false},
                   {"hoverinfo", "skip"},
                   {"marker",
                    {{"color", {0}},
                     {"cmin", Number(std::log10(*figure.color_lo))},
                     {"cmax", Number(std::log10(*figure.color_hi))},
                     {"colorscale", ViridisScale(0.9)},
                     {"showscale", true},
                     {"colorbar",
                      {{"thickness", 10},
                       {"len", 0.7},
                       {"outlinewidth", 0},
                       {"tickvals", values},
                       {"ticktext", labels},
                       {"title", {{"text", "C [FLOPs]"}, {"font", {{"size", 11}}}}}}}}}});
}

}  // namespace

std::string RenderPlotly(const Figure& figure) {
  json data = json::array();
  json layout = {{"font", {{"family", "Helvetica, Arial, sans-serif"}, {"size", 12}, {"color", "#222"}}},
                 {"paper_bgcolor", "white"},
                 {"plot_bgcolor", "white"},
                 {"hovermode", "closest"},
                 {"showlegend", figure.legend},
                 {"margin", {{"l", 64}, {"r", 24}, {"t", 30}, {"b", 52}}},
                 {"legend", {{"orientation", "h"}, {"x", 0}, {"y", -0.16}, {"yanchor", "top"}, {"font", {{"size", 11}}}}}};
  const bool is_surface = figure.kind == FigureKind::kSurface && figure.field.has_value();
  if (is_surface) {
    AddSurface(figure, &data);
    const Field& field = *figure.field;
    Range heights{INFINITY, -INFINITY};
    for (const double z : field.z) {
      if (std::isfinite(z)) heights = {std::min(heights.lo, z), std::max(heights.hi, z)};
    }
    layout["scene"] = {{"xaxis", AxisJson(figure.x, {field.x.front(), field.x.back()}, true)},
                       {"yaxis", AxisJson(figure.y, {field.y.front(), field.y.back()}, true)},
                       {"zaxis", AxisJson({.label = field.label}, heights, true)},
                       {"camera", {{"eye", {{"x", 1.45}, {"y", 1.75}, {"z", 0.9}}}, {"center", {{"x", 0}, {"y", 0}, {"z", -0.16}}}}},
                       {"aspectratio", {{"x", 1.15}, {"y", 1.15}, {"z", 0.8}}}};
    layout["margin"] = {{"l", 0}, {"r", 0}, {"t", 0}, {"b", 30}};
    layout["legend"]["y"] = -0.01;
  } else {
    if (figure.field.has_value()) AddContours(figure, &data);
    for (size_t s = 0; s < figure.series.size(); ++s) AddBand(figure.series[s], s, &data);
    for (size_t s = 0; s < figure.series.size(); ++s) AddSeries(figure.series[s], s, &data);
    if (figure.color_lo.has_value() && figure.color_hi.value_or(0) > *figure.color_lo) AddColorBar(figure, &data);
    const Range x = RangeOf(figure, true), y = RangeOf(figure, false);
    layout["xaxis"] = AxisJson(figure.x, x, false);
    layout["yaxis"] = AxisJson(figure.y, y, false);
    if (figure.kind == FigureKind::kContour) layout["margin"]["r"] = 56;
  }
  json out = {{"name", figure.name}, {"kind", is_surface ? "surface" : "plot"}, {"data", data}, {"layout", layout}};
  if (figure.offset_switch.has_value()) {
    out["offset"] = *figure.offset_switch;
    out["offset_label"] = figure.offset_label;
  }
  const std::string text = out.dump(-1, ' ', false, json::error_handler_t::replace);
  // No "</script>" and no "<!--" may stand inside a <script> element.
  return absl::StrReplaceAll(text, {{"<", "\\u003c"}, {"\u2028", "\\u2028"}, {"\u2029", "\\u2029"}});
}

}  // namespace isoflop
