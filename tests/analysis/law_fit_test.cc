// What any fit of approach 3 must satisfy, whatever the data.
#include "analysis/law_fit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "tests/analysis/test_data.h"

namespace isoflop {
namespace {

std::vector<Observation> NoisyStudy(uint32_t seed = 3) {
  return SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 6, 8, 6, 0.01, seed);
}

void ExpectLaw(const LossLaw& ours, const LossLaw& required, double allowed) {
  EXPECT_LE(RelativeDifference(ours.E, required.E), allowed);
  EXPECT_LE(RelativeDifference(ours.A, required.A), allowed);
  EXPECT_LE(RelativeDifference(ours.B, required.B), allowed);
  EXPECT_LE(RelativeDifference(ours.alpha, required.alpha), allowed);
  EXPECT_LE(RelativeDifference(ours.beta, required.beta), allowed);
}

TEST(LawFitTest, FindsTheLawOfNoiseFreeLosses) {
  const LawFit fit = FitLossLaw(FitRowsFrom(SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 6, 8, 6)), {});
  ExpectLaw(fit.law, HoffmannLaw(), 1e-8);
  EXPECT_EQ(fit.certificate.outcome, FitOutcome::kOptimal);
  EXPECT_EQ(fit.certificate.rows_within_delta, 48);
}

TEST(LawFitTest, OrderOfRowsDoesNotMatter) {
  std::vector<Observation> rows = NoisyStudy();
  const LossLaw law = FitLossLaw(FitRowsFrom(rows), {}).law;
  std::reverse(rows.begin(), rows.end());
  std::rotate(rows.begin(), rows.begin() + 11, rows.end());
  ExpectLaw(FitLossLaw(FitRowsFrom(rows), {}).law, law, 1e-9);
}

TEST(LawFitTest, WeightTwoIsARowTwice) {
  std::vector<Observation> rows = NoisyStudy();
  FitRows weighted = FitRowsFrom(rows);
  weighted.weight[5] = 2;
  rows.push_back(rows[5]);
  ExpectLaw(FitLossLaw(weighted, {}).law, FitLossLaw(FitRowsFrom(rows), {}).law, 1e-9);
}

TEST(LawFitTest, UnitsDoNotMatter) {
  const std::vector<Observation> rows = NoisyStudy();
  std::vector<Observation> other = rows;
  const double bits = 1 / std::log(2.0);
  for (Observation& row : other) {
    row.params_blocks = *row.params_blocks / 1e6;
    row.tokens_trained /= 1e9;
    row.final_loss_nats *= bits;
  }
  const LossLaw law = FitLossLaw(FitRowsFrom(rows), {}).law;
  const LossLaw scaled = FitLossLaw(FitRowsFrom(other), {}).law;
  EXPECT_LE(RelativeDifference(scaled.alpha, law.alpha), 1e-9);
  EXPECT_LE(RelativeDifference(scaled.beta, law.beta), 1e-9);
  EXPECT_LE(RelativeDifference(scaled.E, law.E * bits), 1e-9);
  EXPECT_LE(RelativeDifference(scaled.A, law.A * bits * std::pow(1e6, -law.alpha)), 1e-8);
  EXPECT_LE(RelativeDifference(scaled.B, law.B * bits * std::pow(1e9, -law.beta)), 1e-8);
}

TEST(LawFitTest, LeastSquaresOnLogLossIsHuberWithAWideDelta) {
  const FitRows rows = FitRowsFrom(NoisyStudy());
  const LawFit mse = FitLossLaw(rows, {FitObjective::kMse, 1e-3});
  ExpectLaw(FitLossLaw(rows, {FitObjective::kHuber, 10}).law, mse.law, 1e-8);
  EXPECT_EQ(mse.certificate.objective, "mse on log loss");
}

// Losses without an irreducible part: E runs to zero and is reported, not
// hidden.
TEST(LawFitTest, SaysWhenALimitIsHit) {
  LossLaw law = HoffmannLaw();
  law.E = 0;
  const LawFit fit = FitLossLaw(FitRowsFrom(SimulatedStudy(law, 1e18, 1e21, 6, 8, 6)), {});
  EXPECT_EQ(fit.certificate.outcome, FitOutcome::kBoundHit);
  EXPECT_EQ(fit.certificate.at_bounds, std::vector<std::string>{"E = 0"});
  EXPECT_EQ(fit.law.E, 0);
  EXPECT_LE(RelativeDifference(fit.law.A, law.A), 1e-8);
  EXPECT_LE(RelativeDifference(fit.law.alpha, law.alpha), 1e-8);
  EXPECT_LE(RelativeDifference(fit.law.beta, law.beta), 1e-8);
}

TEST(LawFitTest, SaysWhenLossesDoNotDependOnTokens) {
  std::vector<Observation> rows = SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 6, 8, 6);
  for (Observation& row : rows) row.final_loss_nats = 1.7 + 400 * std::pow(*row.params_blocks, -0.34);
  const LawFit fit = FitLossLaw(FitRowsFrom(rows), {});
  EXPECT_NE(fit.certificate.outcome, FitOutcome::kOptimal);
}

TEST(LawFitTest, CoordinatesGoThereAndBack) {
  const FitRows rows = FitRowsFrom(NoisyStudy());
  ExpectLaw(LawOf(rows, ThetaOf(rows, HoffmannLaw())), HoffmannLaw(), 1e-13);
  LossLaw without = HoffmannLaw();
  without.E = 0;
  EXPECT_EQ(LawOf(rows, ThetaOf(rows, without)).E, 0);
}

TEST(LawFitTest, ARefitFromTheOptimumStaysThere) {
  const FitRows rows = FitRowsFrom(NoisyStudy());
  const LawFit fit = FitLossLaw(rows, {});
  const Refit refit = RefitLossLaw(rows, {}, {fit.theta});
  EXPECT_TRUE(refit.converged);
  EXPECT_NEAR(refit.f, fit.certificate.f, 1e-12 * fit.certificate.f);
}

}  // namespace
}  // namespace isoflop
