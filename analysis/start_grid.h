// Grid mode: the fit from the 4500 starts of Besiroglu et al. (2024), as a cross-check
// of the certified one. It knows nothing of variable projection.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_START_GRID_H_
#define ISOFLOP_ANALYSIS_START_GRID_H_

#include "analysis/law_fit.h"

namespace isoflop {

struct GridFit {
  LossLaw law;
  double f = 0;          // the objective, a sum over rows; meaningless where reached_best is 0
  int starts = 0;        // 4500
  int reached_best = 0;  // within 1e-6 relative of the best f
  // Ended where |H^-1 grad f| <= 1e-9 does not hold, or on a plateau without E, A or B:
  // what an optimiser with loose tolerances would have called a fit.
  int stopped_early = 0;
  int elsewhere = 0;  // converged to another optimum
};

// The chinchilla form from alpha, beta in {0, .5, 1, 1.5, 2}, ln E in {-1, -.5, 0, .5,
// 1}, ln A, ln B in {0, 5, .., 25} (not centred), damped Newton from each: at the
// widths 1, 0.1, 0.01 and so on down to the objective's own. Starts that meet go on as
// one and count each. kHuber, kMse and kMseRaw; kLad as kHuber at its width.
GridFit FitFromStartGrid(const FitRows& rows, const LawFitOptions& options);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_START_GRID_H_
