// Approach 2 (Hoffmann et al. 2022, section 3.2): a curve of the loss in log10 N
// at each budget, its minimum N*, and a power law through the minima.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_ISOFLOP_FIT_H_
#define ISOFLOP_ANALYSIS_ISOFLOP_FIT_H_

#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"
#include "analysis/budget_groups.h"
#include "analysis/isoflop_bias.h"
#include "analysis/isoflop_section.h"

namespace isoflop {

// Minima, rejections and power laws; the curve is options.minimum, a parabola by
// default. Under C = 6ND only N is fitted, D* = C/(6N*), so that the exponents add
// up to 1; else a second curve in log10 D gives D*. A budget is rejected, with the
// reason, when it has too few sizes, when its parabola opens downwards or is flat
// within two standard errors of its own scatter (kNotConvex), or when the minimum
// has no size on one side (kMinimumAtEdge). refusal: fewer than two budgets are
// left.
IsoflopFit FitIsoflop(absl::Span<const KeptRow> rows, const IsoflopOptions& options);

// The same on another sample of the rows, for a bootstrap draw: power laws
// ln N* = coefficient + exponent ln C of N and of D; nullopt with fewer than two
// accepted budgets. `weights` and `losses` have one entry a row.
struct IsoflopLaws {
  double params_ln_coefficient = 0, params_exponent = 0;
  double tokens_ln_coefficient = 0, tokens_exponent = 0;
  // With each minimum's bias taken off: that of the law of the same draw, at the
  // cells of the draw. nullopt without a law, or with fewer than two such minima.
  struct Corrected {
    double params_ln_coefficient = 0, params_exponent = 0;
    double tokens_ln_coefficient = 0, tokens_exponent = 0;
  };
  std::optional<Corrected> corrected;
};
// `correction`: the draw's law; nullptr, or a law without optimum: no `corrected`.
std::optional<IsoflopLaws> RefitIsoflop(absl::Span<const KeptRow> rows, absl::Span<const BudgetGroup> groups,
                                        absl::Span<const double> weights, absl::Span<const double> losses,
                                        const IsoflopOptions& options, const IsoflopCorrection* correction = nullptr);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_ISOFLOP_FIT_H_
