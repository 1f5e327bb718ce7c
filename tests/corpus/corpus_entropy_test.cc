#include "corpus/corpus_entropy.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "corpus/inspect.h"
#include "corpus/prepare.h"
#include "corpus/zipf_markov.h"
#include "tests/corpus/test_files.h"

namespace isoflop {
namespace {

TEST(CorpusEntropyTest, BracketsTheExactRateOfASyntheticSource) {
  for (const char* spec : {"zipf-markov:64,1.1,0.3,7", "zipf-markov:256,1.3,0.1,1"}) {
    const absl::StatusOr<ZipfMarkov> source = ZipfMarkov::Parse(spec);
    ASSERT_TRUE(source.ok()) << source.status();
    CorpusEntropySample sample(source->vocab_size(), /*bytes_are_ids=*/false);
    for (std::uint64_t number = 0; number < 200; ++number) {
      ZipfMarkov::Stream stream(*source, number);
      for (int i = 0; i < 1000; ++i) sample.Add(stream.Next(), number >= 180);
    }
    const auto entropy = sample.Compute();
    ASSERT_TRUE(entropy.ok() && entropy->has_value()) << entropy.status();
    const CorpusEntropy& found = **entropy;
    EXPECT_EQ(found.tokens, 200'000);
    EXPECT_LT(found.trigram_nats, source->entropy_rate_nats());
    ASSERT_TRUE(found.kneser_ney_nats.has_value());
    EXPECT_GT(*found.kneser_ney_nats, source->entropy_rate_nats());
    EXPECT_LT(*found.kneser_ney_nats, found.unigram_nats) << "the context helps";
    EXPECT_NEAR(found.bigram_nats, source->entropy_rate_nats(), 0.2) << "the source has one token of memory";
    EXPECT_FALSE(found.xz_nats.has_value());
    std::printf("%s: trigram counts %.4f < exact %.4f < Kneser-Ney %.4f nats/token\n", spec, found.trigram_nats,
                source->entropy_rate_nats(), *found.kneser_ney_nats);
  }
}

TEST(CorpusEntropyTest, AustensContextsSayMoreTheLongerTheyAre) {
  const auto facts = InspectData(ISOFLOP_SOURCE_DIR "/configs/austen.txt.xz");
  ASSERT_TRUE(facts.ok() && facts->entropy.has_value()) << facts.status();
  const CorpusEntropy& entropy = *facts->entropy;
  EXPECT_EQ(entropy.tokens, facts->tokens) << "all of it";
  EXPECT_NEAR(entropy.unigram_nats, facts->unigram_entropy_nats, 1e-5);
  EXPECT_NEAR(entropy.bigram_nats, *facts->bigram_entropy_nats, 1e-5);
  EXPECT_GT(entropy.unigram_nats, entropy.bigram_nats);
  EXPECT_GT(entropy.bigram_nats, entropy.trigram_nats);
  EXPECT_LT(*entropy.kneser_ney_nats, entropy.trigram_nats) << "order 5 sees more than trigrams";
  // Shannon's 0.6 to 1.3 bits a character of English lie below what counts reach.
  EXPECT_GT(*entropy.BitsPerByte(*entropy.kneser_ney_nats), 1.3);
  EXPECT_GT(*entropy.xz_nats, *entropy.kneser_ney_nats);
}

TEST(CorpusEntropyTest, SaysNothingOfNextToNothing) {
  CorpusEntropySample one(257, true);
  one.Add(5, false);
  EXPECT_FALSE((*one.Compute()).has_value());
  CorpusEntropySample few(257, true);
  for (int i = 0; i < 50; ++i) few.Add(i % 7, false);
  const auto entropy = *few.Compute();
  ASSERT_TRUE(entropy.has_value());
  EXPECT_FALSE(entropy->kneser_ney_nats.has_value());
  CorpusEntropySample unknown(0, false);
  for (int i = 0; i < 500; ++i) unknown.Add(i, false);
  EXPECT_FALSE((*unknown.Compute()).has_value());
}

// A mean of many bits a byte cannot be below what xz needs for noise.
TEST(CorpusEntropyTest, NoiseDoesNotPack) {
  CorpusEntropySample sample(257, true);
  std::uint64_t x = 1;
  for (int i = 0; i < 100'000; ++i) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    sample.Add(static_cast<std::int64_t>(x >> 56), false);
  }
  const auto entropy = *sample.Compute();
  ASSERT_TRUE(entropy.has_value());
  EXPECT_NEAR(*entropy->BitsPerByte(*entropy->xz_nats), 8, 0.05);
  EXPECT_NEAR(*entropy->BitsPerByte(entropy->unigram_nats), 8, 0.01);
}

}  // namespace
}  // namespace isoflop
