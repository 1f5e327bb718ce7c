// Which rows are trained at one budget: the columns of an IsoFLOP grid.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_BUDGET_GROUPS_H_
#define ISOFLOP_ANALYSIS_BUDGET_GROUPS_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"

namespace isoflop {

// Rows of one budget.
struct BudgetGroup {
  double budget_flops = 0;
  std::vector<size_t> rows;  // by rising N
  double snap_range = 0;     // largest C / smallest C - 1
};

// By rising C. A row with a planned budget belongs to it; its C counts where all
// its rows lie within `tolerance` of it, else (planned under another convention)
// the geometric mean of theirs. The others are taken
// greedily from the lowest C, each group what lies within `tolerance` of its
// lowest, C their geometric mean.
std::vector<BudgetGroup> GroupByBudget(absl::Span<const KeptRow> rows, double tolerance);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_BUDGET_GROUPS_H_
