#include "analysis/sensitivity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <ctime>
#include <map>

#include "analysis/analyze.h"
#include "analysis/leave_out.h"
#include "analysis/prediction.h"
#include "tests/analysis/test_data.h"

namespace isoflop {
namespace {

AnalysisResult AnalyzeOrDie(const std::vector<Observation>& rows, AnalysisOptions options = {}) {
  if (options.spec.draws == 2000) options.spec.draws = 200;
  options.threads = 1;
  absl::StatusOr<AnalysisResult> result = Analyze(rows, options);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : AnalysisResult();
}

std::vector<Observation> NamedStudy(int budgets = 5, int sizes = 9, double noise = 3e-3) {
  std::vector<Observation> rows = SimulatedStudy(HoffmannLaw(), 1e18, 1e21, budgets, sizes, 4, noise, 4);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].trial_id = std::to_string(i);
    rows[i].source = "trial " + rows[i].trial_id;
    rows[i].config_id = "config " + rows[i].trial_id;
  }
  return rows;
}

const SensitivityRow& Find(const std::vector<SensitivityRow>& sheet, const std::string& name) {
  static const SensitivityRow missing;
  for (const SensitivityRow& row : sheet) {
    if (row.name.rfind(name, 0) == 0) return row;
  }
  ADD_FAILURE() << "no row " << name;
  return missing;
}

double DeltaOf(const SensitivityRow& row) {
  const Estimate* delta = EstimateIn(row.delta_ln_params);
  return delta != nullptr ? delta->value : NAN;
}

void Print(const std::vector<SensitivityRow>& sheet) {
  for (const SensitivityRow& row : sheet) {
    if (const Estimate* delta = EstimateIn(row.delta_ln_params)) {
      std::printf("%-11s %-42s %4d  da %+.4f  dlnN %+.4f (%+.2f SE)  dL %+.5f  %s\n", row.group.c_str(),
                  row.name.c_str(), row.rows_used, EstimateIn(row.delta_a)->value, delta->value,
                  row.ln_params_in_se.value_or(NAN), EstimateIn(row.delta_loss)->value, row.certificate.c_str());
    } else {
      std::printf("%-11s %-42s %4d  %s\n", row.group.c_str(), row.name.c_str(), row.rows_used,
                  std::get<Refusal>(row.delta_ln_params).message.c_str());
    }
  }
}

TEST(SensitivityTest, TheSheetHasEveryGroupSortedByWhatItMoves) {
  const std::vector<Observation> rows = NamedStudy();
  const std::vector<SensitivityRow> sheet = SensitivitySheet(rows, AnalyzeOrDie(rows));
  Print(sheet);
  std::map<std::string, int> groups;
  double last = INFINITY;
  bool refused = false;
  for (const SensitivityRow& row : sheet) {
    ++groups[row.group];
    if (std::isnan(DeltaOf(row))) {
      refused = true;
      EXPECT_FALSE(std::get<Refusal>(row.delta_ln_params).message.empty()) << row.name;
      EXPECT_FALSE(std::get<Refusal>(row.delta_ln_params).cure.empty()) << row.name;
      continue;
    }
    EXPECT_FALSE(refused) << "numbers come before reasons: " << row.name;
    EXPECT_LE(std::abs(DeltaOf(row)), last);
    EXPECT_FALSE(row.certificate.empty());
    EXPECT_TRUE(row.a_in_se && row.ln_params_in_se && row.loss_in_se);
    last = std::abs(DeltaOf(row));
  }
  EXPECT_EQ(groups, (std::map<std::string, int>{{"objective", 4}, {"delta", 7}, {"outliers", 6}, {"leave out", 4},
                                                {"convention", 6}, {"loss", 2}, {"points", 2}, {"rows", 1},
                                                {"form", 6}}));
  // The analysis' own choices move nothing.
  for (const char* name : {"huber(0.001) on log loss", "delta 1e-3", "0 outliers dropped", "nats a token",
                           "final points", "chinchilla", "N non_embedding_plus_head, C 6nd"}) {
    EXPECT_EQ(DeltaOf(Find(sheet, name)), 0) << name;
  }
  // What is not in the data keeps its row and its reason.
  for (const char* name : {"worst seed", "bits a byte", "all checkpoints", "data_constrained",
                           "N total, C exact"}) {
    EXPECT_TRUE(std::isnan(DeltaOf(Find(sheet, name)))) << name;
  }
}

TEST(SensitivityTest, FindsAPlantedOutlierByName) {
  std::vector<Observation> rows = NamedStudy();
  rows[37].final_loss_nats *= 1.2;  // its learning rate was wrong
  AnalysisOptions options;
  options.spec.objective = FitObjective::kMse;  // which an outlier pulls
  const AnalysisResult result = AnalyzeOrDie(rows, options);
  const std::vector<SensitivityRow> sheet = SensitivitySheet(rows, result);
  const SensitivityRow& worst = Find(sheet, "worst run");
  EXPECT_EQ(worst.name, "worst run: trial 37");
  EXPECT_EQ(worst.rows_used, 44);
  // The row equals the analysis without that run.
  std::vector<Observation> without = rows;
  without.erase(without.begin() + 37);
  AnalysisOptions same = options;
  same.spec.goal_budget = result.target_flops;
  const AnalysisResult refit = AnalyzeOrDie(without, same);
  const double expected = std::log(EstimateIn(PredictOptimum(refit, result.target_flops).params)->value /
                                   EstimateIn(PredictOptimum(result, result.target_flops).params)->value);
  EXPECT_NEAR(DeltaOf(worst), expected, 1e-7);
  EXPECT_NEAR(EstimateIn(worst.delta_a)->value, refit.parametric->law.a() - result.parametric->law.a(), 1e-8);
  // A robust objective hardly sees the run.
  const SensitivityRow robust = Find(SensitivitySheet(rows, AnalyzeOrDie(rows)), "worst run");
  EXPECT_LT(std::abs(DeltaOf(robust)), 0.5 * std::abs(DeltaOf(worst)));
}

TEST(SensitivityTest, LeavingOutSeedsAndBudgetsNamesThem) {
  std::vector<Observation> rows = NamedStudy(4, 7);
  const size_t runs = rows.size();
  for (uint32_t seed = 1; seed <= 2; ++seed) {
    std::vector<Observation> again = SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 4, 7, 4, 3e-3, 40 + seed);
    for (size_t i = 0; i < runs; ++i) {
      again[i].trial_id = std::to_string(runs * seed + i);
      again[i].source = "trial " + again[i].trial_id;
      again[i].config_id = rows[i].config_id;
      again[i].seed = seed;
      if (seed == 2) again[i].final_loss_nats *= 1 + 0.01 * (static_cast<double>(i % 7) - 3);  // a tilt in N
    }
    rows.insert(rows.end(), again.begin(), again.end());
  }
  AnalysisOptions options;
  options.spec.objective = FitObjective::kMse;
  const std::vector<SensitivityRow> sheet = SensitivitySheet(rows, AnalyzeOrDie(rows, options));
  EXPECT_EQ(Find(sheet, "worst seed").name, "worst seed: 2");
  EXPECT_EQ(Find(sheet, "worst seed").rows_used, 56);
  EXPECT_EQ(Find(sheet, "worst budget").rows_used, 63);
  EXPECT_EQ(Find(sheet, "worst size").rows_used, 81);
}

TEST(SensitivityTest, ConventionsAndUnitsMoveWhatTheyShould) {
  std::vector<Observation> rows = NamedStudy(5, 9, 0);
  for (Observation& row : rows) {
    const double blocks = *row.params_blocks;
    row.params_embedding = 40 * std::pow(blocks, 0.9) - blocks;  // total = 40 blocks^0.9
    row.flops_exact = 1.5 * 6 * blocks * row.tokens_trained;
    row.bits_per_byte = row.final_loss_nats / (4.4 * std::log(2));
  }
  AnalysisOptions options;
  options.count = CountConvention::kNonEmbedding;
  const AnalysisResult base = AnalyzeOrDie(rows, options);
  const std::vector<SensitivityRow> sheet = SensitivitySheet(rows, base);
  const LossLaw law = HoffmannLaw();
  EXPECT_NEAR(EstimateIn(Find(sheet, "N total, C 6nd").delta_a)->value,
              law.beta / (law.alpha / 0.9 + law.beta) - law.a(), 1e-7);
  // Exact FLOPs of 1.5 times 6ND: the same budget is a budget of C/1.5.
  EXPECT_NEAR(DeltaOf(Find(sheet, "N non_embedding, C exact")), -law.a() * std::log(1.5), 1e-6);
  // A factor on the loss moves neither exponents nor optimum; L is told in nats again.
  const SensitivityRow& bits = Find(sheet, "bits a byte");
  EXPECT_NEAR(DeltaOf(bits), 0, 1e-6);
  EXPECT_NEAR(EstimateIn(bits.delta_loss)->value, 0, 1e-7);
}

TEST(SensitivityTest, CheckpointsOfCurvesAreRowsWithTheirOwnTokens) {
  std::vector<Observation> rows = NamedStudy(5, 9, 0);
  for (Observation& row : rows) {
    for (int i = 1; i <= 4; ++i) {  // the law holds on the way, too: nothing may move
      LossPoint point;
      point.step = i;
      point.tokens = static_cast<int64_t>(row.tokens_trained * i / 4);
      point.kind = LossKind::kEval;
      point.loss_nats = HoffmannLaw().LossAt(*row.params_blocks, static_cast<double>(point.tokens));
      row.curve.push_back(point);
      point.kind = LossKind::kTrain;  // another set: left out
      point.loss_nats = 1.0;
      row.curve.push_back(point);
    }
  }
  const SensitivityRow row = Find(SensitivitySheet(rows, AnalyzeOrDie(rows)), "all checkpoints");
  EXPECT_EQ(row.rows_used, 45 * 4);
  EXPECT_NEAR(DeltaOf(row), 0, 1e-6);
}

TEST(SensitivityTest, WithoutRowsOfFewerTokensThanParameters) {
  std::vector<Observation> rows = NamedStudy();
  for (int i = 0; i < 3; ++i) {
    rows.push_back(MakeObservation(3e9, 1e9 * (1 + i), 4));
    rows.back().budget_flops = 6 * 3e9 * rows.back().tokens_trained;
    rows.back().source = "short " + std::to_string(i);
  }
  const SensitivityRow row = Find(SensitivitySheet(rows, AnalyzeOrDie(rows)), "without D/N < 1");
  EXPECT_EQ(row.rows_used, 46);  // 3e9 tokens are one a parameter
  EXPECT_NE(DeltaOf(row), 0);
}

TEST(SensitivityTest, EmptyWithoutALaw) {
  EXPECT_TRUE(SensitivitySheet({}, AnalysisResult()).empty());
}

TEST(SensitivityTest, TheSameEveryTime) {
  const std::vector<Observation> rows = NamedStudy();
  const AnalysisResult base = AnalyzeOrDie(rows);
  const std::vector<SensitivityRow> one = SensitivitySheet(rows, base), two = SensitivitySheet(rows, base);
  ASSERT_EQ(one.size(), two.size());
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].name, two[i].name);
    EXPECT_EQ(std::isnan(DeltaOf(one[i])) ? 0 : DeltaOf(one[i]), std::isnan(DeltaOf(two[i])) ? 0 : DeltaOf(two[i]));
  }
}

// Ranking by influence finds what refitting without every run finds.
TEST(LeaveOutTest, InfluenceRanksAsRefitsDo) {
  for (const FitObjective objective : {FitObjective::kHuber, FitObjective::kMse}) {
    const std::vector<Observation> rows = NamedStudy(6, 15, 5e-3);
    AnalysisOptions options;
    options.spec.objective = objective;
    const AnalysisResult base = AnalyzeOrDie(rows, options);
    const ComputeModel compute = ComputeModelOf(base);
    const std::vector<double> influence = RowInfluence(base, compute);
    const std::vector<LeaveOutCandidate> runs = LeaveOutCandidates(base.rows, LeaveOutKind::kRun, 0.1);
    const std::optional<size_t> worst = WorstToLeaveOut(base, compute, runs, influence);
    ASSERT_TRUE(worst);
    int higher = 0;
    for (const double value : influence) higher += std::abs(value) > std::abs(influence[*worst]);
    EXPECT_LE(higher, 9);  // of 90: among the ten that a study of any size refits
  }
}

// E1's rows: what the paper's critics did by hand.
TEST(SensitivityTest, EpochsOutlierRuleMovesMoreThanDelta) {
  AnalysisOptions options;
  options.spec.outliers = 5;
  const std::vector<Observation> rows = ReadPublished("epoch_chinchilla_svg_extracted_data.csv");
  const AnalysisResult base = AnalyzeOrDie(rows, options);
  const std::vector<SensitivityRow> sheet = SensitivitySheet(rows, base);
  Print(sheet);
  // E2 minus E1.
  EXPECT_NEAR(EstimateIn(Find(sheet, "0 outliers dropped").delta_a)->value, 0.564644373 - 0.513899516, 1e-6);
  EXPECT_GT(std::abs(DeltaOf(Find(sheet, "0 outliers dropped"))), std::abs(DeltaOf(Find(sheet, "delta 1e-2"))));
  EXPECT_TRUE(IsSensitive(Find(sheet, "0 outliers dropped")));
}

TEST(SensitivityTest, AThousandRowsInTwoSeconds) {
  const std::vector<Observation> rows = NamedStudy(20, 50, 5e-3);
  AnalysisOptions options;
  options.spec.draws = 40;
  const AnalysisResult base = AnalyzeOrDie(rows, options);
  const std::clock_t start = std::clock();
  const std::vector<SensitivityRow> sheet = SensitivitySheet(rows, base);
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  std::printf("sheet of 1000 rows: %.2f s of CPU (required 2)\n", seconds);
#ifdef NDEBUG
  EXPECT_LE(seconds, 2);
#endif
  EXPECT_EQ(Find(sheet, "worst run").rows_used, 999);
}

}  // namespace
}  // namespace isoflop
