// Damped Newton for up to eight parameters, and Brent's two methods in one
// dimension. Fixed-size algebra, no allocation: a bootstrap makes thousands of
// such fits.
#ifndef ISOFLOP_ANALYSIS_MINIMIZE_H_
#define ISOFLOP_ANALYSIS_MINIMIZE_H_

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace isoflop {

struct NewtonOptions {
  int max_iterations = 200;
  // Converged when max |H^-1 grad f| <= step_tolerance, H undamped and positive
  // definite.
  double step_tolerance = 1e-10;
  // Given up as not better than a known optimum once predicted and actual
  // decrease both fall under this share of f. 0: never.
  double value_tolerance = 0;
};

enum class NewtonEnd { kConverged, kMaxIterations, kSingular };

struct NewtonSummary {
  NewtonEnd end = NewtonEnd::kMaxIterations;
  int iterations = 0;
  double f = std::numeric_limits<double>::infinity();
  double max_gradient = 0;
  double max_step = 0;  // max |H^-1 grad f| at the end
};

// Minimises `problem` from `*x`, which takes the end point. `problem` has
// `double Derivatives(x, &gradient, &hessian)`, twice differentiable almost
// everywhere; where the Hessian jumps, or is not positive definite, the step is
// damped (Levenberg: H + mu I, mu by the ratio of actual to predicted decrease).
// A step is accepted when f falls or, at rounding level, when |grad f| does.
// `frozen` bits name parameters that stay.
template <int P, class Problem>
NewtonSummary MinimizeNewton(const Problem& problem, Eigen::Matrix<double, P, 1>* x, const NewtonOptions& options = {},
                             unsigned frozen = 0) {
  using Vector = Eigen::Matrix<double, P, 1>;
  using Matrix = Eigen::Matrix<double, P, P>;
  NewtonSummary summary;
  Vector g, g_new;
  Matrix H, H_new;
  const auto freeze = [frozen](Vector* gradient, Matrix* hessian) {
    for (int j = 0; j < P; ++j) {
      if ((frozen >> j & 1u) == 0) continue;
      (*gradient)[j] = 0;
      hessian->row(j).setZero();
      hessian->col(j).setZero();
      (*hessian)(j, j) = 1;
    }
  };
  double f = problem.Derivatives(*x, &g, &H);
  freeze(&g, &H);
  double mu = 0;  // relative to the Hessian's mean diagonal
  for (summary.iterations = 0; summary.iterations < options.max_iterations; ++summary.iterations) {
    if (!std::isfinite(f)) break;
    const double scale = std::max(H.diagonal().cwiseAbs().mean(), std::numeric_limits<double>::min());
    Eigen::LLT<Matrix> factor;
    Matrix damped = H;
    damped.diagonal().array() += mu * scale;
    factor.compute(damped);
    if (factor.info() != Eigen::Success) {
      mu = std::max(10 * mu, 1e-3);
      if (mu > 1e12) {
        summary.end = NewtonEnd::kSingular;
        break;
      }
      continue;
    }
    const Vector step = factor.solve(-g);
    const double size = step.cwiseAbs().maxCoeff();
    if (!std::isfinite(size)) {
      summary.end = NewtonEnd::kSingular;
      break;
    }
    const Vector x_new = *x + step;
    const double f_new = problem.Derivatives(x_new, &g_new, &H_new);
    freeze(&g_new, &H_new);
    const double predicted = -(g.dot(step) + 0.5 * step.dot(H * step));
    const double actual = f - f_new;
    const bool at_rounding = std::abs(actual) <= 1e-13 * std::abs(f) || predicted <= 1e-15 * std::abs(f);
    const bool accepted =
        std::isfinite(f_new) && (at_rounding ? g_new.cwiseAbs().maxCoeff() <= g.cwiseAbs().maxCoeff()
                                             : actual > 1e-4 * predicted && predicted > 0);
    const bool tiny = mu == 0 && size <= options.step_tolerance;
    if (accepted) {
      *x = x_new;
      f = f_new;
      g = g_new;
      H = H_new;
      if (!at_rounding && actual < 0.25 * predicted) {
        mu = std::max(4 * mu, 1e-6);
      } else {
        mu = mu < 1e-3 ? 0 : mu / 5;
      }
    }
    if (tiny || (mu == 0 && g.cwiseAbs().maxCoeff() == 0)) {
      summary.end = NewtonEnd::kConverged;
      ++summary.iterations;
      break;
    }
    if (options.value_tolerance > 0 && accepted && mu == 0 && predicted <= options.value_tolerance * std::abs(f)) {
      summary.end = NewtonEnd::kConverged;
      ++summary.iterations;
      break;
    }
    if (!accepted) {
      mu = std::max(10 * mu, 1e-3);
      if (mu > 1e12) {
        summary.end = NewtonEnd::kSingular;
        break;
      }
    }
  }
  summary.f = f;
  summary.max_gradient = g.cwiseAbs().maxCoeff();
  const Eigen::LLT<Matrix> factor(H);
  summary.max_step = factor.info() == Eigen::Success ? factor.solve(g).cwiseAbs().maxCoeff()
                                                     : std::numeric_limits<double>::infinity();
  if (summary.end == NewtonEnd::kConverged && factor.info() != Eigen::Success) summary.end = NewtonEnd::kSingular;
  return summary;
}

// The point in [lo, hi] where `f`, unimodal there, is least; to `tolerance`
// absolute (Brent 1973, chapter 5: golden section with parabolas).
double BrentMinimum(const std::function<double(double)>& f, double lo, double hi, double tolerance = 1e-9);

// A zero of the continuous `f` between `lo` and `hi`, where it must have
// opposite signs (or be zero); to `tolerance` absolute (Brent 1973, chapter 4).
double BrentRoot(const std::function<double(double)>& f, double lo, double hi, double tolerance = 1e-12);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_MINIMIZE_H_
