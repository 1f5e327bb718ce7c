#include "analysis/isoflop_fit.h"

#include <gtest/gtest.h>

#include <ctime>
#include <random>

#include "analysis/power_law.h"
#include "analysis/statistics.h"
#include "tests/analysis/approach_fits.h"

namespace isoflop {
namespace {

constexpr MinimumMethod kMethods[] = {MinimumMethod::kQuadratic, MinimumMethod::kCubic, MinimumMethod::kAkima};

// FLOPs a token that are no multiple of N, as with attention: c = 6 N + 900 N^0.7.
double FlopsPerToken(double params) { return 6 * params + 900 * std::pow(params, 0.7); }

// `sizes` around N* `drift`^(2i/(budgets-1) - 1) at each budget, C = c(N) D.
std::vector<KeptRow> ExactStudy(int budgets, int sizes, double spread) {
  std::vector<Observation> study = SimulatedStudy(HoffmannLaw(), 1e18, 1e21, budgets, sizes, spread);
  for (Observation& row : study) {
    row.tokens_trained = *row.budget_flops / FlopsPerToken(*row.params_blocks);
    row.flops_exact = row.budget_flops;
    row.final_loss_nats = HoffmannLaw().LossAt(*row.params_blocks, row.tokens_trained);
  }
  return KeptRowsOf(study, FlopsConvention::kExact);
}

// The grid's centre wanders from N*/`drift` at the lowest budget to N* `drift` at
// the highest.
std::vector<Observation> DriftingStudy(double drift, double spread, double noise = 0) {
  std::vector<Observation> study = SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 5, 9, spread, noise);
  for (Observation& row : study) {
    const double share = std::log(*row.budget_flops / 1e18) / std::log(100.0);
    const double factor = std::pow(drift, 2 * share - 1);
    const double z = row.final_loss_nats / HoffmannLaw().LossAt(*row.params_blocks, row.tokens_trained);
    row.params_blocks = *row.params_blocks * factor;
    row.tokens_trained /= factor;
    row.final_loss_nats = z * HoffmannLaw().LossAt(*row.params_blocks, row.tokens_trained);
  }
  return study;
}

TEST(SectionMinimumTest, EachCurveFindsTheMinimumOfItsOwnKind) {
  std::vector<double> x, parabola, cubic;
  for (int i = 0; i < 9; ++i) {
    x.push_back(7 + 0.25 * i);
    const double t = x.back() - 8.1;
    parabola.push_back(3 + 0.4 * t * t);
    cubic.push_back(3 + 0.4 * t * t + 0.1 * t * t * t);
  }
  const std::vector<double> weights(x.size(), 1);
  EXPECT_NEAR(MinimumOfSection(MinimumMethod::kQuadratic, x, parabola, weights)->x, 8.1, 1e-12);
  for (const std::vector<double>* y : {&parabola, &cubic}) {
    const std::optional<SectionMinimum> minimum = MinimumOfSection(MinimumMethod::kCubic, x, *y, weights);
    ASSERT_TRUE(minimum);
    EXPECT_NEAR(minimum->x, 8.1, 1e-10);
    EXPECT_NEAR(minimum->loss, 3, 1e-12);
    EXPECT_NEAR(minimum->rss, 0, 1e-20);
  }
  EXPECT_NEAR(MinimumOfSection(MinimumMethod::kAkima, x, cubic, weights)->x, 8.1, 0.03);
  EXPECT_GT(std::abs(MinimumOfSection(MinimumMethod::kQuadratic, x, cubic, weights)->x - 8.1), 0.05);
}

// Akima's own example (Akima 1970, figure 1) is flat to x = 5 and rises then; the
// values are scipy's Akima1DInterpolator on (x, y) below.
TEST(SectionMinimumTest, AkimaGoesThroughTheKnotsWithoutOvershoot) {
  const std::vector<double> x = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  const std::vector<double> y = {10, 10, 10, 10, 10, 10, 10.5, 15, 50, 60, 85};
  const SplineMinimum minimum = MinimumOfAkimaSpline(x, y);
  EXPECT_EQ(minimum.y, 10);
}

TEST(SectionMinimumTest, AkimaIsExactForAParabolaOnEqualSteps) {
  const std::vector<double> x = {0, 1, 2, 3, 4, 5};
  std::vector<double> y;
  for (const double at : x) y.push_back((at - 2.3) * (at - 2.3));
  const SplineMinimum minimum = MinimumOfAkimaSpline(x, y);
  EXPECT_NEAR(minimum.x, 2.3, 1e-12);
  EXPECT_NEAR(minimum.y, 0, 1e-12);
}

TEST(SectionMinimumTest, AkimaTakesTheMeanOfReplicates) {
  const std::vector<double> x = {1, 2, 3, 4, 5, 6, 3, 3};
  std::vector<double> y;
  for (const double at : x) y.push_back((at - 3.4) * (at - 3.4));
  const std::vector<double> weights(x.size(), 1);
  const double once = MinimumOfSection(MinimumMethod::kAkima, x, y, weights)->x;
  y[2] += 0.3;
  y[6] -= 0.2;
  y[7] -= 0.1;
  EXPECT_NEAR(MinimumOfSection(MinimumMethod::kAkima, x, y, weights)->x, once, 1e-12);
}

TEST(SectionMinimumTest, WeightTwoIsARowTwice) {
  const std::vector<double> x = {1, 2, 3, 4, 5, 6, 3}, y = {4, 2, 1, 1.5, 2, 4, 1.2};
  const std::vector<double> once(7, 1), twice = {1, 1, 2, 1, 1, 1, 0};
  const std::vector<double> x2 = {1, 2, 3, 3, 4, 5, 6}, y2 = {4, 2, 1, 1, 1.5, 2, 4};
  for (const MinimumMethod method : kMethods) {
    EXPECT_NEAR(MinimumOfSection(method, x, y, twice)->x, MinimumOfSection(method, x2, y2, once)->x, 1e-10)
        << ToString(method);
  }
}

// The delta method's and the jackknife's errors against 2000 noisy sections.
TEST(SectionMinimumTest, StandardErrorsMatchTheScatterOfMinima) {
  std::mt19937 generator(3);
  const auto uniform = [&] { return (static_cast<double>(generator()) + 0.5) / 4294967296.0; };
  for (const MinimumMethod method : kMethods) {
    const double sigma = 0.002;
    std::vector<double> minima, variances;
    std::vector<double> x, y(11);
    for (int i = 0; i < 11; ++i) x.push_back(8 + 0.2 * i);
    for (int round = 0; round < 2000; ++round) {
      for (size_t i = 0; i < x.size(); ++i) {
        const double t = x[i] - 9.1;
        y[i] = 3 + 0.3 * t * t + 0.02 * t * t * t +
               sigma * std::sqrt(-2 * std::log(uniform())) * std::cos(6.283185307179586 * uniform());
      }
      const std::optional<SectionMinimum> minimum = MinimumOfSection(method, x, y, std::vector<double>(x.size(), 1));
      ASSERT_TRUE(minimum);
      minima.push_back(minimum->x);
      variances.push_back(minimum->VarianceOfX(sigma));
    }
    const double scatter = StandardDeviation(minima), predicted = std::sqrt(Mean(variances));
    std::printf("%-10s scatter of log10 N* %.4f, standard error %.4f\n", ToString(method).c_str(), scatter, predicted);
    if (method == MinimumMethod::kAkima) {
      EXPECT_GT(predicted, 0.7 * scatter);  // a jackknife of what is not smooth: wide, never narrow
      EXPECT_LT(predicted, 3 * scatter);
    } else {
      EXPECT_NEAR(predicted / scatter, 1, 0.08);
    }
  }
}

TEST(SectionMinimumTest, TooFewSizesAndMonotoneCurvesHaveNoMinimum) {
  const std::vector<double> ones(5, 1);
  EXPECT_FALSE(MinimumOfSection(MinimumMethod::kQuadratic, {1, 1, 2}, {1, 2, 3}, {1, 1, 1}));
  EXPECT_FALSE(MinimumOfSection(MinimumMethod::kCubic, {1, 2, 3}, {1, 0, 1}, {1, 1, 1}));
  EXPECT_FALSE(MinimumOfSection(MinimumMethod::kAkima, {1, 2, 3, 4}, {1, 0, 1, 2}, {1, 1, 1, 1}));
  EXPECT_FALSE(MinimumOfSection(MinimumMethod::kQuadratic, {1, 2, 3, 4, 5}, {-1, -4, -9, -16, -25}, ones));
  EXPECT_FALSE(MinimumOfSection(MinimumMethod::kCubic, {-2, -1, 0, 1, 2}, {-10, -2, 0, 2, 10}, ones));
}

TEST(SectionMinimumTest, NamesOfMethods) {
  for (const MinimumMethod method : kMethods) EXPECT_EQ(ParseMinimumMethod(ToString(method)), method);
  EXPECT_FALSE(ParseMinimumMethod("spline"));
}

TEST(IsoflopFitTest, CubicAndSplineHaveLessBiasThanTheParabola) {
  const std::vector<KeptRow> rows = KeptRowsOf(SimulatedStudy(HoffmannLaw(), 1e17, 1e21, 5, 15, 16));
  double bias[3];
  for (const MinimumMethod method : kMethods) {
    IsoflopOptions options{.minimum = method};
    IsoflopFit fit = FitIsoflop(rows, options);
    EXPECT_EQ(fit.accepted, 5);
    AddIsoflopBias(rows, HoffmannLaw(), 1e24, options, &fit);
    ASSERT_TRUE(fit.bias_at_target);
    bias[static_cast<int>(method)] = std::abs(*fit.bias_at_target);
    EXPECT_NEAR(fit.params_law_corrected->exponent.value, HoffmannLaw().a(), 1e-9);
    std::printf("bias at 1e24, 16x: %-10s %+.4f%%\n", ToString(method).c_str(), 100 * std::expm1(*fit.bias_at_target));
  }
  EXPECT_LT(bias[1], 0.5 * bias[0]);
  EXPECT_LT(bias[2], 0.5 * bias[0]);
}

// Without noise, what is left after the correction is the law's own frontier.
TEST(IsoflopFitTest, CorrectedMinimaAreTheLawsUnderExactFlops) {
  const std::vector<KeptRow> rows = ExactStudy(6, 11, 8);
  IsoflopOptions options{.flops = FlopsConvention::kExact};
  IsoflopFit fit = FitIsoflop(rows, options);
  ASSERT_EQ(fit.accepted, 6);
  AddIsoflopBias(rows, HoffmannLaw(), 1e22, options, &fit);
  ASSERT_TRUE(fit.params_law_corrected && fit.bias_at_target);
  const ComputeModel compute = ComputeModelOf(rows, FlopsConvention::kExact);
  std::vector<double> flops, params, tokens, params_variance, tokens_variance;
  for (const IsoflopBudget& budget : fit.budgets) {
    const OptimalPoint truth = compute.OptimumAt(HoffmannLaw(), budget.budget_flops);
    ASSERT_TRUE(budget.bias);
    EXPECT_GT(std::abs(*budget.bias), 1e-4);
    EXPECT_NEAR(std::log(budget.params_optimal->value) - *budget.bias, std::log(truth.params), 1e-9);
    flops.push_back(budget.budget_flops);
    params.push_back(truth.params);
    tokens.push_back(truth.tokens);
    params_variance.push_back(std::pow(*budget.params_optimal->se / budget.params_optimal->value, 2));
    tokens_variance.push_back(std::pow(*budget.tokens_optimal->se / budget.tokens_optimal->value, 2));
  }
  EXPECT_NEAR(fit.params_law_corrected->exponent.value, FitPowerLaw(flops, params, params_variance).exponent.value, 1e-8);
  EXPECT_NEAR(fit.tokens_law_corrected->exponent.value, FitPowerLaw(flops, tokens, tokens_variance).exponent.value, 1e-8);
  EXPECT_NE(fit.params_law->exponent.value, fit.params_law_corrected->exponent.value);
}

TEST(IsoflopFitTest, DriftingCenterBendsTheExponentAndTheCorrectionMendsIt) {
  const std::vector<KeptRow> rows = KeptRowsOf(DriftingStudy(3, 8));
  IsoflopFit fit = FitIsoflop(rows, {});
  ASSERT_EQ(fit.accepted, 5);
  AddIsoflopBias(rows, HoffmannLaw(), 1e22, {}, &fit);
  ASSERT_TRUE(fit.params_law_corrected);
  const double truth = HoffmannLaw().a();
  std::printf("drifting centre: exponent %.5f raw, %.5f corrected, %.5f true\n", fit.params_law->exponent.value,
              fit.params_law_corrected->exponent.value, truth);
  EXPECT_GT(std::abs(fit.params_law->exponent.value - truth), 0.005);
  EXPECT_NEAR(fit.params_law_corrected->exponent.value, truth, 1e-9);
  EXPECT_NEAR(fit.tokens_law_corrected->exponent.value, 1 - truth, 1e-9);
}

// A refit on the rows as they are is the fit, corrected too.
TEST(IsoflopFitTest, RefitOnAllRowsIsTheFit) {
  for (const FlopsConvention flops : {FlopsConvention::k6nd, FlopsConvention::kExact}) {
    const std::vector<KeptRow> rows = flops == FlopsConvention::kExact
                                          ? ExactStudy(5, 9, 8)
                                          : KeptRowsOf(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 5, 9, 8, 0.003));
    for (const MinimumMethod method : kMethods) {
      const IsoflopOptions options{.flops = flops, .minimum = method};
      IsoflopFit fit = FitIsoflop(rows, options);
      AddIsoflopBias(rows, HoffmannLaw(), 1e22, options, &fit);
      ASSERT_TRUE(fit.params_law_corrected) << ToString(method);
      std::vector<double> weights, losses;
      for (const KeptRow& row : rows) {
        weights.push_back(row.weight);
        losses.push_back(row.loss);
      }
      const LossLaw law = HoffmannLaw();
      const ComputeModel compute = ComputeModelOf(rows, flops);
      const IsoflopCorrection correction{&law, &compute};
      const std::optional<IsoflopLaws> refit =
          RefitIsoflop(rows, GroupByBudget(rows, 0.1), weights, losses, options, &correction);
      ASSERT_TRUE(refit && refit->corrected);
      EXPECT_NEAR(refit->params_exponent, fit.params_law->exponent.value, 1e-9);
      EXPECT_NEAR(refit->tokens_exponent, fit.tokens_law->exponent.value, 1e-9);
      EXPECT_NEAR(refit->corrected->params_exponent, fit.params_law_corrected->exponent.value, 1e-9);
      EXPECT_NEAR(refit->corrected->tokens_ln_coefficient, fit.tokens_law_corrected->ln_coefficient.value, 1e-7);
    }
  }
}

TEST(IsoflopFitTest, RejectsWithTheReason) {
  std::vector<Observation> study = SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 5, 9, 8);
  std::vector<Observation> cut;
  for (size_t i = 0; i < study.size(); ++i) {
    const size_t budget = i / 9, size = i % 9;
    if (budget == 0 && size >= 2) continue;   // two sizes
    if (budget == 1 && size < 5) continue;    // none below the minimum
    if (budget == 2) study[i].final_loss_nats = 6 - study[i].final_loss_nats;  // upside down
    cut.push_back(study[i]);
  }
  const IsoflopFit fit = FitIsoflop(KeptRowsOf(cut), {});
  ASSERT_EQ(fit.budgets.size(), 5u);
  const Code codes[] = {Code::kTooFewPoints, Code::kMinimumAtEdge, Code::kNotConvex};
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(fit.budgets[i].rejection) << i;
    EXPECT_EQ(fit.budgets[i].rejection->code, codes[i]) << i;
  }
  EXPECT_EQ(fit.accepted, 2);
  EXPECT_FALSE(fit.refusal);
}

TEST(IsoflopFitTest, SplineNeedsFiveSizesAndSaysSo) {
  const std::vector<KeptRow> rows = KeptRowsOf(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 3, 4, 4));
  const IsoflopFit fit = FitIsoflop(rows, {.minimum = MinimumMethod::kAkima});
  ASSERT_TRUE(fit.budgets[0].rejection && fit.refusal);
  EXPECT_EQ(fit.budgets[0].rejection->code, Code::kTooFewPoints);
  EXPECT_NE(fit.budgets[0].rejection->message.find("a spline needs 5"), std::string::npos);
}

// A budget that was planned under another count of N is not the C of its rows.
TEST(IsoflopFitTest, BudgetPlannedUnderAnotherConventionTakesTheRowsFlops) {
  std::vector<Observation> study = SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 4, 9, 8);
  for (Observation& row : study) row.budget_flops = *row.budget_flops * 0.6;
  const std::vector<BudgetGroup> groups = GroupByBudget(KeptRowsOf(study), 0.1);
  ASSERT_EQ(groups.size(), 4u);
  EXPECT_NEAR(groups[0].budget_flops / 1e18, 1, 1e-9);
  EXPECT_NEAR(groups[3].budget_flops / 1e20, 1, 1e-9);
}

// The true frontier in 200 noisy studies: the corrected law is nearer to it than
// the raw one, and the draws' corrected exponents scatter about the truth.
TEST(IsoflopFitTest, CorrectionTakesTheBiasOffNoisyStudies) {
  double raw = 0, corrected = 0;
  const double truth = std::log(OptimumAt(HoffmannLaw(), 1e22).params);
  constexpr int kStudies = 200;
  for (uint32_t seed = 1; seed <= kStudies; ++seed) {
    const std::vector<KeptRow> rows = KeptRowsOf(SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 6, 11, 16, 0.003, seed));
    IsoflopFit fit = FitIsoflop(rows, {});
    AddIsoflopBias(rows, HoffmannLaw(), 1e22, {}, &fit);
    ASSERT_TRUE(fit.params_law_corrected);
    raw += (std::log(fit.params_law->At(1e22)) - truth) / kStudies;
    corrected += (std::log(fit.params_law_corrected->At(1e22)) - truth) / kStudies;
  }
  std::printf("mean error of ln N*(1e22) over %d studies: %+.4f raw, %+.4f corrected\n", kStudies, raw, corrected);
  EXPECT_GT(raw, 0.03);
  EXPECT_LT(std::abs(corrected), 0.015);
}

// Printed, not demanded.
TEST(IsoflopFitTest, CpuTimeOfRefitsIsPrinted) {
  const std::vector<KeptRow> rows = KeptRowsOf(SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 20, 50, 8, 0.003));
  const std::vector<BudgetGroup> groups = GroupByBudget(rows, 0.1);
  std::vector<double> losses;
  for (const KeptRow& row : rows) losses.push_back(row.loss);
  const std::vector<double> weights(rows.size(), 1);
  const LossLaw law = HoffmannLaw();
  const ComputeModel compute;
  const IsoflopCorrection correction{&law, &compute};
  for (const MinimumMethod method : kMethods) {
    const std::clock_t start = std::clock();
    for (int draw = 0; draw < 20; ++draw) {
      ASSERT_TRUE(RefitIsoflop(rows, groups, weights, losses, {.minimum = method}, &correction)->corrected);
    }
    std::printf("speed      2000 corrected refits of 1000 rows, %-10s %.2f s of one core\n", ToString(method).c_str(),
                100 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
}

}  // namespace
}  // namespace isoflop
