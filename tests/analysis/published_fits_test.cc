// Published data and the numbers that they must give (tests/data/README.md),
// printed beside ours.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <map>

#include "analysis/analyze.h"
#include "analysis/bootstrap.h"
#include "tests/analysis/published_table.h"
#include "tests/analysis/test_data.h"

namespace isoflop {
namespace {

AnalysisOptions PublishedOptions(int outliers, int draws) {
  AnalysisOptions options;
  options.spec.outliers = outliers;
  options.spec.draws = draws;
  options.spec.bootstrap_seed = 42;
  options.spec.bootstrap_method = "pairs";
  return options;
}

AnalysisResult AnalyzeOrDie(std::vector<Observation> rows, const AnalysisOptions& options) {
  absl::StatusOr<AnalysisResult> result = Analyze(std::move(rows), options);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : AnalysisResult();
}

void DemandLaw(const char* id, const LossLaw& law, double ln_A, double ln_B, double ln_E, double alpha, double beta,
               double allowed) {
  Demand(id, "ln A", ln_A, std::log(law.A), allowed);
  Demand(id, "ln B", ln_B, std::log(law.B), allowed);
  Demand(id, "ln E", ln_E, std::log(law.E), allowed);
  Demand(id, "alpha", alpha, law.alpha, allowed);
  Demand(id, "beta", beta, law.beta, allowed);
}

constexpr char kEpoch[] = "epoch_chinchilla_svg_extracted_data.csv";

TEST(PublishedFitsTest, E1EpochWithoutTheFiveHighestLosses) {
  const AnalysisResult result = AnalyzeOrDie(ReadPublished(kEpoch), PublishedOptions(5, 0));
  ASSERT_TRUE(result.parametric);
  EXPECT_EQ(result.rows.size(), 240u);
  const Certificate& certificate = result.parametric->certificate;
  Demand("E1", "f", 0.0010182740178006, certificate.f, 1e-9);
  DemandLaw("E1", result.parametric->law, 6.16924637372, 7.67015673310, 0.597306814687, 0.347310498882,
            0.367172432628, 1e-6);
  Demand("E1", "A", 477.825868, result.parametric->law.A, 1e-6);
  Demand("E1", "B", 2143.41736, result.parametric->law.B, 1e-6);
  Demand("E1", "E", 1.81721810, result.parametric->law.E, 1e-6);
  Demand("E1", "a", 0.513899516, result.parametric->law.a(), 1e-6);
  Demand("E1", "delta / sigma", 0.208, certificate.delta_over_sigma, 3e-3);
  const double eigenvalues[5] = {1.005e-4, 1.875e-4, 0.932, 37.0, 993.6};
  for (size_t i = 0; i < 5; ++i) {
    Demand("E1", "Hessian eigenvalue " + std::to_string(i), eigenvalues[i], certificate.hessian_eigenvalues[i], 2e-3);
  }
  EXPECT_EQ(certificate.rows_within_delta, 39);
  EXPECT_EQ(certificate.outcome, FitOutcome::kOptimal);
  EXPECT_LE(certificate.max_newton_step, 1e-9);
  std::printf("%-10s starts at the optimum %d of %d, max |grad| %.1e, max |H^-1 grad| %.1e\n", "E1",
              certificate.starts_at_best, certificate.starts_tried, certificate.max_gradient,
              certificate.max_newton_step);
}

TEST(PublishedFitsTest, E2EpochAllRows) {
  const AnalysisResult result = AnalyzeOrDie(ReadPublished(kEpoch), PublishedOptions(0, 0));
  ASSERT_TRUE(result.parametric);
  Demand("E2", "f", 0.00182601052307, result.parametric->certificate.f, 1e-6);
  DemandLaw("E2", result.parametric->law, 6.2060233724, 9.4607576525, 0.6372847790, 0.3493128937, 0.4530492956, 1e-6);
  Demand("E2", "a", 0.564644373, result.parametric->law.a(), 1e-6);
}

TEST(PublishedFitsTest, G3GemstonesHot) {
  const LawFit fit = FitLossLaw(FitRowsFrom(ReadPublished("gemstones_hot_220.csv")), {});
  Demand("G3", "f", 0.0019816128088, fit.certificate.f, 1e-7);
  Demand("G3", "alpha", 0.2928917663, fit.law.alpha, 1e-7);
  Demand("G3", "beta", 0.7129785931, fit.law.beta, 1e-7);
}

TEST(PublishedFitsTest, BootstrapOnTheStatedStream) {
  const auto start = std::chrono::steady_clock::now();
  const AnalysisResult result = AnalyzeOrDie(ReadPublished(kEpoch), PublishedOptions(5, 4000));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  ASSERT_TRUE(result.parametric);
  ASSERT_EQ(result.bootstrap.laws.size(), 4000u);

  // Draws 0-9: the reference stopped early on draw 5.
  const absl::StatusOr<CsvTable> table = ParseCsv(ReadTestFile("epoch_bootstrap_first_10_of_4000.csv"), "draws");
  ASSERT_TRUE(table.ok());
  for (size_t draw = 0; draw < 10; ++draw) {
    const LossLaw& law = result.bootstrap.laws[draw];
    const std::string id = "draw " + std::to_string(draw);
    const double allowed = draw == 5 ? 2e-3 : 1e-4;
    Demand(id.c_str(), "ln A", Column(*table, "log_A")[draw], std::log(law.A), allowed);
    Demand(id.c_str(), "ln B", Column(*table, "log_B")[draw], std::log(law.B), allowed);
    Demand(id.c_str(), "ln E", Column(*table, "log_E")[draw], std::log(law.E), allowed);
    Demand(id.c_str(), "alpha", Column(*table, "alpha")[draw], law.alpha, allowed);
    Demand(id.c_str(), "beta", Column(*table, "beta")[draw], law.beta, allowed);
  }
  Demand("draw 5", "alpha of the true optimum", 0.3554385, result.bootstrap.laws[5].alpha, 1e-6);
  Demand("draw 5", "beta of the true optimum", 0.3850229, result.bootstrap.laws[5].beta, 1e-6);

  const ParametricFit& fit = *result.parametric;
  const struct {
    const char* name;
    const Estimate& estimate;
    double se, lo, hi;
  } rows[] = {{"A", fit.A, 124.52, 285.2, 743.6},
              {"B", fit.B, 1293.28, 1042.4, 5810.3},
              {"E", fit.E, 0.02566, 1.769, 1.871},
              {"alpha", fit.alpha, 0.01540, 0.317, 0.373},
              {"beta", fit.beta, 0.02060, 0.331, 0.415}};
  for (const auto& row : rows) {
    ASSERT_TRUE(row.estimate.se);
    ASSERT_NE(row.estimate.At(95), nullptr);
    Demand("bootstrap", std::string("SE of ") + row.name, row.se, *row.estimate.se, 1e-3);
    Demand("bootstrap", std::string("2.5 % of ") + row.name, row.lo, row.estimate.At(95)->lo, 5e-3);
    Demand("bootstrap", std::string("97.5 % of ") + row.name, row.hi, row.estimate.At(95)->hi, 5e-3);
  }
  std::printf("%-10s 4000 draws, approaches 3 and 2, tables and bands: %.2f s\n", "bootstrap", seconds);
}

// The reference's objective on draws 0-9 is not below ours.
TEST(PublishedFitsTest, NoBootstrapDrawIsWorseThanTheReference) {
  const absl::StatusOr<CsvTable> table = ParseCsv(ReadTestFile("epoch_bootstrap_first_10_of_4000.csv"), "draws");
  ASSERT_TRUE(table.ok());
  std::vector<Observation> observations = ReadPublished(kEpoch);
  observations.erase(observations.begin(), observations.begin() + 5);
  FitRows rows = FitRowsFrom(observations);
  const LawFit full = FitLossLaw(rows, {});
  std::mt19937 generator(42);
  for (size_t draw = 0; draw < 10; ++draw) {
    std::fill(rows.weight.begin(), rows.weight.end(), 0);
    for (size_t i = 0; i < rows.size(); ++i) {
      uint32_t v;
      do {
        v = static_cast<uint32_t>(generator()) & 255u;
      } while (v > 239);
      rows.weight[v] += 1;
    }
    const Refit refit = RefitLossLaw(rows, {}, {full.theta});
    const double reference = Column(*table, "objective_sum_huber")[draw];
    EXPECT_LE(refit.f, reference * (1 + 1e-9)) << "draw " << draw;
    EXPECT_TRUE(refit.converged) << "draw " << draw;
    if (draw == 5) Demand("draw 5", "f of the true optimum", 1.04440927e-3, refit.f, 1e-8);
  }
}

// Printed, not demanded: CPU time on whatever machine this is. The goals are 10
// ms and, for 4000 refits, 2 s on two cores.
TEST(PublishedFitsTest, CpuTimeOfFitsIsPrinted) {
  std::vector<Observation> observations = ReadPublished(kEpoch);
  observations.erase(observations.begin(), observations.begin() + 5);
  FitRows rows = FitRowsFrom(observations);
  const std::clock_t start = std::clock();
  LawFit fit;
  for (int i = 0; i < 10; ++i) fit = FitLossLaw(rows, {});
  const std::clock_t fitted = std::clock();
  std::mt19937 generator(42);
  for (int draw = 0; draw < 400; ++draw) {
    std::fill(rows.weight.begin(), rows.weight.end(), 0);
    for (size_t i = 0; i < rows.size(); ++i) rows.weight[DrawIndex(&generator, 240)] += 1;
    EXPECT_TRUE(std::isfinite(RefitLossLaw(rows, {}, {fit.theta}).f));
  }
  const std::clock_t refitted = std::clock();
  std::printf("speed      certified fit of 240 rows %.1f ms, 4000 refits %.2f s of one core\n",
              1e3 * static_cast<double>(fitted - start) / CLOCKS_PER_SEC / 10,
              10 * static_cast<double>(refitted - fitted) / CLOCKS_PER_SEC);
}

}  // namespace
}  // namespace isoflop
