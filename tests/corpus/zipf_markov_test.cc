#include "corpus/zipf_markov.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <vector>

#include "gmock/gmock.h"

namespace isoflop {
namespace {

ZipfMarkov Make(const std::string& spec) { return ZipfMarkov::Parse(spec).value(); }

TEST(ZipfMarkovTest, EntropyRatesThatAreKnown) {
  // Uniform whatever came before: ln V.
  EXPECT_NEAR(Make("zipf-markov:64,0,0.5,1").entropy_rate_nats(), std::log(64), 1e-12);
  // q = 1: independent draws from Zipf, its entropy.
  double total = 0;
  for (int r = 1; r <= 10; ++r) total += 1.0 / r;
  double entropy = 0;
  for (int r = 1; r <= 10; ++r) entropy -= 1.0 / r / total * std::log(1.0 / r / total);
  EXPECT_NEAR(Make("zipf-markov:10,1,1,1").entropy_rate_nats(), entropy, 1e-12);
  // q = 0: permuted draws, the same entropy a step.
  EXPECT_NEAR(Make("zipf-markov:10,1,0,1").entropy_rate_nats(), entropy, 1e-12);
}

TEST(ZipfMarkovTest, StationaryDistributionIsAFixedPoint) {
  const ZipfMarkov source = Make("zipf-markov:100,1.1,0.3,7");
  double sum = 0;
  for (std::uint32_t j = 0; j < 100; ++j) {
    double next = 0;
    for (std::uint32_t i = 0; i < 100; ++i) {
      next += source.stationary()[i] * source.TransitionProbability(i, j);
    }
    EXPECT_NEAR(next, source.stationary()[j], 1e-14);
    sum += next;
  }
  EXPECT_NEAR(sum, 1, 1e-12);
}

TEST(ZipfMarkovTest, TheTrueModelsLossIsTheEntropyWithinFourStandardErrors) {
  const ZipfMarkov source = Make("zipf-markov:256,1.1,0.3,7");
  ZipfMarkov::Stream stream(source, 0);
  constexpr int kBlocks = 200;
  constexpr int kBlockTokens = 2048;
  std::vector<double> means;
  std::uint32_t last = stream.Next();
  for (int block = 0; block < kBlocks; ++block) {
    double nats = 0;
    for (int i = 0; i < kBlockTokens; ++i) {
      const std::uint32_t next = stream.Next();
      nats -= std::log(source.TransitionProbability(last, next));
      last = next;
    }
    means.push_back(nats / kBlockTokens);
  }
  const double mean = std::accumulate(means.begin(), means.end(), 0.0) / kBlocks;
  double squares = 0;
  for (const double value : means) squares += (value - mean) * (value - mean);
  const double se = std::sqrt(squares / (kBlocks - 1) / kBlocks);
  EXPECT_NEAR(mean, source.entropy_rate_nats(), 4 * se);
  EXPECT_LT(se, 0.005);
}

TEST(ZipfMarkovTest, ALongerStreamBeginsWithTheShorterAndStreamsDiffer) {
  const ZipfMarkov source = Make("zipf-markov:256,1.1,0.3,7");
  const auto first = [&](std::uint64_t number, int count) {
    ZipfMarkov::Stream stream(source, number);
    std::vector<std::uint32_t> tokens;
    for (int i = 0; i < count; ++i) tokens.push_back(stream.Next());
    return tokens;
  };
  std::vector<std::uint32_t> longer = first(0, 5000);
  longer.resize(3000);
  EXPECT_EQ(first(0, 3000), longer);
  EXPECT_NE(first(1, 3000), longer);
}

TEST(ZipfMarkovTest, SaysWhichPartOfASpecIsWrong) {
  const auto message = [](const std::string& spec) {
    return std::string(ZipfMarkov::Parse(spec).status().message());
  };
  EXPECT_THAT(message("markov:2,1,1,1"), testing::HasSubstr("no such synthetic source"));
  EXPECT_THAT(message("zipf-markov:1,1,1,1"), testing::HasSubstr("V '1' is not in [2, 4096]"));
  EXPECT_THAT(message("zipf-markov:9,-1,1,1"), testing::HasSubstr("s '-1' is not in"));
  EXPECT_THAT(message("zipf-markov:9,1,2,1"), testing::HasSubstr("q '2' is not in [0, 1]"));
  EXPECT_THAT(message("zipf-markov:9,1,1,x"), testing::HasSubstr("seed 'x'"));
  EXPECT_THAT(message("zipf-markov:9,1,1,1,5"), testing::HasSubstr("tokens '5'"));
  EXPECT_THAT(message("zipf-markov:9,1,1"), testing::HasSubstr("cure: zipf-markov:V,s,q,seed"));
  EXPECT_EQ(Make("zipf-markov:9,1,1,1,5M").Spec(), "zipf-markov:9,1,1,1,5000000");
}

}  // namespace
}  // namespace isoflop
