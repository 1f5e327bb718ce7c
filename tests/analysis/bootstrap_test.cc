#include "analysis/bootstrap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "analysis/analyze.h"
#include "analysis/seed_noise.h"
#include "tests/analysis/test_data.h"

namespace isoflop {
namespace {

using testing::ElementsAre;

std::vector<KeptRow> RowsOf(const std::vector<std::pair<std::string, std::string>>& trial_and_config) {
  std::vector<KeptRow> rows;
  for (const auto& [trial, config] : trial_and_config) {
    KeptRow row;
    row.observation.trial_id = trial;
    row.observation.config_id = config;
    rows.push_back(row);
  }
  return rows;
}

// numpy: RandomState(42).randint(0, 240, 8) by masked rejection.
TEST(BootstrapTest, IndicesFollowTheStatedStream) {
  std::mt19937 ours(42), plain(42);
  for (int i = 0; i < 1000; ++i) {
    uint32_t v;
    do {
      v = static_cast<uint32_t>(plain()) & 255u;
    } while (v > 239);
    EXPECT_EQ(DrawIndex(&ours, 240), v);
  }
  std::mt19937 generator(1);
  EXPECT_EQ(DrawIndex(&generator, 1), 0u);
  std::set<uint32_t> seen;
  for (int i = 0; i < 100; ++i) seen.insert(DrawIndex(&generator, 3));
  EXPECT_THAT(seen, ElementsAre(0, 1, 2));
}

TEST(BootstrapTest, ADrawHasAsManyRowsAsTheData) {
  const std::vector<KeptRow> rows = RowsOf({{"1", ""}, {"2", ""}, {"3", ""}});
  const auto clusters = BootstrapClusters(rows, "pairs");
  ASSERT_EQ(clusters.size(), 3u);
  const std::vector<uint16_t> counts = DrawCounts(clusters, 3, 50, 9);
  for (size_t draw = 0; draw < 50; ++draw) {
    EXPECT_EQ(counts[3 * draw] + counts[3 * draw + 1] + counts[3 * draw + 2], 3);
  }
  EXPECT_EQ(counts, DrawCounts(clusters, 3, 50, 9));
  EXPECT_NE(counts, DrawCounts(clusters, 3, 50, 10));
}

TEST(BootstrapTest, EachProcedureHasItsOwnStream) {
  std::mt19937 rows = GeneratorOf(42, Stream::kRows), plain(42);
  EXPECT_EQ(rows(), plain());  // the published draws
  std::set<uint32_t> first;
  for (const Stream stream : {Stream::kRows, Stream::kWild, Stream::kParametric, Stream::kCoverage}) {
    for (uint64_t seed = 1; seed <= 20; ++seed) first.insert(static_cast<uint32_t>(GeneratorOf(seed, stream)()));
  }
  EXPECT_EQ(first.size(), 80u);
}

TEST(BootstrapTest, RowsOfARunOrAConfigurationStayTogether) {
  const std::vector<KeptRow> rows = RowsOf({{"a", "x"}, {"b", "y"}, {"a", "z"}, {"c", "x"}, {"d", "w"}});
  EXPECT_THAT(BootstrapClusters(rows, "cluster"),
              ElementsAre(ElementsAre(0, 2, 3), ElementsAre(1), ElementsAre(4)));
  EXPECT_EQ(BootstrapClusters(rows, "pairs").size(), 5u);
  EXPECT_EQ(BootstrapClusters(rows, "wild"), BootstrapClusters(rows, "cluster"));
  // The numbers of parametric draws stand for seeds: one a run.
  EXPECT_THAT(BootstrapClusters(rows, "parametric"),
              ElementsAre(ElementsAre(0, 2), ElementsAre(1), ElementsAre(3), ElementsAre(4)));
  EXPECT_EQ(AutoBootstrapMethod(rows), "cluster");
  EXPECT_EQ(AutoBootstrapMethod(RowsOf({{"1", "x"}, {"2", "y"}})), "pairs");
  EXPECT_EQ(AutoBootstrapMethod(RowsOf({{"", ""}, {"", ""}})), "pairs");
}

TEST(BootstrapTest, PercentilesAreNumpysLinear) {
  std::vector<double> draws;
  for (int i = 0; i <= 100; ++i) draws.push_back(i);
  const std::vector<double> levels = {80, 95};
  const Estimate estimate = EstimateFromDraws(50, draws, levels, "pairs");
  ASSERT_NE(estimate.At(80), nullptr);
  EXPECT_NEAR(estimate.At(80)->lo, 10, 1e-9);
  EXPECT_NEAR(estimate.At(95)->hi, 97.5, 1e-9);
  EXPECT_NEAR(*estimate.se, std::sqrt(101 * 102 / 12.0), 1e-9);
  EXPECT_EQ(estimate.At(50), nullptr);
}

TEST(BootstrapTest, OpenDrawsOpenTheInterval) {
  std::vector<double> draws(100, 1.0);
  for (size_t i = 0; i < 10; ++i) draws[i] = std::numeric_limits<double>::infinity();
  draws[20] = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> levels = {95};
  const Estimate estimate = EstimateFromDraws(1, draws, levels, "pairs");
  EXPECT_EQ(estimate.At(95)->lo, 1);
  EXPECT_TRUE(std::isinf(estimate.At(95)->hi));
  EXPECT_FALSE(estimate.se);
  EXPECT_TRUE(EstimateFromDraws(1, std::vector<double>(5, 1.0), levels, "pairs").intervals.empty());
}

TEST(BootstrapTest, ParallelForCoversEachIndexOnce) {
  for (const int threads : {1, 2, 7}) {
    std::vector<int> calls(23, 0);
    ParallelFor(23, threads, [&](int first, int last) {
      for (int i = first; i < last; ++i) ++calls[static_cast<size_t>(i)];
    });
    EXPECT_THAT(calls, testing::Each(1)) << threads;
  }
  ParallelFor(0, 4, [](int first, int last) { EXPECT_EQ(first, last); });
}

TEST(BootstrapTest, ThreadsNeverChangeANumber) {
  AnalysisOptions options;
  options.spec.draws = 300;
  AnalysisResult results[3];
  const int threads[3] = {1, 2, 5};
  for (int i = 0; i < 3; ++i) {
    options.threads = threads[i];
    absl::StatusOr<AnalysisResult> result = Analyze(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 4, 8, 6, 0.003), options);
    ASSERT_TRUE(result.ok() && result->parametric && result->isoflop && result->isoflop->params_law);
    ASSERT_NE(result->isoflop->params_law->exponent.At(95), nullptr);
    results[i] = *std::move(result);
  }
  for (int i = 1; i < 3; ++i) {
    ASSERT_EQ(results[i].bootstrap.laws, results[0].bootstrap.laws);
    EXPECT_EQ(results[i].parametric->a.At(95)->lo, results[0].parametric->a.At(95)->lo);
    EXPECT_EQ(results[i].isoflop->params_law->exponent.At(95)->hi, results[0].isoflop->params_law->exponent.At(95)->hi);
    EXPECT_EQ(results[i].options.threads, 0);
    EXPECT_EQ(results[i].observations_sha256, results[0].observations_sha256);
  }
}

TEST(SeedNoiseTest, PoolsOverCells) {
  std::vector<KeptRow> rows = RowsOf({{"1", "x"}, {"2", "x"}, {"3", "y"}, {"4", "y"}, {"5", "y"}, {"6", "z"}});
  const double logs[6] = {0.1, 0.3, 1.0, 1.1, 1.2, 5};
  for (size_t i = 0; i < 6; ++i) rows[i].loss = std::exp(logs[i]);
  const SeedNoise noise = MeasureSeedNoise(rows);
  EXPECT_TRUE(noise.from_replicates);
  EXPECT_EQ(noise.cells, 2);
  EXPECT_EQ(noise.degrees_of_freedom, 3);
  EXPECT_NEAR(noise.sigma, std::sqrt((0.02 + 0.02) / 3), 1e-12);
  rows.resize(1);
  EXPECT_FALSE(MeasureSeedNoise(rows).from_replicates);
}

}  // namespace
}  // namespace isoflop
