#include <gtest/gtest.h>

#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "analysis/analysis_result.h"
#include "analysis/beyond_optimum.h"
#include "analysis/frontier.h"
#include "analysis/prediction.h"
#include "tests/analysis/published_table.h"

namespace isoflop {
namespace {

// E1's optimum.
LossLaw EpochLaw() {
  return {LawForm::kChinchilla, std::exp(0.597306814687), std::exp(6.16924637372), std::exp(7.67015673310),
          0.347310498882, 0.367172432628};
}

// Half of the last digit that is printed.
TEST(PublishedClosedFormsTest, F1Frontier) {
  const LossLaw law = EpochLaw();
  Demand("F1", "G", 0.1132077842, OptimumCoefficient(law), 1e-9);
  Demand("F1", "gamma", 0.178482697, law.gamma(), 5e-9);
  Demand("F1", "K", 2728.20299, LossCoefficient(law), 1e-8);
  const OptimalPoint point = OptimumAt(law, 1e21);
  Demand("F1", "N*(1e21)", 2.791737454e9, point.params, 1e-9);
  Demand("F1", "D*(1e21)", 5.969997874e10, point.tokens, 1e-9);
  Demand("F1", "D*/N*", 21.384525, point.tokens / point.params, 5e-8);
  Demand("F1", "L*(1e21)", 2.304454850, point.loss, 1e-9);
}

TEST(PublishedClosedFormsTest, F1WastedCompute) {
  AnalysisResult result;
  result.parametric.emplace().law = EpochLaw();
  result.max_flops = 1e22;
  for (const auto& [ratio, percent] :
       {std::pair{4.0, 22.02}, std::pair{10.0, 5.03}, std::pair{20.0, 0.04}, std::pair{40.0, 3.43}, std::pair{100.0, 18.85}}) {
    const std::optional<EfficiencyRow> row = PredictEfficiency(result, 1e21, ratio);
    ASSERT_TRUE(row);
    DemandBelow("F1", absl::StrCat("% wasted at D/N ", ratio, " is ", percent, ": off by"), 0.006,
                std::abs(100 * row->wasted_fraction.value - percent));
    EXPECT_NEAR(row->wasted_flops, 1e21 * row->wasted_fraction.value, 1e9);
    EXPECT_NEAR(row->params * row->tokens * 6, 1e21, 1e9);
  }
}

TEST(PublishedClosedFormsTest, F2InferenceAware) {
  const LossLaw law = HoffmannLaw();
  // The loss of an optimal 13e9.
  const double loss = OptimumAt(law, 6 * std::pow(13e9 / OptimumCoefficient(law), 1 / law.a())).loss;
  const std::optional<InferencePoint> point = InferenceOptimum(law, loss, 2e12);
  ASSERT_TRUE(point);
  Demand("F2", "N", 8.02277817e9, point->params, 6.3e-10);
  Demand("F2", "D", 1.748902904e12, point->tokens, 2.9e-10);
  Demand("F2", "% of lifetime FLOPs saved", 10.11006, 100 * point->saving_fraction, 5e-7);
}

}  // namespace
}  // namespace isoflop
