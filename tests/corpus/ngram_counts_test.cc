#include "corpus/ngram_counts.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "corpus/permutation.h"
#include "tests/corpus/test_files.h"

namespace isoflop {
namespace {

std::vector<std::int64_t> RandomTokens(std::size_t count, std::int64_t vocab_size) {
  std::vector<std::int64_t> tokens(count);
  for (std::size_t i = 0; i < count; ++i) {
    // Small ids more often, so that n-grams repeat.
    const auto draw = static_cast<std::int64_t>(SplitMix64(i) % static_cast<std::uint64_t>(vocab_size));
    tokens[i] = draw * static_cast<std::int64_t>(SplitMix64(~i) % 1000) / 1000;
  }
  return tokens;
}

std::vector<NgramCount> Count(const std::vector<std::int64_t>& tokens, int order, const NgramCountOptions& options = {}) {
  absl::StatusOr<NgramCounts> counts = NgramCounts::Make(97, order, options);
  EXPECT_TRUE(counts.ok());
  EXPECT_TRUE(counts->Add(tokens, 1).ok());
  EXPECT_EQ(counts->tokens(), static_cast<std::int64_t>(tokens.size()) - 1);
  absl::StatusOr<std::vector<NgramCount>> finished = std::move(*counts).Finish();
  EXPECT_TRUE(finished.ok()) << finished.status();
  return *finished;
}

TEST(NgramCountsTest, CountsAreThoseOfAPlainMap) {
  const std::vector<std::int64_t> tokens = RandomTokens(5000, 97);
  for (int order = 1; order <= kMaxNgramOrder; ++order) {
    std::map<std::vector<std::int64_t>, std::uint64_t> plain;
    for (std::size_t i = 1; i < tokens.size(); ++i) {
      std::vector<std::int64_t> ngram;
      for (int place = order - 1; place >= 0; --place) {
        const auto back = static_cast<std::size_t>(place);
        ngram.push_back(i >= back ? tokens[i - back] : 97);
      }
      ++plain[ngram];
    }
    const std::vector<NgramCount> counted = Count(tokens, order);
    ASSERT_EQ(counted.size(), plain.size());
    auto expected = plain.begin();
    for (const NgramCount& one : counted) {
      NgramKey key = 0;
      for (const std::int64_t symbol : expected->first) key = (key << NgramSymbolBits(97)) | NgramKey(static_cast<std::uint64_t>(symbol));
      EXPECT_EQ(one.key, key);
      EXPECT_EQ(one.count, expected->second);
      ++expected;
    }
  }
}

TEST(NgramCountsTest, WhatGoesToTheDiskIsCountedTheSame) {
  const TestFolder folder;
  const std::vector<std::int64_t> tokens = RandomTokens(20000, 97);
  for (int order : {2, 5}) {
    NgramCountOptions small;
    small.memory_bytes = 96 * 500;
    small.scratch_folder = folder.path();
    absl::StatusOr<NgramCounts> counts = NgramCounts::Make(97, order, small);
    ASSERT_TRUE(counts.ok());
    ASSERT_TRUE(counts->Add(tokens, 1).ok());
    EXPECT_GT(counts->runs_written(), 3);
    {
      NgramCounts owner = *std::move(counts);
      const auto spilled = std::move(owner).Finish();
      ASSERT_TRUE(spilled.ok()) << spilled.status();
      EXPECT_EQ(*spilled, Count(tokens, order));
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << "runs are removed";
  }
}

TEST(NgramCountsTest, PiecesWithContextCountAsTheWhole) {
  const std::vector<std::int64_t> tokens = RandomTokens(3000, 97);
  absl::StatusOr<NgramCounts> counts = NgramCounts::Make(97, 4);
  ASSERT_TRUE(counts.ok());
  for (std::size_t begin = 1; begin < tokens.size(); begin += 100) {
    const std::size_t context = std::min<std::size_t>(begin, 3);
    const std::size_t end = std::min(tokens.size(), begin + 100);
    ASSERT_TRUE(counts->Add(std::span(tokens).subspan(begin - context, end - begin + context), context).ok());
  }
  EXPECT_EQ(*std::move(*counts).Finish(), Count(tokens, 4));
}

TEST(NgramCountsTest, RefusesWhatCannotBeCounted) {
  for (int order : {0, 6, -1}) {
    const absl::Status status = NgramCounts::Make(257, order).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(status.message()).find("\ncure: "), std::string::npos);
  }
  EXPECT_FALSE(NgramCounts::Make(1, 2).ok());
  EXPECT_FALSE(NgramCounts::Make(std::int64_t{1} << 24, 2).ok());
  EXPECT_TRUE(NgramCounts::Make(kMaxNgramVocabulary, 5).ok());
  absl::StatusOr<NgramCounts> counts = NgramCounts::Make(10, 2);
  ASSERT_TRUE(counts.ok());
  const std::vector<std::int64_t> beyond = {1, 10};
  EXPECT_NE(std::string(counts->Add(beyond, 1).message()).find("token 1 has id 10"), std::string::npos);
  NgramCountOptions nowhere;
  nowhere.memory_bytes = 96 * 2;
  nowhere.scratch_folder = "/nowhere/at/all";
  absl::StatusOr<NgramCounts> spilling = NgramCounts::Make(97, 3, nowhere);
  ASSERT_TRUE(spilling.ok());
  EXPECT_FALSE(spilling->Add(RandomTokens(100, 97), 1).ok());
}

}  // namespace
}  // namespace isoflop
