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

// N*, D*, D*/N*, L* at `budget_flops` > 0. All refusals when there is no fit, the
// law has no optimum inside a budget (kNoInteriorOptimum), the data determine
// the exponents too weakly to leave them (kWeaklyIdentified), or the budget lies
// more than 3 decades beyond the largest C kept (kExtrapolation).
OptimalRow PredictOptimum(const AnalysisResult& result, double budget_flops);

// What D/N = `tokens_per_parameter` costs at `budget_flops`; nullopt where
// PredictOptimum refuses.
std::optional<EfficiencyRow> PredictEfficiency(const AnalysisResult& result, double budget_flops,
                                               double tokens_per_parameter);

// L at (N, D). A refusal without a fit.
Quantity PredictLoss(const AnalysisResult& result, double params, double tokens);

// The least C whose optimum reaches `loss`, and that optimum. Refusals as
// PredictOptimum's, and kNoInteriorOptimum when `loss` is not above E.
struct LossTarget {
  Quantity budget_flops, params, tokens;
};
LossTarget PredictBudgetForLoss(const AnalysisResult& result, double loss);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_PREDICTION_H_
