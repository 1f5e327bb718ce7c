// The objective along one number, minimised over everything else. The number takes
// the place of one parameter, so that the rest is an unconstrained minimum with exact
// derivatives: theta = map(psi), psi one held number and four free ones.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "analysis/frontier.h"
#include "analysis/interval_methods.h"
#include "analysis/law_forms.h"
#include "analysis/minimize.h"
#include "analysis/objective.h"
#include "analysis/prediction.h"
#include "analysis/subset_fit.h"

namespace isoflop {
namespace {

using Form = ChinchillaForm;
using Objective = HuberObjective<Form>;
using Vector = Form::Vector;
using Matrix = Form::Matrix;
constexpr int kLnA = 0, kLnE = 2, kAlpha = 3, kBeta = 4;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kWidestExponent = 3;

// psi -> theta: one entry of theta is a function of psi, the others are those of psi.
// `held` is the entry of psi that the profile moves along.
struct Map {
  enum class Kind { kIdentity, kDifference, kLnParams };
  Kind kind = Kind::kIdentity;
  int held = 0;
  // kLnParams, psi[0] = t = ln N*: from alpha A N*^-alpha = eps beta B D*^-beta,
  //   ln A = ln B + ln beta - ln alpha + ln eps(t) + alpha (t - n0) - beta (d(t) - d0),
  // A and B at the centre (n0, d0), d(t) = ln D*, eps = dln c/dln N.
  double n = 0, d = 0, ln_eps = 0;

  Vector Theta(const Vector& psi) const {
    Vector theta = psi;
    if (kind == Kind::kDifference) theta[kAlpha] = psi[kAlpha] + psi[kBeta];
    if (kind == Kind::kLnParams) {
      theta[kLnA] = psi[1] + std::log(psi[kBeta] / psi[kAlpha]) + ln_eps + psi[kAlpha] * n - psi[kBeta] * d;
    }
    return theta;
  }
  bool IsDefined(const Vector& psi) const {
    return kind != Kind::kLnParams || (psi[kAlpha] > 0 && psi[kBeta] > 0);
  }
  // Of f(theta(psi)) from those of f(theta); the held entry's own are not needed.
  void ChainRule(const Vector& psi, Vector* g, Matrix* H) const {
    if (kind == Kind::kIdentity) return;
    Matrix J = Matrix::Identity();
    const double at_ln_a = (*g)[kLnA];
    if (kind == Kind::kDifference) J(kAlpha, kBeta) = 1;
    if (kind == Kind::kLnParams) {
      J(kLnA, kLnA) = 0;
      J(kLnA, 1) = 1;
      J(kLnA, kAlpha) = n - 1 / psi[kAlpha];
      J(kLnA, kBeta) = 1 / psi[kBeta] - d;
    }
    *g = J.transpose() * *g;
    *H = J.transpose() * *H * J;
    if (kind == Kind::kLnParams) {
      (*H)(kAlpha, kAlpha) += at_ln_a / (psi[kAlpha] * psi[kAlpha]);
      (*H)(kBeta, kBeta) -= at_ln_a / (psi[kBeta] * psi[kBeta]);
    }
  }
};

// What MinimizeNewton sees.
struct HeldProblem {
  const Objective& objective;
  const Map& map;

  double Derivatives(const Vector& psi, Vector* g, Matrix* H) const {
    if (!map.IsDefined(psi)) {
      g->setZero();
      H->setIdentity();
      return kInfinity;
    }
    const double f = objective.Derivatives(map.Theta(psi), g, H);
    map.ChainRule(psi, g, H);
    return f;
  }
};

class Profiler {
 public:
  Profiler(const FitRows& rows, double delta, bool on_loss)
      : rows_(rows), delta_(delta), on_loss_(on_loss) {
    min_ln_loss_ = *std::min_element(rows.ln_loss.begin(), rows.ln_loss.end());
  }

  struct Point {
    Vector psi;
    double f = kInfinity;
  };

  // The least f with psi[map.held] as it is in `psi`, from there: straight, and by
  // way of a wider delta, with and without E.
  Point Settle(const Map& map, const Vector& psi) const {
    Point best;
    const bool e_is_held = map.held == kLnE && map.kind == Map::Kind::kIdentity;
    const bool without_e = psi[kLnE] < -600;
    TryBothWays(map, psi, (without_e ? 1u << kLnE : 0u) | 1u << map.held, &best);
    if (e_is_held) return best;
    Vector other = best.psi;
    if (without_e) {
      other[kLnE] = min_ln_loss_ - 2;
      TryBothWays(map, other, 1u << map.held, &best);
    } else if (best.psi[kLnE] < min_ln_loss_ - 4) {
      other[kLnE] = kLogOfZero;
      TryBothWays(map, other, 1u << kLnE | 1u << map.held, &best);
    }
    return best;
  }

 private:
  void TryBothWays(const Map& map, const Vector& start, unsigned frozen, Point* best) const {
    const Objective exact(&rows_, delta_, on_loss_);
    for (const bool wide_first : {false, true}) {
      if (wide_first && !std::isfinite(delta_)) break;
      Vector psi = start;
      if (wide_first) {
        const Objective wide(&rows_, 10 * delta_, on_loss_);
        MinimizeNewton<Form::kParams>(HeldProblem{wide, map}, &psi, {.max_iterations = 60, .step_tolerance = 1e-3},
                                      frozen);
      }
      const NewtonSummary summary = MinimizeNewton<Form::kParams>(
          HeldProblem{exact, map}, &psi, {.max_iterations = 200, .step_tolerance = 1e-9}, frozen);
      if (std::isfinite(summary.f) && summary.f < best->f) *best = {psi, summary.f};
    }
    if (!std::isfinite(best->f)) best->psi = start;
  }

  const FitRows& rows_;
  const double delta_;
  const bool on_loss_;
  double min_ln_loss_ = 0;
};

// One number's way: how its value sets psi and the map, and how far it may go.
struct Way {
  std::string name;
  double at_best = 0;
  double lowest = -kInfinity, highest = kInfinity;
  double step = 0;  // a first guess of the standard error
  std::function<Map(double value)> map;
  std::function<double(double value)> held;  // psi[map.held]
  Vector psi;                                // at the best
};

bool ExponentsInside(const Vector& theta) {
  const auto inside = [](double x) { return x >= 0 && x <= kWidestExponent; };
  return inside(theta[kAlpha]) && inside(theta[kBeta]);
}

class Walk {
 public:
  Walk(const Profiler& profiler, const Way& way, double best_f, double scale)
      : profiler_(profiler), way_(way), best_f_(best_f), scale_(scale) {}

  Profile Run() {
    Profile profile{.name = way_.name, .at_best = way_.at_best};
    std::vector<std::pair<double, double>> points = {{way_.at_best, 0}};
    profile.lo = Towards(way_.lowest, &points);
    profile.hi = Towards(way_.highest, &points);
    std::sort(points.begin(), points.end());
    for (const auto& [value, statistic] : points) {
      profile.value.push_back(value);
      profile.statistic.push_back(statistic);
    }
    return profile;
  }

 private:
  struct Stand {
    double value = 0, statistic = 0;
    Vector psi;
  };

  Stand At(double value, const Vector& from) const {
    const Map map = way_.map(value);
    Vector psi = from;
    psi[map.held] = way_.held(value);
    const Profiler::Point point = profiler_.Settle(map, psi);
    return {value, std::max(0.0, scale_ * (point.f - best_f_)), point.psi};
  }

  // Where the statistic crosses the threshold on the way to `limit`; nullopt: nowhere.
  std::optional<double> Towards(double limit, std::vector<std::pair<double, double>>* points) const {
    constexpr int kMaxPoints = 60;
    const double sign = limit > way_.at_best ? 1 : -1;
    const double threshold = Profile().threshold;
    double step = way_.step;
    Stand here{way_.at_best, 0, way_.psi};
    for (int i = 0; i < kMaxPoints; ++i) {
      double value = here.value + sign * step;
      const bool at_limit = sign * (value - limit) >= 0;
      if (at_limit) value = limit;
      if (value == here.value) return std::nullopt;
      const Stand next = At(value, here.psi);
      const double rise = next.statistic - here.statistic;
      if (!std::isfinite(next.statistic) || (rise > 1 && step > 1e-3 * way_.step)) {
        step /= 2;
        continue;
      }
      points->emplace_back(value, next.statistic);
      if (next.statistic > threshold) {
        return BrentRoot([&](double x) { return At(x, here.psi).statistic - threshold; }, here.value, value,
                         1e-5 * std::abs(value - here.value));
      }
      if (at_limit || !ExponentsInside(way_.map(value).Theta(next.psi))) return std::nullopt;
      if (rise < 0.25) step *= 1.5;
      here = next;
    }
    return std::nullopt;
  }

  const Profiler& profiler_;
  const Way& way_;
  const double best_f_, scale_;
};

double StepOf(const Estimate& estimate) {
  return estimate.se && *estimate.se > 0 ? 0.5 * *estimate.se : 0.05 * std::abs(estimate.value) + 1e-3;
}

std::vector<Way> WaysOf(const AnalysisResult& result, const FitRows& rows, const Vector& best) {
  const ParametricFit& parametric = *result.parametric;
  std::vector<Way> ways;
  const auto along = [&](const char* name, int index, double value, double step) {
    Way way{.name = name, .at_best = value, .lowest = 0, .highest = kWidestExponent, .step = step};
    way.map = [index](double) { return Map{.held = index}; };
    way.held = [](double x) { return x; };
    way.psi = best;
    ways.push_back(std::move(way));
  };
  along("alpha", kAlpha, best[kAlpha], StepOf(parametric.alpha));
  along("beta", kBeta, best[kBeta], StepOf(parametric.beta));
  along("alpha - beta", kAlpha, best[kAlpha] - best[kBeta],
        std::hypot(StepOf(parametric.alpha), StepOf(parametric.beta)));
  ways.back().lowest = -kWidestExponent;
  ways.back().map = [](double) { return Map{.kind = Map::Kind::kDifference, .held = kAlpha}; };
  ways.back().psi[kAlpha] = ways.back().at_best;
  along("E", kLnE, parametric.law.E, StepOf(parametric.E));
  ways.back().highest = *std::min_element(rows.loss.begin(), rows.loss.end());
  ways.back().held = [](double E) { return E > 0 ? std::log(E) : kLogOfZero; };
  if (!(parametric.law.E > 0)) ways.back().step = 0.01 * ways.back().highest;

  constexpr double kFarthest = 20;
  const ComputeModel compute = ComputeModelOf(result);
  const double target = result.target_flops;
  const double ln_params = std::log(compute.OptimumAt(parametric.law, target).params);
  const double a_step = StepOf(parametric.a);
  along("ln N*(C_T)", kLnA, ln_params, std::clamp(a_step * 5, 0.02, 0.5));
  ways.back().lowest = ln_params - kFarthest;
  ways.back().highest = ln_params + kFarthest;
  ways.back().map = [compute, target, n0 = rows.n0, d0 = rows.d0](double t) {
    const auto ln_cost = [&](double ln_n) { return std::log(compute.FlopsAt(std::exp(ln_n), 1)); };
    constexpr double kStep = 1e-4;
    const double eps = (ln_cost(t + kStep) - ln_cost(t - kStep)) / (2 * kStep);
    return Map{.kind = Map::Kind::kLnParams,
               .held = kLnA,
               .n = t - n0,
               .d = std::log(target) - ln_cost(t) - d0,
               .ln_eps = std::log(eps)};
  };
  ways.back().psi[kLnA] = ln_params;
  return ways;
}

}  // namespace

std::vector<Profile> ProfileLaw(const AnalysisResult& result) {
  const LawFitOptions options = LawFitOptionsOf(result.options);
  if (!result.parametric || options.form != LawForm::kChinchilla || options.objective == FitObjective::kLad ||
      !HasOptimum(result.parametric->law)) {
    return {};
  }
  const FitRows rows = FitRowsOfSubset(result.rows, AllRows(result.rows.size()));
  const bool is_huber = options.objective == FitObjective::kHuber;
  const bool on_loss = options.objective == FitObjective::kMseRaw;
  const double delta = is_huber ? options.delta : kInfinity;
  const Vector best = Form::FromLaw(result.parametric->law, rows.n0, rows.d0);
  const double best_f = Objective(&rows, delta, on_loss).Value(best);

  // The statistic over f_p - f. The fit runs through as many rows as it has
  // parameters, which says nothing of the density of the noise at 0.
  double inside = 0, score = 0, weights = 0;
  int counted = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    double p[Form::kTerms];
    const double w = rows.weight[i];
    const double r = rows.ln_loss[i] - Objective::LnLoss(best, rows.n[i], rows.d[i], p);
    const double psi = std::clamp(r, -delta, delta);
    inside += std::abs(r) <= delta ? w : 0;
    score += w * w * psi * psi;
    weights += w;
    counted += w > 0;
  }
  const double scale = is_huber ? 2 * (inside - Form::kParams * weights / counted) / score
                                : (counted - Form::kParams) / best_f;
  if (!(scale > 0) || !std::isfinite(scale)) return {};

  const Profiler profiler(rows, delta, on_loss);
  std::vector<Profile> profiles;
  for (const Way& way : WaysOf(result, rows, best)) profiles.push_back(Walk(profiler, way, best_f, scale).Run());
  return profiles;
}

}  // namespace isoflop
