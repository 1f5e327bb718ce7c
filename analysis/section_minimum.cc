#include "analysis/section_minimum.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "analysis/polynomial_fit.h"

namespace isoflop {
namespace {

// y = c3 t^3 + c2 t^2 + c1 t + c0 has its minimum where the slope is 0 and the
// curvature 2 sqrt(c2^2 - 3 c3 c1) > 0.
std::optional<SectionMinimum> MinimumOfCubic(absl::Span<const double> x, absl::Span<const double> y,
                                             absl::Span<const double> weights) {
  const std::optional<PolynomialFit<4>> fit = FitPolynomial<4>(x, y, weights);
  if (!fit) return std::nullopt;
  const Eigen::Vector4d& c = fit->c;
  const double discriminant = c[2] * c[2] - 3 * c[3] * c[1];
  if (!(discriminant > 0)) return std::nullopt;
  const double root = std::sqrt(discriminant);
  // The root without cancellation: c3 may be next to nothing.
  const double t = c[2] > 0 ? -c[1] / (c[2] + root) : (root - c[2]) / (3 * c[3]);
  if (!std::isfinite(t)) return std::nullopt;
  SectionMinimum minimum{.x = fit->center + t, .loss = fit->At(t), .rss = fit->rss, .parameters = 4};
  // dt = -(dc1 + 2 t dc2 + 3 t^2 dc3) / curvature; the least value moves as the
  // curve does at t.
  const Eigen::Vector4d slope = Eigen::Vector4d(0, 1, 2 * t, 3 * t * t) / (-2 * root);
  const Eigen::Vector4d at(1, t, t * t, t * t * t);
  minimum.unit_var_x = slope.dot(fit->covariance * slope);
  minimum.unit_var_loss = at.dot(fit->covariance * at);
  return minimum;
}

// The mean y of each distinct x, by rising x.
std::vector<SplineMinimum> MeansByX(absl::Span<const double> x, absl::Span<const double> y,
                                    absl::Span<const double> weights) {
  std::vector<size_t> order;
  for (size_t i = 0; i < x.size(); ++i) {
    if (weights[i] > 0) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t i, size_t j) { return x[i] < x[j]; });
  std::vector<SplineMinimum> means;
  double w_sum = 0;
  for (const size_t i : order) {
    if (means.empty() || means.back().x != x[i]) {
      means.push_back({x[i], y[i]});
      w_sum = weights[i];
      continue;
    }
    w_sum += weights[i];
    means.back().y += weights[i] / w_sum * (y[i] - means.back().y);
  }
  return means;
}

std::optional<SectionMinimum> MinimumOfAkima(absl::Span<const double> x, absl::Span<const double> y,
                                             absl::Span<const double> weights) {
  const std::vector<SplineMinimum> means = MeansByX(x, y, weights);
  const size_t m = means.size();
  if (m < static_cast<size_t>(SizesNeeded(MinimumMethod::kAkima))) return std::nullopt;
  std::vector<double> knots, values;
  const auto without = [&](size_t left_out) {
    knots.clear();
    values.clear();
    for (size_t i = 0; i < m; ++i) {
      if (i == left_out) continue;
      knots.push_back(means[i].x);
      values.push_back(means[i].y);
    }
    return MinimumOfAkimaSpline(knots, values);
  };
  const SplineMinimum best = without(m);
  SectionMinimum minimum{.x = best.x, .loss = best.y};
  if (const std::optional<ParabolaFit> parabola = FitParabola(x, y, weights)) minimum.rss = parabola->rss;
  // Jackknife: (m - 1)/m Sum (theta_(i) - mean)^2.
  std::vector<SplineMinimum> left;
  double x_mean = 0, y_mean = 0;
  for (size_t i = 0; i < m; ++i) {
    left.push_back(without(i));
    x_mean += left.back().x / static_cast<double>(m);
    y_mean += left.back().y / static_cast<double>(m);
  }
  double xx = 0, yy = 0;
  for (const SplineMinimum& one : left) {
    xx += (one.x - x_mean) * (one.x - x_mean);
    yy += (one.y - y_mean) * (one.y - y_mean);
  }
  const double share = static_cast<double>(m - 1) / static_cast<double>(m);
  minimum.jackknife_var_x = share * xx;
  minimum.jackknife_var_loss = share * yy;
  return minimum;
}

}  // namespace

std::string ToString(MinimumMethod method) {
  switch (method) {
    case MinimumMethod::kQuadratic: return "quadratic";
    case MinimumMethod::kCubic: return "cubic";
    case MinimumMethod::kAkima: return "akima";
  }
  return "";
}

std::optional<MinimumMethod> ParseMinimumMethod(absl::string_view text) {
  for (const MinimumMethod method : {MinimumMethod::kQuadratic, MinimumMethod::kCubic, MinimumMethod::kAkima}) {
    if (text == ToString(method)) return method;
  }
  return std::nullopt;
}

int SizesNeeded(MinimumMethod method) {
  switch (method) {
    case MinimumMethod::kQuadratic: return 3;
    case MinimumMethod::kCubic: return 4;
    case MinimumMethod::kAkima: return 5;
  }
  return 3;
}

std::optional<ParabolaFit> FitParabola(absl::Span<const double> x, absl::Span<const double> y,
                                       absl::Span<const double> weights) {
  const std::optional<PolynomialFit<3>> polynomial = FitPolynomial<3>(x, y, weights);
  if (!polynomial) return std::nullopt;
  const double p = polynomial->c[2], q = polynomial->c[1], r = polynomial->c[0];
  ParabolaFit fit;
  fit.parabola = {.center = polynomial->center, .p = p, .q = q, .r = r};
  fit.rss = polynomial->rss;
  const double t = -q / (2 * p);
  fit.vertex = polynomial->center + t;
  fit.minimum = r - q * q / (4 * p);
  fit.unit_var_p = polynomial->covariance(2, 2);
  const Eigen::Vector3d slope(0, -1 / (2 * p), q / (2 * p * p));
  fit.unit_var_vertex = slope.dot(polynomial->covariance * slope);
  const Eigen::Vector3d at_vertex(1, t, t * t);
  fit.unit_var_minimum = at_vertex.dot(polynomial->covariance * at_vertex);
  return fit;
}

std::optional<SectionMinimum> MinimumOfSection(MinimumMethod method, absl::Span<const double> x,
                                               absl::Span<const double> y, absl::Span<const double> weights) {
  switch (method) {
    case MinimumMethod::kCubic: return MinimumOfCubic(x, y, weights);
    case MinimumMethod::kAkima: return MinimumOfAkima(x, y, weights);
    case MinimumMethod::kQuadratic: break;
  }
  const std::optional<ParabolaFit> fit = FitParabola(x, y, weights);
  if (!fit || !(fit->parabola.p > 0)) return std::nullopt;
  return SectionMinimum{.x = fit->vertex,
                        .loss = fit->minimum,
                        .unit_var_x = fit->unit_var_vertex,
                        .unit_var_loss = fit->unit_var_minimum,
                        .rss = fit->rss};
}

SplineMinimum MinimumOfAkimaSpline(absl::Span<const double> x, absl::Span<const double> y) {
  const size_t m = x.size();
  // Slopes of the chords, two more on each side by Akima's parabola through the
  // last three points: chord[i + 2] is that from point i.
  std::vector<double> chord(m + 3);
  for (size_t i = 0; i + 1 < m; ++i) chord[i + 2] = (y[i + 1] - y[i]) / (x[i + 1] - x[i]);
  chord[1] = 2 * chord[2] - chord[3];
  chord[0] = 2 * chord[1] - chord[2];
  chord[m + 1] = 2 * chord[m] - chord[m - 1];
  chord[m + 2] = 2 * chord[m + 1] - chord[m];
  const auto slope_at = [&](size_t i) {
    const double right = std::abs(chord[i + 3] - chord[i + 2]), left = std::abs(chord[i + 1] - chord[i]);
    if (!(right + left > 0)) return 0.5 * (chord[i + 1] + chord[i + 2]);
    return (right * chord[i + 1] + left * chord[i + 2]) / (right + left);
  };
  SplineMinimum best{x[0], y[0]};
  const auto consider = [&best](double at, double value) {
    if (value < best.y) best = {at, value};
  };
  double slope = slope_at(0);
  for (size_t i = 0; i + 1 < m; ++i) {
    // y_i + s u + c2 u^2 + c3 u^3 on 0 <= u <= h.
    const double h = x[i + 1] - x[i], next = slope_at(i + 1);
    const double c2 = (3 * chord[i + 2] - 2 * slope - next) / h;
    const double c3 = (slope + next - 2 * chord[i + 2]) / (h * h);
    const double discriminant = c2 * c2 - 3 * c3 * slope;
    if (discriminant > 0) {
      const double root = std::sqrt(discriminant);
      const double u = c2 > 0 ? -slope / (c2 + root) : (root - c2) / (3 * c3);
      if (u > 0 && u < h) consider(x[i] + u, y[i] + u * (slope + u * (c2 + u * c3)));
    }
    consider(x[i + 1], y[i + 1]);
    slope = next;
  }
  return best;
}

}  // namespace isoflop
