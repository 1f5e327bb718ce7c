#include "analysis/repeated_data_fit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "analysis/form_fit.h"
#include "analysis/minimize.h"

namespace isoflop {
namespace {

using Point = Eigen::Vector2d;  // ln R_D*, ln R_N*
constexpr unsigned kTokens = 1u << 0, kParams = 1u << 1;
constexpr double kThreshold = 3.841;
const double kLowest = std::log(1e-2), kHighest = std::log(1e5);
constexpr double kForever = 700;  // ln of an infinite R

FitRows Part(const FitRows& rows, bool repeated) {
  FitRows part;
  part.n0 = rows.n0;
  part.d0 = rows.d0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const bool again = !rows.ln_unique.empty() && rows.d[i] + rows.d0 > rows.ln_unique[i] + 1e-12;
    if (again != repeated) continue;
    part.n.push_back(rows.n[i]);
    part.d.push_back(rows.d[i]);
    part.loss.push_back(rows.loss[i]);
    part.ln_loss.push_back(rows.ln_loss[i]);
    part.weight.push_back(rows.weight[i]);
    if (!rows.ln_unique.empty()) part.ln_unique.push_back(rows.ln_unique[i]);
  }
  return part;
}

// X' = U + U R (1 - e^-x), x = excess/R: its logarithm over ln U and that one's first
// two derivatives by y = ln R.
//   dX'/dy = U R h,  d2X'/dy2 = U R (h - x^2 e^-x),  h = 1 - e^-x (1 + x)
struct Worth {
  double ln, first, second;
};
Worth WorthOf(double excess, double y) {
  if (!(excess > 0)) return {0, 0, 0};
  if (y > 600) return {std::log1p(excess), 0, 0};
  const double R = std::exp(y), x = excess / R, decay = std::exp(-x);
  const double h = x < 1e-3 ? x * x * (0.5 - x * (1.0 / 3 - x / 8)) : 1 - decay * (1 + x);
  const double whole = 1 - R * std::expm1(-x), first = R * h / whole;
  return {std::log(whole), first, R * (h - x * x * decay) / whole - first * first};
}

// The objective over (ln R_D*, ln R_N*) with E, A, B, alpha, beta held.
class RepeatProblem {
 public:
  RepeatProblem(const FitRows& rows, const LossLaw& law, bool on_loss) : law_(law), on_loss_(on_loss) {
    const bool sized = law.A > 0 && law.B > 0 && law.alpha > 0 && law.beta > 0;
    const double ln_G = sized ? std::log(law.alpha * law.A / (law.beta * law.B)) / (law.alpha + law.beta) : 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      const double n = rows.n[i] + rows.n0, d = rows.d[i] + rows.d0, u = rows.ln_unique[i];
      const double n_optimal = sized ? ln_G + (ln_G + u) * law.beta / law.alpha : n;
      Row row;
      row.tokens_excess = std::expm1(std::max(0.0, d - u));
      row.params_excess = std::expm1(std::max(0.0, n - n_optimal));
      row.ln_A = std::log(law.A) - law.alpha * std::min(n, n_optimal);
      row.ln_B = std::log(law.B) - law.beta * std::min(d, u);
      row.loss = rows.loss[i];
      row.ln_loss = rows.ln_loss[i];
      row.weight = rows.weight[i];
      rows_.push_back(row);
      if (row.weight > 0 && row.params_excess > 0) params_matter_ = true;
    }
    ln_E_ = std::log(law.E);  // -infinite without E
  }

  void set_width(double delta) { delta_ = delta; }
  bool params_matter() const { return params_matter_; }

  double Derivatives(const Point& y, Point* gradient, Eigen::Matrix2d* hessian) const {
    double f = 0;
    gradient->setZero();
    hessian->setZero();
    for (const Row& row : rows_) {
      const Worth D = WorthOf(row.tokens_excess, y[0]), N = WorthOf(row.params_excess, y[1]);
      const double a = row.ln_A - law_.alpha * N.ln, b = row.ln_B - law_.beta * D.ln;
      const double top = std::max({a, b, ln_E_});
      const double ea = std::exp(a - top), eb = std::exp(b - top), sum = ea + eb + std::exp(ln_E_ - top);
      const double ln_loss = top + std::log(sum), pa = ea / sum, pb = eb / sum;
      const double slope_d = -law_.beta * D.first, slope_n = -law_.alpha * N.first;
      const Point J(pb * slope_d, pa * slope_n);
      Eigen::Matrix2d K = -J * J.transpose();
      K(0, 0) += pb * (slope_d * slope_d - law_.beta * D.second);
      K(1, 1) += pa * (slope_n * slope_n - law_.alpha * N.second);
      double first, second;  // of the row's share by ln L
      if (on_loss_) {
        const double loss = std::exp(ln_loss), e = row.loss - loss;
        f += row.weight * 0.5 * e * e;
        first = -row.weight * e * loss;
        second = row.weight * loss * loss + first;
      } else {
        const double r = row.ln_loss - ln_loss, size = std::abs(r);
        const bool inside = size <= delta_;
        f += row.weight * (inside ? 0.5 * r * r : delta_ * (size - 0.5 * delta_));
        first = -row.weight * (inside ? r : std::copysign(delta_, r));
        second = inside ? row.weight : 0;
      }
      *gradient += first * J;
      *hessian += second * J * J.transpose() + first * K;
    }
    return f;
  }

  double Value(const Point& y) const {
    Point gradient;
    Eigen::Matrix2d hessian;
    return Derivatives(y, &gradient, &hessian);
  }

  // Sum psi^2 / Sum 1{|r| <= delta}, weighted; on loss: of e^2 over rows.
  double Scale(const Point& y) const {
    double squares = 0, inside = 0;
    for (const Row& row : rows_) {
      const double a = row.ln_A - law_.alpha * WorthOf(row.params_excess, y[1]).ln;
      const double b = row.ln_B - law_.beta * WorthOf(row.tokens_excess, y[0]).ln;
      const double loss = std::exp(a) + std::exp(b) + law_.E;
      const double r = on_loss_ ? row.loss - loss : row.ln_loss - std::log(loss), psi = std::clamp(r, -delta_, delta_);
      squares += row.weight * psi * psi;
      inside += std::abs(r) <= delta_ ? row.weight : 0;
    }
    return squares / inside;
  }

 private:
  struct Row {
    double tokens_excess, params_excess, ln_A, ln_B, loss, ln_loss, weight;
  };
  const LossLaw law_;
  const bool on_loss_;
  double ln_E_ = 0, delta_ = std::numeric_limits<double>::infinity();
  bool params_matter_ = false;
  std::vector<Row> rows_;
};

// Down from `y`; what leaves [kLowest, kHighest] is put on the bound and held.
double DescendWithin(const RepeatProblem& problem, unsigned held, Point* y, bool* converged) {
  for (int round = 0; round < 3; ++round) {
    const NewtonSummary summary = MinimizeNewton<2>(problem, y, {.max_iterations = 100}, held);
    *converged = summary.end == NewtonEnd::kConverged;
    bool left = false;
    for (int j = 0; j < 2; ++j) {
      if ((held >> j & 1u) != 0 || ((*y)[j] >= kLowest && (*y)[j] <= kHighest)) continue;
      (*y)[j] = std::clamp((*y)[j], kLowest, kHighest);
      held |= 1u << j;
      left = true;
    }
    if (!left) return summary.f;
  }
  return problem.Value(*y);
}

// Where f, with coordinate `j` at `value`, is least over the other.
double ProfileAt(const RepeatProblem& problem, int j, double value, unsigned held, Point y) {
  y[j] = value;
  bool converged;
  const double f = DescendWithin(problem, held | 1u << j, &y, &converged);
  return f;
}

RepeatLimits LimitsOf(const RepeatProblem& problem, int j, const Point& best, double f, unsigned held) {
  RepeatLimits limits;
  const double scale = problem.Scale(best);
  const auto excess = [&](double value) {
    const double rise = ProfileAt(problem, j, value, held, best) - f;
    return 2 * rise - kThreshold * scale;
  };
  if (excess(kLowest) > 0) limits.lo = std::exp(BrentRoot(excess, kLowest, best[j], 1e-6));
  if (excess(kHighest) > 0) limits.hi = std::exp(BrentRoot(excess, best[j], kHighest, 1e-6));
  return limits;
}

}  // namespace

FitRows FreshRows(const FitRows& rows) { return Part(rows, false); }
FitRows RepeatedRows(const FitRows& rows) { return Part(rows, true); }

RepeatedDataFit FitRepeats(const FitRows& repeated, const LawFitOptions& options, const LossLaw& law,
                           bool with_limits) {
  RepeatedDataFit fit;
  fit.law = law;
  fit.law.form = LawForm::kDataConstrained;
  fit.law.repeat_tokens = fit.law.repeat_params = std::numeric_limits<double>::infinity();
  if (repeated.size() == 0) return fit;

  RepeatProblem problem(repeated, law, options.objective == FitObjective::kMseRaw);
  const unsigned held = problem.params_matter() ? 0 : kParams;
  // The lowest cell of a grid at the widest loss, then down.
  const std::vector<double> widths = Continuation(WidthOf(options));
  problem.set_width(widths.front());
  constexpr int kGrid = 9;
  Point best(0, 0);
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kGrid; ++i) {
    for (int j = 0; j < (held ? 1 : kGrid); ++j) {
      const double step = (kHighest - kLowest) / (kGrid - 1);
      const Point at(kLowest + i * step, held ? kForever : kLowest + j * step);
      const double f = problem.Value(at);
      if (f < least) {
        least = f;
        best = at;
      }
    }
  }
  for (const double width : widths) {
    problem.set_width(width);
    fit.f = DescendWithin(problem, held, &best, &fit.converged);
  }
  fit.law.repeat_tokens = std::exp(best[0]);
  if (!held) fit.law.repeat_params = std::exp(best[1]);
  const auto at_bound = [](double y) {
    RepeatLimits limits;
    if (y > kLowest) limits.lo = std::exp(kLowest);
    if (y < kHighest) limits.hi = std::exp(kHighest);
    return limits;
  };
  const bool statistic = with_limits && options.objective != FitObjective::kLad;
  fit.tokens = statistic ? LimitsOf(problem, 0, best, fit.f, held) : at_bound(best[0]);
  if (!held) fit.params = statistic ? LimitsOf(problem, 1, best, fit.f, held) : at_bound(best[1]);
  return fit;
}

}  // namespace isoflop
