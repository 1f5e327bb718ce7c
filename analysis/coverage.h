// Do the intervals hold for this very design? Studies simulated at its (N, D) from
// its own law and sigma.
//
// Pure; thread-safe. Equal for any number of threads.
#ifndef ISOFLOP_ANALYSIS_COVERAGE_H_
#define ISOFLOP_ANALYSIS_COVERAGE_H_

#include <optional>

#include "analysis/analysis_result.h"

namespace isoflop {

struct CoverageOptions {
  int studies = 500;
  int draws = 200;     // nested only: bootstrap draws a study
  bool nested = false;
  uint64_t seed = 1;
  int threads = 0;     // 0: one a core
};

// "fast": one bootstrap draw a study, the differences pooled over the studies (warp
// speed: Giacomini, Politis and White 2013). nullopt without a law, sigma or an
// interval to judge. Rows for a, E, alpha, beta, ln N*(C_T), L*(C_T) at 95 %.
std::optional<Coverage> SimulateCoverage(const AnalysisResult& result, const CoverageOptions& options);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_COVERAGE_H_
