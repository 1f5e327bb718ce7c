#include "analysis/budget_groups.h"

#include <algorithm>
#include <cmath>

namespace isoflop {
namespace {

// A budget that was planned under another convention of N or C is not the C of its
// rows under this one: then theirs counts, as for rows without a plan.
void TakeFlopsOfRows(absl::Span<const KeptRow> rows, double tolerance, BudgetGroup* group) {
  double lowest = rows[group->rows[0]].flops, highest = lowest, ln_sum = 0;
  for (const size_t row : group->rows) {
    lowest = std::min(lowest, rows[row].flops);
    highest = std::max(highest, rows[row].flops);
    ln_sum += std::log(rows[row].flops);
  }
  const double planned = group->budget_flops;
  if (highest <= planned * (1 + tolerance) && lowest >= planned / (1 + tolerance)) return;
  group->budget_flops = std::exp(ln_sum / static_cast<double>(group->rows.size()));
  group->snap_range = highest / lowest - 1;
}

}  // namespace

std::vector<BudgetGroup> GroupByBudget(absl::Span<const KeptRow> rows, double tolerance) {
  std::vector<size_t> planned, free;
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::optional<double>& budget = rows[i].observation.budget_flops;
    (budget && *budget > 0 ? planned : free).push_back(i);
  }
  std::vector<BudgetGroup> groups;
  const auto by = [](const auto& key) {
    return [key](size_t x, size_t y) { return key(x) != key(y) ? key(x) < key(y) : x < y; };
  };
  const auto budget_of = [&](size_t i) { return *rows[i].observation.budget_flops; };
  const auto flops_of = [&](size_t i) { return rows[i].flops; };
  std::sort(planned.begin(), planned.end(), by(budget_of));
  for (const size_t i : planned) {
    if (groups.empty() || budget_of(i) > groups.back().budget_flops * (1 + 1e-9)) {
      groups.push_back({.budget_flops = budget_of(i)});
    }
    groups.back().rows.push_back(i);
  }
  for (BudgetGroup& group : groups) TakeFlopsOfRows(rows, tolerance, &group);
  std::sort(free.begin(), free.end(), by(flops_of));
  for (size_t first = 0; first < free.size();) {
    BudgetGroup group;
    double ln_sum = 0;
    size_t last = first;
    for (; last < free.size() && flops_of(free[last]) <= flops_of(free[first]) * (1 + tolerance); ++last) {
      group.rows.push_back(free[last]);
      ln_sum += std::log(flops_of(free[last]));
    }
    group.snap_range = flops_of(free[last - 1]) / flops_of(free[first]) - 1;
    group.budget_flops = group.snap_range < 1e-9 ? flops_of(free[first])
                                                 : std::exp(ln_sum / static_cast<double>(last - first));
    groups.push_back(std::move(group));
    first = last;
  }
  for (BudgetGroup& group : groups) {
    std::stable_sort(group.rows.begin(), group.rows.end(),
                     [&](size_t x, size_t y) { return rows[x].params < rows[y].params; });
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [](const auto& x, const auto& y) { return x.budget_flops < y.budget_flops; });
  return groups;
}

}  // namespace isoflop
