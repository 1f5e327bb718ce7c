// The grid of starts finds what the certified fit found, and says how many did.
#include "analysis/start_grid.h"

#include <gtest/gtest.h>

#include <ctime>

#include "tests/analysis/published_table.h"
#include "tests/analysis/test_data.h"

namespace isoflop {
namespace {

TEST(StartGridTest, E1IsReachedFromTheGridToo) {
  std::vector<Observation> observations = ReadPublished("epoch_chinchilla_svg_extracted_data.csv");
  observations.erase(observations.begin(), observations.begin() + 5);
  const FitRows rows = FitRowsFrom(observations);
  const std::clock_t start = std::clock();
  const GridFit grid = FitFromStartGrid(rows, {});
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  std::printf("grid       %d starts: %d at the best, %d elsewhere, %d stopped early; %.2f s of one core\n", grid.starts,
              grid.reached_best, grid.elsewhere, grid.stopped_early, seconds);
  Demand("E1 grid", "f", 0.0010182740178006, grid.f, 1e-9);
  Demand("E1 grid", "alpha", 0.347310498882, grid.law.alpha, 1e-6);
  Demand("E1 grid", "beta", 0.367172432628, grid.law.beta, 1e-6);
  Demand("E1 grid", "ln A", 6.16924637372, std::log(grid.law.A), 1e-6);
  EXPECT_EQ(grid.starts, 4500);
  EXPECT_EQ(grid.reached_best + grid.elsewhere + grid.stopped_early, 4500);
  EXPECT_GT(grid.reached_best, 0);
  EXPECT_LE(FitLossLaw(rows, {}).certificate.f, grid.f * (1 + 1e-12));
}

TEST(StartGridTest, FindsTheLawOfNoiseFreeLosses) {
  const GridFit grid = FitFromStartGrid(FitRowsFrom(SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 4, 6, 6)),
                                        {FitObjective::kMseRaw});
  EXPECT_LE(RelativeDifference(grid.law.alpha, 0.34), 1e-8);
  EXPECT_LE(RelativeDifference(grid.law.E, 1.69), 1e-8);
}

}  // namespace
}  // namespace isoflop
