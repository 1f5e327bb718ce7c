#include "analysis/holdout.h"

#include <gtest/gtest.h>

#include "analysis/selection.h"
#include "tests/analysis/test_data.h"

namespace isoflop {
namespace {

std::vector<KeptRow> Kept(const std::vector<Observation>& observations) { return SelectRows(observations, {}).rows; }

TEST(HoldoutSplitTest, HoldsTheTopBudget) {
  const std::vector<KeptRow> rows = Kept(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 3, 5, 4));
  const std::optional<HoldoutSplit> split = LargestBudgetSplit(rows, 0.1);
  ASSERT_TRUE(split);
  EXPECT_EQ(split->held, (std::vector<size_t>{10, 11, 12, 13, 14}));
  EXPECT_EQ(split->train.size(), 10u);
  EXPECT_LE(RelativeDifference(split->train_max_flops, 1e19), 1e-9);
}

TEST(HoldoutSplitTest, WithoutBudgetsHoldsTheTopThird) {
  std::vector<Observation> observations;
  for (int i = 0; i < 20; ++i) {  // C from 1e18 by a quarter each: no two alike
    const double budget = 1e18 * std::pow(1.25, i), params = 1e7 * (1 + i % 4);
    observations.push_back(MakeObservation(params, budget / (6 * params), 3));
  }
  const std::vector<KeptRow> rows = Kept(observations);
  const std::optional<HoldoutSplit> split = LargestBudgetSplit(rows, 0.1);
  ASSERT_TRUE(split);
  EXPECT_EQ(split->held.size(), 5u);  // 1.25^4 < 3 < 1.25^5
  EXPECT_EQ(split->held.front(), 15u);
}

TEST(HoldoutSplitTest, RefusesTooFewRows) {
  EXPECT_FALSE(LargestBudgetSplit(Kept(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 2, 5, 4)), 0.1));
  EXPECT_FALSE(LargestBudgetSplit({}, 0.1));
  EXPECT_TRUE(ExpandingWindows({}, 0.1).empty());
  EXPECT_TRUE(ExpandingWindows(Kept(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 2, 5, 4)), 0.1).empty());
}

TEST(HoldoutSplitTest, WindowsGrowByABudget) {
  const std::vector<KeptRow> rows = Kept(SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 5, 5, 4));
  const std::vector<HoldoutSplit> windows = ExpandingWindows(rows, 0.1);
  ASSERT_EQ(windows.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(windows[i].train.size(), 5 * (i + 2));
    EXPECT_EQ(windows[i].train.size() + windows[i].held.size(), rows.size());
    for (const size_t row : windows[i].held) EXPECT_GT(rows[row].flops, windows[i].train_max_flops);
  }
  // The last window is the top budget held out.
  EXPECT_EQ(windows.back().held, LargestBudgetSplit(rows, 0.1)->held);
}

TEST(HoldoutSplitTest, ManyBudgetsGiveTwelveWindowsThatReachBothEnds) {
  const std::vector<KeptRow> rows = Kept(SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 40, 3, 4));
  const std::vector<HoldoutSplit> windows = ExpandingWindows(rows, 0.01);
  ASSERT_EQ(windows.size(), 12u);
  EXPECT_EQ(windows.front().train.size(), 6u);
  EXPECT_EQ(windows.back().held.size(), 3u);
}

}  // namespace
}  // namespace isoflop
