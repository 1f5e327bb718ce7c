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

// Which rows a law is fitted to and which it must predict: indices of rows.
struct HoldoutSplit {
  double train_max_flops = 0;
  std::vector<size_t> train, held;
};

// The top budget held out; where rows do not group by budget, those with C >
// C_max/3. nullopt with fewer than 3 held or 6 training rows.
std::optional<HoldoutSplit> LargestBudgetSplit(absl::Span<const KeptRow> rows, double budget_tolerance);

// From the second budget on: train up to it, hold all above.
std::vector<HoldoutSplit> ExpandingWindows(absl::Span<const KeptRow> rows, double budget_tolerance);

// The score of the analysis' own form and objective. `result` has rows, options
// and noise.
Holdout ScoreHoldout(const AnalysisResult& result);

// The largest distance x such that all held rows at distances up to x have a mean
// |relative error| <= `limit`; 0 without such.
double DemonstratedDecades(absl::Span<const HeldRow> held, double limit);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_HOLDOUT_H_
