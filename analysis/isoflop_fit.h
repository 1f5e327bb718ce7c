// Approach 2 (Hoffmann et al. 2022, section 3.2): a parabola of the loss in log10
// N at each budget, its minimum N*, and a power law through the minima.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_ISOFLOP_FIT_H_
#define ISOFLOP_ANALYSIS_ISOFLOP_FIT_H_

#include <optional>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"

namespace isoflop {

struct IsoflopOptions {
  double budget_tolerance = 0.1;  // rows of C that near are one budget
  FlopsConvention flops = FlopsConvention::k6nd;
  // Standard deviation of the loss between seeds, for data whose parabolas have
  // no degree of freedom; 0: not known.
  double seed_sigma = 0;
};

// Rows of one budget.
struct BudgetGroup {
  double budget_flops = 0;
  std::vector<size_t> rows;  // by rising N
  double snap_range = 0;     // largest C / smallest C - 1
};

// By rising C. A row with a planned budget belongs to it; the others are taken
// greedily from the lowest C, each group what lies within `tolerance` of its
// lowest, C their geometric mean.
std::vector<BudgetGroup> GroupByBudget(absl::Span<const KeptRow> rows, double tolerance);

// The least-squares parabola of `y` on `x` with `weights`, centred at the
// weighted mean of x; nullopt with fewer than three distinct x of weight > 0.
struct ParabolaFit {
  Parabola parabola;
  double rss = 0;
  double unit_var_p = 0;       // of p, for noise 1
  double unit_var_vertex = 0;  // of -q/(2p), for noise 1 (delta method)
  double unit_var_minimum = 0; // of the least value, for noise 1 (delta method)
  double vertex = 0;           // x at the least value, not centred
  double minimum = 0;          // the least value
};
std::optional<ParabolaFit> FitParabola(absl::Span<const double> x, absl::Span<const double> y,
                                       absl::Span<const double> weights);

// Parabolas, rejections and power laws. Under C = 6ND only N is fitted, D* =
// C/(6N*), so that the exponents add up to 1; else a second parabola in log10 D
// gives D*. A budget is rejected, with the reason, when it has under three
// sizes, when its parabola opens downwards or is flat within two standard
// errors of its own scatter (kNotConvex), or when the vertex has no size on one side
// (kMinimumAtEdge). refusal: fewer than two budgets are left.
IsoflopFit FitIsoflop(absl::Span<const KeptRow> rows, const IsoflopOptions& options);

// The same on another sample of the rows, for a bootstrap draw: the power laws
// ln N* = first + second ln C of N and of D; nullopt with fewer than two
// accepted budgets. `weights` and `losses` have one entry a row.
struct IsoflopLaws {
  double params_ln_coefficient = 0, params_exponent = 0;
  double tokens_ln_coefficient = 0, tokens_exponent = 0;
};
std::optional<IsoflopLaws> RefitIsoflop(absl::Span<const KeptRow> rows, absl::Span<const BudgetGroup> groups,
                                        absl::Span<const double> weights, absl::Span<const double> losses,
                                        const IsoflopOptions& options);

// Fills `bias` of each budget and `bias_at_target`: the same parabolas and power
// law on the losses of `law`, without noise.
void AddIsoflopBias(absl::Span<const KeptRow> rows, const LossLaw& law, double target_flops,
                    const IsoflopOptions& options, IsoflopFit* fit);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_ISOFLOP_FIT_H_
