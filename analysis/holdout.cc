#include "analysis/holdout.h"

#include <algorithm>
#include <cmath>

#include "analysis/isoflop_fit.h"

namespace isoflop {
namespace {

constexpr size_t kFewestTrainRows = 5;  // below, no form can be fitted
constexpr size_t kMostWindows = 12;     // each costs a fit and its draws

HoldoutSplit SplitAt(absl::Span<const KeptRow> rows, std::vector<size_t> train, std::vector<size_t> held) {
  HoldoutSplit split{.train = std::move(train), .held = std::move(held)};
  std::sort(split.train.begin(), split.train.end());
  std::sort(split.held.begin(), split.held.end());
  for (const size_t row : split.train) split.train_max_flops = std::max(split.train_max_flops, rows[row].flops);
  return split;
}

}  // namespace

std::optional<HoldoutSplit> LargestBudgetSplit(absl::Span<const KeptRow> rows, double budget_tolerance) {
  constexpr size_t kFewestHeld = 3, kFewestTrain = 6;
  if (rows.size() < kFewestHeld + kFewestTrain) return std::nullopt;
  std::vector<bool> is_held(rows.size(), false);
  const std::vector<BudgetGroup> groups = GroupByBudget(rows, budget_tolerance);
  if (groups.back().rows.size() >= kFewestHeld) {
    for (const size_t row : groups.back().rows) is_held[row] = true;
  } else {
    double max_flops = 0;
    for (const KeptRow& row : rows) max_flops = std::max(max_flops, row.flops);
    for (size_t i = 0; i < rows.size(); ++i) is_held[i] = rows[i].flops > max_flops / 3;
  }
  std::vector<size_t> train, held;
  for (size_t i = 0; i < rows.size(); ++i) (is_held[i] ? held : train).push_back(i);
  if (held.size() < kFewestHeld || train.size() < kFewestTrain) return std::nullopt;
  return SplitAt(rows, std::move(train), std::move(held));
}

std::vector<HoldoutSplit> ExpandingWindows(absl::Span<const KeptRow> rows, double budget_tolerance) {
  std::vector<HoldoutSplit> windows;
  const std::vector<BudgetGroup> groups = GroupByBudget(rows, budget_tolerance);
  for (size_t last = 1; last + 1 < groups.size(); ++last) {
    std::vector<size_t> train, held;
    for (size_t g = 0; g < groups.size(); ++g) {
      std::vector<size_t>& side = g <= last ? train : held;
      side.insert(side.end(), groups[g].rows.begin(), groups[g].rows.end());
    }
    if (train.size() >= kFewestTrainRows) windows.push_back(SplitAt(rows, std::move(train), std::move(held)));
  }
  if (windows.size() <= kMostWindows) return windows;
  std::vector<HoldoutSplit> spread;
  for (size_t i = 0; i < kMostWindows; ++i) {
    spread.push_back(std::move(windows[i * (windows.size() - 1) / (kMostWindows - 1)]));
  }
  return spread;
}

}  // namespace isoflop
