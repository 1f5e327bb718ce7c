// The small parts of an SVG: numbers, text, marks. For the two halves of the
// SVG writer only.
#ifndef ISOFLOP_ANALYSIS_REPORT_SVG_SHAPES_H_
#define ISOFLOP_ANALYSIS_REPORT_SVG_SHAPES_H_

#include <string>

#include "analysis/report/figure.h"

namespace isoflop {

inline constexpr double kSvgFont = 8;  // points

// A coordinate in points, two decimals.
std::string SvgNumber(double points);

// Estimated width in points of `text` at `size` points in a sans face.
double SvgTextWidth(const std::string& text, double size);

// A <text>; `anchor` is start, middle or end, `more` further attributes.
std::string SvgText(double x, double y, const std::string& text, const std::string& anchor, double size,
                    const std::string& more = "");

// A mark of radius r at (x, y); hollow: white inside.
std::string SvgMark(Glyph mark, double x, double y, double r, const std::string& color, bool hollow);

// stroke-dasharray of a series, or nothing.
std::string SvgDashes(const Series& series);

// A bar of viridis with ticks for [lo, hi], `label` above it.
std::string SvgColorBar(double x, double top, double height, double lo, double hi, Scale scale, Notation notation,
                        double brightest, const std::string& label);

// The legend in rows that flow within `width` points below (x, top); its height.
// Drawn only where `out` is given.
double SvgLegend(const Figure& figure, double x, double top, double width, std::string* out);

// The position of a value along [lo, hi]: 0 to 1; NaN where a logarithm has none.
double UnitPosition(double value, const Range& range, Scale scale);

// The body of a surface (svg_surface.cc) within [0, width] x [top, top + height].
std::string SvgSurface(const Figure& figure, double width, double height, double top);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_REPORT_SVG_SHAPES_H_
