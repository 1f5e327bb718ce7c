// The forms of the law, their values, optima and limits.
#include "analysis/loss_law.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "analysis/frontier.h"
#include "analysis/minimize.h"
#include "tests/analysis/form_worlds.h"

namespace isoflop {
namespace {

constexpr LawForm kAllForms[] = {LawForm::kChinchilla, LawForm::kTied,           LawForm::kGadre,
                                 LawForm::kKaplan,     LawForm::kMultiplicative, LawForm::kDataConstrained};

TEST(LossLawTest, NamesGoThereAndBack) {
  for (const LawForm form : kAllForms) EXPECT_EQ(ParseLawForm(ToString(form)), form);
  EXPECT_FALSE(ParseLawForm("hoffmann"));
}

TEST(LossLawTest, ValuesAreThoseOfTheFormulas) {
  const double N = 3e8, D = 7e9;
  LossLaw law = WorldOf(LawForm::kChinchilla);
  EXPECT_DOUBLE_EQ(law.LossAt(N, D), law.E + law.A * std::pow(N, -law.alpha) + law.B * std::pow(D, -law.beta));
  law = WorldOf(LawForm::kMultiplicative);
  EXPECT_DOUBLE_EQ(law.LossAt(N, D), law.E + law.A / (std::pow(N, law.alpha) * std::pow(D, law.beta)));
  // Kaplan et al. 2020: alphaN 0.076, alphaD 0.103, Nc 6.4e13, Dc 1.8e13 (section 4.1).
  law = WorldOf(LawForm::kKaplan);
  EXPECT_NEAR(law.LossAt(N, D), std::pow(std::pow(6.4e13 / N, 0.076 / 0.103) + 1.8e13 / D, 0.103), 1e-12);
}

// Gadre et al.'s own spelling, E + (a' M^eta + c M^-eta) C^-eta.
TEST(LossLawTest, GadreIsTiedInOtherCoordinates) {
  const LossLaw law = WorldOf(LawForm::kGadre);
  const double eta = law.alpha / 2, a = law.A * std::pow(6, eta), c = law.B * std::pow(6, eta);
  const double N = 3e8, D = 7e9, M = D / N, C = 6 * N * D;
  EXPECT_NEAR(law.LossAt(N, D), law.E + (a * std::pow(M, eta) + c * std::pow(M, -eta)) * std::pow(C, -eta), 1e-12);
}

TEST(LossLawTest, RepeatsAreWorthLessAndInfiniteOnesAsMuch) {
  const LossLaw law = WorldOf(LawForm::kDataConstrained);
  EXPECT_EQ(EffectiveTokens(1e9, 2e9, 15), 1e9);
  EXPECT_NEAR(EffectiveTokens(4e9, 1e9, 15), 1e9 + 15e9 * (1 - std::exp(-3.0 / 15)), 1);
  EXPECT_LT(EffectiveTokens(1e15, 1e9, 15), 16e9 * (1 + 1e-12));
  EXPECT_EQ(EffectiveTokens(4e9, 1e9, std::numeric_limits<double>::infinity()), 4e9);
  EXPECT_EQ(EffectiveTokens(4e9, 1e9, 0), 1e9);
  EXPECT_GT(law.LossAt(3e8, 4e9, 1e9), law.LossAt(3e8, 4e9, 4e9));
  EXPECT_EQ(law.LossAt(3e8, 4e9), law.LossAt(3e8, 4e9, std::numeric_limits<double>::infinity()));
  // U_N of the size that is optimal for U tokens.
  const OptimalPoint optimum = OptimumAt(law, 1e20);
  EXPECT_NEAR(EffectiveParams(law, optimum.params, optimum.tokens), optimum.params, 1e-6 * optimum.params);
  EXPECT_LT(EffectiveParams(law, 10 * optimum.params, optimum.tokens), 10 * optimum.params);
}

// The size that is optimal for U needs both terms; it was NaN without.
TEST(LossLawTest, ALawWithoutOneTermHasNoSizeTooLarge) {
  LossLaw law = WorldOf(LawForm::kDataConstrained);
  law.A = 0;
  EXPECT_EQ(EffectiveParams(law, 1e9, 1e9), 1e9);
  EXPECT_TRUE(std::isfinite(law.LossAt(1e9, 1e10, 1e9)));
  law = WorldOf(LawForm::kDataConstrained);
  law.B = 0;
  EXPECT_EQ(EffectiveParams(law, 1e9, 1e9), 1e9);
}

TEST(LossLawTest, OnlyTheMultiplicativeFormHasNoOptimum) {
  for (const LawForm form : kAllForms) EXPECT_EQ(HasOptimum(WorldOf(form)), form != LawForm::kMultiplicative);
  LossLaw law = WorldOf(LawForm::kKaplan);
  law.kappa = -0.1;
  EXPECT_FALSE(HasOptimum(law));
}

// The closed form against a search, for every form that has an optimum.
TEST(LossLawTest, OptimaAreThoseOfASearch) {
  for (const LawForm form : kAllForms) {
    const LossLaw law = WorldOf(form);
    if (!HasOptimum(law)) continue;
    for (const double C : {1e18, 1e21, 1e24}) {
      const OptimalPoint closed = OptimumAt(law, C);
      const double n = BrentMinimum([&](double x) { return law.LossAt(std::exp(x), C / (6 * std::exp(x))); },
                                    std::log(closed.params) - 3, std::log(closed.params) + 3);
      EXPECT_NEAR(n, std::log(closed.params), 1e-6) << ToString(form) << " " << C;
      EXPECT_NEAR(6 * closed.params * closed.tokens / C, 1, 1e-12);
      EXPECT_NEAR(closed.loss, law.E + LossCoefficient(law) * std::pow(C, -law.gamma()), 1e-12 * closed.loss);
      EXPECT_NEAR(FlopsForLoss(law, closed.loss) / C, 1, 1e-8);
      const std::optional<double> tokens = TokensForLoss(law, closed.params, closed.loss);
      ASSERT_TRUE(tokens);
      EXPECT_NEAR(*tokens / closed.tokens, 1, 1e-8) << ToString(form);
    }
  }
  EXPECT_NEAR(WorldOf(LawForm::kKaplan).a(), 1 / (1 + 0.076 / 0.103), 1e-12);
  EXPECT_EQ(WorldOf(LawForm::kTied).a(), 0.5);
}

TEST(LossLawTest, TokensForALossInvertTheMultiplicativeForm) {
  const LossLaw law = WorldOf(LawForm::kMultiplicative);
  EXPECT_NEAR(*TokensForLoss(law, 1e9, law.LossAt(1e9, 3e10)) / 3e10, 1, 1e-9);
  EXPECT_FALSE(TokensForLoss(law, 1e9, law.E));
  EXPECT_FALSE(TokensForLoss(WorldOf(LawForm::kKaplan), 1e6, 1.0));
}

TEST(LossLawTest, ParametersAreCounted) {
  EXPECT_EQ(ParameterCount(LawForm::kChinchilla), 5);
  EXPECT_EQ(ParameterCount(LawForm::kDataConstrained), 7);
  EXPECT_EQ(ParameterCount(LawForm::kTied), 4);
  EXPECT_EQ(ParameterCount(LawForm::kKaplan), 4);
}

}  // namespace
}  // namespace isoflop
