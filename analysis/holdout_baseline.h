// Predictions of the loss that need no law of N and D: what a law must beat.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_HOLDOUT_BASELINE_H_
#define ISOFLOP_ANALYSIS_HOLDOUT_BASELINE_H_

#include <optional>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"
#include "analysis/isoflop_fit.h"

namespace isoflop {

// The loss of the row among `train` (not empty) that lies nearest to `row` in
// (ln N, ln D); of equally near ones the first.
double NearestLoss(absl::Span<const KeptRow> rows, absl::Span<const size_t> train, const KeptRow& row);

// L = E + K C^-gamma, E and K >= 0, 0.01 <= gamma <= 1.5.
struct EnvelopeBaseline {
  double E = 0, K = 0, gamma = 0;
  double LossAt(double flops) const;
};

// The curve through the training envelope: of each budget's training rows the
// lowest loss, kept where it is below those of all smaller budgets; least squares
// on L. nullopt with fewer than three such points. `groups` are those of all rows.
std::optional<EnvelopeBaseline> FitEnvelopeBaseline(absl::Span<const KeptRow> rows,
                                                    absl::Span<const BudgetGroup> groups,
                                                    absl::Span<const size_t> train);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_HOLDOUT_BASELINE_H_
