// The three approaches on one set of rows, and the draws that they share.
#ifndef ISOFLOP_ANALYSIS_APPROACH_FITS_H_
#define ISOFLOP_ANALYSIS_APPROACH_FITS_H_

#include "analysis/analysis_result.h"
#include "analysis/resample.h"

namespace isoflop {

// Fits approaches 3, 2 and, where rows have curves, 1 to result->rows under
// result->options (method and form resolved), and fills parametric or its refusal,
// isoflop with its bias, envelope, bootstrap and the rest of noise. Equal for any
// number of `threads` (0: one a core). `finished_schedules_only`: of approach 1.
Resampling FitApproaches(int threads, bool finished_schedules_only, AnalysisResult* result);

// The same on the rows `part` of `whole`, all else alike.
AnalysisResult WithRows(const AnalysisResult& whole, absl::Span<const size_t> part);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_APPROACH_FITS_H_
