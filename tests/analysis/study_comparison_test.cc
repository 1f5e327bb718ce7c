// Two studies with a known compute multiplier: is it found, and told when it is none?
#include "analysis/study_comparison.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "analysis/frontier.h"
#include "analysis/joint_fit.h"
#include "tests/analysis/simulated_analysis.h"

namespace isoflop {
namespace {

constexpr double kNoise = 0.003;

// A family that reaches every loss with 1/k of the compute: L(N, D) of the other at
// (sqrt(k) N, sqrt(k) D).
LossLaw LawWithMultiplier(LossLaw law, double k) {
  law.A *= std::pow(k, -0.5 * law.alpha);
  law.B *= std::pow(k, -0.5 * law.beta);
  return law;
}

AnalysisResult Study(const LossLaw& law, double noise, uint32_t seed) {
  AnalysisResult result;
  result.options.spec.bootstrap_method = "pairs";
  result.rows = KeptRows(SimulatedStudy(law, 1e18, 1e20, 6, 7, 6, noise, seed));
  for (KeptRow& row : result.rows) {
    row.observation.eval_sha256 = "e5";
    row.observation.tokenizer_sha256 = "70";
  }
  return result;
}

ComparisonOptions Quick(int draws = 200, int test_draws = 99) {
  ComparisonOptions options;
  options.draws = draws;
  options.test_draws = test_draws;
  return options;
}

FitRows RowsOf(const AnalysisResult& study) {
  std::vector<double> params, tokens, loss;
  for (const KeptRow& row : study.rows) {
    params.push_back(row.params);
    tokens.push_back(row.tokens);
    loss.push_back(row.loss);
  }
  return MakeFitRows(params, tokens, loss);
}

TEST(JointFitTest, NoiseFreeStudiesComeBackExactly) {
  const LossLaw first = HoffmannLaw(), second = LawWithMultiplier(first, 3);
  LossLaw second_E = second;
  second_E.E = 1.5;
  for (const bool shared_E : {true, false}) {
    const FitRows x = RowsOf(Study(first, 0, 1)), y = RowsOf(Study(shared_E ? second : second_E, 0, 1));
    const JointFit fit = FitJointly({&x, &y}, {FitLossLaw(x, {}).law, FitLossLaw(y, {}).law}, shared_E, {});
    EXPECT_NEAR(fit.laws[0].alpha, 0.34, 1e-8);
    EXPECT_NEAR(fit.laws[1].beta, 0.28, 1e-8);
    EXPECT_NEAR(fit.laws[0].E, 1.69, 1e-8);
    EXPECT_NEAR(fit.laws[1].E, shared_E ? 1.69 : 1.5, 1e-8);
    EXPECT_LT(RelativeDifference(fit.laws[0].A, first.A), 1e-7);
    EXPECT_LT(RelativeDifference(fit.laws[1].B, second.B), 1e-7);
  }
}

TEST(JointFitTest, AStudyWithItselfIsItsOwnFitTwice) {
  const FitRows rows = RowsOf(Study(HoffmannLaw(), kNoise, 5));
  const LawFit own = FitLossLaw(rows, {});
  for (const bool shared_E : {true, false}) {
    const JointFit fit = FitJointly({&rows, &rows}, {own.law, own.law}, shared_E, {});
    EXPECT_EQ(fit.certificate.outcome, FitOutcome::kOptimal);
    EXPECT_LT(RelativeDifference(fit.certificate.f, 2 * own.certificate.f), 1e-12);
    EXPECT_NEAR(fit.laws[0].alpha, own.law.alpha, 1e-9);
    EXPECT_NEAR(fit.laws[1].beta, own.law.beta, 1e-9);
    EXPECT_EQ(fit.certificate.hessian_eigenvalues.size(), shared_E ? 7u : 8u);
    EXPECT_LE(fit.certificate.max_newton_step, 1e-9);
  }
}

TEST(JointFitTest, NestedModelsHaveRisingObjectives) {
  const FitRows x = RowsOf(Study(HoffmannLaw(), kNoise, 6)),
                y = RowsOf(Study(LawWithMultiplier(HoffmannLaw(), 3), kNoise, 7));
  const LawFit own_x = FitLossLaw(x, {}), own_y = FitLossLaw(y, {});
  const JointFit two = FitJointly({&x, &y}, {own_x.law, own_y.law}, false, {});
  const JointFit one = FitJointly({&x, &y}, {own_x.law, own_y.law}, true, {});
  EXPECT_LE(own_x.certificate.f + own_y.certificate.f, two.certificate.f);
  EXPECT_LE(two.certificate.f, one.certificate.f);
}

TEST(StudyComparisonTest, AMultiplierOfThreeIsCovered) {
  constexpr int kPairs = 60;
  int covered = 0, rows = 0, exponents_rejected = 0, E_rejected = 0;
  double width = 0;
  for (uint32_t pair = 0; pair < kPairs; ++pair) {
    const StudyComparison comparison =
        CompareStudies(Study(HoffmannLaw(), kNoise, 100 + pair), "lstm",
                       Study(LawWithMultiplier(HoffmannLaw(), 3), kNoise, 9000 + pair), "transformer", Quick());
    ASSERT_FALSE(comparison.refusal) << comparison.refusal->message;
    exponents_rejected += !comparison.shared_exponents;
    E_rejected += comparison.shared_exponents && !comparison.shared_E;
    ASSERT_EQ(comparison.multipliers.size(), 3u);
    for (const MultiplierRow& row : comparison.multipliers) {
      const Estimate* k = EstimateIn(row.multiplier);
      ASSERT_NE(k, nullptr);
      const Interval* interval = k->At(95);
      ASSERT_NE(interval, nullptr);
      covered += interval->lo <= 3 && 3 <= interval->hi;
      width += interval->hi / interval->lo / (3 * kPairs);
      ++rows;
      if (pair == 0) {
        std::printf("at loss %.3f: C1 %.3g, C2 %.3g, k %.3f [%.3f, %.3f]\n", row.loss,
                    EstimateIn(row.flops_first)->value, EstimateIn(row.flops_second)->value, k->value, interval->lo,
                    interval->hi);
      }
    }
  }
  std::printf(
      "k = 3 held by %d of %d 95%% intervals (mean width: a factor %.3f); equal exponents rejected in %d, equal E in "
      "%d of %d pairs (5%% wanted)\n",
      covered, rows, width, exponents_rejected, E_rejected, kPairs);
  EXPECT_GE(covered, 3 * 51);  // 51 of 60 pairs: fewer happen once in 400 times
  EXPECT_LE(exponents_rejected, 8);
  EXPECT_LE(E_rejected, 8);
}

TEST(StudyComparisonTest, SharedEMakesOneMultiplierOfAllLosses) {
  const StudyComparison comparison = CompareStudies(
      Study(HoffmannLaw(), 0.001, 11), "a", Study(LawWithMultiplier(HoffmannLaw(), 3), 0.001, 12), "b", Quick(50, 19));
  ASSERT_TRUE(comparison.shared_E);
  const double closed = std::pow(LossCoefficient(comparison.law_first) / LossCoefficient(comparison.law_second),
                                 1 / comparison.law_first.gamma());
  for (const MultiplierRow& row : comparison.multipliers) {
    EXPECT_LT(RelativeDifference(EstimateIn(row.multiplier)->value, closed), 1e-9);
  }
}

TEST(StudyComparisonTest, DifferentExponentsAreSaid) {
  LossLaw other = HoffmannLaw();
  other.alpha = 0.44;
  other.A = HoffmannLaw().A * std::pow(1e9, 0.1);  // the same term at N = 1e9
  const StudyComparison comparison =
      CompareStudies(Study(HoffmannLaw(), 0.001, 21), "a", Study(other, 0.001, 22), "b", Quick(100, 199));
  std::printf("different exponents: p = %.3f\n", comparison.shared_exponents_p);
  EXPECT_LE(comparison.shared_exponents_p, 0.02);
  EXPECT_FALSE(comparison.shared_exponents);
  ASSERT_FALSE(comparison.warnings.empty());
  EXPECT_EQ(comparison.warnings[0].code, Code::kLackOfFit);
  ASSERT_FALSE(comparison.refusal) << comparison.refusal->message;
  // The multiplier comes of each study's own law, and changes with the loss.
  for (const MultiplierRow& row : comparison.multipliers) {
    const double truth = FlopsForLoss(HoffmannLaw(), row.loss) / FlopsForLoss(other, row.loss);
    EXPECT_NEAR(EstimateIn(row.multiplier)->value / truth, 1, 0.1);
  }
  EXPECT_NEAR(comparison.alpha.value, 0.34, 0.03);
  EXPECT_NEAR(comparison.alpha_second.value, 0.44, 0.03);
}

TEST(StudyComparisonTest, DifferentEIsSaid) {
  LossLaw other = LawWithMultiplier(HoffmannLaw(), 2);
  other.E = 1.5;
  const StudyComparison comparison =
      CompareStudies(Study(HoffmannLaw(), 0.001, 31), "a", Study(other, 0.001, 32), "b", Quick(100, 199));
  std::printf("E 1.69 and 1.50: exponents p = %.3f, E p = %.3f, E %.3f and %.3f\n", comparison.shared_exponents_p,
              comparison.shared_E_p, comparison.E_first.value, comparison.E_second.value);
  EXPECT_TRUE(comparison.shared_exponents);
  EXPECT_LE(comparison.shared_E_p, 0.02);
  EXPECT_FALSE(comparison.shared_E);
  EXPECT_NEAR(comparison.E_first.value, 1.69, 0.03);
  EXPECT_NEAR(comparison.E_second.value, 1.5, 0.03);
}

TEST(StudyComparisonTest, MixedEvaluationsAreRefused) {
  const AnalysisResult first = Study(HoffmannLaw(), kNoise, 1);
  const auto refused = [&](const AnalysisResult& second) {
    const StudyComparison comparison = CompareStudies(first, "a", second, "b", Quick(0, 9));
    EXPECT_TRUE(comparison.multipliers.empty());
    return comparison.refusal ? ToString(comparison.refusal->code) : "none";
  };
  AnalysisResult second = first;
  for (KeptRow& row : second.rows) row.observation.eval_sha256 = "another";
  EXPECT_EQ(refused(second), "kMixedEvaluation");
  second = first;
  for (KeptRow& row : second.rows) row.observation.tokenizer_sha256 = "another";
  EXPECT_EQ(refused(second), "kMixedEvaluation");
  second = first;
  second.options.spec.loss = LossUnit::kBitsPerByte;
  EXPECT_EQ(refused(second), "kMixedEvaluation");
  second = first;
  second.options.count = CountConvention::kTotal;
  EXPECT_EQ(refused(second), "kConventionUnknown");
  second = first;
  second.options.spec.delta = 1e-2;
  EXPECT_EQ(refused(second), "kConventionUnknown");
  second = first;
  second.rows.resize(4);
  EXPECT_EQ(refused(second), "kUnderdetermined");
  EXPECT_EQ(refused(AnalysisResult()), "kUnderdetermined");
}

TEST(StudyComparisonTest, TwoTokenizersMayMeetInBitsPerByte) {
  AnalysisResult first = Study(HoffmannLaw(), kNoise, 1), second = Study(HoffmannLaw(), kNoise, 2);
  for (KeptRow& row : second.rows) row.observation.tokenizer_sha256 = "another";
  first.options.spec.loss = second.options.spec.loss = LossUnit::kBitsPerByte;
  EXPECT_FALSE(CompareStudies(first, "a", second, "b", Quick(0, 9)).refusal);
}

TEST(StudyComparisonTest, AnUnknownEvaluationSetIsWarnedOf) {
  AnalysisResult second = Study(HoffmannLaw(), kNoise, 2);
  for (KeptRow& row : second.rows) row.observation.eval_sha256 = "";
  const StudyComparison comparison = CompareStudies(Study(HoffmannLaw(), kNoise, 1), "a", second, "b", Quick(0, 9));
  EXPECT_FALSE(comparison.refusal);
  ASSERT_FALSE(comparison.warnings.empty());
  EXPECT_EQ(comparison.warnings[0].code, Code::kMixedEvaluation);
}

TEST(StudyComparisonTest, FrontiersApartAreRefusedUnlessALossIsAskedFor) {
  const AnalysisResult first = Study(HoffmannLaw(), kNoise, 1),
                       second = Study(LawWithMultiplier(HoffmannLaw(), 1e4), kNoise, 2);
  ComparisonOptions options = Quick(0, 9);
  const StudyComparison apart = CompareStudies(first, "a", second, "b", options);
  ASSERT_TRUE(apart.refusal);
  EXPECT_EQ(apart.refusal->code, Code::kExtrapolation);
  options.losses = {2.2, 1.0};
  const StudyComparison asked = CompareStudies(first, "a", second, "b", options);
  ASSERT_FALSE(asked.refusal);
  ASSERT_EQ(asked.multipliers.size(), 2u);
  EXPECT_NE(EstimateIn(asked.multipliers[0].multiplier), nullptr);
  EXPECT_EQ(EstimateIn(asked.multipliers[1].multiplier), nullptr) << "below E";
}

TEST(StudyComparisonTest, JsonIsTheSameForAnyThreadsAndSwapsToTheInverse) {
  const AnalysisResult first = Study(HoffmannLaw(), kNoise, 41),
                       second = Study(LawWithMultiplier(HoffmannLaw(), 3), kNoise, 42);
  ComparisonOptions options = Quick(60, 39);
  options.threads = 1;
  const StudyComparison one = CompareStudies(first, "a", second, "b", options);
  options.threads = 3;
  const StudyComparison three = CompareStudies(first, "a", second, "b", options);
  EXPECT_EQ(ComparisonJson(one), ComparisonJson(three));
  const nlohmann::json json = nlohmann::json::parse(ComparisonJson(one));
  EXPECT_EQ(json["schema"], "isoflop.compare/1");
  EXPECT_EQ(json["multipliers"].size(), 3u);
  EXPECT_EQ(json["fit"]["certificate"]["outcome"], "optimal");
  EXPECT_TRUE(json["refusal"].is_null());
  EXPECT_NEAR(json["multipliers"][0]["multiplier"]["value"].get<double>(), 3, 0.5);
  const StudyComparison swapped = CompareStudies(second, "b", first, "a", options);
  EXPECT_NEAR(EstimateIn(swapped.multipliers[1].multiplier)->value * EstimateIn(one.multipliers[1].multiplier)->value,
              1, 1e-6);
  const nlohmann::json refused =
      nlohmann::json::parse(ComparisonJson(CompareStudies(first, "a", AnalysisResult(), "b", options)));
  EXPECT_TRUE(refused["fit"].is_null());
  EXPECT_EQ(refused["refusal"]["code"], "kUnderdetermined");
}

}  // namespace
}  // namespace isoflop
