#include "study/pricing.h"

#include <gtest/gtest.h>

#include "tests/study/plan_world.h"

namespace isoflop {
namespace {

PlannedTrial Taking(double seconds, int slots = 1) {
  PlannedTrial trial;
  trial.seconds_estimate = seconds;
  trial.slots = slots;
  trial.spec.steps = 100;
  return trial;
}

TEST(PricingTest, MakespanGoesLongestFirst) {
  // 5, 4, 3, 3, 3 on two slots: 5+3 | 4+3+... = 5,4 | then 3 at 4, 3 at 5, 3 at 7: 10.
  EXPECT_DOUBLE_EQ(Makespan({Taking(3), Taking(5), Taking(3), Taking(4), Taking(3)}, 2), 10);
  EXPECT_DOUBLE_EQ(Makespan({Taking(3), Taking(5)}, 1), 8);
  EXPECT_DOUBLE_EQ(Makespan({}, 2), 0);
}

TEST(PricingTest, ATrialOnTwoSlotsTakesHalfTheTimeAndBoth) {
  EXPECT_DOUBLE_EQ(Makespan({Taking(8, 2), Taking(3)}, 2), 7);
  EXPECT_DOUBLE_EQ(Makespan({Taking(8, 4), Taking(3)}, 2), 5) << "more slots than there are: never stuck";
}

TEST(PricingTest, ABranchWaitsForItsTrunksStep) {
  std::vector<PlannedTrial> trials = {Taking(10), Taking(2)};
  trials[0].role = TrialRole::kTrunk;
  trials[1].parent = 0;
  trials[1].spec.branch_step = 50;
  EXPECT_DOUBLE_EQ(Makespan(trials, 2), 10) << "ready at 5, ends at 7";
  EXPECT_DOUBLE_EQ(Makespan(trials, 1), 12);
  trials[1].spec.branch_step = 100;
  EXPECT_DOUBLE_EQ(Makespan(trials, 2), 12);
  trials[0].known = true;
  EXPECT_DOUBLE_EQ(Makespan(trials, 2), 2) << "a known trunk costs nothing";
}

TEST(PricingTest, SecondsCountEvaluationsAtAThird) {
  TrialSpec trial;
  trial.model.d_model = 16;
  trial.model.n_layer = 1;
  trial.model.n_head = 4;
  trial.model.d_ff = 64;
  trial.model.vocab_size = 257;
  trial.sequence_length = 64;
  trial.batch_sequences = 8;
  trial.steps = 100;
  PlanFacts facts;
  facts.eval_tokens = 3000;
  EXPECT_EQ(SlotSeconds(trial, 100, facts), 0) << "no speed, no time";
  facts.speeds = {MeasuredSpeed{trial.model, 64, 1000}};
  EXPECT_DOUBLE_EQ(SlotSeconds(trial, 100, facts), (51200 + 1000) / 1000.0) << "at the end only";
  trial.eval_every_steps = 20;
  EXPECT_DOUBLE_EQ(SlotSeconds(trial, 100, facts), (51200 + 4 * 512 + 1000) / 1000.0)
      << "at 20, 40, 60, 80, each 5 % of 20 steps, and the end";
  facts.eval_tokens = 600;
  EXPECT_DOUBLE_EQ(SlotSeconds(trial, 100, facts), (51200 + 5 * 200) / 1000.0) << "never more than the set holds";
  facts.eval_tokens = 3000;
  EXPECT_DOUBLE_EQ(SlotSeconds(trial, 30, facts), (15360 + 1512) / 1000.0) << "a branch from 70: at 80 and the end";
}

TEST(PricingTest, AutoSlotsDoubleOnlyForWhatWouldHoldUpTheRest) {
  StudySpec spec;
  PlanFacts facts;
  facts.slots = 8;
  std::vector<PlannedTrial> trials(9);
  for (PlannedTrial& trial : trials) {
    trial.spec.batch_sequences = 8;
    trial.seconds_estimate = 100;
  }
  trials[0].seconds_estimate = 800;  // ideal makespan 200, a quarter 50
  AssignSlots(spec, facts, &trials);
  EXPECT_EQ(trials[0].slots, 8);
  EXPECT_EQ(trials[1].slots, 2);
  trials[1].spec.batch_sequences = 7;
  AssignSlots(spec, facts, &trials);
  EXPECT_EQ(trials[1].slots, 1) << "two ranks do not divide seven sequences";
}

TEST(PricingTest, MemoryIsSixteenBytesAParameterAndActivations) {
  ModelShape shape;
  shape.d_model = 768;
  shape.n_layer = 12;
  shape.n_head = 12;
  shape.d_ff = 3072;
  shape.vocab_size = 50257;
  const auto params = static_cast<double>(CountParams(shape, 1024).total());
  const double fp32 = MemoryBytesPerSlot(shape, 1024, Precision::kFp32);
  const double bf16 = MemoryBytesPerSlot(shape, 1024, Precision::kBf16);
  EXPECT_DOUBLE_EQ(fp32, 16 * params + 68.0 * 1024 * 768 * 12 + 12.0 * 1024 * 50257);
  EXPECT_DOUBLE_EQ(bf16, 18 * params + 34.0 * 1024 * 768 * 12 + 10.0 * 1024 * 50257);
}

}  // namespace
}  // namespace isoflop
