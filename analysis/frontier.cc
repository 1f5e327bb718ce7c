#include "analysis/frontier.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "analysis/minimize.h"
#include "analysis/statistics.h"

namespace isoflop {

bool HasOptimum(const LossLaw& law) {
  return law.form != LawForm::kMultiplicative && law.A > 0 && law.B > 0 && law.alpha > 0 && law.beta > 0 &&
         law.kappa > 0 && std::isfinite(law.A) && std::isfinite(law.B);
}

double OptimumCoefficient(const LossLaw& law) {
  return std::pow(law.alpha * law.A / (law.beta * law.B), 1 / (law.alpha + law.beta));
}

double LossCoefficient(const LossLaw& law) {
  const double G = OptimumCoefficient(law);
  const double terms = law.A * std::pow(G, -law.alpha) + law.B * std::pow(G, law.beta);
  return std::pow(6, law.gamma()) * (law.kappa == 1 ? terms : std::pow(terms, law.kappa));
}

OptimalPoint OptimumAt(const LossLaw& law, double budget_flops) {
  const double G = OptimumCoefficient(law);
  OptimalPoint point;
  point.params = G * std::pow(budget_flops / 6, law.a());
  point.tokens = std::pow(budget_flops / 6, law.b()) / G;
  point.loss = law.LossAt(point.params, point.tokens);
  return point;
}

double FlopsForLoss(const LossLaw& law, double loss) {
  if (loss <= law.E) return std::numeric_limits<double>::infinity();
  return std::pow(LossCoefficient(law) / (loss - law.E), 1 / law.gamma());
}

namespace {

// Sizes closer than that are one knot: wide and deep shapes of nearly one N differ in
// cost by more than N does, and a slope between two of them says nothing of size.
const double kOneKnot = std::log(1.1);
// Shapes of one knot that differ by more in FLOPs a parameter are of several recipes.
const double kOneRecipe = std::log(1.05);
// Beyond an end the curve goes on as the shapes within this factor of the end do.
const double kEndStretch = std::log(4);

// dln c/dln N of the knots [first, last).
double SlopeOf(absl::Span<const double> x, absl::Span<const double> y) {
  double mean_x = 0, mean_y = 0, xx = 0, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) mean_x += x[i] / x.size(), mean_y += y[i] / x.size();
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  return xy / xx;
}

}  // namespace

std::optional<FlopsPerTokenCurve> FlopsPerTokenCurve::Through(absl::Span<const double> params,
                                                              absl::Span<const double> flops_per_token) {
  std::map<double, std::pair<double, int>> by_size;  // ln N -> sum of ln c, count
  for (size_t i = 0; i < params.size(); ++i) {
    std::pair<double, int>& entry = by_size[std::log(params[i])];
    entry.first += std::log(flops_per_token[i]);
    ++entry.second;
  }
  if (by_size.size() < 2) return std::nullopt;
  FlopsPerTokenCurve curve;
  curve.smallest_ = by_size.begin()->first;
  curve.largest_ = by_size.rbegin()->first;
  double first_of_knot = 0, least_cost = 0, most_cost = 0;  // ln c/N within the knot
  int sizes = 0;
  bool is_ladder = true;
  std::vector<double> ln_sizes, ln_costs;
  for (const auto& [ln_size, entry] : by_size) {
    const double ln_cost = entry.first / entry.second;
    ln_sizes.push_back(ln_size);
    ln_costs.push_back(ln_cost);
    if (sizes > 0 && ln_size - first_of_knot <= kOneKnot) {
      ++sizes;
      least_cost = std::min(least_cost, ln_cost - ln_size);
      most_cost = std::max(most_cost, ln_cost - ln_size);
      is_ladder = is_ladder && most_cost - least_cost <= kOneRecipe;
      curve.x_.back() += (ln_size - curve.x_.back()) / sizes;
      curve.y_.back() += (ln_cost - curve.y_.back()) / sizes;
      continue;
    }
    first_of_knot = ln_size;
    sizes = 1;
    least_cost = most_cost = ln_cost - ln_size;
    curve.x_.push_back(ln_size);
    curve.y_.push_back(ln_cost);
  }
  const size_t m = curve.x_.size();
  curve.slope_.assign(m, 0);
  if (m == 1) return curve;
  std::vector<double> secant(m - 1);
  for (size_t i = 0; i + 1 < m; ++i) {
    secant[i] = (curve.y_[i + 1] - curve.y_[i]) / (curve.x_[i + 1] - curve.x_[i]);
    is_ladder = is_ladder && secant[i] > 0;
  }
  if (!is_ladder) {
    const double slope = SlopeOf(ln_sizes, ln_costs), from = Mean(ln_costs) + slope * (curve.smallest_ - Mean(ln_sizes));
    curve.x_ = {curve.smallest_, curve.largest_};
    curve.y_ = {from, from + slope * (curve.largest_ - curve.smallest_)};
    curve.slope_ = {slope, slope};
    curve.slope_below_ = curve.slope_above_ = slope;
    return curve;
  }
  // Harmonic means of the secants, zero where they change sign: no overshoot.
  curve.slope_[0] = secant[0];
  curve.slope_[m - 1] = secant[m - 2];
  for (size_t i = 1; i + 1 < m; ++i) {
    if (secant[i - 1] * secant[i] <= 0) continue;
    const double left = curve.x_[i] - curve.x_[i - 1], right = curve.x_[i + 1] - curve.x_[i];
    const double w1 = 2 * right + left, w2 = right + 2 * left;
    curve.slope_[i] = (w1 + w2) / (w1 / secant[i - 1] + w2 / secant[i]);
  }
  const absl::Span<const double> x = curve.x_, y = curve.y_;
  size_t low = 2, high = m - 2;  // at least two knots each
  while (low < m && x[low] - x[0] <= kEndStretch) ++low;
  while (high > 0 && x[m - 1] - x[high - 1] <= kEndStretch) --high;
  curve.slope_below_ = SlopeOf(x.subspan(0, low), y.subspan(0, low));
  curve.slope_above_ = SlopeOf(x.subspan(high), y.subspan(high));
  return curve;
}

double FlopsPerTokenCurve::At(double params) const {
  const double x = std::log(params);
  if (x <= x_.front()) return std::exp(y_.front() + slope_below_ * (x - x_.front()));
  if (x >= x_.back()) return std::exp(y_.back() + slope_above_ * (x - x_.back()));
  const size_t i = static_cast<size_t>(std::upper_bound(x_.begin(), x_.end(), x) - x_.begin()) - 1;
  const double h = x_[i + 1] - x_[i], t = (x - x_[i]) / h;
  const double t2 = t * t, t3 = t2 * t;
  return std::exp((2 * t3 - 3 * t2 + 1) * y_[i] + (t3 - 2 * t2 + t) * h * slope_[i] +
                  (-2 * t3 + 3 * t2) * y_[i + 1] + (t3 - t2) * h * slope_[i + 1]);
}

bool FlopsPerTokenCurve::Covers(double params) const {
  const double x = std::log(params);
  return x >= smallest_ && x <= largest_;
}

double ComputeModel::FlopsAt(double params, double tokens) const {
  return (curve_ ? curve_->At(params) : 6 * params) * tokens;
}

OptimalPoint ComputeModel::OptimumAt(const LossLaw& law, double budget_flops) const {
  if (!curve_) return isoflop::OptimumAt(law, budget_flops);
  const auto loss_at = [&](double ln_params) {
    const double params = std::exp(ln_params);
    return law.LossAt(params, budget_flops / curve_->At(params));
  };
  // 64 points over six decades around the closed form's optimum, then Brent.
  constexpr int kPoints = 64;
  constexpr double kHalfWidth = 6.907755278982137;  // ln 1000
  const double center = std::log(isoflop::OptimumAt(law, budget_flops).params);
  const double step = 2 * kHalfWidth / (kPoints - 1);
  double best = center - kHalfWidth, best_loss = loss_at(best);
  for (int i = 1; i < kPoints; ++i) {
    const double x = center - kHalfWidth + i * step;
    const double loss = loss_at(x);
    if (loss < best_loss) {
      best = x;
      best_loss = loss;
    }
  }
  OptimalPoint point;
  point.params = std::exp(BrentMinimum(loss_at, best - step, best + step));
  point.tokens = budget_flops / curve_->At(point.params);
  point.loss = law.LossAt(point.params, point.tokens);
  return point;
}

double ComputeModel::FlopsForLoss(const LossLaw& law, double loss) const {
  const double closed = isoflop::FlopsForLoss(law, loss);
  if (!curve_ || !std::isfinite(closed)) return closed;
  const auto excess = [&](double ln_flops) { return OptimumAt(law, std::exp(ln_flops)).loss - loss; };
  double lo = std::log(closed) - 3, hi = std::log(closed) + 3;
  for (int i = 0; i < 20 && excess(lo) < 0; ++i) lo -= 3;
  for (int i = 0; i < 20 && excess(hi) > 0; ++i) hi += 3;
  return std::exp(BrentRoot(excess, lo, hi, 1e-9));
}

double ComputeModel::ParamsAtRatio(double tokens_per_parameter, double budget_flops) const {
  const double closed = std::sqrt(budget_flops / (6 * tokens_per_parameter));
  if (!curve_) return closed;
  const auto excess = [&](double ln_params) {
    const double params = std::exp(ln_params);
    return std::log(FlopsAt(params, tokens_per_parameter * params) / budget_flops);
  };
  return std::exp(BrentRoot(excess, std::log(closed) - 10, std::log(closed) + 10, 1e-12));
}

std::optional<double> TokensForLoss(const LossLaw& law, double params, double loss) {
  if (!(loss > law.E)) return std::nullopt;
  if (law.form == LawForm::kMultiplicative) {
    return std::pow(law.A * std::pow(params, -law.alpha) / (loss - law.E), 1 / law.beta);
  }
  const double terms = law.kappa == 1 ? loss - law.E : std::pow(loss - law.E, 1 / law.kappa);
  const double rest = terms - law.A * std::pow(params, -law.alpha);
  if (!(rest > 0) || !(law.B > 0)) return std::nullopt;
  return std::pow(law.B / rest, 1 / law.beta);
}

}  // namespace isoflop
