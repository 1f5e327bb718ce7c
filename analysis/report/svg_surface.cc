// A surface in an orthographic view: cells from back to front, points and lines
// on it, three axes.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "analysis/report/svg_shapes.h"

namespace isoflop {
namespace {

constexpr double kPi = 3.14159265358979323846;

struct Projected {
  double x = 0, y = 0;  // points on paper
  double depth = 0;     // larger is farther
};

// From data to paper. The box is 1 x 1 x 0.72, seen from the corner of large x and
// large y, where a loss is low, so that the high edge stands behind.
class Camera {
 public:
  Camera(const Figure& figure, double z_lo, double z_hi, double width, double height, double top)
      : x_{figure.field->x.front(), figure.field->x.back()},
        y_{figure.field->y.front(), figure.field->y.back()},
        z_{z_lo, z_hi},
        x_scale_(figure.x.scale),
        y_scale_(figure.y.scale),
        center_x_(width * 0.47),
        center_y_(top + height * 0.47),
        size_(std::min(width * 0.56, height * 0.70)) {}

  Projected operator()(double x, double y, double z) const {
    const double u = UnitPosition(x, x_, x_scale_) - 0.5, v = UnitPosition(y, y_, y_scale_) - 0.5;
    const double w = (UnitPosition(z, z_, Scale::kLinear) - 0.5) * 0.72;
    const double right = u * std::cos(kAzimuth) - v * std::sin(kAzimuth);
    const double away = u * std::sin(kAzimuth) + v * std::cos(kAzimuth);
    return {center_x_ + size_ * right, center_y_ - size_ * (w * std::cos(kElevation) + away * std::sin(kElevation)),
            away * std::cos(kElevation) - w * std::sin(kElevation)};
  }

  const Range& x() const { return x_; }
  const Range& y() const { return y_; }
  const Range& z() const { return z_; }

 private:
  static constexpr double kAzimuth = 218 * kPi / 180, kElevation = 27 * kPi / 180;
  const Range x_, y_, z_;
  const Scale x_scale_, y_scale_;
  const double center_x_, center_y_, size_;
};

struct Piece {
  double depth;
  std::string svg;
};

void AddCells(const Field& field, const Camera& camera, std::vector<Piece>* pieces) {
  const size_t nx = field.x.size(), ny = field.y.size();
  for (size_t j = 0; j + 1 < ny; ++j) {
    for (size_t i = 0; i + 1 < nx; ++i) {
      std::string points;
      double depth = 0, z_mean = 0;
      for (const auto& [di, dj] : {std::pair<size_t, size_t>{0, 0}, {1, 0}, {1, 1}, {0, 1}}) {
        const double z = field.z[(j + dj) * nx + i + di];
        const Projected p = camera(field.x[i + di], field.y[j + dj], z);
        absl::StrAppend(&points, points.empty() ? "" : " ", SvgNumber(p.x), ",", SvgNumber(p.y));
        depth += p.depth / 4;
        z_mean += z / 4;
      }
      if (!std::isfinite(z_mean)) continue;
      const std::string color = Viridis(UnitPosition(z_mean, camera.z(), Scale::kLinear));
      pieces->push_back({depth, absl::StrCat("<polygon points=\"", points, "\" fill=\"", color, "\" stroke=\"", color,
                                             "\" stroke-width=\"0.3\"/>\n")});
    }
  }
}

void AddSeries(const Series& series, const Camera& camera, std::vector<Piece>* pieces) {
  const size_t count = std::min({series.x.size(), series.y.size(), series.z.size()});
  if (series.line) {
    std::string path;
    for (size_t i = 0; i < count; ++i) {
      const Projected p = camera(series.x[i], series.y[i], series.z[i]);
      absl::StrAppend(&path, i == 0 ? "M" : "L", SvgNumber(p.x), " ", SvgNumber(p.y));
    }
    // A line on the surface is drawn over all of it: cells would cut it.
    pieces->push_back({-1e9, absl::StrCat("<path d=\"", path, "\" fill=\"none\" stroke=\"", series.color,
                                          "\" stroke-width=\"", SvgNumber(series.line_width), "\"", SvgDashes(series), "/>\n")});
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    const Projected p = camera(series.x[i], series.y[i], series.z[i]);
    if (!std::isfinite(p.x + p.y)) continue;
    pieces->push_back({p.depth - 0.1, SvgMark(series.mark, p.x, p.y, series.mark_size, series.color, series.hollow)});
  }
}

// Ticks along an edge of the floor that is near to the eye.
std::string FloorAxis(const Axis& axis, const Camera& camera, bool of_x) {
  const Range& range = of_x ? camera.x() : camera.y();
  const auto at = [&](double value, bool near) {
    return of_x ? camera(value, near ? camera.y().hi : camera.y().lo, camera.z().lo)
                : camera(near ? camera.x().hi : camera.x().lo, value, camera.z().lo);
  };
  const Projected from = at(range.lo, true), to = at(range.hi, true);
  // Outwards on paper: from the far edge to the near one.
  const Projected far = at(range.lo, false);
  const double length = std::max(std::hypot(from.x - far.x, from.y - far.y), 1e-9);
  const double dx = (from.x - far.x) / length, dy = (from.y - far.y) / length;
  std::string out;
  double last = 1e18;
  for (const Tick& tick : Ticks(range.lo, range.hi, axis.scale, axis.notation)) {
    if (tick.label.empty()) continue;
    const Projected p = at(tick.at, true), q = at(tick.at, false);
    absl::StrAppend(&out, "<path d=\"M", SvgNumber(q.x), " ", SvgNumber(q.y), "L", SvgNumber(p.x + 3 * dx), " ",
                    SvgNumber(p.y + 3 * dy), "\" stroke=\"#c8c8c8\" stroke-width=\"0.5\"/>\n");
    if (std::abs(p.x - last) < SvgTextWidth(tick.label, kSvgFont) + 3) continue;
    out += SvgText(p.x + 10 * dx, p.y + 10 * dy + 2.5, tick.label, "middle", kSvgFont - 0.5);
    last = p.x;
  }
  const std::string anchor = dx > 0 ? "start" : "end";
  return out + SvgText((from.x + to.x) / 2 + 24 * dx, (from.y + to.y) / 2 + 24 * dy + 8, axis.label, anchor, kSvgFont);
}

}  // namespace

std::string SvgSurface(const Figure& figure, double width, double height, double top) {
  const Field& field = *figure.field;
  double lo = INFINITY, hi = -INFINITY;
  for (const double z : field.z) {
    if (std::isfinite(z)) lo = std::min(lo, z), hi = std::max(hi, z);
  }
  if (!(hi > lo)) return "";
  const Camera camera(figure, lo, hi, width, height, top);
  std::vector<Piece> pieces;
  AddCells(field, camera, &pieces);
  for (const Series& series : figure.series) AddSeries(series, camera, &pieces);
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.depth > b.depth; });

  const auto path = [](std::initializer_list<Projected> corners, const char* more) {
    std::string d;
    for (const Projected& p : corners) absl::StrAppend(&d, d.empty() ? "M" : "L", SvgNumber(p.x), " ", SvgNumber(p.y));
    return absl::StrCat("<path d=\"", d, "\" fill=\"none\" stroke=\"#999\" stroke-width=\"0.6\"", more, "/>\n");
  };
  const Range &x = camera.x(), &y = camera.y();
  std::string out = FloorAxis(figure.x, camera, true) + FloorAxis(figure.y, camera, false);
  out += path({camera(x.lo, y.lo, lo), camera(x.hi, y.lo, lo), camera(x.hi, y.hi, lo), camera(x.lo, y.hi, lo),
               camera(x.lo, y.lo, lo)}, "");
  out += path({camera(x.lo, y.lo, lo), camera(x.lo, y.lo, hi)}, "");
  for (const Piece& piece : pieces) out += piece.svg;
  // The height's axis stands at the left corner.
  const Projected foot = camera(x.hi, y.lo, lo), left_foot = camera(x.lo, y.hi, lo);
  const bool x_left = foot.x < left_foot.x;
  const double corner_x = x_left ? x.hi : x.lo, corner_y = x_left ? y.lo : y.hi;
  out += path({camera(corner_x, corner_y, lo), camera(corner_x, corner_y, hi)}, "");
  for (const Tick& tick : Ticks(lo, hi, Scale::kLinear)) {
    const Projected p = camera(corner_x, corner_y, tick.at);
    out += SvgText(p.x - 5, p.y + 2.5, tick.label, "end", kSvgFont - 0.5);
    absl::StrAppend(&out, "<path d=\"M", SvgNumber(p.x - 3), " ", SvgNumber(p.y), "L", SvgNumber(p.x), " ", SvgNumber(p.y),
                    "\" stroke=\"#999\" stroke-width=\"0.6\"/>\n");
  }
  const double label_y = camera(corner_x, corner_y, (lo + hi) / 2).y, label_x = camera(corner_x, corner_y, lo).x - 30;
  out += SvgText(label_x, label_y, field.label, "middle", kSvgFont,
                 absl::StrCat(" transform=\"rotate(-90 ", SvgNumber(label_x), " ", SvgNumber(label_y), ")\""));
  return out;
}

}  // namespace isoflop
