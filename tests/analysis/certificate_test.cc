// Every outcome of the certificate has data that reach it, and LAD has its own proof.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "analysis/lad_certificate.h"
#include "analysis/law_fit.h"
#include "tests/analysis/form_worlds.h"

namespace isoflop {
namespace {

TEST(CertificateTest, OptimalIsProven) {
  for (const LawForm form : kFreshForms) {
    const Certificate certificate = FitLossLaw(WorldRows(form, 0.01), {FitObjective::kHuber, 1e-3, form}).certificate;
    EXPECT_EQ(certificate.outcome, FitOutcome::kOptimal) << ToString(form);
    EXPECT_LE(certificate.max_newton_step, 1e-9);
    EXPECT_EQ(certificate.hessian_eigenvalues.size(), static_cast<size_t>(ParameterCount(form)));
    EXPECT_GT(certificate.hessian_eigenvalues.front(), 0);
    EXPECT_GE(certificate.starts_at_best, 1);
  }
}

TEST(CertificateTest, BoundHit) {
  LossLaw law = WorldOf(LawForm::kChinchilla);
  law.E = 0;
  const Design design = DesignOf(law.form);
  const Certificate certificate = FitLossLaw(RowsOf(design, LossesOf(law, design)), {}).certificate;
  EXPECT_EQ(certificate.outcome, FitOutcome::kBoundHit);
  EXPECT_EQ(certificate.at_bounds, std::vector<std::string>{"E = 0"});
}

TEST(CertificateTest, MaxIterations) {
  LawFitOptions options;
  options.max_iterations = 1;
  EXPECT_EQ(FitLossLaw(WorldRows(LawForm::kChinchilla, 0.01), options).certificate.outcome, FitOutcome::kMaxIterations);
}

// Three rows leave two of the five parameters free.
TEST(CertificateTest, Singular) {
  const FitRows rows = MakeFitRows({1e8, 2e8, 4e8}, {1e10, 1e10, 3e10}, {3.0, 2.8, 2.5});
  EXPECT_EQ(FitLossLaw(rows, {}).certificate.outcome, FitOutcome::kSingular);
}

// Sixteen rows under a noise of 10 %: two optima 0.5 % apart in f, a 0.436 and 0.285.
TEST(CertificateTest, MultipleBasins) {
  const FitRows rows = FitRowsFrom(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 4, 4, 6, 0.1, 46));
  const LawFit fit = FitLossLaw(rows, {});
  EXPECT_EQ(fit.certificate.outcome, FitOutcome::kMultipleBasins);
  ASSERT_TRUE(fit.certificate.next_basin_f && fit.certificate.next_basin_a);
  EXPECT_GT(*fit.certificate.next_basin_f, fit.certificate.f);
  EXPECT_GT(std::abs(*fit.certificate.next_basin_a - fit.law.a()), 0.1);
  // It is handed on to the refits as a start.
  ASSERT_FALSE(fit.other_basins.empty());
  const LossLaw second = LawOf(rows, fit.other_basins[0]);
  EXPECT_NEAR(ObjectiveOf(rows, {}, second), *fit.certificate.next_basin_f, 1e-12);
  EXPECT_NEAR(second.a(), *fit.certificate.next_basin_a, 1e-12);
}

// --- least absolute deviations ---------------------------------------------------------

TEST(LadCertificateTest, FitsAreProvenOnNoisyRows) {
  for (const LawForm form : kFreshForms) {
    for (uint32_t seed = 1; seed <= 3; ++seed) {
      const FitRows rows = WorldRows(form, 0.01, seed);
      const LawFit fit = FitLossLaw(rows, {FitObjective::kLad, 1e-3, form});
      std::printf("lad %-15s seed %u: Sum |r| %.10g, interpolated %d, unbalanced %.1e, %s\n", ToString(form).c_str(), seed,
                  fit.certificate.f, fit.certificate.rows_within_delta, fit.certificate.max_gradient,
                  ToString(fit.certificate.outcome).c_str());
      EXPECT_EQ(fit.certificate.outcome, FitOutcome::kOptimal);
      EXPECT_EQ(fit.certificate.objective, "lad on log loss");
      EXPECT_LE(fit.certificate.rows_within_delta, ParameterCount(form));
      // No step in any coordinate makes Sum |r| less.
      const double f = ObjectiveOf(rows, {FitObjective::kLad, 1e-3, form}, fit.law);
      EXPECT_NEAR(f, fit.certificate.f, 1e-9 * f);
      for (int j = 0; j < ParameterCount(form); ++j) {
        for (const double step : {-1e-3, -1e-5, 1e-5, 1e-3}) {
          Theta theta = fit.theta;
          theta.values[static_cast<size_t>(j)] += step;
          EXPECT_GE(ObjectiveOf(rows, {FitObjective::kLad, 1e-3, form}, LawOf(rows, theta)), f * (1 - 1e-9));
        }
      }
    }
  }
}

// Three numbers and their median: the middle one is interpolated, weight 0.
TEST(LadCertificateTest, TheMedianIsOptimalAndItsNeighbourIsNot) {
  const std::vector<double> weights = {1, 1, 1};
  const std::vector<Eigen::VectorXd> ones(3, Eigen::VectorXd::Ones(1));
  const std::vector<double> at_median = {-2, 0, 5}, at_largest = {-7, -5, 0};
  const LadCheck good = CheckLad(at_median, weights, ones, 0), bad = CheckLad(at_largest, weights, ones, 0);
  EXPECT_TRUE(good.is_optimal);
  EXPECT_EQ(good.f, 7);
  EXPECT_EQ(good.interpolated, 1);
  EXPECT_FALSE(bad.is_optimal);
  EXPECT_NEAR(bad.largest_weight, 2, 1e-12);
  const std::vector<double> nowhere = {-1, 1, 6};
  EXPECT_FALSE(CheckLad(nowhere, weights, ones, 0).is_optimal);
}

}  // namespace
}  // namespace isoflop
