#include "analysis/report/svg_writer.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/report/svg_shapes.h"

namespace isoflop {
namespace {

// The plot's frame: from data to points.
struct Frame {
  double left, top, width, height;
  Range x, y;
  Scale x_scale, y_scale;

  double X(double value) const { return left + width * UnitPosition(value, x, x_scale); }
  double Y(double value) const {
    // Far outside is cut anyway; finite numbers keep the path well-formed.
    return std::clamp(top + height * (1 - UnitPosition(value, y, y_scale)), top - 2 * height, top + 3 * height);
  }
};

std::string Line(double x1, double y1, double x2, double y2, const char* color, double width) {
  return absl::StrCat("<line x1=\"", SvgNumber(x1), "\" y1=\"", SvgNumber(y1), "\" x2=\"", SvgNumber(x2), "\" y2=\"",
                      SvgNumber(y2), "\" stroke=\"", color, "\" stroke-width=\"", SvgNumber(width), "\"/>\n");
}

std::string ContourBody(const Figure& figure, const Frame& frame) {
  std::string out;
  const Field& field = *figure.field;
  if (field.levels.empty()) return out;
  const double lo = field.levels.front(), hi = field.levels.back();
  double last_right = 1e9, last_top = -1e9;
  for (const double level : field.levels) {
    const std::string color = Viridis(hi > lo ? 0.88 * (level - lo) / (hi - lo) : 0.5);
    for (const ContourLine& line : ContourLines(field, level, figure.x.scale, figure.y.scale)) {
      std::string path;
      for (size_t i = 0; i < line.x.size(); ++i) {
        absl::StrAppend(&path, i == 0 ? "M" : "L", SvgNumber(frame.X(line.x[i])), " ", SvgNumber(frame.Y(line.y[i])));
      }
      absl::StrAppend(&out, "<path d=\"", path, "\" fill=\"none\" stroke=\"", color, "\" stroke-width=\"1\"/>\n");
      // The label stands where the line leaves the right edge, else the top.
      const std::string text = absl::StrFormat("%.4g", level);
      const std::string paint = absl::StrCat(" fill=\"", color, "\"");
      for (const size_t end : {size_t{0}, line.x.size() - 1}) {
        const double x = frame.X(line.x[end]), y = frame.Y(line.y[end]);
        if (x > frame.left + frame.width - 0.5 && std::abs(y - last_right) > kSvgFont) {
          absl::StrAppend(&out, SvgText(frame.left + frame.width + 3, y + 2.5, text, "start", kSvgFont - 1, paint));
          last_right = y;
          break;
        }
        if (y < frame.top + 0.5 && std::abs(x - last_top) > SvgTextWidth(text, kSvgFont) + 2 &&
            x < frame.left + frame.width - 8) {
          absl::StrAppend(&out, SvgText(x, frame.top - 3, text, "middle", kSvgFont - 1, paint));
          last_top = x;
          break;
        }
      }
    }
  }
  return out;
}

std::string BandBody(const Series& series, const Frame& frame) {
  const bool has_interval = !series.x.empty() && series.lo.size() == series.x.size() && series.hi.size() == series.x.size();
  if (!has_interval || series.mark != Glyph::kNone) return "";
  std::string up, down;
  for (size_t i = 0; i < series.x.size(); ++i) {
    const double x = frame.X(series.x[i]), low = frame.Y(series.lo[i]), high = frame.Y(series.hi[i]);
    if (!std::isfinite(x + low + high)) continue;
    absl::StrAppend(&up, up.empty() ? "M" : "L", SvgNumber(x), " ", SvgNumber(high));
    down = absl::StrCat("L", SvgNumber(x), " ", SvgNumber(low), down);
  }
  if (up.empty()) return "";
  return absl::StrCat("<path d=\"", up, down, "Z\" fill=\"", series.color, "\" fill-opacity=\"0.16\" stroke=\"none\"/>\n");
}

std::string ErrorBars(const Series& series, const Frame& frame) {
  std::string path;
  const auto bar = [&](double x1, double y1, double x2, double y2) {
    if (!std::isfinite(x1 + y1 + x2 + y2)) return;
    const double cap_x = x1 == x2 ? 2 : 0, cap_y = x1 == x2 ? 0 : 2;
    for (const auto& [x, y] : {std::pair(x1, y1), std::pair(x2, y2)}) {
      absl::StrAppend(&path, "M", SvgNumber(x - cap_x), " ", SvgNumber(y - cap_y), "L", SvgNumber(x + cap_x), " ",
                      SvgNumber(y + cap_y));
    }
    absl::StrAppend(&path, "M", SvgNumber(x1), " ", SvgNumber(y1), "L", SvgNumber(x2), " ", SvgNumber(y2));
  };
  for (size_t i = 0; i < series.x.size(); ++i) {
    const double x = frame.X(series.x[i]), y = frame.Y(series.y[i]);
    if (i < series.lo.size() && i < series.hi.size()) bar(x, frame.Y(series.lo[i]), x, frame.Y(series.hi[i]));
    if (i < series.x_lo.size() && i < series.x_hi.size()) bar(frame.X(series.x_lo[i]), y, frame.X(series.x_hi[i]), y);
  }
  if (path.empty()) return "";
  return absl::StrCat("<path d=\"", path, "\" stroke=\"", series.color, "\" stroke-width=\"0.9\" fill=\"none\"/>\n");
}

std::string SeriesBody(const Series& series, const Frame& frame) {
  std::string out;
  if (series.line) {
    std::string path;
    bool pen_up = true;
    for (size_t i = 0; i < series.x.size() && i < series.y.size(); ++i) {
      const double x = frame.X(series.x[i]), y = frame.Y(series.y[i]);
      if (!std::isfinite(x + y)) {
        pen_up = true;
        continue;
      }
      absl::StrAppend(&path, pen_up ? "M" : "L", SvgNumber(x), " ", SvgNumber(y));
      pen_up = false;
    }
    if (!path.empty()) {
      absl::StrAppend(&out, "<path d=\"", path, "\" fill=\"none\" stroke=\"", series.color, "\" stroke-width=\"",
                      SvgNumber(series.line_width), "\" stroke-linejoin=\"round\"", SvgDashes(series), "/>\n");
    }
  }
  if (series.mark != Glyph::kNone) {
    out += ErrorBars(series, frame);
    for (size_t i = 0; i < series.x.size() && i < series.y.size(); ++i) {
      const double x = frame.X(series.x[i]), y = frame.Y(series.y[i]);
      if (std::isfinite(x + y)) out += SvgMark(series.mark, x, y, series.mark_size, series.color, series.hollow);
    }
  }
  return out;
}

// Grid lines and tick labels; labels that would touch are left out.
void DrawTicks(const Figure& figure, const Frame& frame, std::string* grid, std::string* labels) {
  const double bottom = frame.top + frame.height, right = frame.left + frame.width;
  double last = -1e9;
  for (const Tick& tick : Ticks(frame.x.lo, frame.x.hi, frame.x_scale, figure.x.notation)) {
    const double x = frame.X(tick.at);
    if (!std::isfinite(x)) continue;
    *grid += Line(x, frame.top, x, bottom, tick.major ? "#dcdcdc" : "#f1f1f1", 0.5);
    const double half = SvgTextWidth(tick.label, kSvgFont) / 2;
    if (!tick.label.empty() && x - half > last + 4) {
      *labels += SvgText(x, bottom + 11, tick.label, "middle", kSvgFont);
      last = x + half;
    }
  }
  last = 1e9;
  for (const Tick& tick : Ticks(frame.y.lo, frame.y.hi, frame.y_scale, figure.y.notation)) {
    const double y = frame.Y(tick.at);
    if (!std::isfinite(y)) continue;
    *grid += Line(frame.left, y, right, y, tick.major ? "#dcdcdc" : "#f1f1f1", 0.5);
    if (!tick.label.empty() && y < last - kSvgFont - 0.5) {
      *labels += SvgText(frame.left - 4, y + 2.8, tick.label, "end", kSvgFont);
      last = y;
    }
  }
}

std::string PlotBody(const Figure& figure, double width, double height) {
  const Range rx = RangeOf(figure, true), ry = RangeOf(figure, false);
  double widest = 0;
  for (const Tick& tick : Ticks(ry.lo, ry.hi, figure.y.scale, figure.y.notation)) {
    widest = std::max(widest, SvgTextWidth(tick.label, kSvgFont));
  }
  const bool has_color_bar = figure.color_lo.has_value() && figure.color_hi.value_or(0) > *figure.color_lo;
  const double left = widest + 24, right = has_color_bar ? 54 : figure.kind == FigureKind::kContour ? 30 : 10;
  const double top = figure.kind == FigureKind::kContour ? 14 : has_color_bar ? 8 : 6;
  const double legend = figure.legend ? SvgLegend(figure, left, 0, width - left - right, nullptr) : 0;
  const Frame frame{left,           top, width - left - right, height - top - 31 - legend, rx, ry,
                    figure.x.scale, figure.y.scale};
  const double bottom = frame.top + frame.height;

  std::string grid, labels;
  DrawTicks(figure, frame, &grid, &labels);
  const std::string name = EscapeXml(figure.name);
  std::string out = grid;
  absl::StrAppend(&out, "<clipPath id=\"clip-", name, "\"><rect x=\"", SvgNumber(frame.left), "\" y=\"",
                  SvgNumber(frame.top), "\" width=\"", SvgNumber(frame.width), "\" height=\"", SvgNumber(frame.height),
                  "\"/></clipPath>\n");
  if (figure.field.has_value()) out += ContourBody(figure, frame);
  absl::StrAppend(&out, "<g clip-path=\"url(#clip-", name, ")\">\n");
  // Bands below all lines: one approach's must not veil another's.
  for (const Series& series : figure.series) out += BandBody(series, frame);
  for (const Series& series : figure.series) out += SeriesBody(series, frame);
  absl::StrAppend(&out, "</g>\n<rect x=\"", SvgNumber(frame.left), "\" y=\"", SvgNumber(frame.top), "\" width=\"",
                  SvgNumber(frame.width), "\" height=\"", SvgNumber(frame.height),
                  "\" fill=\"none\" stroke=\"#666\" stroke-width=\"0.7\"/>\n", labels);
  out += SvgText(frame.left + frame.width / 2, bottom + 23, figure.x.label, "middle", kSvgFont);
  const double label_y = frame.top + frame.height / 2;
  out += SvgText(9, label_y, figure.y.label, "middle", kSvgFont,
                 absl::StrCat(" transform=\"rotate(-90 9 ", SvgNumber(label_y), ")\""));
  if (has_color_bar) {
    out += SvgColorBar(frame.left + frame.width + 12, frame.top + 14, std::min(frame.height - 20, 130.0), *figure.color_lo,
                       *figure.color_hi, Scale::kLog, Notation::kPower, 0.9, "C [FLOPs]");
  }
  if (legend > 0) SvgLegend(figure, frame.left, bottom + 29, frame.width, &out);
  return out;
}

}  // namespace

std::string RenderSvg(const Figure& figure) {
  const double width = figure.width_inches * 72, height = figure.height_inches * 72;
  const std::string name = EscapeXml(figure.name);
  std::string out = absl::StrCat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ", SvgNumber(width), " ", SvgNumber(height), "\" width=\"",
      absl::StrFormat("%.4gin", figure.width_inches), "\" height=\"", absl::StrFormat("%.4gin", figure.height_inches),
      "\" font-family=\"Helvetica, Arial, 'Liberation Sans', sans-serif\" fill=\"#222\" role=\"img\" aria-labelledby=\"title-",
      name, " desc-", name, "\">\n<title id=\"title-", name, "\">", EscapeXml(figure.title), "</title>\n<desc id=\"desc-",
      name, "\">", EscapeXml(figure.caption), "</desc>\n<rect width=\"", SvgNumber(width), "\" height=\"",
      SvgNumber(height), "\" fill=\"white\"/>\n");
  if (figure.kind == FigureKind::kSurface && figure.field.has_value()) {
    const double legend = figure.legend ? SvgLegend(figure, 10, 0, width - 20, nullptr) : 0;
    out += SvgSurface(figure, width, height - legend, 4);
    if (legend > 0) SvgLegend(figure, 10, height - legend, width - 20, &out);
  } else {
    out += PlotBody(figure, width, height);
  }
  return out + "</svg>\n";
}

}  // namespace isoflop
