#include "analysis/beyond_optimum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "analysis/analyze.h"
#include "analysis/conventions.h"
#include "analysis/prediction.h"
#include "tests/analysis/test_data.h"

namespace isoflop {
namespace {

// The loss of an optimal 13e9 (F2).
double LossOf13B() {
  const LossLaw law = HoffmannLaw();
  return OptimumAt(law, 6 * std::pow(13e9 / OptimumCoefficient(law), 1 / law.a())).loss;
}

TEST(InferenceTest, SatisfiesTheConditionAndTheLossForAnyDemand) {
  const LossLaw law = HoffmannLaw();
  const double loss = LossOf13B();
  double last_params = 13e9 * (1 + 1e-9), last_saving = -1e-12;
  for (const double demand : {0.0, 1e9, 1e12, 1e14, 1e17}) {
    const std::optional<InferencePoint> point = InferenceOptimum(law, loss, demand);
    ASSERT_TRUE(point);
    EXPECT_LE(RelativeDifference(law.LossAt(point->params, point->tokens), loss), 1e-12) << demand;
    EXPECT_LE(RelativeDifference(law.alpha * law.A * std::pow(point->params, -law.alpha),
                                 law.beta * law.B * std::pow(point->tokens, -law.beta) *
                                     (1 + demand / (3 * point->tokens))), 1e-11) << demand;
    EXPECT_LE(point->params, last_params);  // more use, smaller model
    EXPECT_GE(point->saving_fraction, last_saving);
    last_params = point->params;
    last_saving = point->saving_fraction;
  }
  EXPECT_LE(RelativeDifference(InferenceOptimum(law, loss, 0)->params, 13e9), 1e-9);
  EXPECT_EQ(InferenceOptimum(law, loss, 0)->saving_fraction, 0);
}

TEST(InferenceTest, APriceOfInferenceIsMoreTokens) {
  const LossLaw law = HoffmannLaw();
  const std::optional<InferencePoint> dear = InferenceOptimum(law, LossOf13B(), 2e12, 3),
                                      many = InferenceOptimum(law, LossOf13B(), 6e12);
  EXPECT_LE(RelativeDifference(dear->params, many->params), 1e-12);
  EXPECT_LE(RelativeDifference(dear->saving_fraction, many->saving_fraction), 1e-12);
}

TEST(InferenceTest, RefusesALossBelowEAndALawWithoutOptimum) {
  EXPECT_FALSE(InferenceOptimum(HoffmannLaw(), 1.69, 1e12));
  LossLaw flat = HoffmannLaw();
  flat.B = 0;
  EXPECT_FALSE(InferenceOptimum(flat, 2, 1e12));
  EXPECT_FALSE(LifetimeOptimum(flat, 1e22, 1e12));
}

ComputeModel CurveOf6N() {
  const std::vector<double> params = {1e5, 1e8, 1e10, 1e13};
  std::vector<double> per_token;
  for (const double n : params) per_token.push_back(6 * n);
  return ComputeModel(*FlopsPerTokenCurve::Through(params, per_token));
}

TEST(InferenceTest, SearchUnderExactFlopsEqualsTheClosedCondition) {
  const LossLaw law = HoffmannLaw();
  for (const double demand : {0.0, 2e12}) {
    const std::optional<InferencePoint> closed = InferenceOptimum(law, LossOf13B(), demand),
                                        searched = InferenceOptimum(law, LossOf13B(), demand, 1, CurveOf6N());
    EXPECT_LE(RelativeDifference(searched->params, closed->params), 1e-6);
    EXPECT_NEAR(searched->saving_fraction, closed->saving_fraction, 1e-7);
  }
}

// The best loss for a lifetime's compute and the least lifetime for a loss are one.
TEST(InferenceTest, LifetimeBudgetIsTheDual) {
  const LossLaw law = HoffmannLaw();
  const double loss = LossOf13B();
  for (const double demand : {0.0, 1e10, 2e12, 1e15}) {
    const std::optional<InferencePoint> least = InferenceOptimum(law, loss, demand);
    const double lifetime = 6 * least->params * least->tokens + 2 * least->params * demand;
    const std::optional<OptimalPoint> best = LifetimeOptimum(law, lifetime, demand);
    ASSERT_TRUE(best);
    EXPECT_LE(RelativeDifference(best->loss, loss), 1e-11) << demand;
    EXPECT_LE(RelativeDifference(best->params, least->params), 1e-5) << demand;
    EXPECT_LE(RelativeDifference(6 * best->params * best->tokens + 2 * best->params * demand, lifetime), 1e-9);
  }
}

// --- with bands ---------------------------------------------------------------------------

AnalysisResult Known(double max_flops = 1e24) {
  AnalysisResult result;
  result.parametric.emplace().law = HoffmannLaw();
  result.max_flops = max_flops;
  result.bootstrap.method = "pairs";
  for (int i = 0; i < 100; ++i) {
    LossLaw law = HoffmannLaw();
    law.alpha += 0.004 * std::sin(i);
    law.beta += 0.003 * std::cos(3 * i);
    result.bootstrap.laws.push_back(law);
  }
  return result;
}

bool Holds(const Interval* interval, double value) {
  return interval != nullptr && interval->lo < value && value < interval->hi;
}

TEST(InferenceTest, BandsComeFromTheDraws) {
  const double budget = FlopsForLoss(HoffmannLaw(), LossOf13B());
  const std::optional<InferenceRow> row = PredictInference(Known(), budget, 2e12);
  ASSERT_TRUE(row);
  EXPECT_LE(RelativeDifference(row->params.value, 8.02277817e9), 1e-8);
  EXPECT_TRUE(Holds(row->params.At(95), 8.02277817e9));
  EXPECT_TRUE(Holds(row->tokens.At(95), 1.748902904e12));
  EXPECT_TRUE(Holds(row->saving_fraction.At(95), 0.1011006));
  EXPECT_GT(row->params.At(95)->hi / row->params.At(95)->lo, 1.1);
  EXPECT_FALSE(PredictInference(Known(1e18), 1e22, 2e12));  // four decades beyond the data
  EXPECT_FALSE(PredictInference(AnalysisResult(), 1e22, 2e12));
}

TEST(OvertrainingTest, SmallerSizesReachTheLossWithMoreTokens) {
  const AnalysisResult result = Known();
  const std::vector<OvertrainingRow> rows = OvertrainingRows(result, 1e22);
  ASSERT_EQ(rows.size(), 4u);
  const LossLaw& law = result.parametric->law;
  const OptimalPoint best = OptimumAt(law, 1e22);
  // N*/8 only just can: A N^-alpha grows by 8^alpha = 2.03 and may grow by 1 + alpha/beta = 2.21.
  double last = 1e300;
  for (const OvertrainingRow& row : rows) {
    EXPECT_NEAR(row.params, row.params_factor * best.params, 1);
    const Estimate* tokens = EstimateIn(row.tokens);
    ASSERT_NE(tokens, nullptr) << row.params_factor;
    EXPECT_LE(RelativeDifference(law.LossAt(row.params, tokens->value), best.loss), 1e-12);
    const double overhead = EstimateIn(row.overhead_fraction)->value;
    EXPECT_NEAR(overhead, 6 * row.params * tokens->value / 1e22 - 1, 1e-9);
    EXPECT_LT(overhead, last);
    last = overhead;
  }
  EXPECT_EQ(EstimateIn(rows.back().overhead_fraction)->value, 0);
  EXPECT_EQ(EstimateIn(rows.back().tokens)->value, best.tokens);
  EXPECT_TRUE(Holds(EstimateIn(rows[2].tokens)->At(95), EstimateIn(rows[2].tokens)->value));
}

TEST(OvertrainingTest, RefusesASizeThatNoAmountOfTokensBringsThere) {
  AnalysisResult result = Known();
  result.parametric->law.alpha = 0.6;  // 8^0.6 = 3.5 > 1 + alpha/beta = 3.1
  result.bootstrap.laws.clear();
  const std::vector<OvertrainingRow> rows = OvertrainingRows(result, 1e22);
  ASSERT_EQ(rows.size(), 4u);
  ASSERT_EQ(EstimateIn(rows[0].tokens), nullptr);
  EXPECT_NE(std::get<Refusal>(rows[0].tokens).message.find("no amount of tokens"), std::string::npos);
  EXPECT_NE(EstimateIn(rows[1].tokens), nullptr);
}

TEST(RepeatedDataTest, WithoutAPriceOfRepeatsTheSearchIsTheFrontier) {
  const AnalysisResult result = Known();
  const std::optional<RepeatedDataRow> row = PredictRepeatedData(result, 1e22, 1e10);
  ASSERT_TRUE(row);
  const OptimalRow frontier = PredictOptimum(result, 1e22);
  EXPECT_LE(RelativeDifference(row->params.value, EstimateIn(frontier.params)->value), 1e-6);
  EXPECT_LE(RelativeDifference(row->loss.value, EstimateIn(frontier.loss)->value), 1e-12);
  EXPECT_LE(RelativeDifference(row->epochs.value, row->tokens.value / 1e10), 1e-12);
  EXPECT_LE(RelativeDifference(row->params.At(95)->lo, EstimateIn(frontier.params)->At(95)->lo), 1e-6);
}

// D1's law, written out (Muennighoff et al. 2023).
double MuennighoffLoss(double params, double tokens, double unique) {
  const double a_ = 6.255414, b_ = 7.3049974, e_ = 0.6254804, alpha = 0.3526596, R_D = 15.387756, R_N = 5.309743;
  const double G = std::exp((a_ - b_) / (2 * alpha));
  const double U_D = std::min(tokens, unique), U_N = std::min(params, G * G * unique);
  const auto effective = [](double u, double seen, double R) {
    return u + u * R * (1 - std::exp(-(seen / u - 1) / R));
  };
  return std::exp(e_) + std::exp(a_) * std::pow(effective(U_N, params, R_N), -alpha) +
         std::exp(b_) * std::pow(effective(U_D, tokens, R_D), -alpha);
}

TEST(RepeatedDataTest, SearchOnTheDataConstrainedLawFindsTheLeastLoss) {
  EXPECT_LE(RelativeDifference(MuennighoffLoss(6.34e9, 242e9, 25e9), 2.2256440889984477), 1e-9);
  EXPECT_LE(RelativeDifference(MuennighoffLoss(8.67e9, 178e9, 25e9), 2.2269634075087867), 1e-9);
  const LossLaw base{LawForm::kChinchilla, std::exp(0.6254804), std::exp(6.255414), std::exp(7.3049974), 0.3526596,
                     0.3526596};
  for (const double budget : {1e20, 9.2e21, 1e23, 1e24}) {
    const auto loss = [](double params, double tokens) { return MuennighoffLoss(params, tokens, 25e9); };
    const OptimalPoint frontier = OptimumAt(base, budget);
    const OptimalPoint found = SearchOptimum(loss, ComputeModel(), budget, frontier.params);
    // A grid of 10,000 sizes finds no lower loss.
    double least = 1e300;
    for (int i = 0; i < 10000; ++i) {
      const double params = frontier.params * std::pow(10, -4 + 8e-4 * i);
      least = std::min(least, loss(params, budget / (6 * params)));
    }
    EXPECT_LE(found.loss, least) << budget;
    EXPECT_LE(RelativeDifference(6 * found.params * found.tokens, budget), 1e-12);
    if (frontier.tokens <= 25e9) {
      EXPECT_LE(RelativeDifference(found.params, frontier.params), 1e-6);
    } else {
      EXPECT_GT(found.tokens, 25e9);  // some epochs are worth it
      EXPECT_GT(found.loss, frontier.loss);
    }
    std::printf("U 25e9, C %.1e: N* %.3e, D* %.3e, %.2f epochs, L %.4f (unlimited data %.4f)\n", budget, found.params,
                found.tokens, found.tokens / 25e9, found.loss, frontier.loss);
  }
}

TEST(RepeatedDataTest, DataRunOutWhereTheOptimumNeedsThem) {
  AnalysisResult result = Known();
  for (const double unique : {1e9, 1e12, 1e15}) {
    const std::optional<double> flops = DataExhaustedFlops(result, unique);
    ASSERT_TRUE(flops);
    EXPECT_LE(RelativeDifference(OptimumAt(HoffmannLaw(), *flops).tokens, unique), 1e-10);
    // The closed form: C = 6 (U G)^(1/b).
    EXPECT_LE(RelativeDifference(*flops, 6 * std::pow(unique * OptimumCoefficient(HoffmannLaw()),
                                                      1 / HoffmannLaw().b())), 1e-10);
  }
  result.parametric->law.B = 0;
  EXPECT_FALSE(DataExhaustedFlops(result, 1e12));
}

// --- conventions -------------------------------------------------------------------------------

// total = 40 blocks^0.9, so alpha under `total` is alpha / 0.9.
std::vector<Observation> ThreeCounts() {
  std::vector<Observation> rows = SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 5, 9, 4);
  for (Observation& row : rows) {
    const double blocks = *row.params_blocks, total = 40 * std::pow(blocks, 0.9);
    row.params_embedding = total - blocks;
    row.params_head = 0;
    row.flops_exact = 1.3 * 6 * blocks * row.tokens_trained;
  }
  return rows;
}

TEST(ConventionsTest, ExponentsDifferAsPlanted) {
  const std::vector<Observation> rows = ThreeCounts();
  AnalysisOptions options;
  options.count = CountConvention::kNonEmbedding;
  options.spec.draws = 50;
  absl::StatusOr<AnalysisResult> base = Analyze(rows, options);
  ASSERT_TRUE(base.ok());
  const std::vector<ConventionRow> table = CompareConventions(rows, *base);
  ASSERT_EQ(table.size(), 6u);
  EXPECT_TRUE(table[0].chosen);
  EXPECT_EQ(table[0].count, CountConvention::kNonEmbedding);
  EXPECT_FALSE(EstimateIn(table[0].a_parametric)->intervals.empty());
  const LossLaw law = HoffmannLaw();
  for (const ConventionRow& row : table) {
    const double alpha = row.count == CountConvention::kNonEmbedding ? law.alpha : law.alpha / 0.9;
    const double planted = law.beta / (alpha + law.beta);
    ASSERT_NE(EstimateIn(row.a_parametric), nullptr);
    const double a = EstimateIn(row.a_parametric)->value;
    std::printf("a under %s, %s: %.8f (planted %.8f)\n", ToString(row.count).c_str(), ToString(row.flops).c_str(), a,
                planted);
    EXPECT_NEAR(a, planted, 1e-7);
  }
  // Exact FLOPs are 1.3 times 6ND here: the same sections, the same parabolas.
  for (const ConventionRow& row : table) {
    if (row.count != CountConvention::kNonEmbedding || row.chosen) continue;
    EXPECT_NEAR(EstimateIn(row.a_isoflop)->value, EstimateIn(table[0].a_isoflop)->value, 1e-9);
  }
}

// 6 N_total D falls along a budget planned in blocks: as one section with the planned
// C, its parabola would find the slope of the loss in C.
TEST(ConventionsTest, RowsAreGroupedByTheCThatTheyHaveThere) {
  const std::vector<Observation> rows = ThreeCounts();
  AnalysisOptions options;
  options.count = CountConvention::kNonEmbedding;
  options.spec.draws = 0;
  absl::StatusOr<AnalysisResult> base = Analyze(rows, options);
  ASSERT_TRUE(base.ok());
  for (const ConventionRow& row : CompareConventions(rows, *base)) {
    if (row.count != CountConvention::kTotal || row.flops != FlopsConvention::k6nd) continue;
    ASSERT_NE(EstimateIn(row.a_isoflop), nullptr);
    EXPECT_NEAR(EstimateIn(row.a_isoflop)->value,
                HoffmannLaw().beta / (HoffmannLaw().alpha / 0.9 + HoffmannLaw().beta), 1e-3);
  }
}

TEST(ConventionsTest, AnUnnamedCountStandsForItselfAlone) {
  std::vector<Observation> rows = SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 4, 7, 4);
  for (Observation& row : rows) {
    row.params_unnamed = row.params_blocks;
    row.params_blocks.reset();
    row.params_embedding.reset();
    row.params_head.reset();
  }
  AnalysisOptions options;
  options.spec.draws = 0;
  absl::StatusOr<AnalysisResult> base = Analyze(rows, options);
  ASSERT_TRUE(base.ok());
  const std::vector<ConventionRow> table = CompareConventions(rows, *base);
  ASSERT_EQ(table.size(), 1u);
  EXPECT_TRUE(table[0].chosen);
  EXPECT_TRUE(CompareConventions({}, AnalysisResult()).front().chosen);
}

}  // namespace
}  // namespace isoflop
