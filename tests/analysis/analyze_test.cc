// Selection, codes and bad inputs, through the front door.
#include "analysis/analyze.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "analysis/selection.h"
#include "tests/analysis/test_data.h"

namespace isoflop {
namespace {

using testing::HasSubstr;

AnalysisOptions Quick(int draws = 100) {
  AnalysisOptions options;
  options.spec.draws = draws;
  options.threads = 1;
  return options;
}

AnalysisResult AnalyzeOrDie(std::vector<Observation> rows, const AnalysisOptions& options = Quick()) {
  absl::StatusOr<AnalysisResult> result = Analyze(std::move(rows), options);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : AnalysisResult();
}

// A clean study: none of the codes but those of nearness to the data's edge.
std::vector<Observation> CleanStudy(double noise = 2e-3, uint32_t seed = 5) {
  std::vector<Observation> rows = SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 4, 7, 4, noise, seed);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].trial_id = std::to_string(i);
    rows[i].source = "trial " + rows[i].trial_id;
    rows[i].config_id = "config " + rows[i].trial_id;
  }
  return rows;
}

std::set<ExclusionRule> RulesOf(const AnalysisResult& result) {
  std::set<ExclusionRule> rules;
  for (const Exclusion& exclusion : result.exclusions) rules.insert(exclusion.rule);
  return rules;
}

TEST(AnalyzeTest, ACleanStudyHasAFitTablesAndBands) {
  const AnalysisResult result = AnalyzeOrDie(CleanStudy());
  ASSERT_TRUE(result.parametric);
  EXPECT_EQ(result.parametric->certificate.outcome, FitOutcome::kOptimal);
  EXPECT_EQ(result.rows.size(), 28u);
  EXPECT_TRUE(result.exclusions.empty());
  EXPECT_EQ(result.isoflop->accepted, 4);
  ASSERT_EQ(result.frontiers.size(), 2u);
  EXPECT_EQ(result.frontiers[0].approach, Approach::kIsoflop);
  EXPECT_FALSE(result.frontiers[1].points.front().params.intervals.empty());
  EXPECT_FALSE(result.optimal.empty());
  EXPECT_EQ(result.efficiency.size(), 5u);
  EXPECT_NEAR(result.target_flops, 1e21, 1e9);
  EXPECT_TRUE(result.rows[0].predicted_loss && result.rows[0].residual);
  EXPECT_EQ(result.parametric->correlation.size(), 25u);
  const Interval* a = result.parametric->a.At(95);
  ASSERT_NE(a, nullptr);
  EXPECT_LT(a->lo, HoffmannLaw().a());
  EXPECT_GT(a->hi, HoffmannLaw().a());
}

TEST(AnalyzeTest, EveryRowIsKeptOrExcludedByOneRule) {
  std::vector<Observation> rows = CleanStudy();
  rows[0].outcome = TrialOutcome::kDiverged;
  rows[1].outcome = TrialOutcome::kCrashed;
  rows[2].final_loss_nats = std::numeric_limits<double>::quiet_NaN();
  rows[3].final_loss_nats = -1;
  rows[4].schedule_ended = false;
  rows[5].unique_tokens = rows[5].tokens_trained / 2;
  rows[6].eval_sha256 = "another";
  rows[7].fingerprint = rows[8].fingerprint = "same";
  AnalysisOptions options = Quick();
  options.spec.outliers = 2;
  options.eval_sha256 = "set";
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i != 6) rows[i].eval_sha256 = "set";
  }
  options.filtered_sources.insert(rows[9].source);
  const AnalysisResult result = AnalyzeOrDie(rows, options);
  EXPECT_EQ(result.rows.size() + result.exclusions.size(), rows.size());
  EXPECT_EQ(result.rows_read, 28);
  using R = ExclusionRule;
  EXPECT_EQ(RulesOf(result),
            (std::set<R>{R::kNotCompleted, R::kDiverged, R::kNonFinite, R::kScheduleNotEnded, R::kRepeatedData,
                         R::kWrongEvalSet, R::kDuplicateFingerprint, R::kUserFilter, R::kOutlier}));
  EXPECT_EQ(result.exclusions.size(), 11u);
  EXPECT_TRUE(result.HasWarning(Code::kRepeatedData));
}

TEST(AnalyzeTest, TiesOfLossDropNoMoreThanAsked) {
  std::vector<Observation> rows = CleanStudy();
  for (size_t i = 0; i < 5; ++i) rows[i].final_loss_nats = 9;
  AnalysisOptions options = Quick(0);
  options.spec.outliers = 3;
  const AnalysisResult result = AnalyzeOrDie(rows, options);
  ASSERT_EQ(result.exclusions.size(), 3u);
  EXPECT_EQ(result.exclusions[2].source, rows[2].source);
}

TEST(AnalyzeTest, ConventionChoosesN) {
  std::vector<Observation> rows = CleanStudy();
  for (Observation& row : rows) {
    row.params_embedding = 1e6;
    row.params_position = 5e5;
    row.params_head = 0;  // tied: V d still multiplies
  }
  AnalysisOptions options = Quick(0);
  const double blocks = *rows[0].params_blocks;
  EXPECT_EQ(AnalyzeOrDie(rows, options).rows[0].params, blocks + 1e6);
  options.count = CountConvention::kNonEmbedding;
  EXPECT_EQ(AnalyzeOrDie(rows, options).rows[0].params, blocks);
  options.count = CountConvention::kTotal;
  EXPECT_EQ(AnalyzeOrDie(rows, options).rows[0].params, blocks + 1.5e6);
}

TEST(AnalyzeTest, ExactFlopsAreTakenWhereAsked) {
  std::vector<Observation> rows = CleanStudy();
  for (Observation& row : rows) row.flops_exact = 7 * *row.params_blocks * row.tokens_trained;
  AnalysisOptions options = Quick(50);
  options.flops = FlopsConvention::kExact;
  const AnalysisResult result = AnalyzeOrDie(rows, options);
  ASSERT_TRUE(result.parametric && !result.optimal.empty());
  const OptimalRow& row = result.optimal.front();
  EXPECT_NEAR(7 * EstimateIn(row.params)->value * EstimateIn(row.tokens)->value / row.budget_flops, 1, 1e-9);
  EXPECT_TRUE(result.isoflop->tokens_law);
  rows[0].flops_exact.reset();
  EXPECT_EQ(RulesOf(AnalyzeOrDie(rows, options)), std::set<ExclusionRule>{ExclusionRule::kNonFinite});
}

TEST(AnalyzeTest, WeightsByRunShareARunsRows) {
  std::vector<Observation> rows = CleanStudy();
  rows[1].trial_id = rows[2].trial_id = rows[0].trial_id;
  AnalysisOptions options = Quick(0);
  options.spec.weights = FitWeights::kByRun;
  const AnalysisResult result = AnalyzeOrDie(rows, options);
  EXPECT_DOUBLE_EQ(result.rows[0].weight, 1.0 / 3);
  EXPECT_EQ(result.rows[5].weight, 1);
}

TEST(AnalyzeTest, HoursFollowTheMeasuredSpeed) {
  std::vector<Observation> rows = CleanStudy();
  for (Observation& row : rows) {
    row.tokens_per_second = 1e15 / (6 * *row.params_blocks);
    row.unique_tokens = 1e12;
  }
  const AnalysisResult result = AnalyzeOrDie(rows, Quick(0));
  const OptimalRow& row = result.optimal.front();
  ASSERT_TRUE(row.hours && row.epochs);
  EXPECT_NEAR(*row.hours, row.budget_flops / 1e15 / 3600, 1e-9 * *row.hours);
  EXPECT_NEAR(*row.epochs, EstimateIn(row.tokens)->value / 1e12, 1e-12);
}

// --- each code: a set that raises it, and the clean one does not -------------------------

void ExpectOnlyIn(Code code, const AnalysisResult& raised, const AnalysisOptions& options = Quick()) {
  EXPECT_TRUE(raised.HasWarning(code)) << ToString(code);
  EXPECT_FALSE(AnalyzeOrDie(CleanStudy(), options).HasWarning(code)) << ToString(code);
}

TEST(CodesTest, Underdetermined) {
  std::vector<Observation> rows = CleanStudy();
  rows.resize(5);
  const AnalysisResult result = AnalyzeOrDie(rows);
  ExpectOnlyIn(Code::kUnderdetermined, result);
  ASSERT_TRUE(result.parametric_refusal);
  EXPECT_EQ(result.parametric_refusal->message, "5 cells (N, D) for 5 parameters");
  EXPECT_FALSE(result.parametric);
}

TEST(CodesTest, Collinear) {
  std::vector<Observation> rows;
  for (int i = 0; i < 10; ++i) {
    const double params = 1e6 * std::pow(2, i), tokens = 20 * params;
    rows.push_back(MakeObservation(params, tokens, HoffmannLaw().LossAt(params, tokens)));
  }
  ExpectOnlyIn(Code::kCollinear, AnalyzeOrDie(rows));
}

TEST(CodesTest, WeaklyIdentified) {
  std::vector<Observation> rows = SimulatedStudy(HoffmannLaw(), 1e18, 3e18, 2, 5, 2, 0.05, 11);
  const AnalysisResult result = AnalyzeOrDie(rows, Quick(200));
  ExpectOnlyIn(Code::kWeaklyIdentified, result);
  // N* outside the data is refused.
  const Refusal* refusal = std::get_if<Refusal>(&result.optimal.back().params);
  ASSERT_NE(refusal, nullptr);
}

TEST(CodesTest, BoundHit) {
  std::vector<Observation> rows = CleanStudy();
  for (Observation& row : rows) row.final_loss_nats = 1.7 + 400 * std::pow(*row.params_blocks, -0.34);
  const AnalysisResult result = AnalyzeOrDie(rows);
  EXPECT_TRUE(result.HasWarning(Code::kBoundHit) || result.HasWarning(Code::kSingular));
  EXPECT_FALSE(AnalyzeOrDie(CleanStudy()).HasWarning(Code::kBoundHit));
}

TEST(CodesTest, DeltaNearLad) {
  AnalysisOptions options = Quick();
  options.spec.delta = 1e-4;
  EXPECT_TRUE(AnalyzeOrDie(CleanStudy(1e-2), options).HasWarning(Code::kDeltaNearLad));
  EXPECT_FALSE(AnalyzeOrDie(CleanStudy(5e-4)).HasWarning(Code::kDeltaNearLad));
}

TEST(CodesTest, ParabolasThatAreRejected) {
  std::vector<Observation> rows = CleanStudy(0);
  const size_t edge = 0, concave = 7, few = 14;
  for (size_t i = 0; i < 7; ++i) rows[edge + i].final_loss_nats = 3 - 0.1 * static_cast<double>(i) + 0.002 * static_cast<double>(i * i);
  for (size_t i = 0; i < 7; ++i) rows[concave + i].final_loss_nats = 3 - 0.01 * std::pow(static_cast<double>(i) - 3, 2);
  rows.erase(rows.begin() + few, rows.begin() + few + 5);
  const AnalysisResult result = AnalyzeOrDie(rows);
  ExpectOnlyIn(Code::kMinimumAtEdge, result);
  ExpectOnlyIn(Code::kNotConvex, result);
  ExpectOnlyIn(Code::kTooFewPoints, result);
  EXPECT_EQ(result.isoflop->accepted, 1);
  ASSERT_TRUE(result.isoflop->refusal);
  EXPECT_EQ(result.isoflop->budgets[0].rejection->code, Code::kMinimumAtEdge);
}

TEST(CodesTest, BudgetSnapped) {
  std::vector<Observation> rows = CleanStudy();
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].budget_flops.reset();
    if (i % 2) rows[i].tokens_trained *= 1.03;
  }
  ExpectOnlyIn(Code::kBudgetSnapped, AnalyzeOrDie(rows));
}

TEST(CodesTest, Inputs) {
  std::vector<Observation> rows = CleanStudy();
  for (Observation& row : rows) row.schedule_ended.reset();
  ExpectOnlyIn(Code::kScheduleNotEnded, AnalyzeOrDie(rows));
  rows = CleanStudy();
  for (Observation& row : rows) row.params_unnamed = row.params_blocks;
  ExpectOnlyIn(Code::kConventionUnknown, AnalyzeOrDie(rows));
  EXPECT_FALSE(AnalyzeOrDie(rows).count_known);
  rows = CleanStudy();
  rows[3].tokens_derived = true;
  ExpectOnlyIn(Code::kTokensDerived, AnalyzeOrDie(rows));
  rows = CleanStudy();
  for (Observation& row : rows) std::swap(*row.params_blocks, row.tokens_trained);
  ExpectOnlyIn(Code::kRatioSuspicious, AnalyzeOrDie(rows));
}

TEST(CodesTest, MixedEvaluationRefuses) {
  std::vector<Observation> rows = CleanStudy();
  for (size_t i = 0; i < rows.size(); ++i) rows[i].eval_sha256 = i < 9 ? "one" : "two";
  const AnalysisResult result = AnalyzeOrDie(rows);
  ExpectOnlyIn(Code::kMixedEvaluation, result);
  EXPECT_FALSE(result.parametric);
  EXPECT_FALSE(result.isoflop);
  // Two tokenizers: nats no, bits per byte yes.
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].eval_sha256 = "one";
    rows[i].tokenizer_sha256 = i < 9 ? "bytes" : "bpe";
    rows[i].bits_per_byte = rows[i].final_loss_nats / std::log(2);
  }
  EXPECT_TRUE(AnalyzeOrDie(rows).HasWarning(Code::kMixedEvaluation));
  AnalysisOptions options = Quick();
  options.spec.loss = LossUnit::kBitsPerByte;
  EXPECT_FALSE(AnalyzeOrDie(rows, options).HasWarning(Code::kMixedEvaluation));
}

TEST(CodesTest, NoiseAndClusters) {
  std::vector<Observation> rows = CleanStudy();
  EXPECT_TRUE(AnalyzeOrDie(rows).HasWarning(Code::kNoiseUnknown));
  std::vector<Observation> second = CleanStudy(2e-3, 6);
  for (Observation& row : second) row.trial_id += "b";
  rows.insert(rows.end(), second.begin(), second.end());
  const AnalysisResult replicated = AnalyzeOrDie(rows);
  EXPECT_FALSE(replicated.HasWarning(Code::kNoiseUnknown));
  EXPECT_EQ(replicated.bootstrap.method, "cluster");
  EXPECT_EQ(replicated.bootstrap.clusters, 28);
  EXPECT_FALSE(replicated.HasWarning(Code::kFewClusters));
  EXPECT_NEAR(replicated.noise.sigma, 2e-3, 8e-4);
  for (size_t i = 0; i < rows.size(); ++i) rows[i].config_id = "c" + std::to_string(i % 7);
  EXPECT_TRUE(AnalyzeOrDie(rows).HasWarning(Code::kFewClusters));
}

TEST(CodesTest, Extrapolation) {
  AnalysisOptions options = Quick();
  options.spec.goal_budget = 1e20;
  EXPECT_TRUE(AnalyzeOrDie(CleanStudy()).HasWarning(Code::kExtrapolation));
  EXPECT_FALSE(AnalyzeOrDie(CleanStudy(0), options).HasWarning(Code::kExtrapolation));
}

// --- bad inputs --------------------------------------------------------------------------------

TEST(BadInputTest, NothingToFitIsARefusal) {
  EXPECT_EQ(AnalyzeOrDie({}).parametric_refusal->code, Code::kUnderdetermined);
  EXPECT_FALSE(AnalyzeOrDie({MakeObservation(1e6, 2e7, 3)}).parametric);
  std::vector<Observation> equal(12, MakeObservation(1e6, 2e7, 3));
  EXPECT_FALSE(AnalyzeOrDie(equal).parametric);
  std::vector<Observation> one_size;
  for (int i = 0; i < 12; ++i) one_size.push_back(MakeObservation(1e6, 1e7 * (i + 1), 3 - 0.1 * i));
  EXPECT_THAT(AnalyzeOrDie(one_size).parametric_refusal->message, HasSubstr("1 distinct N"));
}

TEST(BadInputTest, NumbersThatAreNoNumbersLeaveByName) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  std::vector<Observation> rows = CleanStudy();
  const size_t clean = rows.size();
  for (const double bad : {nan, inf, -inf, 0.0, -3.0}) {
    rows.push_back(MakeObservation(bad, 1e9, 3));
    rows.push_back(MakeObservation(1e7, bad, 3));
    rows.push_back(MakeObservation(1e7, 1e9, bad));
  }
  rows.push_back(MakeObservation(1e300, 1e300, 3));  // 6ND overflows
  const AnalysisResult result = AnalyzeOrDie(rows);
  EXPECT_EQ(result.rows.size(), clean);
  EXPECT_EQ(RulesOf(result), std::set<ExclusionRule>{ExclusionRule::kNonFinite});
}

// 1e300 is no size, length or loss: it leaves by name. What is merely far out stays,
// and crashes nothing.
TEST(BadInputTest, HugeAndTinyNumbersLeaveByNameOrDoNotCrash) {
  std::vector<Observation> rows = CleanStudy();
  rows[0].final_loss_nats = 1e300;
  rows[1].final_loss_nats = 1e-300;
  rows[2].params_blocks = 1e250;
  rows[3].tokens_trained = 1e300;
  rows[4].final_loss_nats = 9e5;
  rows[5].params_blocks = 9e17;
  rows[6].tokens_trained = 1e-250;
  const AnalysisResult result = AnalyzeOrDie(rows);
  EXPECT_EQ(result.rows.size(), rows.size() - 4);
  EXPECT_EQ(RulesOf(result), std::set<ExclusionRule>{ExclusionRule::kNonFinite});
  EXPECT_EQ(result.exclusions[0].detail, "loss 1e+300 is beyond 1e+06");
  EXPECT_EQ(result.exclusions[2].detail, "params 1e+250 is beyond 1e+18");
}

TEST(BadInputTest, ACopiedRowIsKeptOnceAndNamesTheFirst) {
  std::vector<Observation> rows = CleanStudy();
  rows[8].fingerprint = rows[3].fingerprint = "0123456789abcdef";
  const AnalysisResult result = AnalyzeOrDie(rows);
  ASSERT_EQ(result.exclusions.size(), 1u);
  EXPECT_EQ(result.exclusions[0].source, rows[8].source);
  EXPECT_EQ(result.exclusions[0].detail, "the same as " + rows[3].source);
}

// Bits labelled as nats: told where the vocabulary is known.
TEST(BadInputTest, BitsUnderTheNameOfNatsAreWarnedOf) {
  const auto warnings = [](const std::vector<Observation>& rows, const AnalysisOptions& options = Quick()) {
    return SelectRows(rows, options).warnings;
  };
  const auto unit = [](const std::vector<Warning>& all) {
    for (const Warning& warning : all) {
      if (warning.code == Code::kMixedEvaluation) return warning.message;
    }
    return std::string();
  };
  std::vector<Observation> rows = CleanStudy();
  EXPECT_EQ(unit(warnings(rows)), "") << "no vocabulary, no claim";
  for (Observation& row : rows) row.vocab_size = 50257;
  EXPECT_EQ(unit(warnings(rows)), "");
  rows[2].final_loss_nats = 15.5;  // ln 50257 is 10.82, log2 is 15.62
  EXPECT_THAT(unit(warnings(rows)), HasSubstr("1 of 28 losses are above ln V = 10.82"));
  EXPECT_THAT(unit(warnings(rows)), HasSubstr("nats = bits ln 2"));
  EXPECT_THAT(unit(warnings(rows)), HasSubstr(rows[2].source));
  AnalysisOptions bits = Quick();
  bits.spec.loss = LossUnit::kBitsPerByte;
  EXPECT_EQ(unit(warnings(rows, bits)), "");
  // Of bytes: never above ln 256 when trained, but equal to the bits of a byte.
  rows = CleanStudy();
  for (Observation& row : rows) {
    row.vocab_size = 256;
    row.bits_per_byte = row.final_loss_nats / std::log(2);
  }
  EXPECT_EQ(unit(warnings(rows)), "");
  for (Observation& row : rows) row.final_loss_nats = *row.bits_per_byte;
  EXPECT_THAT(unit(warnings(rows)), HasSubstr("bits"));
}

TEST(BadInputTest, OptionsAreChecked) {
  const auto error = [](auto change) {
    AnalysisOptions options = Quick();
    change(options);
    const absl::StatusOr<AnalysisResult> result = Analyze(CleanStudy(), options);
    EXPECT_FALSE(result.ok());
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(result.status().message()), HasSubstr("\ncure: "));
    return std::string(result.status().message());
  };
  EXPECT_THAT(error([](auto& o) { o.spec.form = "kaplann"; }), HasSubstr("no form 'kaplann'"));
  EXPECT_THAT(error([](auto& o) { o.spec.isoflop_minimum = "spline"; }), HasSubstr("no minimum 'spline'"));
  EXPECT_THAT(error([](auto& o) { o.spec.coverage = "slow"; }), HasSubstr("no coverage 'slow'"));
  EXPECT_THAT(error([](auto& o) { o.spec.bootstrap_method = "jackknife"; }), HasSubstr("no bootstrap method"));
  EXPECT_THAT(error([](auto& o) { o.spec.delta = -1; }), HasSubstr("delta -1"));
  EXPECT_THAT(error([](auto& o) { o.spec.outliers = -1; }), HasSubstr("outliers -1"));
  EXPECT_THAT(error([](auto& o) { o.spec.draws = -1; }), HasSubstr("draws -1"));
  EXPECT_THAT(error([](auto& o) { o.spec.levels = {100}; }), HasSubstr("level 100"));
  EXPECT_THAT(error([](auto& o) { o.budgets = {-1}; }), HasSubstr("budget -1"));
}

// Every word of the options goes all the way through.
TEST(AnalyzeTest, EveryFormObjectiveMethodAndWeightGivesALaw) {
  const std::vector<Observation> study = SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 5, 7, 6, 0.005, 11);
  const auto fit = [&](auto change) {
    AnalysisOptions options = Quick();
    change(options);
    const absl::StatusOr<AnalysisResult> result = Analyze(study, options);
    EXPECT_TRUE(result.ok()) << result.status();
    return *result;
  };
  for (const char* form : {"chinchilla", "tied", "gadre", "kaplan", "multiplicative", "data_constrained", "auto"}) {
    const AnalysisResult result = fit([&](auto& o) { o.spec.form = form; });
    ASSERT_TRUE(result.parametric) << form;
    EXPECT_EQ(result.bootstrap.failed, 0) << form;
    if (std::string(form) == "multiplicative") {
      EXPECT_EQ(std::get<Refusal>(result.optimal.at(0).params).code, Code::kNoInteriorOptimum);
    } else {
      EXPECT_NE(EstimateIn(result.optimal.at(0).params), nullptr) << form;
    }
    if (std::string(form) == "auto") {
      EXPECT_TRUE(result.forms);
    }
  }
  for (const FitObjective objective : {FitObjective::kHuber, FitObjective::kLad, FitObjective::kMse, FitObjective::kMseRaw}) {
    const AnalysisResult result = fit([&](auto& o) { o.spec.objective = objective; });
    ASSERT_TRUE(result.parametric) << ToString(objective);
    EXPECT_NEAR(result.parametric->law.a(), HoffmannLaw().a(), 0.1) << ToString(objective);
  }
  for (const char* method : {"pairs", "cluster", "wild", "parametric"}) {
    const AnalysisResult result = fit([&](auto& o) { o.spec.bootstrap_method = method; });
    EXPECT_EQ(result.bootstrap.method, method);
    EXPECT_NE(result.parametric->a.At(95), nullptr) << method;
  }
  for (const FitWeights weights : {FitWeights::kNone, FitWeights::kByRun, FitWeights::kInverseVariance}) {
    EXPECT_TRUE(fit([&](auto& o) { o.spec.weights = weights; }).parametric) << ToString(weights);
  }
}

// All sections at once: each is there, and threads change no byte of them.
TEST(AnalyzeTest, EverySectionIsFilledWhateverTheThreads) {
  std::vector<Observation> study = SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 5, 7, 6, 0.005, 12);
  AnalysisOptions options = Quick();
  options.sections = AnalysisOptions::Sections();
  options.threads = 1;
  const absl::StatusOr<AnalysisResult> one = Analyze(study, options);
  options.threads = 3;
  const absl::StatusOr<AnalysisResult> three = Analyze(study, options);
  ASSERT_TRUE(one.ok() && three.ok());
  EXPECT_TRUE(one->agreement && one->holdout && one->forms && one->coverage && one->design);
  EXPECT_NE(one->agreement->verdict, Verdict::kCannotTell) << one->agreement->reason;
  EXPECT_FALSE(one->sensitivity.empty() || one->profiles.empty() || one->influence.empty() || one->conventions.empty());
  EXPECT_FALSE(one->overtraining.empty() || one->inference.empty());
  EXPECT_FALSE(one->parametric->A.bca.empty());
  EXPECT_EQ(one->agreement->reason, three->agreement->reason);
  ASSERT_EQ(one->sensitivity.size(), three->sensitivity.size());
  for (size_t i = 0; i < one->sensitivity.size(); ++i) EXPECT_EQ(one->sensitivity[i].name, three->sensitivity[i].name);
  EXPECT_EQ(one->coverage->rows.at(0).covered_percent, three->coverage->rows.at(0).covered_percent);
  EXPECT_EQ(one->holdout->mean_relative_error, three->holdout->mean_relative_error);
  EXPECT_EQ(one->parametric->a.At(95)->lo, three->parametric->a.At(95)->lo);
}

}  // namespace
}  // namespace isoflop
