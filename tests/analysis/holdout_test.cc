#include "analysis/holdout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "analysis/analyze.h"
#include "analysis/holdout_baseline.h"
#include "analysis/prediction.h"
#include "analysis/selection.h"
#include "analysis/statistics.h"
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

// --- the score --------------------------------------------------------------------------

AnalysisResult AnalyzeOrDie(std::vector<Observation> rows, AnalysisOptions options = {}) {
  if (options.spec.draws == 2000) options.spec.draws = 100;
  options.threads = 1;
  absl::StatusOr<AnalysisResult> result = Analyze(std::move(rows), options);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : AnalysisResult();
}

std::vector<Observation> Study(double noise, uint32_t seed = 3) {
  return SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 6, 9, 4, noise, seed);
}

TEST(HoldoutTest, TheRightLawIsDemonstratedToTheLastBudget) {
  const AnalysisResult result = AnalyzeOrDie(Study(2e-3));
  const Holdout holdout = ScoreHoldout(result, 1);
  ASSERT_FALSE(holdout.refusal);
  EXPECT_EQ(holdout.windows.size(), 9u * (4 + 3 + 2 + 1));
  EXPECT_EQ(holdout.largest.size(), 9u);
  EXPECT_LT(holdout.mean_relative_error, 0.006);
  EXPECT_GT(holdout.skill, 0.5);
  EXPECT_NEAR(holdout.demonstrated_decades, 2.4, 1e-6);  // two budgets of 1e18 to 1e21 against the top one
  for (const HeldRow& row : holdout.windows) {
    const KeptRow& kept = result.rows[row.row];
    EXPECT_NEAR(row.distance_decades, std::log10(kept.flops / row.train_max_flops), 1e-12);
    EXPECT_NEAR(row.relative_error, row.predicted_loss / kept.loss - 1, 1e-12);
    EXPECT_NEAR(row.perplexity_ratio, std::exp(row.predicted_loss - kept.loss), 1e-12);
    // Two budgets give two points of the envelope, too few for its three numbers.
    EXPECT_EQ(row.envelope_error.has_value(), row.train_max_flops > 1e19);
  }
}

// z of the right law is a standard normal: over 20 studies its spread is 1 (800 rows,
// of which those of a study share a law).
TEST(HoldoutTest, ErrorsOfTheRightLawAreStandardNormal) {
  std::vector<double> z;
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    std::vector<Observation> rows = Study(5e-3, seed);
    std::vector<Observation> again = Study(5e-3, seed + 100);  // seeds, so that sigma is known
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i].config_id = again[i].config_id = "config " + std::to_string(i);
      again[i].seed = 1;
    }
    rows.insert(rows.end(), again.begin(), again.end());
    AnalysisOptions options;
    options.spec.draws = 0;
    for (const HeldRow& row : ScoreHoldout(AnalyzeOrDie(rows, options), 1).largest) {
      ASSERT_TRUE(row.z);
      z.push_back(*row.z);
    }
  }
  EXPECT_EQ(z.size(), 360u);
  std::printf("z of held-out rows: mean %.3f (required 0 +- 0.25), spread %.3f (required 1 +- 0.15)\n", Mean(z),
              StandardDeviation(z));
  EXPECT_NEAR(Mean(z), 0, 0.25);
  EXPECT_NEAR(StandardDeviation(z), 1, 0.15);
}

TEST(HoldoutTest, ALawThatChangesAboveABudgetLosesSkillAndReach) {
  const Holdout same = ScoreHoldout(AnalyzeOrDie(Study(2e-3)), 1);
  std::vector<Observation> rows = Study(2e-3);
  for (Observation& row : rows) {  // the top two budgets: data ran out, say
    if (*row.budget_flops > 1.5e20) row.final_loss_nats *= 1.06;
  }
  const Holdout changed = ScoreHoldout(AnalyzeOrDie(rows), 1);
  EXPECT_GT(changed.mean_relative_error, 3 * same.mean_relative_error);
  EXPECT_LT(changed.skill, same.skill - 0.2);
  EXPECT_LT(changed.demonstrated_decades, 1.3);  // to the budget below the break at most
  EXPECT_GT(same.demonstrated_decades, 2);
  // Windows that had not seen the break tell it apart from noise.
  int surprised = 0, asked = 0;
  for (const HeldRow& row : changed.windows) {
    if (row.train_max_flops > 1.5e20 || row.train_max_flops * std::pow(10, row.distance_decades) < 1.5e20) continue;
    ++asked;
    surprised += row.z && *row.z > 3;
  }
  EXPECT_EQ(asked, 2 * 9 * 3);
  EXPECT_GT(surprised, asked / 2);
}

TEST(HoldoutTest, RefusesWithTheReason) {
  AnalysisOptions options;
  options.spec.draws = 0;
  const Holdout few = ScoreHoldout(AnalyzeOrDie(SimulatedStudy(HoffmannLaw(), 1e18, 1e19, 2, 5, 4), options), 1);
  ASSERT_TRUE(few.refusal);
  EXPECT_EQ(few.refusal->code, Code::kUnderdetermined);
  EXPECT_NE(few.refusal->message.find("2 budgets with 10 rows"), std::string::npos) << few.refusal->message;
  EXPECT_EQ(few.demonstrated_decades, 0);
  // One D/N at each small budget: nothing below the top one tells N from D.
  std::vector<Observation> rows;
  for (int i = 0; i < 8; ++i) {
    const double params = 1e7 * std::pow(1.6, i);
    rows.push_back(MakeObservation(params, 20 * params, HoffmannLaw().LossAt(params, 20 * params)));
  }
  for (int i = 0; i < 8; ++i) {
    const double params = 1e8 * std::pow(1.6, i), tokens = 1e20 / (6 * params);
    rows.push_back(MakeObservation(params, tokens, HoffmannLaw().LossAt(params, tokens)));
  }
  const Holdout lockstep = ScoreHoldout(AnalyzeOrDie(rows, options), 1);
  ASSERT_TRUE(lockstep.refusal);
  EXPECT_NE(lockstep.refusal->message.find("do not carry a law"), std::string::npos) << lockstep.refusal->message;
  EXPECT_TRUE(ScoreHoldout(AnalysisResult(), 1).refusal);
}

TEST(HoldoutTest, BinsAddUpToTheWindows) {
  const Holdout holdout = ScoreHoldout(AnalyzeOrDie(Study(2e-3)), 1);
  // Budgets 0.6 decades apart: 0.6; 1.2 and 1.8; 2.4.
  ASSERT_EQ(holdout.bins.size(), 3u);
  EXPECT_EQ(holdout.bins[0].distance_lo, 0.5);
  EXPECT_EQ(holdout.bins[0].rows, 36);
  EXPECT_EQ(holdout.bins[1].rows, 27 + 18);
  EXPECT_EQ(holdout.bins[2].rows, 9);
  EXPECT_TRUE(std::isinf(holdout.bins[2].distance_hi));
  double sum = 0;
  for (const HoldoutBin& bin : holdout.bins) {
    sum += bin.rows * bin.mean_relative_error;
    const double better = std::min(bin.nearest_error, bin.envelope_error.value_or(1e9));
    EXPECT_GT(better, 0);
    EXPECT_LE(bin.skill, 1 - bin.mean_relative_error / bin.nearest_error + 1e-12);
  }
  EXPECT_NEAR(sum / 90, holdout.mean_relative_error, 1e-12);
}

TEST(HoldoutTest, TheIntervalNarrowsAsBudgetsAreAdded) {
  const AnalysisResult result = AnalyzeOrDie(Study(5e-3));
  const Holdout holdout = ScoreHoldout(result, 1);
  ASSERT_GE(holdout.width_by_flops.size(), 3u);
  const auto [spent, width] = holdout.width_by_flops.back();
  double all = 0;
  for (const KeptRow& row : result.rows) all += row.flops;
  EXPECT_EQ(spent, all);
  const OptimalRow optimum = PredictOptimum(result, result.target_flops);
  const Interval* params = EstimateIn(optimum.params)->At(95);
  EXPECT_LE(RelativeDifference(width, params->hi / params->lo), 1e-12);
  EXPECT_GT(holdout.width_by_flops.front().second, 2 * width);
  EXPECT_GT(holdout.width_by_flops.front().second, 1);
}

TEST(HoldoutTest, GainOverTwentyTokensAParameter) {
  const AnalysisResult result = AnalyzeOrDie(Study(1e-3));
  const Holdout holdout = ScoreHoldout(result, 1);
  ASSERT_TRUE(holdout.gain_over_20);
  const double params = std::sqrt(result.target_flops / 120);
  const LossLaw& law = result.parametric->law;
  EXPECT_NEAR(*holdout.gain_over_20,
              law.LossAt(params, 20 * params) - OptimumAt(law, result.target_flops).loss, 1e-12);
  EXPECT_GT(*holdout.gain_over_20, 0);
}

TEST(HoldoutTest, BitsAByteGiveTheSamePerplexities) {
  std::vector<Observation> rows = Study(2e-3);
  for (Observation& row : rows) row.bits_per_byte = row.final_loss_nats / (4.2 * std::log(2));
  const Holdout nats = ScoreHoldout(AnalyzeOrDie(rows), 1);
  AnalysisOptions options;
  options.spec.loss = LossUnit::kBitsPerByte;
  const Holdout bits = ScoreHoldout(AnalyzeOrDie(rows, options), 1);
  ASSERT_EQ(nats.windows.size(), bits.windows.size());
  for (size_t i = 0; i < nats.windows.size(); ++i) {
    EXPECT_NEAR(nats.windows[i].perplexity_ratio, bits.windows[i].perplexity_ratio, 1e-6);
    EXPECT_NEAR(nats.windows[i].relative_error, bits.windows[i].relative_error, 1e-6);
  }
}

TEST(HoldoutTest, ThreadsDoNotChangeAByte) {
  const AnalysisResult result = AnalyzeOrDie(Study(5e-3));
  const Holdout one = ScoreHoldout(result, 1), three = ScoreHoldout(result, 3);
  ASSERT_EQ(one.windows.size(), three.windows.size());
  for (size_t i = 0; i < one.windows.size(); ++i) {
    EXPECT_EQ(one.windows[i].predicted_loss, three.windows[i].predicted_loss);
    EXPECT_EQ(one.windows[i].z, three.windows[i].z);
  }
  EXPECT_EQ(one.width_by_flops, three.width_by_flops);
}

// Published data without planned budgets: Chinchilla's points as digitised.
TEST(HoldoutTest, ScoresPublishedRowsWithoutBudgets) {
  AnalysisOptions options;
  options.spec.outliers = 5;
  options.spec.draws = 0;
  const AnalysisResult result = AnalyzeOrDie(ReadPublished("epoch_chinchilla_svg_extracted_data.csv"), options);
  const Holdout holdout = ScoreHoldout(result, 1);
  ASSERT_FALSE(holdout.refusal);
  std::printf("Epoch: %zu held predictions, MARE %.3f %%, skill %.2f, demonstrated %.2f decades\n",
              holdout.windows.size(), 100 * holdout.mean_relative_error, holdout.skill, holdout.demonstrated_decades);
  EXPECT_GT(holdout.windows.size(), 100u);
  EXPECT_LT(holdout.mean_relative_error, 0.05);
}

TEST(HoldoutTest, AThousandRows) {
  AnalysisOptions options;
  options.spec.draws = 0;
  const AnalysisResult result = AnalyzeOrDie(SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 20, 50, 4, 5e-3), options);
  const std::clock_t start = std::clock();
  const Holdout holdout = ScoreHoldout(result, 1);
  std::printf("hold-out of 1000 rows: %.2f s of CPU\n", static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  EXPECT_EQ(holdout.width_by_flops.size(), 12u);
}

// --- its pieces ----------------------------------------------------------------------------

HeldRow Held(double distance, double error) {
  HeldRow row;
  row.distance_decades = distance;
  row.relative_error = error;
  return row;
}

TEST(DemonstratedDecadesTest, TheLargestDistanceUpToWhichTheMeanErrorIsWithinTheLimit) {
  EXPECT_EQ(DemonstratedDecades({}, 0.01), 0);
  EXPECT_EQ(DemonstratedDecades({Held(0.5, 0.02)}, 0.01), 0);
  EXPECT_EQ(DemonstratedDecades({Held(0.5, 0.01)}, 0.01), 0.5);
  // Means up to 0.2, 0.4, 0.6: 0.5 %, 0.8 %, 1.5 %.
  EXPECT_EQ(DemonstratedDecades({Held(0.4, -0.011), Held(0.2, 0.005), Held(0.6, 0.029)}, 0.01), 0.4);
  // Rows at one distance count together: the good one does not hide the bad one.
  EXPECT_EQ(DemonstratedDecades({Held(0.3, 0.001), Held(0.3, 0.05)}, 0.01), 0);
}

TEST(HoldoutBaselineTest, EnvelopeThroughItsOwnCurveIsExact) {
  std::vector<Observation> observations;
  for (int i = 0; i < 6; ++i) {
    for (const double factor : {0.5, 1.0, 2.0}) {
      const double budget = 1e18 * std::pow(10, 0.5 * i), params = 1e8 * factor;
      observations.push_back(MakeObservation(params, budget / (6 * params),
                                             1.7 + 900 * std::pow(budget, -0.15) + (factor == 1 ? 0 : 0.1)));
    }
  }
  const std::vector<KeptRow> rows = Kept(observations);
  const std::vector<BudgetGroup> groups = GroupByBudget(rows, 0.1);
  const std::vector<size_t> train = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const std::optional<EnvelopeBaseline> curve = FitEnvelopeBaseline(rows, groups, train);
  ASSERT_TRUE(curve);
  EXPECT_NEAR(curve->gamma, 0.15, 1e-6);
  EXPECT_NEAR(curve->E, 1.7, 1e-5);
  EXPECT_NEAR(curve->LossAt(1e22), 1.7 + 900 * std::pow(1e22, -0.15), 1e-6);
  EXPECT_FALSE(FitEnvelopeBaseline(rows, groups, std::vector<size_t>{0, 1, 2, 3, 4, 5}));
  // Half the size and a fifth of the tokens is nearer than a tenth of the tokens.
  EXPECT_EQ(NearestLoss(rows, train, rows[16]), rows[9].loss);
}

}  // namespace
}  // namespace isoflop
