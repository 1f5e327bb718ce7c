// Causes that may keep the approaches apart, each as the part of the study that is
// left without it.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_AGREEMENT_CAUSES_H_
#define ISOFLOP_ANALYSIS_AGREEMENT_CAUSES_H_

#include <optional>
#include <string>
#include <vector>

#include "analysis/agreement.h"

namespace isoflop {

struct Cause {
  std::string name;                // "edge minima"
  std::string removal;             // what removing it does, or why there is nothing to remove
  std::optional<StudyPart> part;   // nullopt: nothing to remove
};

// In the order in which they are tried:
//   approach-2 bias   sizes farther than 4x from their budget's minimum go; what the
//                     law's own bias does not explain is least near the minimum
//   drifting centre   each budget keeps the sizes that lie symmetrically around its
//                     minimum
//   edge minima       budgets whose minimum has fewer than two sizes on a side go
//   gaps in N         budgets with neighbouring sizes farther apart than 2.5 times
//                     their median step go
//   schedules         rows whose schedule is not known to have ended go, and every
//                     point of a curve before its schedule's end
//   starts of runs    rows in the first fifth of their run's tokens go, where a run
//                     has several rows: L(N, D) tells what training reaches, not how
//                     it begins
std::vector<Cause> CausesOfRows(const AnalysisResult& result);

// The five rows whose leaving out moves ln N*(C_T) of `first` against `second` most:
// both are refitted without each row.
Cause InfluentialRows(const AnalysisResult& result, Approach first, Approach second);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_AGREEMENT_CAUSES_H_
