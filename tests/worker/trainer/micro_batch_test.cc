#include "worker/trainer/micro_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace isoflop {
namespace {

using testing::ElementsAre;

TEST(MicroBatchTest, ChoicesAreTheDivisorsOfTheShare) {
  EXPECT_THAT(MicroBatchChoices(12, 64), ElementsAre(12, 6, 4, 3, 2, 1));
  EXPECT_THAT(MicroBatchChoices(12, 5), ElementsAre(4, 3, 2, 1));
  EXPECT_THAT(MicroBatchChoices(7, 6), ElementsAre(1));
}

TEST(MicroBatchTest, TheCpuTakesUpTo4096Tokens) {
  EXPECT_EQ(MostSequences(false, 128, std::nullopt), 32);
  EXPECT_EQ(MostSequences(false, 10'000, std::nullopt), 1);
  EXPECT_EQ(MostSequences(false, 128, 8), 8);
  EXPECT_EQ(MostSequences(true, 128, std::nullopt), 64);
}

TEST(MicroBatchTest, AllRanksSettleOnTheLargestThatFitsEverywhere) {
  // Another rank runs out of memory above 3.
  int64_t trying = 0;
  const auto found = LargestThatFits(
      {12, 6, 4, 3, 2, 1}, [&](int64_t count) { return (trying = count) <= 6; },
      [&](bool here) { return here && trying <= 3; });
  EXPECT_EQ(found, 3);
}

TEST(MicroBatchTest, NothingFits) {
  EXPECT_EQ(LargestThatFits({2, 1}, [](int64_t) { return false; }, [](bool here) { return here; }), std::nullopt);
}

}  // namespace
}  // namespace isoflop
