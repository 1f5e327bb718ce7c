#include "analysis/frontier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <random>

#include "analysis/minimize.h"
#include "analysis/prediction.h"
#include "analysis/statistics.h"
#include "tests/analysis/test_data.h"

namespace isoflop {
namespace {

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

// Gemstones: shapes of nearly one N, wide and shallow or narrow and deep, cost 4.3 N
// to 9.5 N a token. The slope between the last two of them once went on beyond the
// end, and N*(1e22) came out at 34T parameters.
TEST(FrontierTest, ShapesOfNearlyOneSizeDoNotBendTheCurve) {
  const double shapes[][3] = {{48377600, 256, 23},   {52311808, 256, 27},    {66758784, 384, 13},    {94776832, 512, 11},
                              {95588096, 256, 71},   {98710016, 512, 12},    {102643200, 512, 13},   {103814400, 768, 3},
                              {104440064, 256, 80},  {106576384, 512, 14},   {114442752, 512, 16},   {116518272, 384, 36},
                              {475468032, 768, 45},  {497457920, 1280, 15},  {517499136, 1792, 7},   {543482880, 1024, 28},
                              {1013607680, 1280, 36}, {1044032000, 2560, 8}, {1047397120, 1792, 18}, {1904850944, 2048, 27},
                              {1924161024, 1536, 50}, {2007837696, 3072, 12}};
  std::vector<double> params, per_token;
  for (const auto& [n, width, depth] : shapes) {
    params.push_back(n);
    per_token.push_back(depth * (90 * width * width + 21855.75 * width) + 301845 * width);
  }
  const FlopsPerTokenCurve curve = *FlopsPerTokenCurve::Through(params, per_token);
  for (const double n : {5e6, 5e7, 1e8, 5e8, 2e9, 2e10, 2e11}) {
    EXPECT_GT(curve.At(n) / n, 5) << n;
    EXPECT_LT(curve.At(n) / n, 9) << n;
  }
  const LossLaw law = {LawForm::kChinchilla, 2.15884, 201.223, 18487900, 0.289850, 0.772284};
  const double exact = ComputeModel(curve).OptimumAt(law, 1.28e22).params, closed = OptimumAt(law, 1.28e22).params;
  EXPECT_LT(std::abs(std::log(exact / closed)), std::log(1.5)) << exact << " " << closed;
  // Nor may N*(C) leap where one family of shapes follows on another.
  for (double budget = 1e18; budget < 1e22; budget *= 2) {
    const double slope = std::log2(ComputeModel(curve).OptimumAt(law, 2 * budget).params / ComputeModel(curve).OptimumAt(law, budget).params);
    EXPECT_NEAR(slope, law.a(), 0.05) << budget;
  }
  EXPECT_TRUE(curve.Covers(48377600));
  EXPECT_TRUE(curve.Covers(2007837696));
  EXPECT_FALSE(curve.Covers(4.8e7));
}

// A ladder of one recipe is followed through every size.
TEST(FrontierTest, ALadderIsInterpolated) {
  std::vector<double> params, per_token;
  for (int layers = 2; layers <= 24; ++layers) {
    const double width = 64 * layers;
    params.push_back(12 * layers * width * width);
    per_token.push_back(6 * params.back() + 12 * layers * 1024 * width + 6 * 50257 * width);
  }
  const FlopsPerTokenCurve curve = *FlopsPerTokenCurve::Through(params, per_token);
  for (size_t i = 0; i < params.size(); ++i) EXPECT_LE(RelativeDifference(curve.At(params[i]), per_token[i]), 1e-12) << params[i];
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

// Property 8: over random laws the closed form is where Brent's search along the
// budget ends.
TEST(FrontierTest, ClosedFormEqualsBrentOverRandomLaws) {
  std::mt19937 generator(8);
  const auto uniform = [&](double lo, double hi) { return lo + (hi - lo) * (static_cast<double>(generator()) + 0.5) / 4294967296.0; };
  double worst_params = 0, worst_loss = 0;
  for (int i = 0; i < 200; ++i) {
    LossLaw law;
    law.alpha = uniform(0.1, 1);
    law.beta = uniform(0.1, 1);
    law.E = uniform(0.5, 3);
    law.A = std::exp(uniform(2, 8));
    law.B = std::exp(uniform(2, 8));
    const double budget = std::pow(10, uniform(14, 26));
    const OptimalPoint closed = OptimumAt(law, budget);
    const auto reducible = [&](double n) {  // without E, which hides the digits
      return law.A * std::exp(-law.alpha * n) + law.B * std::pow(budget / 6, -law.beta) * std::exp(law.beta * n);
    };
    const double center = std::log(closed.params);
    const double n = BrentMinimum(reducible, center - 5.1, center + 4.3);
    worst_params = std::max(worst_params, RelativeDifference(std::exp(n), closed.params));
    worst_loss = std::max(worst_loss, RelativeDifference(reducible(n) + law.E, closed.loss));
  }
  std::printf("closed form against Brent, 200 laws: N* %.1e (required 1e-6), L* %.1e (required 1e-12)\n", worst_params,
              worst_loss);
  EXPECT_LE(worst_params, 1e-6);
  EXPECT_LE(worst_loss, 1e-12);
}

AnalysisResult WithHoldout(double demonstrated) {
  AnalysisResult result;
  result.parametric.emplace().law = HoffmannLaw();
  result.max_flops = 1e18;
  result.holdout.emplace().demonstrated_decades = demonstrated;
  return result;
}

TEST(FrontierTest, DashedBeyondTheDemonstratedDistanceRefusedBeyondTwiceIt) {
  const AnalysisResult result = WithHoldout(0.8);
  EXPECT_FALSE(PredictOptimum(result, 6e18).extrapolated);
  EXPECT_TRUE(PredictOptimum(result, 1e19).extrapolated);
  EXPECT_NE(EstimateIn(PredictOptimum(result, 3.9e19).params), nullptr);
  const OptimalRow far = PredictOptimum(result, 4.1e19);
  ASSERT_EQ(EstimateIn(far.params), nullptr);
  const Refusal& refusal = std::get<Refusal>(far.params);
  EXPECT_EQ(refusal.code, Code::kExtrapolation);
  EXPECT_NE(refusal.message.find("twice the 0.80 decades"), std::string::npos) << refusal.message;
  EXPECT_NE(refusal.cure.find("--allow-extrapolation"), std::string::npos);
  AnalysisResult allowed = result;
  allowed.options.allow_extrapolation = true;
  EXPECT_NE(EstimateIn(PredictOptimum(allowed, 4.1e19).params), nullptr);
  EXPECT_TRUE(PredictOptimum(allowed, 4.1e19).extrapolated);
}

TEST(FrontierTest, NoDemonstrationReachesBeyondThreeDecades) {
  const AnalysisResult result = WithHoldout(2.5);
  EXPECT_FALSE(PredictOptimum(result, 2e20).extrapolated);
  EXPECT_NE(EstimateIn(PredictOptimum(result, 1e21).params), nullptr);
  EXPECT_EQ(EstimateIn(PredictOptimum(result, 1.1e21).params), nullptr);
}

TEST(FrontierTest, AHoldoutThatFailedAtOnceAllowsNothingBeyondTheData) {
  AnalysisResult result = WithHoldout(0);
  EXPECT_NE(EstimateIn(PredictOptimum(result, 1e18).params), nullptr);
  EXPECT_EQ(EstimateIn(PredictOptimum(result, 2e18).params), nullptr);
  // Where none was possible: dashed beyond the data, refused beyond three decades.
  result.holdout->refusal = Refusal{Code::kUnderdetermined, "2 budgets", "a third"};
  EXPECT_TRUE(PredictOptimum(result, 2e18).extrapolated);
  EXPECT_NE(EstimateIn(PredictOptimum(result, 1e21).params), nullptr);
  EXPECT_EQ(EstimateIn(PredictOptimum(result, 1.1e21).params), nullptr);
}

// Draws of E around 1.69 and known noise: the band of a new run against a numerical
// sum over both.
TEST(PredictionTest, TheBandOfANewRunAddsTheSeedNoise) {
  AnalysisResult result;
  result.parametric.emplace().law = HoffmannLaw();
  result.bootstrap.method = "pairs";
  result.noise.sigma = 0.01;
  for (int i = 0; i < 200; ++i) {
    LossLaw law = HoffmannLaw();
    law.E += 0.02 * std::sin(i);
    result.bootstrap.laws.push_back(law);
  }
  const Quantity law = PredictLoss(result, 1e9, 2e10), run = PredictNewRun(result, 1e9, 2e10);
  const Estimate &of_law = *EstimateIn(law), &of_run = *EstimateIn(run);
  EXPECT_EQ(of_law.value, of_run.value);
  std::vector<double> losses;
  std::mt19937 generator(1);
  const auto uniform = [&] { return (static_cast<double>(generator()) + 0.5) / 4294967296.0; };
  for (int i = 0; i < 400000; ++i) {
    const double z = std::sqrt(-2 * std::log(uniform())) * std::cos(6.283185307179586 * uniform());
    losses.push_back(result.bootstrap.laws[static_cast<size_t>(i) % 200].LossAt(1e9, 2e10) * std::exp(0.01 * z));
  }
  EXPECT_NEAR(*of_run.se, StandardDeviation(losses), 1e-4);
  std::sort(losses.begin(), losses.end());
  for (const double level : {80.0, 95.0}) {
    const double tail = 0.5 * (1 - level / 100);
    EXPECT_NEAR(of_run.At(level)->lo, SortedQuantile(losses, tail), 4e-4);
    EXPECT_NEAR(of_run.At(level)->hi, SortedQuantile(losses, 1 - tail), 4e-4);
    EXPECT_LT(of_run.At(level)->lo, of_law.At(level)->lo);
    EXPECT_GT(of_run.At(level)->hi, of_law.At(level)->hi);
  }
}

TEST(PredictionTest, OneLawAndNoiseGiveTheNormalBand) {
  AnalysisResult result;
  result.parametric.emplace().law = HoffmannLaw();
  result.bootstrap.laws.assign(50, HoffmannLaw());
  result.noise.sigma = 0.02;
  const Quantity quantity = PredictNewRun(result, 1e9, 2e10);
  const Estimate& run = *EstimateIn(quantity);
  EXPECT_LE(RelativeDifference(run.At(95)->hi, run.value * std::exp(0.02 * 1.959963984540054)), 1e-10);
  EXPECT_LE(RelativeDifference(run.At(95)->lo, run.value * std::exp(-0.02 * 1.959963984540054)), 1e-10);
  // No noise known: the law's own band; no law: its refusal.
  result.noise.sigma = 0;
  EXPECT_EQ(EstimateIn(PredictNewRun(result, 1e9, 2e10))->At(95)->hi, run.value);
  result.parametric.reset();
  EXPECT_EQ(EstimateIn(PredictNewRun(result, 1e9, 2e10)), nullptr);
}

}  // namespace
}  // namespace isoflop
