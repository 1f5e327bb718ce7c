// A figure as data: what is drawn, not how. Two writers render it, SVG for paper
// (svg_writer.h) and plotly for the page (plotly_writer.h), so that the two cannot
// drift; its numbers also leave as CSV.
//
// Plain values. A NaN in a series is a gap.
#ifndef ISOFLOP_ANALYSIS_REPORT_FIGURE_H_
#define ISOFLOP_ANALYSIS_REPORT_FIGURE_H_

#include <optional>
#include <string>
#include <vector>

namespace isoflop {

enum class Scale { kLinear, kLog };
// How ticks are written: "10K", "2.5", or "10^19" for FLOPs.
enum class Notation { kShort, kPower };
enum class Glyph { kNone, kCircle, kSquare, kDiamond, kTriangle, kCross };

struct Axis {
  std::string label{};  // with its unit: "loss [nats/token]"
  Scale scale = Scale::kLinear;
  Notation notation = Notation::kShort;
  // Range in data units; without it, that of the data and a little more.
  std::optional<double> lo{};
  std::optional<double> hi{};
};

// Points, a line, a band, or any of them together, in one colour.
struct Series {
  std::string label{};  // for the legend; empty: not in it
  std::vector<double> x{};
  std::vector<double> y{};
  // An interval of y at each x: a band under a line, error bars under marks.
  std::vector<double> lo{};
  std::vector<double> hi{};
  // An interval of x at each point: horizontal error bars.
  std::vector<double> x_lo{};
  std::vector<double> x_hi{};
  bool line = false;
  Glyph mark = Glyph::kNone;
  bool hollow = false;  // left out of the fit
  bool dashed = false;  // extrapolated
  bool dotted = false;  // from the literature
  std::string color = "#444444";
  double line_width = 1.2;  // points
  double mark_size = 2.6;   // radius, points
  std::vector<std::string> hover{};  // a text a point, shown on the page only
  std::vector<double> z{};  // only on a surface: the height of each point
  // Of an overlay rather than a measurement: does not stretch the axes.
  bool ignored_by_range = false;
};

// z over a grid: contours, or a surface in three dimensions.
struct Field {
  std::vector<double> x{};  // rising
  std::vector<double> y{};  // rising
  std::vector<double> z{};  // z[j * x.size() + i] at (x[i], y[j])
  std::string label{};      // of z, with its unit
  std::vector<double> levels{};  // contours only
};

enum class FigureKind { kPlot, kContour, kSurface };

struct Figure {
  std::string name{};     // "fig05_contour": the file's name
  std::string number{};   // "F5"
  std::string title{};
  std::string caption{};  // n, method, level
  FigureKind kind = FigureKind::kPlot;
  Axis x{};
  Axis y{};
  std::vector<Series> series{};
  std::optional<Field> field{};
  // Given: the page offers y - offset on a logarithmic axis, e.g. L - E.
  std::optional<double> offset_switch{};
  std::string offset_label{};
  double width_inches = 6.75;   // 3.25: one column
  double height_inches = 3.9;
  bool legend = true;
  // A colour bar for C from lo to hi (FLOPs), where colour means C.
  std::optional<double> color_lo{};
  std::optional<double> color_hi{};
};

// Viridis at `position` in [0, 1], as "#rrggbb".
std::string Viridis(double position);

// The colour of C among budgets from lo to hi, by log C.
std::string ColorOfBudget(double budget_flops, double lo, double hi);

// A colour bar from lo to hi; none where the two are one budget but for rounding.
void SetColorBar(double lo, double hi, Figure* figure);

// Tick positions of an axis over [lo, hi] and their labels ("10K", "1e19", "1.5").
struct Tick {
  double at = 0;
  std::string label;
  bool major = true;
};
std::vector<Tick> Ticks(double lo, double hi, Scale scale, Notation notation = Notation::kShort);

// The range of an axis: as stated, else that of all finite data, widened.
struct Range {
  double lo = 0;
  double hi = 1;
};
Range RangeOf(const Figure& figure, bool of_x);

// The lines z = level of a field, in data units, each from end to end. Marching
// squares, linear along the axes as they are drawn (logarithmic where `x` or `y`
// is).
struct ContourLine {
  std::vector<double> x;
  std::vector<double> y;
};
std::vector<ContourLine> ContourLines(const Field& field, double level, Scale x, Scale y);

// The figure's numbers: series,x,y,lo,hi rows, then the field's.
std::string FigureCsv(const Figure& figure);

// At most `limit` points of a curve, first, last and the extremes of each
// stretch kept.
void ThinCurve(std::vector<double>& x, std::vector<double>& y, size_t limit);

// Text for XML and HTML, element content or attribute.
std::string EscapeXml(const std::string& text);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_REPORT_FIGURE_H_
