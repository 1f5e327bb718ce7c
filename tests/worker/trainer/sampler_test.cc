#include "worker/trainer/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <vector>

namespace isoflop {
namespace {

const std::vector<double> kScores = {1.5, -0.3, 0.9, 2.1, -2.0, 0.0, 2.1, -1.0, 0.4, 1.1};

std::vector<double> Softmax(const std::vector<double>& scores, double temperature) {
  std::vector<double> p;
  for (const double score : scores) p.push_back(std::exp(score / temperature));
  const double total = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& one : p) one /= total;
  return p;
}

std::vector<int> Draw(const SamplingOptions& options, int draws) {
  Sampler sampler(options);
  std::vector<int> counts(kScores.size());
  for (int i = 0; i < draws; ++i) ++counts[static_cast<size_t>(*sampler.Next(kScores))];
  return counts;
}

// Upper tail of chi-square by Wilson and Hilferty's normal approximation (1931).
double ChiSquareTail(double statistic, double freedom) {
  const double z = (std::cbrt(statistic / freedom) - (1 - 2 / (9 * freedom))) / std::sqrt(2 / (9 * freedom));
  return 0.5 * std::erfc(z / std::sqrt(2));
}

// Tokens of probability 0 are never drawn; the others as often as p says.
void ExpectFrequencies(const std::string& name, const std::vector<int>& counts, const std::vector<double>& p) {
  const int draws = std::accumulate(counts.begin(), counts.end(), 0);
  double statistic = 0, freedom = -1;
  for (size_t i = 0; i < p.size(); ++i) {
    if (p[i] == 0) {
      EXPECT_EQ(counts[i], 0) << name << " token " << i;
      continue;
    }
    const double expected = draws * p[i];
    statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
    ++freedom;
  }
  const double tail = ChiSquareTail(statistic, freedom);
  EXPECT_GT(tail, 0.001) << name;
  std::printf("| sampler, %s: chi-square of %d draws, p | > 0.001 | %.3f |\n", name.c_str(), draws, tail);
}

TEST(SamplerTest, TemperatureZeroIsArgmaxAndTheLowestIdOfEquals) {
  SamplingOptions greedy;
  greedy.temperature = 0;
  for (uint64_t seed = 1; seed < 20; ++seed) {
    greedy.seed = seed;
    EXPECT_EQ(*Sampler(greedy).Next(kScores), 3);
  }
}

TEST(SamplerTest, TopOneIsGreedyAtAnyTemperature) {
  SamplingOptions one;
  one.top_k = 1;
  one.temperature = 5;
  Sampler sampler(one);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(*sampler.Next(kScores), 3);
}

TEST(SamplerTest, FrequenciesAreTheSoftmax) {
  for (const double temperature : {1.0, 0.5, 3.0}) {
    SamplingOptions options;
    options.temperature = temperature;
    options.seed = 7;
    ExpectFrequencies("temperature " + std::to_string(temperature).substr(0, 3), Draw(options, 100'000), Softmax(kScores, temperature));
  }
}

TEST(SamplerTest, TopKDrawsAmongTheKAlone) {
  SamplingOptions options;
  options.top_k = 4;
  std::vector<double> p = Softmax(kScores, 1);
  const std::vector<size_t> kept = {3, 6, 0, 9};
  double total = 0;
  for (const size_t i : kept) total += p[i];
  for (size_t i = 0; i < p.size(); ++i) p[i] = std::find(kept.begin(), kept.end(), i) == kept.end() ? 0 : p[i] / total;
  ExpectFrequencies("top-k 4", Draw(options, 100'000), p);
  options.top_k = static_cast<int64_t>(kScores.size());
  ExpectFrequencies("top-k V", Draw(options, 100'000), Softmax(kScores, 1));
}

// The fewest likeliest tokens with 0.6 of the probability: 0.26 + 0.26 + 0.14.
TEST(SamplerTest, TopPDrawsAmongTheNucleusAlone) {
  SamplingOptions options;
  options.top_p = 0.6;
  std::vector<double> p = Softmax(kScores, 1);
  ASSERT_LT(p[3] + p[6], 0.6);
  ASSERT_GT(p[3] + p[6] + p[0], 0.6);
  const double total = p[3] + p[6] + p[0];
  for (size_t i = 0; i < p.size(); ++i) p[i] = i == 3 || i == 6 || i == 0 ? p[i] / total : 0;
  ExpectFrequencies("top-p 0.6", Draw(options, 100'000), p);
}

TEST(SamplerTest, OneSeedOneSequence) {
  SamplingOptions options;
  options.seed = 3;
  EXPECT_EQ(Draw(options, 200), Draw(options, 200));
  SamplingOptions other = options;
  other.seed = 4;
  EXPECT_NE(Draw(options, 200), Draw(other, 200));
}

TEST(SamplerTest, ATokenOfNoProbabilityIsNeverDrawn) {
  std::vector<double> scores = {-INFINITY, 0, -INFINITY};
  Sampler sampler({});
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(*sampler.Next(scores), 1);
}

TEST(SamplerTest, RefusesWhatCannotBeDrawn) {
  const auto error = [](const SamplingOptions& options, const std::string& what) {
    const absl::Status status = CheckSampling(options, 10);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(status.message()).find(what), std::string::npos) << status;
    EXPECT_NE(std::string(status.message()).find("\ncure: "), std::string::npos) << status;
  };
  SamplingOptions options;
  options.temperature = -1;
  error(options, "temperature -1");
  options.temperature = std::nan("");
  error(options, "temperature nan");
  options = {};
  options.top_k = 11;
  error(options, "top-k 11: 1 to the 10 tokens");
  options.top_k = -1;
  error(options, "top-k -1");
  options = {};
  for (const double p : {0.0, 1.1, -0.5}) {
    options.top_p = p;
    error(options, "within (0, 1]");
  }
  EXPECT_TRUE(CheckSampling({}, 10).ok());
  const std::vector<double> nan = {0, std::nan("")}, nothing = {-INFINITY, -INFINITY};
  EXPECT_FALSE(Sampler({}).Next(nan).ok());
  EXPECT_FALSE(Sampler({}).Next(nothing).ok());
  EXPECT_FALSE(Sampler({}).Next({}).ok());
}

}  // namespace
}  // namespace isoflop
