#include "corpus/split.h"

#include "corpus/sha256.h"
#include "gmock/gmock.h"

namespace isoflop {
namespace {

TEST(SplitTest, HashesSeedThenKey) {
  // sha256(01 00 00 00 00 00 00 00 || "web") read as a little-endian u64.
  const std::string hash = Sha256Bytes(std::string("\1\0\0\0\0\0\0\0web", 11));
  EXPECT_EQ(SplitHash(1, "web"), FirstU64(hash));
  EXPECT_NE(SplitHash(2, "web"), SplitHash(1, "web"));
}

TEST(SplitTest, HoldsOutTheStatedShare) {
  const SplitRule rule{.permille = 100};
  int held_out = 0;
  for (int i = 0; i < 20000; ++i) {
    held_out += IsHeldOut(rule, SplitHash(1, Sha256Bytes(std::to_string(i)))) ? 1 : 0;
  }
  // Binomial(20000, 0.1): standard deviation 42.
  EXPECT_NEAR(held_out, 2000, 5 * 42);
}

TEST(SplitTest, CutsBeforeEachChapterLine) {
  EXPECT_THAT(CutChapters("EMMA\n\nCHAPTER I\n\nOne Chapter in it.\nChapter 2\nend"),
              testing::ElementsAre("EMMA\n\n", "CHAPTER I\n\nOne Chapter in it.\n",
                                   "Chapter 2\nend"));
  EXPECT_THAT(CutChapters("CHAPTER I\nCHAPTER II"),
              testing::ElementsAre("CHAPTER I\n", "CHAPTER II"));
  EXPECT_THAT(CutChapters("no mark"), testing::ElementsAre("no mark"));
  EXPECT_THAT(CutChapters(""), testing::IsEmpty());
}

TEST(SplitTest, KnowsItsThreeWays) {
  for (const SplitBy by : {SplitBy::kDocument, SplitBy::kDirectory, SplitBy::kChapter}) {
    EXPECT_EQ(ParseSplitBy(ToString(by)).value(), by);
  }
  EXPECT_THAT(ParseSplitBy("line").status().message(),
              testing::HasSubstr("'line' is no way to split; cure: document"));
}

}  // namespace
}  // namespace isoflop
