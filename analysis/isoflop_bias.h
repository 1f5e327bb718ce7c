// What approach 2 gets wrong without any noise: the section of a law of the loss
// at constant C is no parabola (Open-Athena 2026).
//
// The same approach 2 on the law's own losses at the same cells:
//   bias(C) = ln N*_approach2 - ln N*_law,   and the same for D*.
// Centred grids keep the exponents and shift the intercept; a drifting centre
// bends both.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_ISOFLOP_BIAS_H_
#define ISOFLOP_ANALYSIS_ISOFLOP_BIAS_H_

#include <optional>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"
#include "analysis/frontier.h"
#include "analysis/isoflop_section.h"

namespace isoflop {

// The law whose bias is taken off, and C(N, D) of the convention. Holds pointers
// only.
struct IsoflopCorrection {
  const LossLaw* law = nullptr;
  const ComputeModel* compute = nullptr;
};

// C(N, D) of `rows` under `flops`: 6ND, or through the rows' exact FLOPs a token.
ComputeModel ComputeModelOf(absl::Span<const KeptRow> rows, FlopsConvention flops);

// Of ln N* and ln D* at one budget; nullopt where the law's own losses at these
// cells have no minimum. Precondition: HasOptimum(law).
struct IsoflopBias {
  double params = 0, tokens = 0;
};
std::optional<IsoflopBias> BiasOfBudget(absl::Span<const KeptRow> rows, const BudgetGroup& group,
                                        absl::Span<const double> weights, const IsoflopCorrection& correction,
                                        const IsoflopOptions& options);

// Fills the bias of each budget, `bias_at_target` (of the power law through the
// noise-free minima) and the laws with each minimum's bias taken off. Nothing
// without an optimum inside a budget.
void AddIsoflopBias(absl::Span<const KeptRow> rows, const LossLaw& law, double target_flops,
                    const IsoflopOptions& options, IsoflopFit* fit);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_ISOFLOP_BIAS_H_
