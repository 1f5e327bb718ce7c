// Approach 3 as it stands in the result: every number of the law with its interval
// over the draws.
#ifndef ISOFLOP_ANALYSIS_PARAMETRIC_ESTIMATES_H_
#define ISOFLOP_ANALYSIS_PARAMETRIC_ESTIMATES_H_

#include "analysis/analysis_result.h"
#include "analysis/law_fit.h"

namespace isoflop {

// Fills result->parametric from `fit` and result->bootstrap, and what the law says of
// each row. `rows` are those of the fit: their centre is told.
void FillParametric(const LawFit& fit, const FitRows& rows, AnalysisResult* result);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_PARAMETRIC_ESTIMATES_H_
