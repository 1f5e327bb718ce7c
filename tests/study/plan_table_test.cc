#include "study/plan_table.h"

#include <gtest/gtest.h>

#include "absl/strings/str_split.h"
#include "tests/study/plan_world.h"

namespace isoflop {
namespace {

// The golden screen of the quickstart, but for its times.
constexpr char kGoldenTable[] =
    R"(austen-quickstart  3.62M training tokens  N = non-embedding + head, C = 6ND
 C        sizes  N              D              D/N         trials
 5e10     5      7.2K - 40.1K   0.21M - 1.15M  5.2 - 159   10 branches
 1.14e11  6      7.2K - 52.2K   0.37M - 2.64M  7.0 - 365   12 branches
 2.62e11  6      13.2K - 65.8K  0.66M - 3.32M  10 - 253    12 branches
 6e11     6      29.6K - 136K   0.74M - 3.38M  5.4 - 114   4 single, 8 branches
 trunks   7      7.2K - 65.8K                              14 trunks
left out, short of data: 6e11 x 20.6K (needs 4.85M tokens)
46 observations (23 cells, seeds 1 2), 14 trunks, 0 known already  9.23e12 FLOPs (1.22e13 without trunks)
)";

TEST(PlanTableTest, TheQuickstartIsTheGoldenTable) {
  EXPECT_EQ(PlanTable(MustPlan(kQuickstart, SmallWorld())), kGoldenTable);
}

TEST(PlanTableTest, TimesStandToTheRightAndInTheLastLine) {
  PlanFacts facts = SmallWorld();
  facts.slot_flops_per_second = 4e10;
  const std::vector<std::string> lines = absl::StrSplit(PlanTable(MustPlan(kQuickstart, facts)), '\n');
  EXPECT_EQ(lines[1], " C        sizes  N              D              D/N         trials                ~time");
  EXPECT_EQ(lines[2].size(), lines[1].size());
  EXPECT_NE(lines[8].find("m"), std::string::npos);
  EXPECT_EQ(lines[8].substr(lines[8].size() - 14), "on 2 cpu slots");
}

TEST(PlanTableTest, AProductHasARowASize) {
  const Plan plan = MustPlan(kQuickstart, SmallWorld(),
                             {"grid={kind: product, params: [7K, 30K], tokens_per_parameter: [10, 20, 40]}", "seeds=[1]",
                              "schedule.trunks=none"});
  EXPECT_EQ(PlanTable(plan),
            R"(austen-quickstart  3.62M training tokens  N = non-embedding + head, C = 6ND
 N      cells  C                 D              D/N         trials
 7.2K   3      3.14e9 - 1.26e10  72.2K - 0.29M  10 - 40     3 single
 29.6K  3      5.26e10 - 2.1e11  0.30M - 1.18M  10 - 40     3 single
6 observations (6 cells, seed 1), 0 known already  3.9e11 FLOPs
)");
}

TEST(PlanTableTest, ManyLeftOutCellsAreCounted) {
  PlanFacts facts = SmallWorld();
  facts.unique_tokens = 600'000;
  EXPECT_NE(PlanTable(MustPlan(kQuickstart, facts)).find(" tokens), 14 more\n"), std::string::npos)
      << PlanTable(MustPlan(kQuickstart, facts));
}

TEST(PlanTableTest, TrialsAndCsvHaveARowATrial) {
  const Plan plan = MustPlan(kQuickstart, SmallWorld());
  const std::vector<std::string> rows = absl::StrSplit(PlanTrialsTable(plan), '\n');
  EXPECT_EQ(rows.size(), plan.trials.size() + 2);
  const std::vector<std::string> csv = absl::StrSplit(PlanCsv(plan), "\r\n");
  ASSERT_EQ(csv.size(), plan.trials.size() + 2);
  const size_t columns = std::vector<std::string>(absl::StrSplit(csv[0], ',')).size();
  for (size_t i = 1; i + 1 < csv.size(); ++i) {
    EXPECT_EQ(std::vector<std::string>(absl::StrSplit(csv[i], ',')).size(), columns);
  }
}

}  // namespace
}  // namespace isoflop
