// What proves an optimum of least absolute deviations, which has no Hessian: weights
// in [-1, 1] on the interpolated rows that cancel the signed Jacobians of the rest
// (Koenker and Bassett 1978, theorem 3.3, for the linearised model).
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_LAD_CERTIFICATE_H_
#define ISOFLOP_ANALYSIS_LAD_CERTIFICATE_H_

#include <Eigen/Core>
#include <vector>

#include "absl/types/span.h"

namespace isoflop {

struct LadCheck {
  double f = 0;              // Sum w |r|
  int interpolated = 0;      // rows with |r| at most kInterpolated
  double largest_weight = 0; // of an interpolated row, at most 1 at an optimum
  double unbalanced = 0;     // max |what the weights do not cancel| / Sum w |J|
  bool is_optimal = false;
};
inline constexpr double kInterpolated = 1e-7;

// `jacobians` of ln L, one a row; parameters of the bits `frozen` are left out.
LadCheck CheckLad(absl::Span<const double> residuals, absl::Span<const double> weights,
                  absl::Span<const Eigen::VectorXd> jacobians, unsigned frozen);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_LAD_CERTIFICATE_H_
