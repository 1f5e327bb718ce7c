#include "analysis/coverage.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <ctime>

#include "tests/analysis/uncertainty_world.h"

namespace isoflop {
namespace {

AnalysisResult World(const std::string& method, double noise = 0.005, FitObjective objective = FitObjective::kHuber) {
  return FittedWorld(KeptRowsOf(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 6, 10, 8, noise, 2)),
                     WorldOptions(method, 20, objective));
}

TEST(CoverageTest, ThreadsNeverChangeAByte) {
  for (const char* method : {"pairs", "wild", "parametric"}) {
    for (const bool nested : {false, true}) {
      const AnalysisResult result = World(method);
      CoverageOptions options{.studies = 30, .draws = 25, .nested = nested, .threads = 1};
      const std::optional<Coverage> one = SimulateCoverage(result, options);
      ASSERT_TRUE(one);
      EXPECT_EQ(one->method, nested ? "nested" : "fast");
      ASSERT_EQ(one->rows.size(), 6u);
      for (const int threads : {2, 3}) {
        options.threads = threads;
        const std::optional<Coverage> more = SimulateCoverage(result, options);
        for (size_t i = 0; i < 6; ++i) {
          EXPECT_EQ(more->rows[i].covered_percent, one->rows[i].covered_percent) << method << " " << one->rows[i].name;
        }
      }
    }
  }
}

TEST(CoverageTest, FiveHundredStudiesOfSixtyRowsTakeAboutASecond) {
  const AnalysisResult result = World("pairs");
  const std::clock_t start = std::clock();
  const std::optional<Coverage> coverage = SimulateCoverage(result, {.threads = 1});
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  ASSERT_TRUE(coverage);
  std::printf("coverage of %zu rows, 500 studies: %.2f s CPU (required <= 1 s)\n", result.rows.size(), seconds);
  for (const CoverageRow& row : coverage->rows) {
    std::printf("  %-10s %.1f %%\n", row.name.c_str(), row.covered_percent);
    EXPECT_GE(row.covered_percent, 85) << row.name;
    EXPECT_EQ(row.level, 95);
  }
  EXPECT_LE(seconds, 4);  // a sanitizer or a busy machine may be slow; the figure is printed
}

// Warp speed estimates what nested measures.
TEST(CoverageTest, FastStandsForNested) {
  const AnalysisResult result = World("pairs", 0.005, FitObjective::kMse);
  const std::optional<Coverage> fast = SimulateCoverage(result, {.studies = 1000, .threads = 2});
  const std::optional<Coverage> nested =
      SimulateCoverage(result, {.studies = 300, .draws = 200, .nested = true, .threads = 2});
  ASSERT_TRUE(fast && nested);
  for (size_t i = 0; i < fast->rows.size(); ++i) {
    std::printf("%-10s fast %.1f %%, nested %.1f %%\n", fast->rows[i].name.c_str(), fast->rows[i].covered_percent,
                nested->rows[i].covered_percent);
    EXPECT_NEAR(fast->rows[i].covered_percent, nested->rows[i].covered_percent, 5) << fast->rows[i].name;
  }
}

// Ten rows for five parameters: whoever trusts pairs there should be told.
TEST(CoverageTest, ShowsADesignWhoseIntervalsAreNoGood) {
  std::vector<Observation> rows = SimulatedStudy(HoffmannLaw(), 1e18, 1e19, 2, 5, 8, 0.01, 3);
  const AnalysisResult result = FittedWorld(KeptRowsOf(rows), WorldOptions("pairs", 20, FitObjective::kMse));
  const std::optional<Coverage> coverage = SimulateCoverage(result, {.threads = 2});
  ASSERT_TRUE(coverage);
  bool outside = false;
  for (const CoverageRow& row : coverage->rows) {
    std::printf("ten rows: %-10s %.1f %%\n", row.name.c_str(), row.covered_percent);
    outside = outside || row.covered_percent < 92 || row.covered_percent > 98;
  }
  EXPECT_TRUE(outside);
}

TEST(CoverageTest, NeedsALawASigmaAndAMethod) {
  AnalysisResult result = World("pairs");
  EXPECT_FALSE(SimulateCoverage(AnalysisResult(), {}));
  AnalysisResult silent = result;
  silent.noise = SeedNoise();
  EXPECT_FALSE(SimulateCoverage(silent, {}));
  result.bootstrap.method.clear();
  EXPECT_FALSE(SimulateCoverage(result, {}));
}

TEST(CoverageTest, LeavesOutWhatTheFormHolds) {
  AnalysisOptions options = WorldOptions("pairs", 20);
  options.spec.form = "tied";
  const AnalysisResult result =
      FittedWorld(KeptRowsOf(SimulatedStudy({LawForm::kTied, 1.69, 406.4, 410.7, 0.3, 0.3}, 1e18, 1e20, 5, 7, 8, 0.004)), options);
  const std::optional<Coverage> coverage = SimulateCoverage(result, {.studies = 40, .threads = 1});
  ASSERT_TRUE(coverage);
  for (const CoverageRow& row : coverage->rows) EXPECT_NE(row.name, "a");
}

}  // namespace
}  // namespace isoflop
