// The sensitivity sheet: what each choice of the analyst moves. The choices that
// papers make by hand, one at a time, each against the analysis as asked for.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_SENSITIVITY_H_
#define ISOFLOP_ANALYSIS_SENSITIVITY_H_

#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"
#include "study/observation.h"

namespace isoflop {

// Rows: the four objectives; delta 1e-4 to 1e-1 by half decades; 0 to 5 outliers;
// one run, size, budget, seed left out (the worst of each); conventions of N and
// C; nats or bits per byte; final points or all checkpoints; without D/N < 1; each
// form. Sorted by falling |delta ln N*(C_T)|; what cannot be computed keeps its row
// and its reason, at the end. The choice that the analysis made itself has a row of
// zeros.
//
// Reads rows, parametric, options (those are what a row departs from), noise and
// the draws of `base`, none of its sections. Empty where `base` has no law. Under
// another convention N* counts other parameters and C_T buys another run: such a
// row says what a reader who mistakes the convention would get. A loss in bits is
// brought back to the analysis' unit. Equal for any number of `threads` (0: one a core).
std::vector<SensitivityRow> SensitivitySheet(absl::Span<const Observation> observations,
                                             const AnalysisResult& base, int threads = 0);

// N*(C_T) moves by more than two standard errors: kSensitive.
bool IsSensitive(const SensitivityRow& row);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_SENSITIVITY_H_
