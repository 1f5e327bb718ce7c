#include "study/planner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "study/trial_text.h"
#include "tests/study/plan_world.h"

namespace isoflop {
namespace {

double ParamsOf(const Plan& plan, const PlannedTrial& trial) {
  return static_cast<double>(ParamsUnder(plan.count, trial.params, trial.spec.model));
}

bool HasWarning(const Plan& plan, const std::string& text) {
  return std::any_of(plan.warnings.begin(), plan.warnings.end(),
                     [&](const std::string& warning) { return warning.find(text) != std::string::npos; });
}

TEST(PlannerTest, TheQuickstartHasItsGoldenCountsAndTotals) {
  const Plan plan = MustPlan(kQuickstart, SmallWorld());
  EXPECT_EQ(plan.cells, 23);
  EXPECT_EQ(plan.observations, 46);
  EXPECT_EQ(plan.trunks, 14);
  EXPECT_EQ(plan.known, 0);
  EXPECT_EQ(plan.trials.size(), 60u);
  EXPECT_NEAR(plan.flops_to_spend, 9.23e12, 0.005e12);
  EXPECT_NEAR(plan.flops_without_trunks, 1.22e13, 0.005e13);
  ASSERT_EQ(plan.left_out.size(), 1u);
  EXPECT_NEAR(plan.left_out[0].tokens_needed, 4.85e6, 0.005e6);
  EXPECT_EQ(plan.left_out[0].budget_flops, 6e11);
  EXPECT_TRUE(plan.warnings.empty());
}

TEST(PlannerTest, SameSpecAndFactsSamePlan) {
  const Plan a = MustPlan(kQuickstart, SmallWorld());
  const Plan b = MustPlan(kQuickstart, SmallWorld());
  ASSERT_EQ(a.trials.size(), b.trials.size());
  for (size_t i = 0; i < a.trials.size(); ++i) EXPECT_EQ(a.trials[i].text, b.trials[i].text);
  EXPECT_EQ(a.resolved_yaml, b.resolved_yaml);
}

TEST(PlannerTest, TheResolvedYamlPlansTheSameTrials) {
  const Plan plan = MustPlan(kQuickstart, SmallWorld());
  const Plan again = MustPlan(plan.resolved_yaml, SmallWorld());
  ASSERT_EQ(again.trials.size(), plan.trials.size());
  for (size_t i = 0; i < plan.trials.size(); ++i) EXPECT_EQ(again.trials[i].fingerprint, plan.trials[i].fingerprint);
  EXPECT_EQ(again.resolved_yaml, plan.resolved_yaml);
}

TEST(PlannerTest, SplitsEachBudgetOverTheSizesOfItsSpread) {
  const Plan plan = MustPlan(kQuickstart, SmallWorld());
  for (const PlannedTrial& trial : plan.trials) {
    if (trial.role == TrialRole::kTrunk) continue;
    const double params = ParamsOf(plan, trial);
    const double center = std::sqrt(trial.budget_flops / (6 * 45));
    EXPECT_LE(std::fabs(std::log(params / center)), std::log(3.0) + 1e-9);
    const auto tokens = static_cast<double>(trial.spec.tokens_planned());
    EXPECT_NEAR(6 * params * tokens / trial.budget_flops, 1, 0.01) << "C = 6 N D within the tolerance";
    EXPECT_DOUBLE_EQ(trial.flops_6nd, 6 * params * tokens);
  }
}

TEST(PlannerTest, TrunksComeFirstThenCellsByBudgetSizeAndSeed) {
  const Plan plan = MustPlan(kQuickstart, SmallWorld());
  std::vector<std::tuple<double, double, int64_t>> order;
  bool cells_begun = false;
  for (const PlannedTrial& trial : plan.trials) {
    if (trial.role == TrialRole::kTrunk) {
      EXPECT_FALSE(cells_begun);
    } else {
      cells_begun = true;
      order.emplace_back(trial.budget_flops, ParamsOf(plan, trial), trial.spec.seed);
    }
  }
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(PlannerTest, ABranchFitsItsTrunk) {
  const Plan plan = MustPlan(kQuickstart, SmallWorld());
  std::map<size_t, std::set<int64_t>> branch_steps;
  for (const PlannedTrial& trial : plan.trials) {
    if (trial.role != TrialRole::kBranch) {
      EXPECT_FALSE(trial.parent.has_value());
      continue;
    }
    const PlannedTrial& trunk = plan.trials[*trial.parent];
    EXPECT_EQ(trunk.role, TrialRole::kTrunk);
    EXPECT_EQ(trunk.spec.model, trial.spec.model);
    EXPECT_EQ(trunk.spec.seed, trial.spec.seed);
    EXPECT_EQ(trial.spec.parent_lineage, trunk.lineage);
    EXPECT_EQ(*trial.spec.branch_step + trial.spec.schedule.decay_steps, trial.spec.steps);
    EXPECT_EQ(trial.spec.schedule.warmup_steps, trunk.spec.schedule.warmup_steps);
    EXPECT_EQ(trunk.spec.schedule.decay_steps, 0);
    branch_steps[*trial.parent].insert(*trial.spec.branch_step);
    // A branch costs its cooldown, 20 % of its path.
    EXPECT_NEAR(trial.flops_to_spend / trial.flops_6nd, 0.2, 0.002);
  }
  for (const auto& [trunk, steps] : branch_steps) {
    EXPECT_EQ(plan.trials[trunk].spec.branch_steps, std::vector<int64_t>(steps.begin(), steps.end()));
    EXPECT_EQ(plan.trials[trunk].spec.steps, *steps.rbegin());
    EXPECT_GE(steps.size(), 2u);
  }
}

TEST(PlannerTest, EveryTrialsTextReadsBackAndFingerprintsDiffer) {
  const Plan plan = MustPlan(kQuickstart, SmallWorld());
  std::set<std::string> fingerprints;
  for (const PlannedTrial& trial : plan.trials) {
    const absl::StatusOr<TrialSpec> read = ParseTrialText(trial.text);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, trial.spec);
    EXPECT_TRUE(fingerprints.insert(trial.fingerprint).second);
  }
}

TEST(PlannerTest, KnownTrialsCostNothing) {
  PlanFacts facts = SmallWorld();
  const Plan before = MustPlan(kQuickstart, facts);
  double known_cost = 0;
  size_t known = 0;
  for (const PlannedTrial& trial : before.trials) {
    if (trial.role == TrialRole::kTrunk || trial.spec.model.d_model != 16) continue;
    facts.known_fingerprints.insert(trial.fingerprint);
    known_cost += trial.flops_to_spend;
    ++known;
  }
  for (const PlannedTrial& trial : before.trials) {
    if (trial.role == TrialRole::kTrunk && trial.spec.model.d_model == 16) {
      known_cost += trial.flops_to_spend;  // nobody waits for it any more
      ++known;
    }
  }
  const Plan after = MustPlan(kQuickstart, facts);
  EXPECT_EQ(after.known, static_cast<int>(known));
  EXPECT_NEAR(before.flops_to_spend - after.flops_to_spend, known_cost, 1e3);
}

TEST(PlannerTest, WithoutTrunksEachCellIsASingle) {
  const Plan plan = MustPlan(kQuickstart, SmallWorld(), {"schedule.trunks=none"});
  EXPECT_EQ(plan.trunks, 0);
  EXPECT_EQ(plan.observations, 46);
  EXPECT_DOUBLE_EQ(plan.flops_to_spend, plan.flops_without_trunks);
  EXPECT_NEAR(plan.flops_to_spend, 1.22e13, 0.005e13);
}

TEST(PlannerTest, WarmupIsAShareOfTheLongestD) {
  const Plan plan = MustPlan(kQuickstart, SmallWorld());
  int64_t longest = 0;
  for (const PlannedTrial& trial : plan.trials) longest = std::max(longest, trial.spec.steps);
  const int64_t expected = std::llround(0.02 * static_cast<double>(longest));
  for (const PlannedTrial& trial : plan.trials) EXPECT_EQ(trial.spec.schedule.warmup_steps, expected);
  EXPECT_NE(plan.resolved_yaml.find("warmup: " + std::to_string(expected) + " steps"), std::string::npos);
}

TEST(PlannerTest, AWarmupBeyondHalfTheShortestWayIsCutAndSaid) {
  const Plan plan = MustPlan(kQuickstart, SmallWorld(), {"schedule.warmup=600 steps"});
  EXPECT_TRUE(HasWarning(plan, "warm-up cut to half"));
  for (const PlannedTrial& trial : plan.trials) {
    if (trial.role == TrialRole::kTrunk) continue;
    EXPECT_LE(2 * trial.spec.schedule.warmup_steps, trial.spec.steps - trial.spec.schedule.decay_steps);
    if (trial.parent) {
      EXPECT_EQ(trial.spec.schedule.warmup_steps, plan.trials[*trial.parent].spec.schedule.warmup_steps);
    }
  }
}

TEST(PlannerTest, EvaluationsFollowATrialsOwnSteps) {
  for (const PlannedTrial& trial : MustPlan(kQuickstart, SmallWorld()).trials) {
    EXPECT_EQ(trial.spec.eval_every_steps, std::llround(0.05 * static_cast<double>(trial.spec.steps)));
    EXPECT_EQ(trial.spec.eval_sequence_length, 64);
  }
  const Plan by_tokens = MustPlan(kQuickstart, SmallWorld(), {"evaluation.every=51200"});
  EXPECT_EQ(by_tokens.trials[0].spec.eval_every_steps, 100);
}

TEST(PlannerTest, PrecisionFollowsTheSlots) {
  EXPECT_EQ(MustPlan(kQuickstart, SmallWorld()).trials[0].spec.precision, Precision::kFp32);
  EXPECT_EQ(MustPlan(kQuickstart, SmallWorld(), {"resources.slot=gpu"}).trials[0].spec.precision, Precision::kBf16);
  EXPECT_EQ(MustPlan(kQuickstart, SmallWorld(), {"precision=bf16"}).trials[0].spec.precision, Precision::kBf16);
}

TEST(PlannerTest, ReplicatesAreSinglesOfTheCheapestCells) {
  const Plan plan = MustPlan(kQuickstart, SmallWorld(), {"replicates={cells: 2, seeds: 5}"});
  EXPECT_EQ(plan.observations, 46 + 2 * 3);
  std::map<int64_t, int> by_seed;
  double dearest_replicate = 0;
  double cheapest = 1e99;
  for (const PlannedTrial& trial : plan.trials) {
    if (trial.role == TrialRole::kTrunk) continue;
    cheapest = std::min(cheapest, trial.flops_6nd);
    if (trial.spec.seed <= 2) continue;
    ++by_seed[trial.spec.seed];
    EXPECT_EQ(trial.role, TrialRole::kSingle);
    dearest_replicate = std::max(dearest_replicate, trial.flops_6nd);
  }
  EXPECT_EQ(by_seed, (std::map<int64_t, int>{{3, 2}, {4, 2}, {5, 2}}));
  EXPECT_NEAR(dearest_replicate / cheapest, 1, 0.02) << "the cheapest budget's cells";
}

TEST(PlannerTest, SizesPerBudgetAreTheNearestShapesLogSpaced) {
  const Plan plan = MustPlan(kQuickstart, SmallWorld(), {"grid.sizes_per_budget=3", "seeds=[1]"});
  // At 5e10: the centre 13.6K, targets 4.5K, 13.6K, 40.8K: rungs 7.2K, 13.2K, 40.1K.
  std::vector<double> sizes;
  for (const PlannedTrial& trial : plan.trials) {
    if (trial.role != TrialRole::kTrunk && trial.budget_flops == 5e10) sizes.push_back(ParamsOf(plan, trial));
  }
  ASSERT_EQ(sizes.size(), 3u);
  EXPECT_NEAR(sizes[0], 7200, 100);
  EXPECT_NEAR(sizes[1], 13200, 100);
  EXPECT_NEAR(sizes[2], 40100, 100);
}

TEST(PlannerTest, ALawCanCentreTheSizes) {
  PlanFacts facts = SmallWorld();
  facts.optimal_params = [](double budget) { return 0.1 * std::pow(budget / 6, 0.5); };
  const Plan plan = MustPlan(kQuickstart, facts, {"grid.center={law: other}"});
  for (const PlannedTrial& trial : plan.trials) {
    if (trial.role == TrialRole::kTrunk) continue;
    EXPECT_LE(std::fabs(std::log(ParamsOf(plan, trial) / facts.optimal_params(trial.budget_flops))), std::log(3.0) + 1e-9);
  }
}

TEST(PlannerTest, AProductHasEverySizeAtEveryRatio) {
  const Plan plan = MustPlan(kQuickstart, SmallWorld(),
                             {"grid={kind: product, params: [7K, 30K], tokens_per_parameter: [10, 20, 40]}", "seeds=[1]"});
  EXPECT_EQ(plan.cells, 6);
  EXPECT_EQ(plan.trunks, 2);
  for (const PlannedTrial& trial : plan.trials) {
    if (trial.role == TrialRole::kTrunk) continue;
    const double ratio = static_cast<double>(trial.spec.tokens_planned()) / ParamsOf(plan, trial);
    EXPECT_NEAR(ratio / (ratio < 15 ? 10 : ratio < 30 ? 20 : 40), 1, 0.01);
  }
}

TEST(PlannerTest, AListTakesSizesShapesTokensAndFlops) {
  const Plan plan = MustPlan(
      kQuickstart, SmallWorld(),
      {"grid={kind: list, points: [{params: 30K, tokens: 1M}, {shape: [72, 2, 4], flops: 5e11}]}", "seeds=[1]"});
  ASSERT_EQ(plan.trials.size(), 2u);
  EXPECT_NEAR(static_cast<double>(plan.trials[0].spec.tokens_planned()), 1e6, 1e4);
  EXPECT_EQ(plan.trials[1].spec.model.d_model, 72) << "a shape beside the ladder";
  EXPECT_EQ(plan.trials[1].spec.model.d_ff, 288);
  EXPECT_NEAR(plan.trials[1].flops_6nd, 5e11, 5e9);
}

TEST(PlannerTest, AnLstmLadderPlansTrunksBranchesAndItsResolvedText) {
  const std::vector<std::string> lstm = {
      "model={family: lstm, ladder: [[16, 1], [32, 1], [48, 1]], sequence_length: 64, dropout: 0.1}",
      "grid={kind: product, params: all, tokens_per_parameter: [10, 20]}", "seeds=[1]"};
  const Plan plan = MustPlan(kQuickstart, SmallWorld(), lstm);
  EXPECT_EQ(plan.cells, 6);
  EXPECT_EQ(plan.trunks, 3);
  for (const PlannedTrial& trial : plan.trials) {
    const double d = static_cast<double>(trial.spec.model.d_model);
    // Gates 8 d^2 + 8 d, head 257 d + 257; FLOPs without the biases.
    EXPECT_EQ(ParamsOf(plan, trial), 8 * d * d + 8 * d + 257 * d + 257);
    EXPECT_DOUBLE_EQ(trial.flops_exact / static_cast<double>(trial.spec.tokens_planned()), 6 * (8 * d * d + 257 * d));
    EXPECT_EQ(trial.spec.model.dropout, 0.1);
    const absl::StatusOr<TrialSpec> read = ParseTrialText(trial.text);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, trial.spec);
  }
  const Plan again = MustPlan(plan.resolved_yaml, SmallWorld());
  ASSERT_EQ(again.trials.size(), plan.trials.size());
  for (size_t i = 0; i < plan.trials.size(); ++i) EXPECT_EQ(again.trials[i].fingerprint, plan.trials[i].fingerprint);
}

TEST(PlannerTest, AListsShapesOfAnLstmHaveNoHeads) {
  const Plan plan = MustPlan(kQuickstart, SmallWorld(),
                             {"model={family: lstm, ladder: [[16, 1]], sequence_length: 64}",
                              "grid={kind: list, points: [{shape: [40, 2], tokens: 1M}]}", "seeds=[1]"});
  ASSERT_EQ(plan.trials.size(), 1u);
  EXPECT_EQ(plan.trials[0].spec.model.d_model, 40);
  EXPECT_EQ(plan.trials[0].spec.model.n_layer, 2);
}

TEST(PlannerTest, BaselinesStandBehindTheCellsAndCostNoFlops) {
  const Plan without = MustPlan(kQuickstart, SmallWorld());
  const Plan plan = MustPlan(kQuickstart, SmallWorld(),
                             {"baselines=[{family: ngram, orders: [1, 2, 3], smoothing: [kneser_ney, add_k], k: 0.5, "
                              "tokens: [64K, 1M]}, {family: ngram, orders: [5]}]"});
  EXPECT_EQ(plan.baselines, 13);
  EXPECT_EQ(plan.observations, without.observations);
  EXPECT_EQ(plan.flops_to_spend, without.flops_to_spend);
  EXPECT_EQ(plan.flops_without_trunks, without.flops_without_trunks);
  ASSERT_EQ(plan.trials.size(), without.trials.size() + 13);
  std::set<std::string> fingerprints;
  for (size_t i = 0; i < plan.trials.size(); ++i) {
    const PlannedTrial& trial = plan.trials[i];
    if (i < without.trials.size()) {
      EXPECT_EQ(trial.text, without.trials[i].text);
      continue;
    }
    EXPECT_EQ(trial.role, TrialRole::kBaseline);
    EXPECT_EQ(trial.params, ParamCounts{});
    EXPECT_EQ(trial.flops_exact, 0);
    EXPECT_EQ(trial.slots, 1);
    const absl::StatusOr<TrialSpec> read = ParseTrialText(trial.text);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, trial.spec);
    EXPECT_TRUE(fingerprints.insert(trial.fingerprint).second);
  }
  // Whole windows of 64: 1,000, and all but the last token of the rest.
  EXPECT_EQ(plan.trials[without.trials.size()].spec.tokens_planned(), 64'000);
  const TrialSpec& all = plan.trials.back().spec;
  EXPECT_EQ(all.tokens_planned(), (SmallWorld().unique_tokens - 1) / 64 * 64);
  EXPECT_EQ(all.model.ngram_order, 5);

  const Plan again = MustPlan(plan.resolved_yaml, SmallWorld());
  ASSERT_EQ(again.trials.size(), plan.trials.size());
  for (size_t i = 0; i < plan.trials.size(); ++i) EXPECT_EQ(again.trials[i].fingerprint, plan.trials[i].fingerprint);
}

TEST(PlannerTest, ABaselineShortOfDataIsRefusedOrLeftOutByName) {
  const std::vector<std::string> wanted = {"baselines=[{family: ngram, orders: [2], tokens: 1B}]"};
  EXPECT_TRUE(HasWarning(MustPlan(kQuickstart, SmallWorld(), wanted), "a baseline needs 1.00B tokens"));
  std::vector<std::string> strict = wanted;
  strict.push_back("data.if_short=error");
  strict.push_back("grid.budgets=[5e10]");
  const absl::StatusOr<Plan> plan = TryPlan(kQuickstart, SmallWorld(), strict);
  ASSERT_FALSE(plan.ok());
  EXPECT_NE(std::string(plan.status().message()).find("a baseline needs 1.00B tokens"), std::string::npos) << plan.status();
}

TEST(PlannerTest, ExactFlopsPriceAttentionToo) {
  const Plan plan = MustPlan(kQuickstart, SmallWorld(), {"grid.flops=exact", "schedule.trunks=none"});
  for (const PlannedTrial& trial : plan.trials) {
    EXPECT_NEAR(trial.flops_exact / trial.budget_flops, 1, 0.01);
    EXPECT_DOUBLE_EQ(trial.flops_to_spend, trial.flops_exact);
    EXPECT_LT(trial.flops_exact_causal, trial.flops_exact);
  }
}

TEST(PlannerTest, RulesByTokensGiveEachTrialItsOwnBatchAndRate) {
  const Plan plan = MustPlan(kQuickstart, SmallWorld(),
                             {"schedule.trunks=none", "optimizer.lr_peak={rule: step-law}", "batch={rule: step-law}",
                              "grid.tolerance=5%", "data.if_short=drop"});
  std::set<int64_t> batches;
  for (const PlannedTrial& trial : plan.trials) batches.insert(trial.spec.batch_sequences);
  EXPECT_GT(batches.size(), 3u);
}

TEST(PlannerTest, RepeatingDataIsAllowedByNameOnly) {
  const Plan plan = MustPlan(kQuickstart, SmallWorld(), {"data.if_short=repeat"});
  EXPECT_EQ(plan.cells, 24);
  EXPECT_TRUE(plan.left_out.empty());
  EXPECT_TRUE(HasWarning(plan, "1 cell repeats data and will not be fitted"));
  int repeating = 0;
  for (const PlannedTrial& trial : plan.trials) {
    const bool beyond = trial.spec.tokens_planned() > 3'620'000;
    EXPECT_EQ(trial.spec.data.allow_repeat && trial.role != TrialRole::kTrunk, beyond && trial.role != TrialRole::kTrunk);
    repeating += beyond && trial.role != TrialRole::kTrunk;
  }
  EXPECT_EQ(repeating, 2);
}

TEST(PlannerTest, WarnsOfThinGridsAndLimits) {
  const Plan thin = MustPlan(kQuickstart, SmallWorld(), {"grid.budgets=[1e11]", "grid.sizes_per_budget=2"});
  EXPECT_TRUE(HasWarning(thin, "has 2 sizes: under 3 approach 2 cannot fit it"));
  EXPECT_TRUE(HasWarning(thin, "one budget alone has no exponent"));
  const Plan four = MustPlan(kQuickstart, SmallWorld(), {"grid.sizes_per_budget=4"});
  EXPECT_TRUE(HasWarning(four, "has 4 sizes: 5 or more fit well"));
  const Plan dear = MustPlan(kQuickstart, SmallWorld(), {"limits.flops=1e12"});
  EXPECT_TRUE(dear.over_limit);
  EXPECT_TRUE(HasWarning(dear, "9.23e12 FLOPs are over limits.flops 1e12"));
  EXPECT_FALSE(MustPlan(kQuickstart, SmallWorld(), {"limits.flops=1e13"}).over_limit);
}

TEST(PlannerTest, OwnTrainersCarryCommandOptionsAndSources) {
  constexpr char kOwn[] = R"(name: own
data: {path: d}
model:
  family: custom
  ladder:
    - {id: s, params_blocks: 9K, params_embedding: 4K, params_head: 4K, options: {depth: 6}}
    - {id: m, params_blocks: 30K, params_embedding: 8K, params_head: 8K}
  sequence_length: 64
grid: {kind: product, params: all, tokens_per_parameter: [10, 20]}
schedule: {kind: cosine}
optimizer: {lr_peak: 1e-3}
batch: {sequences: 8}
resources: {slot: cpu}
trainer: {command: [python, train.py], options: {compile: true}}
)";
  PlanFacts facts = SmallWorld();
  facts.trainer_sources_sha256 = "aa";
  const Plan plan = MustPlan(kOwn, facts);
  ASSERT_EQ(plan.trials.size(), 4u);
  const TrialSpec& trial = plan.trials[0].spec;
  EXPECT_EQ(trial.model.custom_id, "s");
  EXPECT_EQ(plan.trials[0].params, (ParamCounts{4000, 0, 4000, 9000}));
  ASSERT_TRUE(trial.trainer.has_value());
  EXPECT_EQ(trial.trainer->sources_sha256, "aa");
  facts.trainer_sources_sha256 = "bb";
  EXPECT_NE(MustPlan(kOwn, facts).trials[0].fingerprint, plan.trials[0].fingerprint) << "changed script, new trial";
}

}  // namespace
}  // namespace isoflop
