#include "analysis/report/figure.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace isoflop {
namespace {

// Rounding D to whole steps moves C by a percent: such budgets are one colour.
constexpr double kOneBudget = 1.05;

// Viridis at 0, 1/8, ..., 1 (van der Walt and Smith, 2015).
constexpr double kViridis[9][3] = {{68, 1, 84},    {72, 40, 120},  {62, 74, 137},
                                   {49, 104, 142}, {38, 130, 142}, {31, 158, 137},
                                   {53, 183, 121}, {110, 206, 88}, {253, 231, 37}};

// "10^19" in raised digits, "5 x 10^10" as "5·10^10".
std::string PowerLabel(double value) {
  static constexpr const char* kRaised[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  const int exponent = static_cast<int>(std::floor(std::log10(value) + 1e-9));
  const double mantissa = value / std::pow(10.0, exponent);
  std::string text = std::abs(mantissa - 1) < 1e-6 ? "10" : absl::StrFormat("%.3g·10", mantissa);
  if (exponent < 0) text += "⁻";
  for (const char digit : std::to_string(std::abs(exponent))) text += kRaised[digit - '0'];
  return text;
}

std::string TickLabel(double value, Notation notation) {
  const double size = std::abs(value);
  if (notation == Notation::kPower && value > 0) return PowerLabel(value);
  if (size == 0) return "0";
  if (size >= 1e15 || size < 1e-3) {
    std::string text = absl::StrFormat("%.3g", value);
    const size_t plus = text.find("e+");
    if (plus != std::string::npos) text.erase(plus + 1, 1);
    return text;
  }
  static constexpr std::pair<double, const char*> kUnits[] = {{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "K"}};
  for (const auto& [unit, letter] : kUnits) {
    if (size >= unit * 0.9999999) return absl::StrFormat("%.4g%s", value / unit, letter);
  }
  return absl::StrFormat("%.4g", value);
}

std::string Number(double value) { return std::isfinite(value) ? absl::StrFormat("%.10g", value) : ""; }

std::string Quoted(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

}  // namespace

std::string Viridis(double position) {
  position = std::clamp(position, 0.0, 1.0) * 8;
  const int below = std::min(static_cast<int>(position), 7);
  const double t = position - below;
  int rgb[3];
  for (int c = 0; c < 3; ++c) {
    rgb[c] = static_cast<int>(std::lround(kViridis[below][c] * (1 - t) + kViridis[below + 1][c] * t));
  }
  return absl::StrFormat("#%02x%02x%02x", rgb[0], rgb[1], rgb[2]);
}

void SetColorBar(double lo, double hi, Figure* figure) {
  if (!(lo > 0) || !(hi > kOneBudget * lo)) return;
  figure->color_lo = lo;
  figure->color_hi = hi;
}

std::string ColorOfBudget(double budget_flops, double lo, double hi) {
  if (!(hi > kOneBudget * lo) || !(lo > 0) || !(budget_flops > 0)) return Viridis(0.3);
  // The last tenth of viridis is too light for lines on white.
  return Viridis(0.9 * (std::log(budget_flops) - std::log(lo)) / (std::log(hi) - std::log(lo)));
}

std::vector<Tick> Ticks(double lo, double hi, Scale scale, Notation notation) {
  std::vector<Tick> ticks;
  if (!(hi > lo)) return ticks;
  if (scale == Scale::kLog) {
    const int first = static_cast<int>(std::floor(std::log10(lo) - 1e-9));
    const int last = static_cast<int>(std::ceil(std::log10(hi) + 1e-9));
    const double decades = std::log10(hi) - std::log10(lo);
    const int every = std::max(1, static_cast<int>(std::ceil(decades / 8)));
    for (int e = first; e <= last; ++e) {
      for (int m = 1; m <= 9; ++m) {
        const double at = m * std::pow(10.0, e);
        if (at < lo * (1 - 1e-9) || at > hi * (1 + 1e-9)) continue;
        // Few decades: 1, 2, 5 carry labels; below half a decade all do.
        const bool labelled = decades < 0.6   ? true
                              : decades < 2.2 ? (m == 1 || m == 2 || m == 5)
                                              : (m == 1 && (e - first) % every == 0);
        if (!labelled && decades > 6) continue;
        ticks.push_back({at, labelled ? TickLabel(at, notation) : "", labelled});
      }
    }
    const auto labels = std::count_if(ticks.begin(), ticks.end(), [](const Tick& t) { return t.major; });
    // About a decade with two or three labels: 3, 4 and 7 get theirs too.
    if (labels >= 2 && labels < 4 && decades >= 0.6 && decades < 1.4) {
      for (Tick& tick : ticks) {
        const double m = std::round(tick.at / std::pow(10.0, std::floor(std::log10(tick.at) + 1e-9)));
        if (tick.label.empty() && (m == 3 || m == 4 || m == 7)) tick = {tick.at, TickLabel(tick.at, notation), true};
      }
    }
    // Well within a decade 1, 2, ..., 9 are too few: round steps between them instead.
    if (labels >= 4 || (labels >= 2 && decades >= 0.6)) return ticks;
    ticks.clear();
  }
  const double rough = (hi - lo) / 5;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = power;
  for (const double m : {1.0, 2.0, 5.0, 10.0}) {
    step = m * power;
    if (step >= rough * 0.999) break;
  }
  for (double k = std::ceil(lo / step - 1e-9); k * step <= hi + 1e-9 * step; ++k) {
    const double at = std::abs(k) < 0.5 ? 0 : k * step;
    ticks.push_back({at, TickLabel(at, notation), true});
  }
  return ticks;
}

Range RangeOf(const Figure& figure, bool of_x) {
  const Axis& axis = of_x ? figure.x : figure.y;
  double lo = INFINITY, hi = -INFINITY;
  const auto take = [&](const std::vector<double>& values) {
    for (const double v : values) {
      if (!std::isfinite(v) || (axis.scale == Scale::kLog && v <= 0)) continue;
      lo = std::min(lo, v);
      hi = std::max(hi, v);
    }
  };
  for (const Series& series : figure.series) {
    if (series.ignored_by_range) continue;
    take(of_x ? series.x : series.y);
    take(of_x ? series.x_lo : series.lo);
    take(of_x ? series.x_hi : series.hi);
  }
  const bool has_field = figure.field.has_value();
  if (has_field) take(of_x ? figure.field->x : figure.field->y);
  if (!(lo <= hi)) {
    lo = axis.scale == Scale::kLog ? 1 : 0;
    hi = axis.scale == Scale::kLog ? 10 : 1;
  }
  if (!has_field) {
    if (axis.scale == Scale::kLog) {
      const double margin = hi > lo ? std::pow(hi / lo, 0.04) : 1.5;
      lo /= margin;
      hi *= margin;
    } else {
      const double margin = hi > lo ? 0.04 * (hi - lo) : std::max(0.5 * std::abs(hi), 0.5);
      lo -= margin;
      hi += margin;
    }
  }
  return {axis.lo.value_or(lo), axis.hi.value_or(hi)};
}

std::string FigureCsv(const Figure& figure) {
  std::string out = "series,x,y,lo,hi,x_lo,x_hi\n";
  for (size_t s = 0; s < figure.series.size(); ++s) {
    const Series& series = figure.series[s];
    const std::string name = series.label.empty() ? absl::StrCat("series ", s + 1) : series.label;
    const auto at = [](const std::vector<double>& values, size_t i) {
      return i < values.size() ? Number(values[i]) : std::string();
    };
    for (size_t i = 0; i < series.x.size(); ++i) {
      absl::StrAppend(&out, Quoted(name), ",", Number(series.x[i]), ",", at(series.y, i), ",", at(series.lo, i), ",",
                      at(series.hi, i), ",", at(series.x_lo, i), ",", at(series.x_hi, i), "\n");
    }
  }
  if (figure.field.has_value()) {
    const Field& field = *figure.field;
    absl::StrAppend(&out, "\nx,y,z\n");
    for (size_t j = 0; j < field.y.size(); ++j) {
      for (size_t i = 0; i < field.x.size(); ++i) {
        absl::StrAppend(&out, Number(field.x[i]), ",", Number(field.y[j]), ",",
                        Number(field.z[j * field.x.size() + i]), "\n");
      }
    }
  }
  return out;
}

void ThinCurve(std::vector<double>& x, std::vector<double>& y, size_t limit) {
  if (x.size() <= limit || limit < 4) return;
  const size_t bins = limit / 2 - 1;
  std::vector<size_t> keep = {0};
  for (size_t b = 0; b < bins; ++b) {
    const size_t begin = 1 + b * (x.size() - 2) / bins;
    const size_t end = 1 + (b + 1) * (x.size() - 2) / bins;
    if (begin >= end) continue;
    const auto [low, high] = std::minmax_element(y.begin() + static_cast<std::ptrdiff_t>(begin),
                                                 y.begin() + static_cast<std::ptrdiff_t>(end));
    size_t a = static_cast<size_t>(low - y.begin()), c = static_cast<size_t>(high - y.begin());
    if (a > c) std::swap(a, c);
    keep.push_back(a);
    if (c != a) keep.push_back(c);
  }
  keep.push_back(x.size() - 1);
  for (size_t k = 0; k < keep.size(); ++k) {
    x[k] = x[keep[k]];
    y[k] = y[keep[k]];
  }
  x.resize(keep.size());
  y.resize(keep.size());
}

std::vector<ContourLine> ContourLines(const Field& field, double level, Scale x, Scale y) {
  // An end of a segment lies on an edge of the grid: edge 2 (j nx + i) runs from
  // point (i, j) along x, 2 (j nx + i) + 1 along y. Edges join segments to lines.
  const size_t nx = field.x.size(), ny = field.y.size();
  struct Crossing {
    double x = 0, y = 0;
    std::vector<size_t> neighbours;  // at most two
  };
  std::map<size_t, Crossing> crossings;
  const auto between = [](double from, double to, double t, Scale scale) {
    return scale == Scale::kLog ? from * std::pow(to / from, t) : from + t * (to - from);
  };
  const auto cross = [&](size_t i, size_t j, bool along_x) {
    const size_t edge = 2 * (j * nx + i) + (along_x ? 0 : 1);
    const double from = field.z[j * nx + i], to = along_x ? field.z[j * nx + i + 1] : field.z[(j + 1) * nx + i];
    const double t = (level - from) / (to - from);
    Crossing& crossing = crossings[edge];
    crossing.x = along_x ? between(field.x[i], field.x[i + 1], t, x) : field.x[i];
    crossing.y = along_x ? field.y[j] : between(field.y[j], field.y[j + 1], t, y);
    return edge;
  };
  for (size_t j = 0; j + 1 < ny; ++j) {
    for (size_t i = 0; i + 1 < nx; ++i) {
      const double z00 = field.z[j * nx + i], z10 = field.z[j * nx + i + 1];
      const double z01 = field.z[(j + 1) * nx + i], z11 = field.z[(j + 1) * nx + i + 1];
      if (!std::isfinite(z00 + z10 + z01 + z11)) continue;
      std::vector<size_t> ends;
      if ((z00 < level) != (z10 < level)) ends.push_back(cross(i, j, true));
      if ((z10 < level) != (z11 < level)) ends.push_back(cross(i + 1, j, false));
      if ((z01 < level) != (z11 < level)) ends.push_back(cross(i, j + 1, true));
      if ((z00 < level) != (z01 < level)) ends.push_back(cross(i, j, false));
      for (size_t k = 0; k + 1 < ends.size(); k += 2) {
        crossings[ends[k]].neighbours.push_back(ends[k + 1]);
        crossings[ends[k + 1]].neighbours.push_back(ends[k]);
      }
    }
  }
  std::vector<ContourLine> lines;
  std::set<size_t> seen;
  const auto follow = [&](size_t edge) {
    ContourLine line;
    for (bool going = true; going;) {
      seen.insert(edge);
      line.x.push_back(crossings[edge].x);
      line.y.push_back(crossings[edge].y);
      going = false;
      for (const size_t next : crossings[edge].neighbours) {
        if (seen.count(next) == 0) {
          edge = next;
          going = true;
          break;
        }
      }
    }
    lines.push_back(std::move(line));
  };
  for (const auto& [edge, crossing] : crossings) {  // lines that end at the border
    if (crossing.neighbours.size() == 1 && seen.count(edge) == 0) follow(edge);
  }
  for (const auto& [edge, crossing] : crossings) {  // rings
    if (seen.count(edge) == 0) {
      follow(edge);
      lines.back().x.push_back(lines.back().x.front());
      lines.back().y.push_back(lines.back().y.front());
    }
  }
  return lines;
}

std::string EscapeXml(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default:
        // Control characters are not XML; a name cannot smuggle one in.
        if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') out += c;
    }
  }
  return out;
}

}  // namespace isoflop
