// From observations to an AnalysisResult: the analysis' front door.
//
//   LoadStudyObservations / ReadCsvObservations   (observations.h)
//   -> Analyze -> AnalysisResult -> screen, JSON, report
//
// Pure: no file, no clock. Same observations and options, same result, whatever
// the number of threads. Thread-safe.
#ifndef ISOFLOP_ANALYSIS_ANALYZE_H_
#define ISOFLOP_ANALYSIS_ANALYZE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "analysis/analysis_options.h"
#include "analysis/analysis_result.h"
#include "study/observation.h"

namespace isoflop {

// Selects rows, fits approach 3 and approach 2, resamples, and fills the
// frontier and the tables. Data that cannot carry a fit are no error: the
// result says so (`parametric_refusal`). InvalidArgument: options that
// contradict themselves, or an option whose feature this release lacks, by
// name.
absl::StatusOr<AnalysisResult> Analyze(std::vector<Observation> observations, const AnalysisOptions& options);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_ANALYZE_H_
