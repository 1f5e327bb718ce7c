// The frontier of each approach as a curve, and the tables at chosen budgets: T6,
// T7, over-training, inference.
#ifndef ISOFLOP_ANALYSIS_OPTIMUM_TABLES_H_
#define ISOFLOP_ANALYSIS_OPTIMUM_TABLES_H_

#include "absl/types/span.h"
#include "analysis/analysis_result.h"
#include "analysis/resample.h"

namespace isoflop {

// From `from_flops` to C_T, log-spaced, one an approach that could be fitted. `fits`
// are the draws, whose approaches 2 and 1 give the bands.
void FillFrontiers(absl::Span<const ResampledFit> fits, double from_flops, AnalysisResult* result);

// T6, a row a decade from `from_flops` to C_T and one a budget that the user named; T7
// and what lies beside the optimum at C_T and those budgets. Nothing without a law.
void FillOptimumTables(double from_flops, AnalysisResult* result);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_OPTIMUM_TABLES_H_
