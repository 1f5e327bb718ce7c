#include "study/did_you_mean.h"

#include <gtest/gtest.h>

namespace isoflop {
namespace {

const std::vector<std::string> kKeys = {"name", "data", "model", "grid", "seeds", "schedule", "batch"};

TEST(DidYouMeanTest, FindsSwappedMissingAndWrongLetters) {
  EXPECT_EQ(DidYouMean("modle", kKeys), "model");
  EXPECT_EQ(DidYouMean("schdule", kKeys), "schedule");
  EXPECT_EQ(DidYouMean("sceduel", kKeys), "schedule");
  EXPECT_EQ(DidYouMean("Grid", kKeys), "grid");
}

TEST(DidYouMeanTest, StaysSilentWhenNothingIsNear) {
  EXPECT_EQ(DidYouMean("optimiser", kKeys), std::nullopt);
  EXPECT_EQ(DidYouMean("xy", kKeys), std::nullopt);
  EXPECT_EQ(DidYouMean("", kKeys), std::nullopt);
  EXPECT_EQ(DidYouMean("model", {}), std::nullopt);
}

TEST(DidYouMeanTest, PrefersTheNearestThenTheFirst) {
  EXPECT_EQ(DidYouMean("sedds", {"needs", "seeds"}), "seeds");
  EXPECT_EQ(DidYouMean("bat", {"cat", "hat"}), "cat");
}

TEST(DidYouMeanTest, MakesAClause) {
  EXPECT_EQ(DidYouMeanClause("modle", kKeys), ", did you mean 'model'?");
  EXPECT_EQ(DidYouMeanClause("zzzzzz", kKeys), "");
}

}  // namespace
}  // namespace isoflop
