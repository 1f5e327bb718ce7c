// What approach 3 minimises, with value, gradient and Hessian.
//
//   f(theta) = Sum_i w_i rho(r_i),   r_i = ln L_i - ln L(theta; N_i, D_i)
//
// rho is Huber's: r^2/2 for |r| <= delta, else delta (|r| - delta/2). A SUM over
// rows, never a mean: under an absolute tolerance the mean stops early (that is
// how a = 0.4495 came into the literature for 0.5139). With delta infinite it is
// half the sum of squares. On the loss itself instead of its logarithm f is half
// the weighted sum of e^2, e = L_i - L.
//
// With J and K of law_forms.h, psi = clip(r, -delta, delta):
//   on log loss   grad f = -Sum w psi J,   Hess f = Sum w [1{|r| <= delta} J J' - psi K]
//   on loss       grad f = -Sum w e L J,   Hess f = Sum w [(L^2 - e L) J J' - e L K]
// The first Hessian jumps where a row crosses |r| = delta.
#ifndef ISOFLOP_ANALYSIS_OBJECTIVE_H_
#define ISOFLOP_ANALYSIS_OBJECTIVE_H_

#include <Eigen/Core>
#include <cmath>
#include <cstddef>
#include <vector>

#include "analysis/law_forms.h"

namespace isoflop {

// Rows as the objective wants them: columns of equal length.
struct FitRows {
  double n0 = 0, d0 = 0;        // the centre: means of ln N and ln D
  std::vector<double> n, d;     // ln N - n0, ln D - d0
  std::vector<double> loss;     // L > 0
  std::vector<double> ln_loss;
  std::vector<double> weight;   // >= 0
  // ln U of the corpus, for data_constrained; empty: no row saw a token twice.
  std::vector<double> ln_unique;

  size_t size() const { return n.size(); }
};

// Value, gradient and Hessian of f for one form. Holds pointers only: `rows`
// must outlive it. Thread-safe.
template <class Form>
class HuberObjective {
 public:
  using Vector = typename Form::Vector;
  using Matrix = typename Form::Matrix;

  // `on_loss`: least squares on the loss; delta then means nothing.
  HuberObjective(const FitRows* rows, double delta, bool on_loss = false) : rows_(rows), delta_(delta), on_loss_(on_loss) {}

  double delta() const { return delta_; }

  // f alone.
  double Value(const Vector& theta) const {
    double f = 0;
    for (size_t i = 0; i < rows_->size(); ++i) {
      double p[Form::kTerms];
      const double ln_loss = LnLoss(theta, rows_->n[i], rows_->d[i], p);
      f += rows_->weight[i] * (on_loss_ ? HalfSquare(rows_->loss[i] - std::exp(ln_loss)) : Rho(rows_->ln_loss[i] - ln_loss));
    }
    return f;
  }

  // f, gradient and Hessian in one pass.
  double Derivatives(const Vector& theta, Vector* gradient, Matrix* hessian) const {
    constexpr int P = Form::kParams;
    double f = 0;
    double g[P] = {};
    double H[Form::kPacked] = {};
    for (size_t i = 0; i < rows_->size(); ++i) {
      double p[Form::kTerms];
      const double n = rows_->n[i], d = rows_->d[i], w = rows_->weight[i];
      const double ln_loss = LnLoss(theta, n, d, p);
      // H gains `outer` J J' + `curvature` K, g gains `curvature` J.
      double outer, curvature;
      if (on_loss_) {
        const double loss = std::exp(ln_loss), e = rows_->loss[i] - loss;
        f += w * HalfSquare(e);
        curvature = -w * e * loss;
        outer = w * loss * loss + curvature;
      } else {
        const double r = rows_->ln_loss[i] - ln_loss;
        const bool inside = std::abs(r) <= delta_;
        f += w * Rho(r);
        curvature = -w * (inside ? r : std::copysign(delta_, r));
        outer = inside ? w : 0.0;
      }
      double m[P];
      Form::FirstMoment(p, n, d, m);
      if constexpr (Form::kFreeKappa) {
        AddWithKappa(theta, ln_loss, p, m, n, d, outer, curvature, g, H);
      } else {
        // K = Sum_k p_k t_k t_k' - J J'.
        const double both = outer - curvature;
        int at = 0;
        for (int j = 0; j < P; ++j) {
          g[j] += curvature * m[j];
          const double scaled = both * m[j];
          for (int k = j; k < P; ++k) H[at++] += scaled * m[k];
        }
        Form::AddSecondMoment(curvature, p, n, d, H);
      }
    }
    int at = 0;
    for (int j = 0; j < P; ++j) {
      (*gradient)[j] = g[j];
      for (int k = j; k < P; ++k) {
        (*hessian)(j, k) = H[at];
        (*hessian)(k, j) = H[at++];
      }
    }
    return f;
  }

  // J of ln L at one row.
  static Vector Jacobian(const Vector& theta, double n, double d) {
    double p[Form::kTerms], m[Form::kParams];
    const double ln_loss = LnLoss(theta, n, d, p);
    Form::FirstMoment(p, n, d, m);
    Vector J;
    for (int j = 0; j < Form::kParams; ++j) J[j] = m[j];
    if constexpr (Form::kFreeKappa) {
      double u[Form::kTerms], mean = 0;
      Form::Terms(theta, n, d, u);
      for (int k = 0; k < Form::kTerms; ++k) mean += p[k] * u[k];
      J[Form::kParams - 1] += ln_loss / theta[Form::kParams - 1] - mean;
    }
    return J;
  }

  // ln L at centred logs; `p` takes the softmax weights of the terms.
  static double LnLoss(const Vector& theta, double n, double d, double* p) {
    double u[Form::kTerms];
    Form::Terms(theta, n, d, u);
    double top = u[0];
    for (int k = 1; k < Form::kTerms; ++k) top = u[k] > top ? u[k] : top;
    double sum = 0;
    for (int k = 0; k < Form::kTerms; ++k) {
      p[k] = u[k] == top ? 1 : std::exp(u[k] - top);
      sum += p[k];
    }
    const double scale = 1 / sum;
    for (int k = 0; k < Form::kTerms; ++k) p[k] *= scale;
    const double lse = top + std::log(sum);
    if constexpr (Form::kFreeKappa) return theta[Form::kParams - 1] * lse;
    return lse;
  }

 private:
  static double HalfSquare(double e) { return 0.5 * e * e; }
  double Rho(double r) const {
    const double size = std::abs(r);
    return size <= delta_ ? 0.5 * r * r : delta_ * (size - 0.5 * delta_);
  }

  static void AddWithKappa(const Vector& theta, double ln_loss, const double* p, const double* m, double n, double d,
                           double outer, double curvature, double* g, double* H) {
    constexpr int P = Form::kParams;
    const double kappa = theta[P - 1];
    double u[Form::kTerms], mean = 0, variance = 0;
    Form::Terms(theta, n, d, u);
    for (int k = 0; k < Form::kTerms; ++k) mean += p[k] * u[k];
    // Sum_k p_k (u_k - mean u) t_k is the first moment under p_k (u_k - mean u).
    double tilted[Form::kTerms], mixed[P], J[P];
    for (int k = 0; k < Form::kTerms; ++k) {
      tilted[k] = p[k] * (u[k] - mean);
      variance += tilted[k] * (u[k] - mean);
    }
    Form::FirstMoment(tilted, n, d, mixed);
    for (int j = 0; j < P; ++j) J[j] = m[j];
    J[P - 1] += ln_loss / kappa - mean;
    const double scale = curvature / kappa;
    int at = 0;
    for (int j = 0; j < P; ++j) {
      g[j] += curvature * J[j];
      for (int k = j; k < P; ++k, ++at) {
        H[at] += outer * J[j] * J[k] - scale * m[j] * m[k];
        if (k == P - 1) H[at] -= scale * (j == P - 1 ? 2 * mixed[j] - variance : mixed[j]);
      }
    }
    Form::AddSecondMoment(scale, p, n, d, H);
  }

  const FitRows* const rows_;
  const double delta_;
  const bool on_loss_;
};

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_OBJECTIVE_H_
