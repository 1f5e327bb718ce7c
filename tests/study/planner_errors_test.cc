// What a plan refuses, with the place in the YAML and a cure.
#include <gtest/gtest.h>

#include "tests/study/plan_world.h"

namespace isoflop {
namespace {

constexpr char kText[] = R"(name: small
description: errors of the plan
resources: {slot: cpu}
seeds: [1]
model:
  ladder: [[16,1,4], [24,1,4], [32,1,4], [40,1,4], [48,1,4], [56,1,4], [64,1,4], [80,1,4], [96,1,4]]
  sequence_length: 64
data: {path: austen.txt.xz}
grid:
  kind: isoflop
  budgets: {from: 5e10, to: 6e11, points: 4}
  sizes_per_budget: all
  spread: 3
  center: {tokens_per_parameter: 45}
optimizer:
  lr_peak: 1e-2
batch:
  tokens: 512
)";

std::string Error(const std::vector<std::string>& overrides, const PlanFacts& facts = SmallWorld()) {
  const absl::StatusOr<Plan> plan = TryPlan(kText, facts, overrides);
  EXPECT_FALSE(plan.ok());
  if (plan.ok()) return "";
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(plan.status().message());
}

TEST(PlannerErrorsTest, MoreTokensThanTheDataHold) {
  EXPECT_EQ(Error({}),
            "study.yaml:8:7: 1 cell needs 4.85M tokens, the data hold 3.62M\n"
            "  data: {path: austen.txt.xz}\n"
            "        ^\n"
            "cure: data.if_short: drop (keeps 23 of 24 cells) or repeat");
}

TEST(PlannerErrorsTest, AllCellsShortOfDataIsAnErrorEvenWithDrop) {
  PlanFacts facts = SmallWorld();
  facts.unique_tokens = 1000;
  EXPECT_NE(Error({"data.if_short=drop"}, facts).find("24 cells need up to 4.85M tokens, the data hold 1.0K"),
            std::string::npos);
}

TEST(PlannerErrorsTest, ARuleByTokensWithSharedTrunks) {
  std::string text = kText;
  text.replace(text.find("1e-2"), 4, "{rule: step-law}");
  PlanFacts facts = SmallWorld();
  facts.unique_tokens = 10'000'000;
  const absl::StatusOr<Plan> plan = TryPlan(text, facts);
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(std::string(plan.status().message()),
            "study.yaml:16:19: lr_peak by rule 'step-law' depends on D: no shared trunks\n"
            "    lr_peak: {rule: step-law}\n"
            "                    ^\n"
            "cure: schedule.trunks: none (6.71e12 FLOPs), or a rule without D");
  EXPECT_NE(Error({"batch={rule: nanochat}", "data.if_short=drop"}).find("batch by rule 'nanochat' depends on D"),
            std::string::npos);
}

TEST(PlannerErrorsTest, StepsThatMissDByMoreThanTheTolerance) {
  const std::string error = Error({"batch.tokens=65536", "data.if_short=drop"});
  EXPECT_NE(error.find("% off in whole steps, grid.tolerance is 1 %"), std::string::npos) << error;
  EXPECT_NE(error.find("cure: a smaller batch"), std::string::npos) << error;
}

TEST(PlannerErrorsTest, ABudgetWithoutASize) {
  EXPECT_NE(Error({"grid.budgets=[1e20]"}).find("no size of the ladder (7.2K - 136K) is within a factor 3 of 609M, "
                                                 "the centre of budget 1e20"),
            std::string::npos)
      << Error({"grid.budgets=[1e20]"});
}

TEST(PlannerErrorsTest, AVocabularySmallerThanTheDatas) {
  EXPECT_NE(Error({"model.vocab_size=256"}).find("vocab_size 256, but the data have ids up to 256"), std::string::npos);
}

TEST(PlannerErrorsTest, ALawThatIsNotFitted) {
  EXPECT_NE(Error({"grid.center={law: web}"}).find("study 'web' has no fitted law"), std::string::npos);
}

TEST(PlannerErrorsTest, HeadsOfAListsShapes) {
  EXPECT_NE(Error({"grid={kind: list, points: [{shape: [72, 2, 5], tokens: 1M}]}"}).find("5 heads do not divide d_model 72"),
            std::string::npos);
}

TEST(PlannerErrorsTest, MupIsForTransformers) {
  const std::string error = Error({"model={family: lstm, ladder: [[16, 1]], sequence_length: 64}",
                                       "optimizer={lr_peak: {rule: mup, value: 1e-2, base_width: 16}}"});
  EXPECT_NE(error.find("worked out for transformers"), std::string::npos) << error;
}

TEST(PlannerErrorsTest, RanksThatDoNotDivideTheBatch) {
  EXPECT_NE(Error({"data.if_short=drop", "resources.slots_per_trial=3"}).find("3 slots do not divide a batch of 8 sequences"),
            std::string::npos);
  EXPECT_NE(Error({"data.if_short=drop", "resources.slots_per_trial={10K: 1}"}).find("no rule for "), std::string::npos);
}

TEST(PlannerErrorsTest, MemoryOfTheLargestTrial) {
  PlanFacts facts = SmallWorld();
  facts.slot_memory_bytes = 1e6;
  const std::string error = Error({"data.if_short=drop"}, facts);
  EXPECT_NE(error.find("160K parameters need "), std::string::npos) << error;
  EXPECT_NE(error.find("a slot has 1.0 MB"), std::string::npos) << error;
}

}  // namespace
}  // namespace isoflop
