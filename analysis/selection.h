// Which rows an analysis keeps, under which N, C and L, and why the others are
// left out.
//
// The rules are fixed before any fit, in the order of ExclusionRule. Pure;
// thread-safe.
#ifndef ISOFLOP_ANALYSIS_SELECTION_H_
#define ISOFLOP_ANALYSIS_SELECTION_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_options.h"
#include "analysis/analysis_result.h"

namespace isoflop {

// N of `observation` under `count`. A CSV's one unnamed count stands for any
// convention. nullopt when the counts that it needs are missing.
std::optional<double> ParamsOf(const Observation& observation, CountConvention count);

// Kept rows and exclusions; together they are all of the observations.
struct Selection {
  std::vector<KeptRow> rows;  // in the order of the observations
  std::vector<Exclusion> exclusions;
  // kTokensDerived, kConventionUnknown, kScheduleNotEnded, kRepeatedData,
  // kRatioSuspicious; kMixedEvaluation where losses look like bits under the name
  // of nats.
  std::vector<Warning> warnings;
  bool count_known = true;
  // The losses come from several evaluation sets or tokenizers: nothing may be
  // fitted through them.
  std::optional<Refusal> refusal;
};
Selection SelectRows(absl::Span<const Observation> observations, const AnalysisOptions& options);

// SHA-256 (hex) over every number and name of the observations, curves left
// out, 17 digits.
std::string HashObservations(absl::Span<const Observation> observations);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_SELECTION_H_
