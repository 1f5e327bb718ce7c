#include "analysis/frontier.h"

#include <gtest/gtest.h>

#include "analysis/prediction.h"
#include "tests/analysis/test_data.h"

namespace isoflop {
namespace {

// E1's optimum.
LossLaw EpochLaw() {
  return {LawForm::kChinchilla, std::exp(0.597306814687), std::exp(6.16924637372), std::exp(7.67015673310),
          0.347310498882, 0.367172432628};
}

TEST(FrontierTest, F1ClosedForm) {
  const LossLaw law = EpochLaw();
  EXPECT_LE(RelativeDifference(OptimumCoefficient(law), 0.1132077842), 1e-9);
  EXPECT_LE(RelativeDifference(law.gamma(), 0.178482697), 5e-9);
  EXPECT_LE(RelativeDifference(LossCoefficient(law), 2728.20299), 1e-8);
  const OptimalPoint point = OptimumAt(law, 1e21);
  EXPECT_LE(RelativeDifference(point.params, 2.791737454e9), 1e-9);
  EXPECT_LE(RelativeDifference(point.tokens, 5.969997874e10), 1e-9);
  EXPECT_LE(RelativeDifference(point.tokens / point.params, 21.384525), 5e-8);
  EXPECT_LE(RelativeDifference(point.loss, 2.304454850), 1e-9);
}

TEST(FrontierTest, F1WastedCompute) {
  AnalysisResult result;
  result.parametric.emplace().law = EpochLaw();
  result.max_flops = 1e22;
  for (const auto& [ratio, percent] :
       {std::pair{4.0, 22.02}, std::pair{10.0, 5.03}, std::pair{20.0, 0.04}, std::pair{40.0, 3.43}, std::pair{100.0, 18.85}}) {
    const std::optional<EfficiencyRow> row = PredictEfficiency(result, 1e21, ratio);
    ASSERT_TRUE(row);
    EXPECT_NEAR(100 * row->wasted_fraction.value, percent, 0.006) << ratio;
    EXPECT_NEAR(row->wasted_flops, 1e21 * row->wasted_fraction.value, 1e9);
    EXPECT_NEAR(row->params * row->tokens * 6, 1e21, 1e9);
  }
}

TEST(FrontierTest, LossAndBudgetInvertEachOther) {
  const LossLaw law = HoffmannLaw();
  for (const double budget : {1e15, 1e20, 1e26}) {
    EXPECT_LE(RelativeDifference(FlopsForLoss(law, OptimumAt(law, budget).loss), budget), 1e-9);
  }
  EXPECT_TRUE(std::isinf(FlopsForLoss(law, law.E)));
}

TEST(FrontierTest, NoOtherSizeIsBetterAtTheBudget) {
  const LossLaw law = HoffmannLaw();
  const OptimalPoint point = OptimumAt(law, 1e20);
  for (const double factor : {0.5, 0.99, 1.01, 2.0}) {
    EXPECT_GT(law.LossAt(point.params * factor, point.tokens / factor), point.loss);
  }
}

TEST(FrontierTest, SearchFindsTheClosedForm) {
  const std::vector<double> params = {1e6, 1e8, 1e10, 1e12};
  std::vector<double> per_token;
  for (const double n : params) per_token.push_back(6 * n);
  const ComputeModel search(*FlopsPerTokenCurve::Through(params, per_token));
  const LossLaw law = HoffmannLaw();
  for (const double budget : {1e17, 1e20, 1e23}) {
    const OptimalPoint found = search.OptimumAt(law, budget), closed = OptimumAt(law, budget);
    EXPECT_LE(RelativeDifference(found.params, closed.params), 1e-6);
    EXPECT_LE(RelativeDifference(found.loss, closed.loss), 1e-12);
    EXPECT_LE(RelativeDifference(search.FlopsForLoss(law, closed.loss), budget), 1e-6);
    EXPECT_LE(RelativeDifference(search.ParamsAtRatio(20, budget), ComputeModel().ParamsAtRatio(20, budget)), 1e-9);
  }
}

// c(N) = 6N + k sqrt N: attention weighs more in small models, so the optimum
// satisfies alpha A N^-alpha = eps beta B D^-beta.
TEST(FrontierTest, ExactFlopsMoveTheOptimum) {
  std::vector<double> params, per_token;
  for (int i = 0; i <= 60; ++i) {
    params.push_back(std::pow(10, 6 + 0.1 * i));
    per_token.push_back(6 * params.back() + 4e4 * std::sqrt(params.back()));
  }
  const ComputeModel exact(*FlopsPerTokenCurve::Through(params, per_token));
  const LossLaw law = HoffmannLaw();
  const OptimalPoint point = exact.OptimumAt(law, 1e20);
  const double c = 6 * point.params + 4e4 * std::sqrt(point.params);
  EXPECT_LE(RelativeDifference(c * point.tokens, 1e20), 1e-5);
  const double eps = (6 * point.params + 2e4 * std::sqrt(point.params)) / c;
  EXPECT_LE(RelativeDifference(law.alpha * law.A * std::pow(point.params, -law.alpha),
                               eps * law.beta * law.B * std::pow(point.tokens, -law.beta)), 1e-3);
}

TEST(FrontierTest, CurveNeedsTwoSizes) {
  EXPECT_FALSE(FlopsPerTokenCurve::Through(std::vector<double>{1e6, 1e6}, std::vector<double>{6e6, 6e6}));
}

TEST(FrontierTest, F2SizeThatOvertrainsToALoss) {
  const LossLaw law = HoffmannLaw();
  // The loss of an optimal 13e9; a smaller model reaches it with more tokens.
  const double budget = 6 * std::pow(13e9 / OptimumCoefficient(law), 1 / law.a());
  const double loss = OptimumAt(law, budget).loss;
  EXPECT_LE(RelativeDifference(*TokensForLoss(law, 8.02277817e9, loss), 1.748902904e12), 1e-6);
  EXPECT_FALSE(TokensForLoss(law, 1e6, loss));
}

TEST(FrontierTest, RefusesFarBeyondTheDataUnlessAllowed) {
  AnalysisResult result;
  EXPECT_EQ(EstimateIn(PredictOptimum(result, 1e20).params), nullptr);
  result.parametric.emplace().law = HoffmannLaw();
  result.max_flops = 1e18;
  EXPECT_NE(EstimateIn(PredictOptimum(result, 1e21).params), nullptr);
  EXPECT_TRUE(PredictOptimum(result, 1e21).extrapolated);
  const OptimalRow far = PredictOptimum(result, 2e21);
  ASSERT_EQ(EstimateIn(far.params), nullptr);
  EXPECT_EQ(std::get<Refusal>(far.params).code, Code::kExtrapolation);
  EXPECT_FALSE(PredictEfficiency(result, 2e21, 20));
  result.options.allow_extrapolation = true;
  EXPECT_NE(EstimateIn(PredictOptimum(result, 2e21).params), nullptr);
}

TEST(FrontierTest, ALawWithoutATokensTermHasNoOptimum) {
  AnalysisResult result;
  result.parametric.emplace().law = HoffmannLaw();
  result.parametric->law.B = 0;
  result.max_flops = 1e18;
  const OptimalRow row = PredictOptimum(result, 1e18);
  ASSERT_EQ(EstimateIn(row.params), nullptr);
  EXPECT_EQ(std::get<Refusal>(row.params).code, Code::kNoInteriorOptimum);
  result.parametric->law = HoffmannLaw();
  EXPECT_EQ(EstimateIn(PredictBudgetForLoss(result, 1.5).budget_flops), nullptr);
  EXPECT_NE(EstimateIn(PredictBudgetForLoss(result, 3).budget_flops), nullptr);
}

}  // namespace
}  // namespace isoflop
