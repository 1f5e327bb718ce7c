#include "worker/trainer/divergence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace isoflop {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

TEST(DivergenceTest, ALossOrNormThatIsNotFiniteDivergesAtOnce) {
  EXPECT_TRUE(DivergenceWatch(257, 10).Observe(1, kNan, 1));
  EXPECT_TRUE(DivergenceWatch(257, 10).Observe(1, 5, kInf));
  EXPECT_FALSE(DivergenceWatch(257, 10).Observe(1, 5, 1));
}

TEST(DivergenceTest, AHundredStepsAboveAUniformGuessAfterWarmUp) {
  DivergenceWatch watch(257, 10);
  int64_t step = 1;
  for (; step < 200; ++step) {
    if (watch.Observe(step, std::log(257.0) + 0.6, 1)) break;
  }
  EXPECT_EQ(step, 110);  // steps 11 to 110
}

TEST(DivergenceTest, AHalfNatAboveIsStillAllowed) {
  DivergenceWatch watch(257, 0);
  for (int64_t step = 1; step < 300; ++step) ASSERT_FALSE(watch.Observe(step, std::log(257.0) + 0.49, 1));
}

TEST(DivergenceTest, OneStepBelowStartsTheCountAnew) {
  DivergenceWatch watch(2, 0);
  for (int64_t step = 1; step <= 99; ++step) ASSERT_FALSE(watch.Observe(step, 5, 1));
  EXPECT_EQ(watch.steps_above(), 99);
  ASSERT_FALSE(watch.Observe(100, -1000, 1));
  EXPECT_EQ(watch.steps_above(), 0);
}

TEST(DivergenceTest, GoesOnWhereAnotherStood) {
  DivergenceWatch whole(10, 3), first(10, 3), second(10, 3);
  for (int64_t step = 1; step <= 40; ++step) {
    const double loss = 3 + std::sin(static_cast<double>(step));
    whole.Observe(step, loss, 1);
    (step <= 20 ? first : second).Observe(step, loss, 1);
    if (step == 20) second.Restore(first.smoothed_loss_nats(), first.steps_above());
  }
  EXPECT_EQ(second.smoothed_loss_nats(), whole.smoothed_loss_nats());
  EXPECT_EQ(second.steps_above(), whole.steps_above());
}

}  // namespace
}  // namespace isoflop
