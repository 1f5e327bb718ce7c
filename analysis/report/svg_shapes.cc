#include "analysis/report/svg_shapes.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace isoflop {

std::string SvgNumber(double points) {
  std::string text = absl::StrFormat("%.2f", points);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

double SvgTextWidth(const std::string& text, double size) {
  double width = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0) == 0x80) continue;  // the rest of a UTF-8 sign
    const bool narrow = c == ' ' || c == '.' || c == ',' || c == 'i' || c == 'l' || c == '(' || c == ')' || c == '/';
    width += narrow ? 0.34 : (c >= 'A' && c <= 'Z') || c == '%' ? 0.7 : 0.6;
  }
  return width * size;
}

std::string SvgText(double x, double y, const std::string& text, const std::string& anchor, double size,
                    const std::string& more) {
  return absl::StrCat("<text x=\"", SvgNumber(x), "\" y=\"", SvgNumber(y), "\" text-anchor=\"", anchor,
                      "\" font-size=\"", SvgNumber(size), "\"", more, ">", EscapeXml(text), "</text>\n");
}

std::string SvgMark(Glyph mark, double x, double y, double r, const std::string& color, bool hollow) {
  const std::string paint = hollow ? absl::StrCat("fill=\"white\" stroke=\"", color, "\" stroke-width=\"0.9\"")
                                   : absl::StrCat("fill=\"", color, "\" stroke=\"white\" stroke-width=\"0.35\"");
  const auto polygon = [&](std::initializer_list<std::pair<double, double>> corners) {
    std::string points;
    for (const auto& [dx, dy] : corners) {
      absl::StrAppend(&points, points.empty() ? "" : " ", SvgNumber(x + dx * r), ",", SvgNumber(y + dy * r));
    }
    return absl::StrCat("<polygon points=\"", points, "\" ", paint, "/>\n");
  };
  switch (mark) {
    case Glyph::kNone: return "";
    case Glyph::kCircle:
      return absl::StrCat("<circle cx=\"", SvgNumber(x), "\" cy=\"", SvgNumber(y), "\" r=\"", SvgNumber(r), "\" ", paint,
                          "/>\n");
    case Glyph::kSquare: return polygon({{-0.9, -0.9}, {0.9, -0.9}, {0.9, 0.9}, {-0.9, 0.9}});
    case Glyph::kDiamond: return polygon({{0, -1.3}, {1.3, 0}, {0, 1.3}, {-1.3, 0}});
    case Glyph::kTriangle: return polygon({{0, -1.25}, {1.15, 0.85}, {-1.15, 0.85}});
    case Glyph::kCross:
      return absl::StrCat("<path d=\"M", SvgNumber(x - r), " ", SvgNumber(y - r), "L", SvgNumber(x + r), " ",
                          SvgNumber(y + r), "M", SvgNumber(x - r), " ", SvgNumber(y + r), "L", SvgNumber(x + r), " ",
                          SvgNumber(y - r), "\" stroke=\"", color, "\" fill=\"none\" stroke-width=\"1\"/>\n");
  }
  return "";
}

std::string SvgDashes(const Series& series) {
  return series.dotted ? " stroke-dasharray=\"1 2.2\" stroke-linecap=\"round\""
         : series.dashed ? " stroke-dasharray=\"4.5 2.5\""
                         : "";
}

std::string SvgColorBar(double x, double top, double height, double lo, double hi, Scale scale, Notation notation,
                        double brightest, const std::string& label) {
  constexpr int kSteps = 40;
  std::string out;
  for (int k = 0; k < kSteps; ++k) {
    absl::StrAppend(&out, "<rect x=\"", SvgNumber(x), "\" y=\"", SvgNumber(top + height * k / kSteps),
                    "\" width=\"7\" height=\"", SvgNumber(height / kSteps + 0.3), "\" fill=\"",
                    Viridis(brightest * (1 - (k + 0.5) / kSteps)), "\"/>\n");
  }
  double last = 1e9;
  for (const Tick& tick : Ticks(lo, hi, scale, notation)) {
    const double y = top + height * (1 - UnitPosition(tick.at, {lo, hi}, scale));
    if (tick.label.empty() || y > last - kSvgFont) continue;
    absl::StrAppend(&out, SvgText(x + 10, y + 2.5, tick.label, "start", kSvgFont - 1));
    last = y;
  }
  return out + SvgText(x, top - 5, label, "start", kSvgFont - 0.5);
}

double SvgLegend(const Figure& figure, double x, double top, double width, std::string* out) {
  constexpr double kRow = kSvgFont + 4, kSample = 16, kSize = kSvgFont - 0.5;
  double left = x, y = top + kSize;
  bool any = false;
  for (const Series& series : figure.series) {
    if (series.label.empty()) continue;
    const double entry = kSample + 4 + SvgTextWidth(series.label, kSize) + 12;
    if (any && left + entry > x + width + 12) {
      left = x;
      y += kRow;
    }
    any = true;
    if (out != nullptr) {
      if (!series.lo.empty() && series.mark == Glyph::kNone) {
        absl::StrAppend(out, "<rect x=\"", SvgNumber(left), "\" y=\"", SvgNumber(y - 6.2), "\" width=\"16\" height=\"7\" fill=\"",
                        series.color, "\" fill-opacity=\"0.16\"/>\n");
      }
      if (series.line) {
        absl::StrAppend(out, "<line x1=\"", SvgNumber(left), "\" y1=\"", SvgNumber(y - 2.7), "\" x2=\"",
                        SvgNumber(left + kSample), "\" y2=\"", SvgNumber(y - 2.7), "\" stroke=\"", series.color,
                        "\" stroke-width=\"", SvgNumber(series.line_width), "\"", SvgDashes(series), "/>\n");
      }
      absl::StrAppend(out, SvgMark(series.mark, left + kSample / 2, y - 2.7, series.mark_size, series.color, series.hollow));
      absl::StrAppend(out, SvgText(left + kSample + 4, y, series.label, "start", kSize));
    }
    left += entry;
  }
  return any ? y - top + 4 : 0;
}

double UnitPosition(double value, const Range& range, Scale scale) {
  if (scale == Scale::kLinear) return (value - range.lo) / (range.hi - range.lo);
  if (!(value > 0)) return NAN;
  return (std::log(value) - std::log(range.lo)) / (std::log(range.hi) - std::log(range.lo));
}

}  // namespace isoflop
