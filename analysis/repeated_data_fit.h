// R_D* and R_N* of the data-constrained law, on rows that saw tokens more than once,
// with the law of fresh data held (Muennighoff et al. 2023, section 5).
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_REPEATED_DATA_FIT_H_
#define ISOFLOP_ANALYSIS_REPEATED_DATA_FIT_H_

#include "analysis/law_fit.h"

namespace isoflop {

// The rows with D <= U, and the others; centred alike.
FitRows FreshRows(const FitRows& rows);
FitRows RepeatedRows(const FitRows& rows);

// `law` (chinchilla, of the fresh rows) with form data_constrained and both R*. An R*
// whose objective falls all the way to a bound of [1e-2, 1e5] stands at the bound:
// the data limit it to one side only, and `open` names it.
struct RepeatedDataFit {
  LossLaw law;
  double f = 0;  // over `repeated`
  bool tokens_open = false, params_open = false;
};
RepeatedDataFit FitRepeats(const FitRows& repeated, const LawFitOptions& options, const LossLaw& law);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_REPEATED_DATA_FIT_H_
