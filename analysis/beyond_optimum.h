// What leaving the compute-optimal point costs or saves: over-training, inference,
// repeated data. Every number with its band over the bootstrap draws, each draw
// with its own optimum.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_BEYOND_OPTIMUM_H_
#define ISOFLOP_ANALYSIS_BEYOND_OPTIMUM_H_

#include <functional>
#include <optional>
#include <vector>

#include "analysis/analysis_result.h"
#include "analysis/frontier.h"

namespace isoflop {

// Sizes N*/8 to N* by halves at the loss l that is optimal at `budget_flops`:
// D(N) = (B / (l - E - A N^-alpha))^(1/beta), if N > (A/(l-E))^(1/alpha). A draw in
// which no amount of tokens does counts as infinite, so an interval may be open.
// Empty where PredictOptimum refuses.
std::vector<OvertrainingRow> OvertrainingRows(const AnalysisResult& result, double budget_flops);

// (N, D) of the loss that is optimal at `budget_flops` which minimises 6 N D + 2 N
// D_inf (Sardana et al. 2024): alpha A N^-alpha = beta B D^-beta (1 + D_inf/(3D)).
// With exact FLOPs c(N) a trained token an inferred one costs c(N)/3.
//
// `inference_price` > 0 is what a FLOP of inference costs against one of training:
// the ratio of the prices, or MFU of training over MFU of inference. nullopt where
// PredictOptimum refuses.
std::optional<InferenceRow> PredictInference(const AnalysisResult& result, double budget_flops,
                                             double inference_tokens, double inference_price = 1);

// The point of one law alone: N and D at loss `loss` for `inference_tokens` >= 0.
// nullopt: the law has no optimum, or loss <= E.
struct InferencePoint {
  double params = 0, tokens = 0;
  double saving_fraction = 0;  // of the lifetime cost, against the training optimum at this loss
};
std::optional<InferencePoint> InferenceOptimum(const LossLaw& law, double loss, double inference_tokens,
                                               double inference_price = 1, const ComputeModel& compute = {});

// The least loss that `lifetime_flops` (in FLOPs of training) pay for, training and
// inference together: min L at 6 N D + price 2 N D_inf = lifetime. nullopt without
// an optimum.
std::optional<OptimalPoint> LifetimeOptimum(const LossLaw& law, double lifetime_flops, double inference_tokens,
                                            double inference_price = 1, const ComputeModel& compute = {});

// The optimum at `budget_flops` with U unique tokens, by search on the law; only the
// data-constrained form knows a price of repeats. nullopt where PredictOptimum
// refuses.
std::optional<RepeatedDataRow> PredictRepeatedData(const AnalysisResult& result, double budget_flops,
                                                   double unique_tokens);
// Of one law: the search from its optimum without repeats. Precondition:
// HasOptimum(law).
OptimalPoint RepeatedDataOptimum(const LossLaw& law, const ComputeModel& compute, double budget_flops,
                                 double unique_tokens);

// The least of `loss_at(N, D)` along `budget_flops`: 129 sizes over four decades to
// each side of `params_near`, then Brent around the lowest.
OptimalPoint SearchOptimum(const std::function<double(double params, double tokens)>& loss_at,
                           const ComputeModel& compute, double budget_flops, double params_near);

// The C at which D*(C) = `unique_tokens`; nullopt without an optimum.
std::optional<double> DataExhaustedFlops(const AnalysisResult& result, double unique_tokens);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_BEYOND_OPTIMUM_H_
