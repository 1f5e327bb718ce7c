// The forms of the law as the fits see them: ln L = kappa LSE_k u_k(theta; n, d), LSE
// = log-sum-exp, with every u_k (or kappa u_k) linear in theta. A form gives its terms, their
// derivatives, what its parameters mean, and where a fit of it starts.
//
// With softmax weights p_k and t_k = grad u_k, m = Sum_k p_k t_k:
//   J = grad ln L = kappa m,   K = Hess ln L = kappa (Sum_k p_k t_k t_k' - m m')
// With a free kappa, always the last parameter, u_k = v_k/kappa with v_k linear, and t_k
// = grad v_k: with S = LSE - Sum_k p_k u_k (the entropy of p) and e the unit vector of
// kappa,
//   J = m + S e,   K = [Sum_k p_k t_k t_k' - m m' - Sum_k p_k (u_k - mean u)(t_k e' + e t_k')
//                       + Var(u) e e'] / kappa
//
// n = ln N - n0 and d = ln D - d0 are centred: otherwise ln A and alpha correlate at
// 0.999.
#ifndef ISOFLOP_ANALYSIS_LAW_FORMS_H_
#define ISOFLOP_ANALYSIS_LAW_FORMS_H_

#include <Eigen/Core>
#include <cmath>

#include "analysis/loss_law.h"

namespace isoflop {

// ln of a coefficient that is zero.
inline constexpr double kLogOfZero = -700;
inline double ExpOrZero(double log, double shift) { return log < -600 ? 0.0 : std::exp(log + shift); }
inline double LogOrZero(double value, double shift) { return value > 0 ? std::log(value) - shift : kLogOfZero; }

// A term that may run to zero on the way: the parameter that is its logarithm, and the
// bits of all parameters that mean nothing without it.
struct VanishingTerm {
  int log_index;
  unsigned frozen;
  const char* bound;  // "A = 0"
};
struct NamedExponent {
  int index;
  const char* name;
};

// E + A N^-alpha + B D^-beta as theta = (ln A, ln B, ln E, alpha, beta), A and B at the
// centre.
struct ChinchillaForm {
  static constexpr LawForm kForm = LawForm::kChinchilla;
  static constexpr int kParams = 5;
  static constexpr int kTerms = 3;
  static constexpr bool kFreeKappa = false;
  static constexpr int kPacked = kParams * (kParams + 1) / 2;
  static constexpr int kConstant = 2;  // ln E
  static constexpr VanishingTerm kVanishing[] = {
      {2, 1u << 2, "E = 0"}, {0, 1u << 0 | 1u << 3, "A = 0"}, {1, 1u << 1 | 1u << 4, "B = 0"}};
  static constexpr NamedExponent kExponents[] = {{3, "alpha"}, {4, "beta"}};
  using Vector = Eigen::Matrix<double, kParams, 1>;
  using Matrix = Eigen::Matrix<double, kParams, kParams>;

  static void Terms(const Vector& theta, double n, double d, double* u) {
    u[0] = theta[0] - theta[3] * n;
    u[1] = theta[1] - theta[4] * d;
    u[2] = theta[2];
  }
  // m = Sum_k p_k t_k.
  static void FirstMoment(const double* p, double n, double d, double* m) {
    m[0] = p[0];
    m[1] = p[1];
    m[2] = p[2];
    m[3] = -p[0] * n;
    m[4] = -p[1] * d;
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
  static LossLaw ToLaw(const Vector& theta, double n0, double d0) {
    return {.form = kForm,
            .E = ExpOrZero(theta[2], 0),
            .A = ExpOrZero(theta[0], theta[3] * n0),
            .B = ExpOrZero(theta[1], theta[4] * d0),
            .alpha = theta[3],
            .beta = theta[4]};
  }
  static Vector FromLaw(const LossLaw& law, double n0, double d0) {
    Vector theta;
    theta << LogOrZero(law.A, law.alpha * n0), LogOrZero(law.B, law.beta * d0), LogOrZero(law.E, 0), law.alpha, law.beta;
    return theta;
  }
  // theta = T raw (+ a constant), raw with A and B at N = D = 1.
  static Matrix RawTransform(double n0, double d0) {
    Matrix T = Matrix::Identity();
    T(0, 3) = -n0;
    T(1, 4) = -d0;
    return T;
  }
};

// The same with alpha = beta: (ln A, ln B, ln E, alpha). `gadre` is this form too, in
// other coordinates: E + (a' M^eta + c M^-eta) C^-eta, M = D/N, alpha = 2 eta, A = a'
// 6^-eta, B = c 6^-eta (Gadre et al. 2024, eq. 4).
struct TiedForm {
  static constexpr LawForm kForm = LawForm::kTied;
  static constexpr int kParams = 4;
  static constexpr int kTerms = 3;
  static constexpr bool kFreeKappa = false;
  static constexpr int kPacked = kParams * (kParams + 1) / 2;
  static constexpr int kConstant = 2;
  static constexpr VanishingTerm kVanishing[] = {{2, 1u << 2, "E = 0"}, {0, 1u << 0, "A = 0"}, {1, 1u << 1, "B = 0"}};
  static constexpr NamedExponent kExponents[] = {{3, "alpha"}};
  using Vector = Eigen::Matrix<double, kParams, 1>;
  using Matrix = Eigen::Matrix<double, kParams, kParams>;

  static void Terms(const Vector& theta, double n, double d, double* u) {
    u[0] = theta[0] - theta[3] * n;
    u[1] = theta[1] - theta[3] * d;
    u[2] = theta[2];
  }
  static void FirstMoment(const double* p, double n, double d, double* m) {
    m[0] = p[0];
    m[1] = p[1];
    m[2] = p[2];
    m[3] = -p[0] * n - p[1] * d;
  }
  // 00 01 02 03 11 12 13 22 23 33.
  static void AddSecondMoment(double scale, const double* p, double n, double d, double* H) {
    const double pa = scale * p[0], pb = scale * p[1];
    H[0] += pa;
    H[3] -= pa * n;
    H[4] += pb;
    H[6] -= pb * d;
    H[7] += scale * p[2];
    H[9] += pa * n * n + pb * d * d;
  }
  static LossLaw ToLaw(const Vector& theta, double n0, double d0) {
    return {.form = kForm,
            .E = ExpOrZero(theta[2], 0),
            .A = ExpOrZero(theta[0], theta[3] * n0),
            .B = ExpOrZero(theta[1], theta[3] * d0),
            .alpha = theta[3],
            .beta = theta[3]};
  }
  static Vector FromLaw(const LossLaw& law, double n0, double d0) {
    Vector theta;
    theta << LogOrZero(law.A, law.alpha * n0), LogOrZero(law.B, law.alpha * d0), LogOrZero(law.E, 0), law.alpha;
    return theta;
  }
  static Matrix RawTransform(double n0, double d0) {
    Matrix T = Matrix::Identity();
    T(0, 3) = -n0;
    T(1, 3) = -d0;
    return T;
  }
};

// E + A N^-alpha D^-beta: (ln A, ln E, alpha, beta).
struct MultiplicativeForm {
  static constexpr LawForm kForm = LawForm::kMultiplicative;
  static constexpr int kParams = 4;
  static constexpr int kTerms = 2;
  static constexpr bool kFreeKappa = false;
  static constexpr int kPacked = kParams * (kParams + 1) / 2;
  static constexpr int kConstant = 1;
  static constexpr VanishingTerm kVanishing[] = {{1, 1u << 1, "E = 0"}, {0, 1u << 0 | 1u << 2 | 1u << 3, "A = 0"}};
  static constexpr NamedExponent kExponents[] = {{2, "alpha"}, {3, "beta"}};
  using Vector = Eigen::Matrix<double, kParams, 1>;
  using Matrix = Eigen::Matrix<double, kParams, kParams>;

  static void Terms(const Vector& theta, double n, double d, double* u) {
    u[0] = theta[0] - theta[2] * n - theta[3] * d;
    u[1] = theta[1];
  }
  static void FirstMoment(const double* p, double n, double d, double* m) {
    m[0] = p[0];
    m[1] = p[1];
    m[2] = -p[0] * n;
    m[3] = -p[0] * d;
  }
  static void AddSecondMoment(double scale, const double* p, double n, double d, double* H) {
    const double pa = scale * p[0];
    H[0] += pa;
    H[2] -= pa * n;
    H[3] -= pa * d;
    H[4] += scale * p[1];
    H[7] += pa * n * n;
    H[8] += pa * n * d;
    H[9] += pa * d * d;
  }
  static LossLaw ToLaw(const Vector& theta, double n0, double d0) {
    return {.form = kForm,
            .E = ExpOrZero(theta[1], 0),
            .A = ExpOrZero(theta[0], theta[2] * n0 + theta[3] * d0),
            .alpha = theta[2],
            .beta = theta[3]};
  }
  static Vector FromLaw(const LossLaw& law, double n0, double d0) {
    Vector theta;
    theta << LogOrZero(law.A, law.alpha * n0 + law.beta * d0), LogOrZero(law.E, 0), law.alpha, law.beta;
    return theta;
  }
  static Matrix RawTransform(double n0, double d0) {
    Matrix T = Matrix::Identity();
    T(0, 2) = -n0;
    T(0, 3) = -d0;
    return T;
  }
};

// [(Nc/N)^s + Dc/D]^kappa, s = alphaN/alphaD, kappa = alphaD (Kaplan et al. 2020, eq.
// 1.5), as kappa LSE(v/kappa) with v_1 = q1 - alphaN n, v_2 = q2 - alphaD d: (q1, q2,
// alphaN, alphaD), q1 = alphaN ln Nc and q2 = alphaD ln Dc at the centre. All four are
// then of the size of ln L and its slopes; in (s ln Nc, ln Dc, s, alphaD) two hundred
// lies between them and a damped step goes nowhere.
struct KaplanForm {
  static constexpr LawForm kForm = LawForm::kKaplan;
  static constexpr int kParams = 4;
  static constexpr int kTerms = 2;
  static constexpr bool kFreeKappa = true;
  static constexpr int kPacked = kParams * (kParams + 1) / 2;
  static constexpr int kConstant = -1;
  static constexpr VanishingTerm kVanishing[] = {{0, 1u << 0 | 1u << 2, "A = 0"}, {1, 1u << 1, "B = 0"}};
  static constexpr NamedExponent kExponents[] = {{2, "alphaN"}, {3, "alphaD"}};
  using Vector = Eigen::Matrix<double, kParams, 1>;
  using Matrix = Eigen::Matrix<double, kParams, kParams>;

  // v_k / kappa.
  static void Terms(const Vector& theta, double n, double d, double* u) {
    const double scale = 1 / theta[3];
    u[0] = (theta[0] - theta[2] * n) * scale;
    u[1] = theta[1] * scale - d;
  }
  // Of t_k = grad v_k.
  static void FirstMoment(const double* p, double n, double d, double* m) {
    m[0] = p[0];
    m[1] = p[1];
    m[2] = -p[0] * n;
    m[3] = -p[1] * d;
  }
  // 00 01 02 03 11 12 13 22 23 33.
  static void AddSecondMoment(double scale, const double* p, double n, double d, double* H) {
    const double pa = scale * p[0], pb = scale * p[1];
    H[0] += pa;
    H[2] -= pa * n;
    H[4] += pb;
    H[6] -= pb * d;
    H[7] += pa * n * n;
    H[9] += pb * d * d;
  }
  static LossLaw ToLaw(const Vector& theta, double n0, double d0) {
    const double kappa = theta[3], s = theta[2] / kappa;
    return {.form = kForm,
            .A = theta[0] < -600 ? 0 : std::exp(theta[0] / kappa + s * n0),
            .B = theta[1] < -600 ? 0 : std::exp(theta[1] / kappa + d0),
            .alpha = s,
            .beta = 1,
            .kappa = kappa};
  }
  static Vector FromLaw(const LossLaw& law, double n0, double d0) {
    Vector theta;
    theta << (law.A > 0 ? law.kappa * (std::log(law.A) - law.alpha * n0) : kLogOfZero),
        (law.B > 0 ? law.kappa * (std::log(law.B) - d0) : kLogOfZero), law.kappa * law.alpha, law.kappa;
    return theta;
  }
  static Matrix RawTransform(double n0, double d0) {
    Matrix T = Matrix::Identity();
    T(0, 2) = -n0;
    T(1, 3) = -d0;
    return T;
  }
};

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_LAW_FORMS_H_
