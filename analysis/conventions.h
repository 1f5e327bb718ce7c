// The exponent a under other counts of N and other prices of C: what moves it more
// than any method does.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_CONVENTIONS_H_
#define ISOFLOP_ANALYSIS_CONVENTIONS_H_

#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_options.h"
#include "analysis/analysis_result.h"
#include "study/observation.h"

namespace isoflop {

// The exponent a of the three approaches under each N and C that the observations
// allow: rows selected and fitted anew, without draws; the analysis' own pair is
// taken from `base`, intervals included, and comes first. A CSV's one unnamed count
// stands for itself alone.
//
// Rows of one planned budget share C under the convention that planned them only,
// so under another pair the rows are grouped by the C that they have there: a
// parabola through rows of unlike C would find the slope of the loss in C.
// `threads` as in ParallelFor.
std::vector<ConventionRow> CompareConventions(absl::Span<const Observation> observations,
                                              const AnalysisResult& base, int threads = 1);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_CONVENTIONS_H_
