// What approach 3 minimises, with value, gradient and Hessian.
//
//   f(theta) = Sum_i w_i rho(r_i),   r_i = ln L_i - ln L(theta; N_i, D_i)
//
// rho is Huber's: r^2/2 for |r| <= delta, else delta (|r| - delta/2). A SUM over
// rows, never a mean: under an absolute tolerance the mean stops early (that is
// how a = 0.4495 came into the literature for 0.5139). With delta infinite it is
// half the sum of squares.
//
// A form of the law is ln L = LSE_k u_k(theta; n, d), LSE = log-sum-exp, with u_k
// linear in theta. With softmax weights p_k and t_k = grad u_k:
//   J = grad ln L = Sum_k p_k t_k,   Hess ln L = Sum_k p_k t_k t_k' - J J'
//   grad f = -Sum w psi J,   Hess f = Sum w [1{|r| <= delta} J J' - psi Hess ln L]
// with psi = clip(r, -delta, delta). Hess f jumps where a row crosses |r| = delta.
//
// Logs of N and D are centred (n = ln N - n0, d = ln D - d0): otherwise ln A and
// alpha correlate at 0.999.
#ifndef ISOFLOP_ANALYSIS_OBJECTIVE_H_
#define ISOFLOP_ANALYSIS_OBJECTIVE_H_

#include <Eigen/Core>
#include <cmath>
#include <cstddef>
#include <vector>

namespace isoflop {

// E + A N^-alpha + B D^-beta as theta = (ln A, ln B, ln E, alpha, beta), A and B
// at the centre. A form gives its terms and their derivatives.
struct ChinchillaForm {
  static constexpr int kParams = 5;
  static constexpr int kTerms = 3;
  static constexpr int kPacked = kParams * (kParams + 1) / 2;
  using Vector = Eigen::Matrix<double, kParams, 1>;
  using Matrix = Eigen::Matrix<double, kParams, kParams>;

  static void Terms(const Vector& theta, double n, double d, double* u) {
    u[0] = theta[0] - theta[3] * n;
    u[1] = theta[1] - theta[4] * d;
    u[2] = theta[2];
  }
  // J = Sum_k p_k t_k.
  static void Jacobian(const double* p, double n, double d, double* J) {
    J[0] = p[0];
    J[1] = p[1];
    J[2] = p[2];
    J[3] = -p[0] * n;
    J[4] = -p[1] * d;
  }
  // Adds scale * Sum_k p_k t_k t_k' to the upper triangle H, row after row:
  // 00 01 02 03 04 11 12 13 14 22 23 24 33 34 44.
  static void AddSecondMoment(double scale, const double* p, double n, double d, double* H) {
    const double pa = scale * p[0], pb = scale * p[1];
    H[0] += pa;
    H[3] -= pa * n;
    H[5] += pb;
    H[8] -= pb * d;
    H[9] += scale * p[2];
    H[12] += pa * n * n;
    H[14] += pb * d * d;
  }
};

// Rows as the objective wants them: columns of equal length.
struct FitRows {
  double n0 = 0, d0 = 0;        // the centre: means of ln N and ln D
  std::vector<double> n, d;     // ln N - n0, ln D - d0
  std::vector<double> loss;     // L > 0
  std::vector<double> ln_loss;
  std::vector<double> weight;   // >= 0

  size_t size() const { return n.size(); }
};

// Value, gradient and Hessian of f for one form. Holds pointers only: `rows`
// must outlive it. Thread-safe.
template <class Form>
class HuberObjective {
 public:
  using Vector = typename Form::Vector;
  using Matrix = typename Form::Matrix;

  HuberObjective(const FitRows* rows, double delta) : rows_(rows), delta_(delta) {}

  double delta() const { return delta_; }

  // f alone.
  double Value(const Vector& theta) const {
    double f = 0;
    for (size_t i = 0; i < rows_->size(); ++i) {
      double p[Form::kTerms];
      f += rows_->weight[i] * Rho(rows_->ln_loss[i] - LnLoss(theta, rows_->n[i], rows_->d[i], p));
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
      double p[Form::kTerms], J[P];
      const double n = rows_->n[i], d = rows_->d[i], w = rows_->weight[i];
      const double r = rows_->ln_loss[i] - LnLoss(theta, n, d, p);
      const bool inside = std::abs(r) <= delta_;
      const double psi = inside ? r : std::copysign(delta_, r);
      f += w * Rho(r);
      Form::Jacobian(p, n, d, J);
      // Sum w [(1{inside} + psi) J J' - psi Sum_k p_k t_k t_k'].
      const double outer = w * ((inside ? 1.0 : 0.0) + psi);
      int at = 0;
      for (int j = 0; j < P; ++j) {
        g[j] -= w * psi * J[j];
        const double scaled = outer * J[j];
        for (int k = j; k < P; ++k) H[at++] += scaled * J[k];
      }
      Form::AddSecondMoment(-w * psi, p, n, d, H);
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
    return top + std::log(sum);
  }

 private:
  double Rho(double r) const {
    const double size = std::abs(r);
    return size <= delta_ ? 0.5 * r * r : delta_ * (size - 0.5 * delta_);
  }

  const FitRows* const rows_;
  const double delta_;
};

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_OBJECTIVE_H_
