// A known law comes back from noisy studies: the 95 % intervals hold the truth
// about 95 times in 100.
#include <gtest/gtest.h>

#include <cstdio>
#include <map>

#include "analysis/analyze.h"
#include "analysis/frontier.h"
#include "analysis/prediction.h"
#include "tests/analysis/test_data.h"

namespace isoflop {
namespace {

TEST(RecoveryTest, IntervalsCoverTheTruth) {
  constexpr int kStudies = 60;
  std::map<std::string, int> covered;
  for (int study = 0; study < kStudies; ++study) {
    AnalysisOptions options;
    options.spec.draws = 200;
    options.spec.goal_budget = 1e23;
    const absl::StatusOr<AnalysisResult> result =
        Analyze(SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 12, 15, 8, 0.005, 1000 + static_cast<uint32_t>(study)), options);
    ASSERT_TRUE(result.ok() && result->parametric);
    ASSERT_EQ(result->parametric->certificate.outcome, FitOutcome::kOptimal) << "study " << study;
    const OptimalRow row = PredictOptimum(*result, 1e23);
    const OptimalPoint truth = OptimumAt(HoffmannLaw(), 1e23);
    const auto count = [&](const char* name, const Estimate& estimate, double required) {
      const Interval* interval = estimate.At(95);
      ASSERT_NE(interval, nullptr);
      covered[name] += interval->lo <= required && required <= interval->hi;
    };
    count("a", result->parametric->a, HoffmannLaw().a());
    count("E", result->parametric->E, 1.69);
    count("alpha", result->parametric->alpha, 0.34);
    count("beta", result->parametric->beta, 0.28);
    count("N*(1e23)", *EstimateIn(row.params), truth.params);
    count("L*(1e23)", *EstimateIn(row.loss), truth.loss);
  }
  for (const auto& [name, count] : covered) {
    std::printf("%-10s covered in %d of %d studies\n", name.c_str(), count, kStudies);
    // Under 95 % coverage fewer than 52 of 60 happen once in 200 times.
    EXPECT_GE(count, 52) << name;
  }
}

}  // namespace
}  // namespace isoflop
