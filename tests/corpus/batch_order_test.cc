#include "corpus/batch_order.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "corpus/permutation.h"
#include "gmock/gmock.h"

namespace isoflop {
namespace {

const std::string kDataset(64, 'a');

TEST(PermutationTest, GivesTheGoldenOrder) {
  std::vector<std::uint64_t> first;
  for (std::uint64_t i = 0; i < 5; ++i) first.push_back(Permute(i, 1000, 1));
  EXPECT_THAT(first, testing::ElementsAre(982, 939, 296, 405, 814));
}

TEST(PermutationTest, IsOneToOneForEverySize) {
  for (const std::uint64_t size : {1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 1000}) {
    std::vector<std::uint64_t> values;
    for (std::uint64_t i = 0; i < size; ++i) values.push_back(Permute(i, size, 12345));
    std::sort(values.begin(), values.end());
    std::vector<std::uint64_t> all(size);
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(values, all) << size;
  }
}

TEST(BatchOrderTest, CountsWindowsWithATokenForTheLastTarget) {
  EXPECT_EQ(WindowCount(0, 4), 0);
  EXPECT_EQ(WindowCount(4, 4), 0);
  EXPECT_EQ(WindowCount(5, 4), 1);
  EXPECT_EQ(WindowCount(9, 4), 2);
}

TEST(BatchOrderTest, EachPassIsAnotherPermutationOfAllWindows) {
  const BatchOrder order(50, kDataset, 1);
  std::vector<std::int64_t> all(50);
  std::iota(all.begin(), all.end(), 0);
  std::vector<std::vector<std::int64_t>> passes(2);
  for (std::int64_t sample = 0; sample < 100; ++sample) {
    passes[static_cast<std::size_t>(sample / 50)].push_back(order.WindowOfSample(sample));
  }
  EXPECT_THAT(passes[0], testing::UnorderedElementsAreArray(all));
  EXPECT_THAT(passes[1], testing::UnorderedElementsAreArray(all));
  EXPECT_NE(passes[0], passes[1]);
}

TEST(BatchOrderTest, IsAFunctionOfDataSeedAndStepAlone) {
  const BatchOrder order(1000, kDataset, 7);
  const BatchOrder again(1000, kDataset, 7);
  // Step 30 first on one of them: what was asked before changes nothing.
  const std::vector<std::int64_t> step = order.WindowsOfStep(30, 8);
  again.WindowsOfStep(3, 8);
  EXPECT_EQ(again.WindowsOfStep(30, 8), step);
  EXPECT_NE(BatchOrder(1000, kDataset, 8).WindowsOfStep(30, 8), step);
  EXPECT_NE(BatchOrder(1000, std::string(64, 'b'), 7).WindowsOfStep(30, 8), step);
}

TEST(BatchOrderTest, ASmallerBatchOrShorterRunIsAPrefix) {
  const BatchOrder order(1000, kDataset, 1);
  std::vector<std::int64_t> by_eight;
  std::vector<std::int64_t> by_two;
  for (std::int64_t step = 0; step < 6; ++step) {
    for (const std::int64_t window : order.WindowsOfStep(step, 8)) by_eight.push_back(window);
  }
  for (std::int64_t step = 0; step < 20; ++step) {
    for (const std::int64_t window : order.WindowsOfStep(step, 2)) by_two.push_back(window);
  }
  by_eight.resize(by_two.size());
  EXPECT_EQ(by_two, by_eight);
}

}  // namespace
}  // namespace isoflop
