// What a fit of any form must not depend on, and that it finds the law of losses
// without noise; reached is printed beside allowed.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "analysis/frontier.h"
#include "analysis/law_fit.h"
#include "tests/analysis/form_worlds.h"
#include "tests/analysis/published_table.h"

namespace isoflop {
namespace {

double Apart(double x, double y) { return x == y ? 0 : std::abs(x / y - 1); }

double LawsApart(const LossLaw& x, const LossLaw& y) {
  return std::max({Apart(x.E, y.E), Apart(x.A, y.A), Apart(x.B, y.B), Apart(x.alpha, y.alpha), Apart(x.beta, y.beta),
                   Apart(x.kappa, y.kappa), Apart(x.repeat_tokens, y.repeat_tokens),
                   Apart(x.repeat_params, y.repeat_params)});
}

class LawInvarianceTest : public testing::TestWithParam<LawForm> {
 protected:
  LossLaw Fit(const FitRows& rows, FitObjective objective = FitObjective::kHuber) const {
    return FitLossLaw(rows, {objective, 1e-3, GetParam()}).law;
  }
  void Report(const std::string& what, double allowed, double reached) const {
    DemandBelow("invariant", ToString(GetParam()) + ", " + what, allowed, reached);
  }
};

TEST_P(LawInvarianceTest, FindsTheLawOfNoiseFreeLosses) {
  const FitRows rows = WorldRows(GetParam());
  for (const FitObjective objective : {FitObjective::kHuber, FitObjective::kMse, FitObjective::kMseRaw}) {
    const LawFit fit = FitLossLaw(rows, {objective, 1e-3, GetParam()});
    Report("noise-free, " + fit.certificate.objective, 1e-8, LawsApart(fit.law, WorldOf(GetParam())));
    EXPECT_EQ(fit.law.form, GetParam());
    EXPECT_EQ(fit.certificate.outcome, FitOutcome::kOptimal) << ToString(GetParam()) << " " << fit.certificate.objective;
  }
}

TEST_P(LawInvarianceTest, OrderOfRowsDoesNotMatter) {
  const Design design = DesignOf(GetParam());
  const std::vector<double> loss = LossesOf(WorldOf(GetParam()), design, 0.01);
  std::vector<size_t> order(loss.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::reverse(order.begin(), order.end());
  std::rotate(order.begin(), order.begin() + 11, order.end());
  Design other;
  std::vector<double> other_loss;
  for (const size_t i : order) {
    other.params.push_back(design.params[i]);
    other.tokens.push_back(design.tokens[i]);
    if (!design.unique.empty()) other.unique.push_back(design.unique[i]);
    other_loss.push_back(loss[i]);
  }
  Report("permuted rows", 1e-9, LawsApart(Fit(RowsOf(other, other_loss)), Fit(RowsOf(design, loss))));
}

TEST_P(LawInvarianceTest, WeightTwoIsARowTwice) {
  Design design = DesignOf(GetParam());
  std::vector<double> loss = LossesOf(WorldOf(GetParam()), design, 0.01);
  FitRows weighted = RowsOf(design, loss);
  for (const size_t i : {size_t{5}, loss.size() - 1}) {
    weighted.weight[i] = 2;
    design.params.push_back(design.params[i]);
    design.tokens.push_back(design.tokens[i]);
    if (!design.unique.empty()) design.unique.push_back(design.unique[i]);
    loss.push_back(loss[i]);
  }
  Report("weight 2 = row twice", 1e-9, LawsApart(Fit(weighted), Fit(RowsOf(design, loss))));
}

// N in millions, D in billions, L in bits: the same exponents, N* and D* after
// conversion, L* in bits.
TEST_P(LawInvarianceTest, UnitsDoNotMatter) {
  const Design design = DesignOf(GetParam());
  const std::vector<double> loss = LossesOf(WorldOf(GetParam()), design, 0.01);
  Design other = design;
  std::vector<double> bits = loss;
  for (double& N : other.params) N /= 1e6;
  for (double& D : other.tokens) D /= 1e9;
  for (double& U : other.unique) U /= 1e9;
  for (double& L : bits) L /= std::log(2.0);
  const LossLaw law = Fit(RowsOf(design, loss)), scaled = Fit(RowsOf(other, bits));
  // A tied exponent couples the units of N and D only through A and B.
  double reached = std::max({Apart(scaled.alpha, law.alpha), Apart(scaled.beta, law.beta), Apart(scaled.kappa, law.kappa),
                             Apart(scaled.repeat_tokens, law.repeat_tokens), Apart(scaled.repeat_params, law.repeat_params)});
  if (law.E > 0) reached = std::max(reached, Apart(scaled.E * std::log(2.0), law.E));
  if (HasOptimum(law)) {
    const OptimalPoint here = OptimumAt(law, 1e23), there = OptimumAt(scaled, 1e23 / 1e15);
    reached = std::max({reached, Apart(there.params * 1e6, here.params), Apart(there.tokens * 1e9, here.tokens),
                        Apart(there.loss * std::log(2.0), here.loss)});
  } else {
    reached = std::max(reached, Apart(scaled.LossAt(1e9 / 1e6, 1e11 / 1e9) * std::log(2.0), law.LossAt(1e9, 1e11)));
  }
  Report("units", 1e-9, reached);
}

TEST_P(LawInvarianceTest, CoordinatesGoThereAndBack) {
  const FitRows rows = WorldRows(GetParam());
  Report("coordinates", 1e-12, LawsApart(LawOf(rows, ThetaOf(rows, WorldOf(GetParam()))), WorldOf(GetParam())));
}

TEST_P(LawInvarianceTest, ARefitFromTheOptimumStaysThere) {
  const FitRows rows = WorldRows(GetParam(), 0.01);
  const LawFitOptions options = {FitObjective::kHuber, 1e-3, GetParam()};
  const LawFit fit = FitLossLaw(rows, options);
  const Refit refit = RefitLossLaw(rows, options, {fit.theta});
  EXPECT_TRUE(refit.converged);
  Report("refit, f", 1e-11, Apart(refit.f, fit.certificate.f));
  Report("refit, law", 1e-8, LawsApart(LawOf(rows, refit.theta), fit.law));
  Report("f of the law", 1e-9, Apart(ObjectiveOf(rows, options, fit.law), fit.certificate.f));
}

INSTANTIATE_TEST_SUITE_P(Forms, LawInvarianceTest,
                         testing::Values(LawForm::kChinchilla, LawForm::kTied, LawForm::kGadre, LawForm::kKaplan,
                                         LawForm::kMultiplicative, LawForm::kDataConstrained),
                         [](const auto& form) { return ToString(form.param); });

// --- what repeats are worth -----------------------------------------------------------

const LawFitOptions kConstrained = {FitObjective::kHuber, 1e-3, LawForm::kDataConstrained};

TEST(RepeatedDataTest, WithoutRepeatsBothAreInfinite) {
  Design design = DesignOf(LawForm::kChinchilla);
  design.unique.assign(design.params.size(), 1e15);
  const LossLaw law = FitLossLaw(RowsOf(design, LossesOf(WorldOf(LawForm::kChinchilla), design)), kConstrained).law;
  EXPECT_TRUE(std::isinf(law.repeat_tokens) && std::isinf(law.repeat_params));
}

// A draw without a repeated row refitted to R = 1, as if it had measured that.
TEST(RepeatedDataTest, ARefitWithoutRepeatsLeavesThemInfinite) {
  const FitRows rows = WorldRows(LawForm::kDataConstrained, 0.01);
  const LawFit fit = FitLossLaw(rows, kConstrained);
  Design design = DesignOf(LawForm::kChinchilla);
  design.unique.assign(design.params.size(), 1e15);
  const FitRows fresh = RowsOf(design, LossesOf(WorldOf(LawForm::kChinchilla), design, 0.01));
  const LossLaw law = LawOf(fresh, RefitLossLaw(fresh, kConstrained, {fit.theta}).theta);
  EXPECT_TRUE(std::isinf(law.repeat_tokens) && std::isinf(law.repeat_params));
}

// Two epochs under noise cannot tell R_D* = 15 from infinity: a bound, not a number.
TEST(RepeatedDataTest, AnOpenProfileIsAOneSidedBound) {
  Design design = DesignOf(LawForm::kChinchilla);
  design.unique.assign(design.params.size(), 1e15);
  for (const double params : {1e8, 2e8, 3e8}) {
    design.params.push_back(params);
    design.tokens.push_back(2e10);
    design.unique.push_back(1.6e10);
  }
  const LawFit fit = FitLossLaw(RowsOf(design, LossesOf(WorldOf(LawForm::kDataConstrained), design, 0.01)), kConstrained);
  EXPECT_EQ(fit.certificate.outcome, FitOutcome::kBoundHit);
  ASSERT_FALSE(fit.certificate.at_bounds.empty());
  EXPECT_NE(fit.certificate.at_bounds[0].find("open"), std::string::npos) << fit.certificate.at_bounds[0];
}

}  // namespace
}  // namespace isoflop
