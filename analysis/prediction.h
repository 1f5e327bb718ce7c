// Reads numbers off a fitted law, each with its interval over the bootstrap
// draws. The tables T6 and T7, the frontier's bands, `isoflop predict` and the
// progress screen all come through here.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_PREDICTION_H_
#define ISOFLOP_ANALYSIS_PREDICTION_H_

#include <functional>
#include <optional>

#include "analysis/analysis_result.h"
#include "analysis/frontier.h"

namespace isoflop {

// `number` of the fitted law with intervals over the draws. Precondition:
// result.parametric.
Estimate EstimateOverDraws(const AnalysisResult& result, const std::function<double(const LossLaw&)>& number);

// C(N, D) of the analysis: 6ND, or through the exact FLOPs of the kept rows.
ComputeModel ComputeModelOf(const AnalysisResult& result);

// How far beyond the largest C kept hold-out showed the law to predict, in decades;
// 0 where it was not computed or not possible.
double DemonstratedDecades(const AnalysisResult& result);
// `budget_flops` lies beyond that: drawn dashed.
bool IsExtrapolated(const AnalysisResult& result, double budget_flops);

// Why the optimum at `budget_flops` is not told; nullopt: it is.
std::optional<Refusal> RefuseOptimum(const AnalysisResult& result, double budget_flops);

// N*, D*, D*/N*, L* at `budget_flops` > 0. All refusals when there is no fit, the
// law has no optimum inside a budget (kNoInteriorOptimum), the data determine
// the exponents too weakly to leave them (kWeaklyIdentified), or the budget lies
// beyond the largest C kept by more than 3 decades or, where there was a hold-out,
// by more than twice the demonstrated distance (kExtrapolation). The last two give
// way to options.allow_extrapolation.
OptimalRow PredictOptimum(const AnalysisResult& result, double budget_flops);

// What D/N = `tokens_per_parameter` costs at `budget_flops`; nullopt where
// PredictOptimum refuses.
std::optional<EfficiencyRow> PredictEfficiency(const AnalysisResult& result, double budget_flops,
                                               double tokens_per_parameter);

// L at (N, D). A refusal without a fit. The band is the law's: where the mean of many
// runs would lie.
Quantity PredictLoss(const AnalysisResult& result, double params, double tokens);

// The same with the band of one new run: of each draw's law with the seed noise
// around it, L_draw exp(sigma(L) z). Intervals are the exact quantiles of that
// mixture of lognormals, nothing is drawn. Equal to PredictLoss where sigma is not
// known.
Quantity PredictNewRun(const AnalysisResult& result, double params, double tokens);

// The least C whose optimum reaches `loss`, and that optimum. Refusals as
// PredictOptimum's, and kNoInteriorOptimum when `loss` is not above E.
struct LossTarget {
  Quantity budget_flops, params, tokens;
};
LossTarget PredictBudgetForLoss(const AnalysisResult& result, double loss);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_PREDICTION_H_
