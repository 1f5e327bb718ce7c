// Least-squares polynomials of the losses of one budget. Fixed size and without
// allocation: a bootstrap fits tens of thousands.
#ifndef ISOFLOP_ANALYSIS_POLYNOMIAL_FIT_H_
#define ISOFLOP_ANALYSIS_POLYNOMIAL_FIT_H_

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/types/span.h"

namespace isoflop {

// y = Sum_k c_k t^k, t = x - center, k < P.
template <int P>
struct PolynomialFit {
  using Vector = Eigen::Matrix<double, P, 1>;
  using Matrix = Eigen::Matrix<double, P, P>;
  double center = 0;                 // the weighted mean of x
  Vector c = Vector::Zero();
  Matrix covariance = Matrix::Zero();  // of c, for noise 1
  double rss = 0;                    // weighted

  double At(double t) const {
    double y = 0;
    for (int k = P - 1; k >= 0; --k) y = y * t + c[k];
    return y;
  }
};

// Weighted by `weights` >= 0; nullopt with fewer than P distinct x of weight > 0.
template <int P>
std::optional<PolynomialFit<P>> FitPolynomial(absl::Span<const double> x, absl::Span<const double> y,
                                              absl::Span<const double> weights) {
  using Vector = typename PolynomialFit<P>::Vector;
  using Matrix = typename PolynomialFit<P>::Matrix;
  PolynomialFit<P> fit;
  double w_sum = 0, w_x = 0;
  double distinct[P];
  int found = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    w_sum += weights[i];
    w_x += weights[i] * x[i];
    if (found < P && std::find(distinct, distinct + found, x[i]) == distinct + found) distinct[found++] = x[i];
  }
  if (found < P) return std::nullopt;
  fit.center = w_x / w_sum;
  double width = 0;  // t / width lies in [-1, 1]: high powers keep their digits
  for (size_t i = 0; i < x.size(); ++i) {
    if (weights[i] > 0) width = std::max(width, std::abs(x[i] - fit.center));
  }
  Matrix normal = Matrix::Zero();
  Vector right = Vector::Zero();
  const auto powers = [&](double at) {
    Vector row;
    double power = 1;
    for (int k = 0; k < P; ++k, power *= (at - fit.center) / width) row[k] = power;
    return row;
  };
  for (size_t i = 0; i < x.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    const Vector row = powers(x[i]);
    normal += weights[i] * row * row.transpose();
    right += weights[i] * y[i] * row;
  }
  const Eigen::LDLT<Matrix> factor(normal);
  Vector c = factor.solve(right);
  c += factor.solve(right - normal * c);  // one step of refinement
  if (factor.info() != Eigen::Success || !c.allFinite()) return std::nullopt;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    const double residual = y[i] - powers(x[i]).dot(c);
    fit.rss += weights[i] * residual * residual;
  }
  Vector scale;
  double power = 1;
  for (int k = 0; k < P; ++k, power /= width) scale[k] = power;
  fit.c = c.cwiseProduct(scale);
  fit.covariance = scale.asDiagonal() * factor.solve(Matrix::Identity()) * scale.asDiagonal();
  return fit;
}

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_POLYNOMIAL_FIT_H_
