// Do the intervals hold for this very design? Studies simulated at its (N, D) from
// its own law and sigma, each fitted and resampled as the real one was.
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

// A study is ln L = ln L(law) + sigma(L) z, one z a run; it is fitted from the law
// and from the other basins of the real data. The interval judged is the percentile
// one at 95 %, by the bootstrap method of the result.
//   nested  each study has its own draws and its own interval
//   fast    one draw a study; the differences draw - fit, pooled over the studies,
//           stand for the draws of each (warp speed: Giacomini, Politis and White 2013)
// Rows for a, E, alpha, beta, ln N*(C_T), L*(C_T), without those that the form holds
// constant. nullopt without a law, sigma or method. A study whose fit has no such
// number counts as not covered.
std::optional<Coverage> SimulateCoverage(const AnalysisResult& result, const CoverageOptions& options);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_COVERAGE_H_
