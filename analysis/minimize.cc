#include "analysis/minimize.h"

#include <utility>

namespace isoflop {

double BrentMinimum(const std::function<double(double)>& f, double lo, double hi, double tolerance) {
  constexpr double kGolden = 0.3819660112501051;  // (3 - sqrt 5) / 2
  double x = lo + kGolden * (hi - lo), w = x, v = x;  // best, second best, the one before
  double fx = f(x), fw = fx, fv = fx;
  double step = 0, last_step = 0;
  for (int i = 0; i < 200; ++i) {
    const double middle = 0.5 * (lo + hi);
    const double tol = 1e-15 * std::abs(x) + tolerance;
    if (std::abs(x - middle) <= 2 * tol - 0.5 * (hi - lo)) break;
    bool golden = true;
    if (std::abs(last_step) > tol) {
      const double r = (x - w) * (fx - fv);
      double q = (x - v) * (fx - fw);
      double p = (x - v) * q - (x - w) * r;
      q = 2 * (q - r);
      if (q > 0) p = -p;
      q = std::abs(q);
      const double before = std::exchange(last_step, step);
      if (std::abs(p) < std::abs(0.5 * q * before) && p > q * (lo - x) && p < q * (hi - x)) {
        step = p / q;
        if (x + step - lo < 2 * tol || hi - x - step < 2 * tol) step = std::copysign(tol, middle - x);
        golden = false;
      }
    }
    if (golden) {
      last_step = (x >= middle ? lo : hi) - x;
      step = kGolden * last_step;
    }
    const double u = x + (std::abs(step) >= tol ? step : std::copysign(tol, step));
    const double fu = f(u);
    if (fu <= fx) {
      (u >= x ? lo : hi) = x;
      v = std::exchange(w, x);
      fv = std::exchange(fw, fx);
      x = u;
      fx = fu;
    } else {
      (u < x ? lo : hi) = u;
      if (fu <= fw || w == x) {
        v = std::exchange(w, u);
        fv = std::exchange(fw, fu);
      } else if (fu <= fv || v == x || v == w) {
        v = u;
        fv = fu;
      }
    }
  }
  return x;
}

double BrentRoot(const std::function<double(double)>& f, double lo, double hi, double tolerance) {
  double a = lo, b = hi, fa = f(a), fb = f(b);
  if (fa == 0) return a;
  double c = a, fc = fa, step = b - a, before = step;
  for (int i = 0; i < 200 && fb != 0; ++i) {
    if ((fb > 0) == (fc > 0)) {
      c = a;
      fc = fa;
      step = before = b - a;
    }
    if (std::abs(fc) < std::abs(fb)) {
      a = std::exchange(b, c);
      c = a;
      fa = std::exchange(fb, fc);
      fc = fa;
    }
    const double tol = 2e-16 * std::abs(b) + 0.5 * tolerance;
    const double half = 0.5 * (c - b);
    if (std::abs(half) <= tol) break;
    if (std::abs(before) >= tol && std::abs(fa) > std::abs(fb)) {
      const double s = fb / fa;
      double p, q;
      if (a == c) {  // secant
        p = 2 * half * s;
        q = 1 - s;
      } else {  // inverse quadratic
        const double r = fa / fc, t = fb / fc;
        p = s * (2 * half * r * (r - t) - (b - a) * (t - 1));
        q = (r - 1) * (t - 1) * (s - 1);
      }
      if (p > 0) q = -q;
      p = std::abs(p);
      if (2 * p < std::min(3 * half * q - std::abs(tol * q), std::abs(before * q))) {
        before = std::exchange(step, p / q);
      } else {
        step = before = half;
      }
    } else {
      step = before = half;
    }
    a = b;
    fa = fb;
    b += std::abs(step) > tol ? step : std::copysign(tol, half);
    fb = f(b);
  }
  return b;
}

}  // namespace isoflop
