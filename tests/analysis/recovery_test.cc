// A known law comes back from noisy studies: the 95 % intervals hold the truth
// about 95 times in 100.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <ctime>

#include "analysis/bootstrap.h"
#include "analysis/coverage.h"
#include "analysis/frontier.h"
#include "tests/analysis/uncertainty_world.h"

namespace isoflop {
namespace {

constexpr double kTarget = 1e23;
constexpr size_t kNumbers = 6;
constexpr const char* kNames[kNumbers] = {"a", "E", "alpha", "beta", "ln N*(C_T)", "L*(C_T)"};

std::array<double, kNumbers> NumbersOf(const LossLaw& law) {
  const OptimalPoint point = OptimumAt(law, kTarget);
  return {law.a(), law.E, law.alpha, law.beta, std::log(point.params), point.loss};
}

// 12 budgets x 15 sizes N*/8 .. 8 N*.
std::vector<KeptRow> Study(uint32_t seed) {
  return KeptRowsOf(SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 12, 15, 8, 0.005, seed));
}

TEST(RecoveryTest, IntervalsCoverTheTruth) {
  constexpr int kStudies = 500, kDraws = 250;
  AnalysisOptions options = WorldOptions("pairs", kDraws);
  options.spec.levels = {95};
  options.spec.goal_budget = kTarget;
  const std::array<double, kNumbers> truth = NumbersOf(HoffmannLaw());

  const std::clock_t start = std::clock();
  std::array<int, kNumbers> covered = {};
  int not_optimal = 0, failed = 0;
  for (int study = 0; study < kStudies; ++study) {
    options.spec.bootstrap_seed = static_cast<uint64_t>(study) + 1;
    AnalysisResult result;
    result.options = options;
    result.rows = Study(1000 + static_cast<uint32_t>(study));
    const LawFit fit = FitLossLaw(FitRowsOfSubset(result.rows, AllRows(result.rows.size())), {});
    not_optimal += fit.certificate.outcome != FitOutcome::kOptimal;
    const Resampling resampling = ResampleWorld(result, fit, 0);
    failed += resampling.summary.failed;
    std::array<std::vector<double>, kNumbers> draws;
    for (const LossLaw& law : resampling.summary.laws) {
      const std::array<double, kNumbers> numbers = NumbersOf(law);
      for (size_t i = 0; i < kNumbers; ++i) draws[i].push_back(numbers[i]);
    }
    const std::array<double, kNumbers> fitted = NumbersOf(fit.law);
    for (size_t i = 0; i < kNumbers; ++i) {
      const Estimate estimate = EstimateFromDraws(fitted[i], std::move(draws[i]), options.spec.levels, "pairs");
      const Interval* interval = estimate.At(95);
      ASSERT_NE(interval, nullptr);
      covered[i] += interval->lo <= truth[i] && truth[i] <= interval->hi;
    }
  }
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(not_optimal, 0);

  // What the analysis would say of this design: its own law and sigma in the place of
  // the truth, then one draw a study.
  AnalysisResult typical = FittedWorld(Study(1), options);
  typical.parametric->law = HoffmannLaw();
  typical.noise.sigma = 0.005;
  const std::optional<Coverage> fast = SimulateCoverage(typical, {});
  ASSERT_TRUE(fast);

  std::printf("%d studies of 12 x 15 cells, log noise 0.005, %d draws: %.0f s CPU\n", kStudies, kDraws, seconds);
  std::printf("%-12s covered %%   required   warp speed %%\n", "95 % pairs");
  for (size_t i = 0; i < kNumbers; ++i) {
    const double percent = 100.0 * covered[i] / kStudies;
    std::printf("%-12s %6.1f      [92, 98]   %6.1f\n", kNames[i], percent, fast->rows[i].covered_percent);
    EXPECT_GE(percent, 92) << kNames[i];
    EXPECT_LE(percent, 98) << kNames[i];
    EXPECT_EQ(fast->rows[i].name, kNames[i]);
    EXPECT_NEAR(fast->rows[i].covered_percent, percent, 5) << kNames[i];
  }
}

}  // namespace
}  // namespace isoflop
