// The power laws of approaches 1 and 2 over the draws of the bootstrap: intervals of
// their exponents, and their frontier with its bands.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_POWER_LAW_DRAWS_H_
#define ISOFLOP_ANALYSIS_POWER_LAW_DRAWS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"
#include "analysis/resample.h"

namespace isoflop {

// ln N* = params_ln_coefficient + params_exponent ln C, D* alike.
struct PowerLawPair {
  double params_ln_coefficient = 0, params_exponent = 0;
  double tokens_ln_coefficient = 0, tokens_exponent = 0;
};

// Those of one approach (kIsoflop or kEnvelope) by draw number; nullopt where the draw
// found none.
std::vector<std::optional<PowerLawPair>> PowerLawsOf(absl::Span<const ResampledFit> fits, Approach approach);
// Approach 2 with each draw's own bias taken off.
std::vector<std::optional<PowerLawPair>> CorrectedPowerLawsOf(absl::Span<const ResampledFit> fits);

// Intervals of exponents and coefficients, where at least half of the draws found
// laws.
void AddPowerLawIntervals(absl::Span<const std::optional<PowerLawPair>> draws, absl::Span<const double> levels,
                          const std::string& method, PowerLaw* params, PowerLaw* tokens);

// The curve over `budgets`, with bands where the laws have intervals.
Frontier PowerLawFrontier(Approach approach, const PowerLaw& params, const PowerLaw& tokens,
                          absl::Span<const std::optional<PowerLawPair>> draws, absl::Span<const double> budgets,
                          const AnalysisResult& result);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_POWER_LAW_DRAWS_H_
