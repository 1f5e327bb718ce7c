#include "analysis/normal.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace isoflop {
namespace {

// c[0] + c[1] r + ... + c[7] r^7.
double Polynomial(const double (&c)[8], double r) {
  double value = c[7];
  for (int i = 6; i >= 0; --i) value = value * r + c[i];
  return value;
}

// ln Gamma(x) - [(x - 1/2) ln x - x + ln(2 pi)/2] for x >= 12 (Stirling's series).
double StirlingRest(double x) {
  const double z = 1 / (x * x);
  return (1.0 / 12 - z * (1.0 / 360 - z * (1.0 / 1260 - z * (1.0 / 1680 - z * (1.0 / 1188 - z * (691.0 / 360360)))))) / x;
}

// x^a y^b / B(a, b), y = 1 - x. Small a and b are raised to 12 by B(a + 1, b) =
// B(a, b) a / (a + b); there Stirling's large terms are gathered into ratios near 1,
// so that nothing cancels. (std::lgamma would, and it writes a global.)
double BetaDensity(double a, double b, double x, double y) {
  double raised = 1, powers = 0;
  for (; a < 12; a += 1) {
    raised *= a / (a + b);
    powers += std::log(x);
  }
  for (; b < 12; b += 1) {
    raised *= b / (a + b);
    powers += std::log(y);
  }
  constexpr double kTwoPi = 6.283185307179586477;
  const double sum = a + b;
  return raised * std::sqrt(a * b / (kTwoPi * sum)) *
         std::exp(a * std::log(x * sum / a) + b * std::log(y * sum / b) - powers + StirlingRest(sum) - StirlingRest(a) -
                  StirlingRest(b));
}

// The continued fraction of the incomplete beta function by Lentz' method
// (Numerical Recipes, section 6.4); converges fast for x < (a + 1)/(a + b + 2).
double BetaFraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  const auto away_from_zero = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1, d = 1 / away_from_zero(1 - (a + b) * x / (a + 1)), h = d;
  for (int m = 1; m <= 10'000; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away_from_zero(1 + even * d);
    c = away_from_zero(1 + even / c);
    h *= c * d;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away_from_zero(1 + odd * d);
    c = away_from_zero(1 + odd / c);
    h *= c * d;
    if (std::abs(c * d - 1) < 1e-16) break;
  }
  return h;
}

// I_x(a, b), with `y` = 1 - x handed in so that neither loses digits.
double IncompleteBeta(double a, double b, double x, double y) {
  if (x <= 0) return 0;
  if (y <= 0) return 1;
  const double front = BetaDensity(a, b, x, y);
  if (x < (a + 1) / (a + b + 2)) return front * BetaFraction(a, b, x) / a;
  return 1 - front * BetaFraction(b, a, y) / b;
}

}  // namespace

double NormalQuantile(double p) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (!(p > 0)) return p == 0 ? -kInfinity : std::numeric_limits<double>::quiet_NaN();
  if (!(p < 1)) return p == 1 ? kInfinity : std::numeric_limits<double>::quiet_NaN();
  const double q = p - 0.5;
  if (std::abs(q) <= 0.425) {
    static constexpr double kA[8] = {3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3,
                                     1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                     3.3430575583588128105e+4, 2.5090809287301226727e+3};
    static constexpr double kB[8] = {1.0,
                                     4.2313330701600911252e+1,
                                     6.8718700749205790830e+2,
                                     5.3941960214247511077e+3,
                                     2.1213794301586595867e+4,
                                     3.9307895800092710610e+4,
                                     2.8729085735721942674e+4,
                                     5.2264952788528545610e+3};
    const double r = 0.180625 - q * q;
    return q * Polynomial(kA, r) / Polynomial(kB, r);
  }
  double r = std::sqrt(-std::log(q < 0 ? p : 1 - p));
  double z;
  if (r <= 5) {
    static constexpr double kC[8] = {1.42343711074968357734e0,  4.63033784615654529590e0,  5.76949722146069140550e0,
                                     3.64784832476320460504e0,  1.27045825245236838258e0,  2.41780725177450611770e-1,
                                     2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static constexpr double kD[8] = {1.0,
                                     2.05319162663775882187e0,
                                     1.67638483018380384940e0,
                                     6.89767334985100004550e-1,
                                     1.48103976427480074590e-1,
                                     1.51986665636164571966e-2,
                                     5.47593808499534494600e-4,
                                     1.05075007164441684324e-9};
    r -= 1.6;
    z = Polynomial(kC, r) / Polynomial(kD, r);
  } else {
    static constexpr double kE[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                                     2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                     2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static constexpr double kF[8] = {1.0,
                                     5.99832206555887937690e-1,
                                     1.36929880922735805310e-1,
                                     1.48753612908506148525e-2,
                                     7.86869131145613259100e-4,
                                     1.84631831751005468180e-5,
                                     1.42151175831644588870e-7,
                                     2.04426310338993978564e-15};
    r -= 5;
    z = Polynomial(kE, r) / Polynomial(kF, r);
  }
  return q < 0 ? -z : z;
}

double NormalCdf(double z) { return 0.5 * std::erfc(-z / 1.4142135623730950488); }

double FUpperTail(double f, double df1, double df2) {
  if (!(f > 0)) return 1;
  // P(F > f) = I_{df2/(df2 + df1 f)}(df2/2, df1/2).
  const double sum = df2 + df1 * f;
  return IncompleteBeta(0.5 * df2, 0.5 * df1, df2 / sum, df1 * f / sum);
}

double DrawUniform(std::mt19937* generator) {
  const double high = static_cast<double>((*generator)() >> 5);
  const double low = static_cast<double>((*generator)() >> 6);
  // The largest of the 2^53 values would round to 1.
  return std::min((high * 67108864.0 + low + 0.5) / 9007199254740992.0, 1 - 0x1p-53);
}

}  // namespace isoflop
