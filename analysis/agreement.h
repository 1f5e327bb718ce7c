// Do the three approaches say the same? One verdict, over the same draws of the
// bootstrap.
//
//   agree               every interval of a difference holds 0, and the interval of
//                       N*(C_T) is under a factor 4
//   agree in practice   a difference is real, but the N*(C_T) of any approach costs
//                       < 2 % deadweight on the surface of approach 3
//   disagree            else, with the first cause whose removal mends it
//   cannot tell         the interval is a factor 4 or wider, or fewer than two
//                       approaches could be fitted; tested first
//
// Intervals at 95 % with Holm's correction (Holm 1979) over the pairs. Approach 2 is
// compared with its bias taken off.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_AGREEMENT_H_
#define ISOFLOP_ANALYSIS_AGREEMENT_H_

#include <functional>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"
#include "analysis/resample.h"

namespace isoflop {

// `result` with its fits, frontiers and draws; `draws` by draw number. `reanalyze`
// makes the analysis again, without sections, on a part of the rows (indices into
// result.rows) to try a cause; it must be pure.
Agreement JudgeAgreement(const AnalysisResult& result, absl::Span<const ResampledFit> draws,
                         const std::function<AnalysisResult(absl::Span<const size_t> rows)>& reanalyze);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_AGREEMENT_H_
