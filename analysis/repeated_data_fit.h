// R_D* and R_N* of the data-constrained law, on rows that saw tokens more than once,
// with the law of fresh data held (Muennighoff et al. 2023, section 5).
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_REPEATED_DATA_FIT_H_
#define ISOFLOP_ANALYSIS_REPEATED_DATA_FIT_H_

#include <optional>

#include "analysis/law_fit.h"

namespace isoflop {

// The rows with D <= U, and the others; centred alike.
FitRows FreshRows(const FitRows& rows);
FitRows RepeatedRows(const FitRows& rows);

// How far the data limit an R*: the ends of {R : 2 (f_p(R) - f) Sum 1{|r| <= delta} /
// Sum psi^2 <= 3.841}, f_p minimised over the other R*, within [1e-2, 1e5]; nullopt:
// open on that side, and a number would be invented.
struct RepeatLimits {
  std::optional<double> lo, hi;
  bool open() const { return !lo || !hi; }
};

// `law` (chinchilla, of the fresh rows) with form data_constrained and both R*. R_D*
// and R_N* that the rows say nothing of (none repeats; none has N above what its
// tokens are worth) are infinite. One whose objective falls all the way to a bound of
// [1e-2, 1e5] stands there.
struct RepeatedDataFit {
  LossLaw law;
  double f = 0;  // over `repeated`
  bool converged = true;
  // Without `with_limits`, or under LAD, where the statistic is not one: only the
  // bounds at which an R* stands are open.
  RepeatLimits tokens, params;
};
RepeatedDataFit FitRepeats(const FitRows& repeated, const LawFitOptions& options, const LossLaw& law,
                           bool with_limits = true);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_REPEATED_DATA_FIT_H_
