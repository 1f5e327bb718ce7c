// The compute-optimal frontier of a law: N*(C), D*(C), L*(C), and what leaving
// it costs.
//
// Under C = 6ND in closed form (Hoffmann et al. 2022, eq. 4):
//   G = (alpha A / (beta B))^(1/(alpha+beta)),  N* = G (C/6)^a,
//   D* = (C/6)^b / G,  L* = E + K C^-gamma,  K = 6^gamma (A G^-alpha + B G^beta).
// Under C = c(N) D by a search in one dimension, to
//   alpha A N^-alpha = eps beta B D^-beta,  eps = dln c/dln N;
// c(N) goes through the rows' own exact FLOPs.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_FRONTIER_H_
#define ISOFLOP_ANALYSIS_FRONTIER_H_

#include <optional>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "analysis/loss_law.h"

namespace isoflop {

// Has the law a least loss inside every budget? A, B, alpha, beta, kappa > 0; never
// of the multiplicative form, which is monotone along ND = const.
bool HasOptimum(const LossLaw& law);

struct OptimalPoint {
  double params = 0, tokens = 0, loss = 0;
};

// The optimum at `budget_flops` under C = 6ND. Precondition: HasOptimum(law).
OptimalPoint OptimumAt(const LossLaw& law, double budget_flops);

// G of N* = G (C/6)^a, and K of L* = E + K C^-gamma.
double OptimumCoefficient(const LossLaw& law);
double LossCoefficient(const LossLaw& law);

// The least C whose optimum reaches `loss`, under C = 6ND; infinite when loss <=
// E. Precondition: HasOptimum(law).
double FlopsForLoss(const LossLaw& law, double loss);

// Training FLOPs a token as a function of N. Shapes of one ladder: through all of them,
// monotone cubic in logs (Fritsch and Carlson 1980), straight beyond the ends with the
// slope of the sizes within a factor of 4 of the end. Sizes within 10 % are one knot.
// Where shapes of one knot differ by over 5 % in FLOPs a parameter, or a larger size
// costs less, they are no ladder and c no function of N: then c = c0 N^q, by least
// squares in logs over the sizes.
class FlopsPerTokenCurve {
 public:
  // Points of one knot are averaged in logs, each N once. nullopt with fewer than two
  // N; c/N is constant through a single knot.
  static std::optional<FlopsPerTokenCurve> Through(absl::Span<const double> params,
                                                   absl::Span<const double> flops_per_token);

  double At(double params) const;
  bool Covers(double params) const;

 private:
  std::vector<double> x_, y_, slope_;  // ln N rising, ln c, dln c/dln N
  double slope_below_ = 1, slope_above_ = 1;
  double smallest_ = 0, largest_ = 0;  // ln N of the shapes
};

// C(N, D) and its optimum under either convention: 6ND without a curve, c(N) D
// with one.
class ComputeModel {
 public:
  ComputeModel() = default;
  explicit ComputeModel(FlopsPerTokenCurve curve) : curve_(std::move(curve)) {}

  bool is_6nd() const { return !curve_.has_value(); }
  double FlopsAt(double params, double tokens) const;
  // Precondition of all: HasOptimum(law).
  OptimalPoint OptimumAt(const LossLaw& law, double budget_flops) const;
  double FlopsForLoss(const LossLaw& law, double loss) const;
  // N with D = `tokens_per_parameter` N that spends `budget_flops`.
  double ParamsAtRatio(double tokens_per_parameter, double budget_flops) const;

 private:
  std::optional<FlopsPerTokenCurve> curve_;
};

// D that brings size `params` to `loss`; nullopt when no amount does.
std::optional<double> TokensForLoss(const LossLaw& law, double params, double loss);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_FRONTIER_H_
