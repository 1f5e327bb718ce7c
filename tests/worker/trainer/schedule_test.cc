#include "worker/trainer/schedule.h"

#include <gtest/gtest.h>

namespace isoflop {
namespace {

ScheduleSpec Schedule(ScheduleKind kind, int64_t decay_steps, double final_fraction, DecayShape shape = DecayShape::kLinear) {
  ScheduleSpec schedule;
  schedule.kind = kind;
  schedule.warmup_steps = 10;
  schedule.decay_steps = decay_steps;
  schedule.decay_shape = shape;
  schedule.final_fraction = final_fraction;
  return schedule;
}

// Golden numbers for S = 100, w = 10.
TEST(ScheduleTest, CosineFallsFromThePeakToItsFraction) {
  const ScheduleSpec cosine = Schedule(ScheduleKind::kCosine, 0, 0.1);
  EXPECT_NEAR(LearningRateFactor(cosine, 100, 0), 0.1, 1e-6);
  EXPECT_NEAR(LearningRateFactor(cosine, 100, 9), 1, 1e-6);
  EXPECT_NEAR(LearningRateFactor(cosine, 100, 55), 0.55, 1e-6);
}

TEST(ScheduleTest, WsdHoldsThenDecaysLinearly) {
  const ScheduleSpec wsd = Schedule(ScheduleKind::kWsd, 20, 0);
  EXPECT_NEAR(LearningRateFactor(wsd, 100, 0), 0.1, 1e-6);
  EXPECT_NEAR(LearningRateFactor(wsd, 100, 79), 1, 1e-6);
  EXPECT_NEAR(LearningRateFactor(wsd, 100, 80), 0.95, 1e-6);
  EXPECT_NEAR(LearningRateFactor(wsd, 100, 89), 0.5, 1e-6);
  EXPECT_NEAR(LearningRateFactor(wsd, 100, 99), 0, 1e-6);
}

TEST(ScheduleTest, WsdDecaysBySquareRoot) {
  const ScheduleSpec wsd = Schedule(ScheduleKind::kWsd, 20, 0, DecayShape::kSqrt);
  EXPECT_NEAR(LearningRateFactor(wsd, 100, 80), 0.776393, 1e-6);
  EXPECT_NEAR(LearningRateFactor(wsd, 100, 84), 0.5, 1e-6);
}

TEST(ScheduleTest, ATrunkAndAConstantRateHoldToTheEnd) {
  EXPECT_EQ(LearningRateFactor(Schedule(ScheduleKind::kWsd, 0, 0), 100, 99), 1);
  EXPECT_EQ(LearningRateFactor(Schedule(ScheduleKind::kConstant, 0, 0), 100, 99), 1);
  EXPECT_NEAR(LearningRateFactor(Schedule(ScheduleKind::kConstant, 0, 0), 100, 4), 0.5, 1e-6);
}

TEST(ScheduleTest, ADecayThatReachesIntoTheWarmUpStillEndsAtItsFraction) {
  const ScheduleSpec wsd = Schedule(ScheduleKind::kWsd, 12, 0);
  EXPECT_NEAR(LearningRateFactor(wsd, 12, 11), 0, 1e-6);
  EXPECT_LT(LearningRateFactor(wsd, 12, 5), 0.6);
}

}  // namespace
}  // namespace isoflop
