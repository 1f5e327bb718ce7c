// What leaving the compute-optimal point costs or saves: over-training, inference,
// repeated data, and the exponent under other conventions.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_BEYOND_OPTIMUM_H_
#define ISOFLOP_ANALYSIS_BEYOND_OPTIMUM_H_

#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_options.h"
#include "analysis/analysis_result.h"
#include "study/observation.h"

namespace isoflop {

// Sizes N*/8 to N* by halves at the loss l that is optimal at `budget_flops`:
// D(N) = (B / (l - E - A N^-alpha))^(1/beta), if N > (A/(l-E))^(1/alpha).
std::vector<OvertrainingRow> OvertrainingRows(const AnalysisResult& result, double budget_flops);

// (N, D) of the loss that is optimal at `budget_flops` which minimises 6 N D + 2 N
// D_inf (Sardana et al. 2024): alpha A N^-alpha = beta B D^-beta (1 + D_inf/(3D)).
InferenceRow PredictInference(const AnalysisResult& result, double budget_flops, double inference_tokens);

// The point of one law alone: N and D at loss `loss` for `inference_tokens`.
// nullopt: the law has no optimum, or loss <= E.
struct InferencePoint {
  double params = 0, tokens = 0, saving_fraction = 0;
};
std::optional<InferencePoint> InferenceOptimum(const LossLaw& law, double loss, double inference_tokens);

// The optimum at `budget_flops` with U unique tokens, by search on the
// data-constrained law.
RepeatedDataRow PredictRepeatedData(const AnalysisResult& result, double budget_flops, double unique_tokens);

// The C at which D*(C) = `unique_tokens`; nullopt without an optimum.
std::optional<double> DataExhaustedFlops(const AnalysisResult& result, double unique_tokens);

// The exponent a of the three approaches under each N and C that the observations
// allow.
std::vector<ConventionRow> CompareConventions(absl::Span<const Observation> observations,
                                              const AnalysisOptions& options);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_BEYOND_OPTIMUM_H_
