// How well the law predicts budgets that it has not seen, by how far they lie
// beyond the training ones, beside predictions that need no law.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_HOLDOUT_H_
#define ISOFLOP_ANALYSIS_HOLDOUT_H_

#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"

namespace isoflop {

// Which rows a law is fitted to and which it must predict: indices of rows, rising.
struct HoldoutSplit {
  double train_max_flops = 0;  // largest C of a training row
  std::vector<size_t> train, held;
};

// The top budget held out; where it has fewer than 3 rows (rows that do not group
// by budget), those with C > C_max/3. nullopt with fewer than 3 held or 6 training
// rows.
std::optional<HoldoutSplit> LargestBudgetSplit(absl::Span<const KeptRow> rows, double budget_tolerance);

// From the second budget on: train up to it, hold all above. Windows of fewer than
// 5 training rows, which carry no form, are left out; of more than 12 (rows that do
// not group by budget) 12 remain, evenly spread, the first and the last among
// them. By rising C; empty with fewer than 3 budgets.
std::vector<HoldoutSplit> ExpandingWindows(absl::Span<const KeptRow> rows, double budget_tolerance);

// The score of the analysis' own form and objective. `result` has rows, options
// and noise; `parametric` and `bootstrap` give gain_over_20 and the last point of
// width_by_flops where they are there. Equal for any number of `threads` (0: one a
// core).
//
// Each window is fitted anew; its own draws (at most 200, pairs or clusters of its
// rows) give the law's share of z and the interval of N*(C_T), of which windows
// whose interval is open have none. Refuses (kUnderdetermined) where no window's
// rows carry a law.
Holdout ScoreHoldout(const AnalysisResult& result, int threads = 0);

// The largest distance x such that all held rows at distances up to x have a mean
// |relative error| <= `limit`; 0 without such.
double DemonstratedDecades(absl::Span<const HeldRow> held, double limit);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_HOLDOUT_H_
