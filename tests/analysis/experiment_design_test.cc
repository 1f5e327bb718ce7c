// The next trials: are the formulas right, and does the closed loop reach its goal
// for half of the FLOPs of a grid?
#include "analysis/experiment_design.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "analysis/design_candidates.h"
#include "analysis/fit_variance.h"
#include "analysis/frontier.h"
#include "analysis/statistics.h"
#include "tests/analysis/simulated_analysis.h"

namespace isoflop {
namespace {

constexpr double kSigma = 0.005;

LossLaw LawOfRaw(const LawVector& x) {
  return {LawForm::kChinchilla, std::exp(x[2]), std::exp(x[0]), std::exp(x[1]), x[3], x[4]};
}

LawVector RawOf(const LossLaw& law) {
  LawVector x;
  x << std::log(law.A), std::log(law.B), std::log(law.E), law.alpha, law.beta;
  return x;
}

TEST(FitVarianceTest, GradientOfTheOptimumIsTheFormulaOfThePageAndTheDifferences) {
  const LossLaw law = HoffmannLaw();
  const double target = 1e23, S = law.alpha + law.beta, c = std::log(target / 6);
  const double h = std::log(law.alpha * law.A) - std::log(law.beta * law.B);
  LawVector page;
  page << 1 / S, -1 / S, 0, 1 / (law.alpha * S) - h / (S * S) - law.beta * c / (S * S),
      -1 / (law.beta * S) - h / (S * S) + law.alpha * c / (S * S);
  const LawVector g = LnOptimumGradient(law, {}, ComputeModel(), target);
  EXPECT_LT((g - page).cwiseAbs().maxCoeff(), 1e-11 * page.cwiseAbs().maxCoeff());
  for (int j = 0; j < 5; ++j) {
    LawVector up = RawOf(law), down = up;
    up[j] += 1e-5;
    down[j] -= 1e-5;
    const double difference =
        std::log(OptimumAt(LawOfRaw(up), target).params / OptimumAt(LawOfRaw(down), target).params) / 2e-5;
    EXPECT_NEAR(g[j], difference, 1e-6 * (1 + std::abs(difference))) << j;
  }
}

TEST(FitVarianceTest, GradientUnderExactFlopsIsTheDifferences) {
  std::vector<double> params, flops;
  for (double n = 1e7; n < 1e12; n *= 1.5) {
    params.push_back(n);
    flops.push_back(6 * n + 40 * std::pow(n, 2.0 / 3));  // attention's share falls with N
  }
  const ComputeModel compute(*FlopsPerTokenCurve::Through(params, flops));
  const LossLaw law = HoffmannLaw();
  const LawVector g = LnOptimumGradient(law, {}, compute, 1e21);
  for (int j = 0; j < 5; ++j) {
    LawVector up = RawOf(law), down = up;
    up[j] += 1e-3;
    down[j] -= 1e-3;
    const double difference =
        std::log(compute.OptimumAt(LawOfRaw(up), 1e21).params / compute.OptimumAt(LawOfRaw(down), 1e21).params) / 2e-3;
    EXPECT_NEAR(g[j], difference, 5e-3 * (1 + std::abs(difference))) << j;
  }
}

TEST(FitVarianceTest, JacobianIsTheDifferences) {
  const LossLaw law = HoffmannLaw();
  const LawVector J = LnLossGradient(law, {}, 3e8, 7e9);
  for (int j = 0; j < 5; ++j) {
    LawVector up = RawOf(law), down = up;
    up[j] += 1e-5;
    down[j] -= 1e-5;
    EXPECT_NEAR(J[j], std::log(LawOfRaw(up).LossAt(3e8, 7e9) / LawOfRaw(down).LossAt(3e8, 7e9)) / 2e-5, 1e-7);
  }
}

TEST(FitVarianceTest, VarianceOfTheOptimumDoesNotDependOnTheCentre) {
  const std::vector<KeptRow> rows = KeptRows(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 4, 7, 4));
  const auto variance = [&](const LawCenter& center) {
    const LawVector g = LnOptimumGradient(HoffmannLaw(), center, ComputeModel(), 1e21);
    return g.dot(*InverseInformation(HoffmannLaw(), center, rows) * g);
  };
  const LawCenter center = CenterOf(rows);
  EXPECT_NEAR(variance(center), variance({center.n0 + 1, center.d0 - 1}), 1e-6 * variance(center));
}

TEST(FitVarianceTest, DeltaMethodIsTheScatterOfRefits) {
  std::vector<double> optima, predicted;
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    const std::vector<KeptRow> rows = KeptRows(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 6, 9, 8, 0.002, 100 + seed));
    const AnalysisResult result = AnalysisOf(rows, 1e21, 0, 0.002);
    const LossLaw& law = result.parametric->law;
    optima.push_back(std::log(OptimumAt(law, 1e21).params));
    const LawCenter center = CenterOf(rows);
    const LawVector g = LnOptimumGradient(law, center, ComputeModel(), 1e21);
    predicted.push_back(*EffectiveVariance(law, rows, 1e-3) * g.dot(*InverseInformation(law, center, rows) * g));
  }
  const double scatter = StandardDeviation(optima), expected = std::sqrt(Median(predicted));
  std::printf("SD of ln N*(1e21) over 60 studies %.3f, by the delta method %.3f (median)\n", scatter, expected);
  EXPECT_NEAR(expected / scatter, 1, 0.3);
}

// --- one design ----------------------------------------------------------------------------

std::vector<KeptRow> SmallStudy(double noise = kSigma, uint32_t seed = 3) {
  return KeptRows(SimulatedStudy(HoffmannLaw(), 1e17, 8e17, 4, 7, 4, noise, seed));
}

TEST(ExperimentDesignTest, ExpectedFactorsFallAndTheFlopsAreKept) {
  const AnalysisResult result = AnalysisOf(SmallStudy(), 1e21, 200, kSigma);
  DesignOptions options;
  options.flops = 2e18;
  const ExperimentDesign design = DesignNextTrials(result, options);
  ASSERT_FALSE(design.refusal || design.stop) << design.reason;
  ASSERT_FALSE(design.trials.empty());
  double flops = 0, before = design.factor_now;
  int trials = 0;
  for (const DesignTrial& trial : design.trials) {
    flops += trial.flops;
    trials += trial.seeds;
    EXPECT_LT(trial.factor_after, before) << "each trial narrows the interval";
    before = trial.factor_after;
    EXPECT_NEAR(trial.flops, 6 * trial.params * trial.tokens * trial.seeds, 1e-6 * trial.flops);
    EXPECT_GE(trial.tokens / trial.params, 0.99);
  }
  EXPECT_LE(flops, options.flops);
  EXPECT_LE(trials, options.most_trials);
  EXPECT_LT(before, 0.9 * design.factor_now);
  const ExperimentDesign again = DesignNextTrials(result, options);
  ASSERT_EQ(again.trials.size(), design.trials.size());
  for (size_t i = 0; i < design.trials.size(); ++i)
    EXPECT_EQ(again.trials[i].factor_after, design.trials[i].factor_after);
}

TEST(ExperimentDesignTest, SeedsComeFirstWhereSigmaIsUnknown) {
  const std::vector<KeptRow> rows = SmallStudy();
  const ExperimentDesign design = DesignNextTrials(AnalysisOf(rows, 1e21, 200, 0), {});
  ASSERT_GE(design.trials.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(design.trials[i].seeds, 2);  // with the one there is: three
    EXPECT_NEAR(design.trials[i].flops, 2 * 1e17, 1e11);
    EXPECT_NE(design.trials[i].why.find("another seed"), std::string::npos) << design.trials[i].why;
  }
  EXPECT_NE(design.trials[0].params, design.trials[1].params);
}

TEST(ExperimentDesignTest, ACooldownCostsItsOwnFlopsAndIsTakenOnce) {
  const AnalysisResult result = AnalysisOf(SmallStudy(), 1e21, 200, kSigma);
  DesignShape shape;
  shape.params = 8e6;
  shape.flops_per_token = 6 * 8e6;
  shape.trunk_id = "trial 7";
  shape.branch_tokens = {4e8, 8e8};
  DesignOptions options;
  options.shapes = {shape};
  options.flops = 1e17;
  const ExperimentDesign design = DesignNextTrials(result, options);
  int cooldowns = 0;
  for (const DesignTrial& trial : design.trials) {
    if (trial.from_trunk.empty()) continue;
    ++cooldowns;
    EXPECT_EQ(trial.from_trunk, "trial 7");
    EXPECT_EQ(trial.seeds, 1);
    EXPECT_TRUE(RelativeDifference(trial.tokens, 5e8) < 1e-12 || RelativeDifference(trial.tokens, 1e9) < 1e-12);
    EXPECT_NEAR(trial.flops, 0.2 * 6 * trial.params * trial.tokens, 1e-6 * trial.flops);
  }
  EXPECT_GE(cooldowns, 1);
  EXPECT_LE(cooldowns, 2);
}

TEST(ExperimentDesignTest, StopsOnTwoRefitsUnderTheGoalInARow) {
  AnalysisResult result = AnalysisOf(SmallStudy(), 1e21, 200, kSigma);
  result.options.spec.goal_factor = 100;
  DesignOptions options;
  const ExperimentDesign first = DesignNextTrials(result, options);
  EXPECT_FALSE(first.stop);
  EXPECT_NE(first.reason.find("a second refit"), std::string::npos) << first.reason;
  EXPECT_LE(first.trials.size(), 3u);
  options.earlier_factors = {first.factor_now};
  const ExperimentDesign second = DesignNextTrials(result, options);
  EXPECT_TRUE(second.stop);
  EXPECT_TRUE(second.trials.empty());
  EXPECT_NE(second.reason.find("two refits in a row"), std::string::npos) << second.reason;
  options.earlier_factors = {50, 200};
  EXPECT_FALSE(DesignNextTrials(result, options).stop) << "the refit before was over the goal";
}

TEST(ExperimentDesignTest, StopsWhereNoTrialIsWorthItsFlops) {
  const AnalysisResult result = AnalysisOf(SmallStudy(), 1e21, 200, kSigma);
  DesignOptions options;
  options.shapes.resize(1);
  options.shapes[0].params = 3e7;
  options.shapes[0].flops_per_token = 1e12;  // a size that costs a fortune
  options.flops = 1e22;
  const ExperimentDesign design = DesignNextTrials(result, options);
  EXPECT_TRUE(design.stop);
  EXPECT_NE(design.reason.find("2% per 10%"), std::string::npos) << design.reason;
}

TEST(ExperimentDesignTest, RefusesWithoutALawOrAnOptimum) {
  AnalysisResult result = AnalysisOf({MakeKeptRow(1e7, 1e9, 3), MakeKeptRow(2e7, 1e9, 2.9)}, 1e20, 200, kSigma);
  EXPECT_EQ(DesignNextTrials(result, {}).refusal->code, Code::kUnderdetermined);
  EXPECT_TRUE(RecentredSizes(result, 1e19, 7).empty());
  EXPECT_FALSE(PredictPending(result, 1e7, 1e9).has_value());
  EXPECT_EQ(DesignNextTrials(AnalysisResult(), {}).refusal->code, Code::kUnderdetermined);
  result = AnalysisOf(SmallStudy(), 1e21, 0, kSigma);
  EXPECT_TRUE(DesignNextTrials(result, {}).refusal.has_value()) << "no draws, no interval";
  result.parametric->law.form = LawForm::kKaplan;
  EXPECT_NE(DesignNextTrials(result, {}).refusal->message.find("not from kaplan"), std::string::npos);
  result.parametric->law.form = LawForm::kChinchilla;
  result.parametric->law.B = 0;
  EXPECT_EQ(DesignNextTrials(result, {}).refusal->code, Code::kNoInteriorOptimum);
}

TEST(ExperimentDesignTest, RecentredSizesAreWideWhileTheIntervalIs) {
  AnalysisResult result = AnalysisOf(SmallStudy(), 1e21, 200, kSigma);
  const double near = OptimumAt(result.parametric->law, 1e18).params;
  ASSERT_LT(*OptimumFactor(result, 1e18), 2);
  std::vector<double> sizes = RecentredSizes(result, 1e18, 7);
  ASSERT_EQ(sizes.size(), 7u);
  EXPECT_NEAR(sizes.front(), near / 4, 1e-9 * near);
  EXPECT_NEAR(sizes[3], near, 1e-9 * near);
  EXPECT_NEAR(sizes.back(), near * 4, 1e-9 * near);
  ASSERT_GT(*OptimumFactor(result, 1e23), 2);
  sizes = RecentredSizes(result, 1e23, 7);
  EXPECT_NEAR(sizes.back() / sizes[3], 8, 1e-9);
}

TEST(ExperimentDesignTest, PendingTrialsHaveStandardNormalZ) {
  std::vector<double> z;
  NormalStream noise(77);
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    const AnalysisResult result = AnalysisOf(SmallStudy(kSigma, 500 + seed), 1e21, 0, kSigma);
    for (const double budget : {2e17, 2e18}) {
      const OptimalPoint cell = OptimumAt(HoffmannLaw(), budget);
      const std::optional<PendingPrediction> pending = PredictPending(result, cell.params, cell.tokens);
      ASSERT_TRUE(pending.has_value());
      ASSERT_GE(pending->se, kSigma);
      z.push_back(pending->Z(cell.loss * std::exp(kSigma * noise.Next())));
    }
  }
  std::printf("z of %zu pending trials: mean %.2f, SD %.2f (standard normal wanted)\n", z.size(), Mean(z),
              StandardDeviation(z));
  EXPECT_NEAR(Mean(z), 0, 0.3);
  EXPECT_NEAR(StandardDeviation(z), 1, 0.25);
}

TEST(ExperimentDesignTest, SurpriseIsBeyondThreeStandardErrors) {
  const AnalysisResult result = AnalysisOf(SmallStudy(), 1e21, 0, kSigma);
  const PendingPrediction pending = *PredictPending(result, 2e7, 1e9);
  EXPECT_FALSE(pending.IsSurprise(std::exp(pending.ln_loss + 2.9 * pending.se)));
  EXPECT_TRUE(pending.IsSurprise(std::exp(pending.ln_loss - 3.1 * pending.se)));
}

// --- the closed loop ---------------------------------------------------------------------

// A world that trains what is asked for.
class World {
 public:
  explicit World(uint32_t seed) : noise_(seed) {}

  void Train(double params, double tokens) {
    rows_.push_back(
        MakeKeptRow(params, tokens, HoffmannLaw().LossAt(params, tokens) * std::exp(kSigma * noise_.Next())));
    flops_ += rows_.back().flops;
  }
  // `sizes` sizes round the true optimum: a better grid than one could know.
  void TrainBudget(double budget, int sizes = 7) {
    const double optimum = OptimumAt(HoffmannLaw(), budget).params;
    for (int i = 0; i < sizes; ++i) {
      const double params = optimum * std::pow(4, 2.0 * i / (sizes - 1) - 1);
      Train(params, budget / (6 * params));
    }
  }
  AnalysisResult Analyse(double target, int draws) const { return AnalysisOf(rows_, target, draws, kSigma); }
  double flops() const { return flops_; }
  size_t trials() const { return rows_.size(); }

 private:
  NormalStream noise_;
  std::vector<KeptRow> rows_;
  double flops_ = 0;
};

struct Course {
  double flops_first = 0;  // spent at the first refit under the goal
  double flops_twice = 0;  // at the second in a row
  size_t trials = 0;
  int refits = 0;
  bool covered = false;
  std::string reason;
};

constexpr double kTarget = 1e21;
constexpr double kFirstBudgets[] = {1e17, 2e17, 4e17, 8e17};
constexpr int kDraws = 200;

bool Covers(const AnalysisResult& result) {
  const double truth = OptimumAt(HoffmannLaw(), kTarget).params;
  std::vector<double> optima;
  for (const LossLaw& law : result.bootstrap.laws) {
    if (HasOptimum(law)) optima.push_back(OptimumAt(law, kTarget).params);
  }
  std::sort(optima.begin(), optima.end());
  return SortedQuantile(optima, 0.025) <= truth && truth <= SortedQuantile(optima, 0.975);
}

Course Designed(uint32_t seed) {
  World world(seed);
  for (const double budget : kFirstBudgets) world.TrainBudget(budget);
  Course course;
  DesignOptions options;
  for (course.refits = 1; course.refits <= 30; ++course.refits) {
    const AnalysisResult result = world.Analyse(kTarget, kDraws);
    const ExperimentDesign design = DesignNextTrials(result, options);
    if (course.flops_first == 0 && design.factor_now < 1.5) course.flops_first = world.flops();
    course.reason = design.reason;
    course.covered = Covers(result);
    if (design.stop || design.refusal) break;
    options.earlier_factors.push_back(design.factor_now);
    for (const DesignTrial& trial : design.trials) {
      for (int i = 0; i < trial.seeds; ++i) world.Train(trial.params, trial.tokens);
    }
  }
  course.flops_twice = world.flops();
  course.trials = world.trials();
  return course;
}

Course Uniform(uint32_t seed) {
  World world(seed);
  for (const double budget : kFirstBudgets) world.TrainBudget(budget);
  Course course;
  double budget = kFirstBudgets[3], before = 100;
  for (course.refits = 1; course.refits <= 16; ++course.refits) {
    const AnalysisResult result = world.Analyse(kTarget, kDraws);
    const double factor = OptimumFactor(result, kTarget).value_or(1e9);
    if (course.flops_first == 0 && factor < 1.5) course.flops_first = world.flops();
    course.covered = Covers(result);
    if (factor < 1.5 && before < 1.5) break;
    before = factor;
    world.TrainBudget(budget *= 2);
  }
  course.flops_twice = world.flops();
  course.trials = world.trials();
  return course;
}

TEST(ExperimentDesignTest, DesignedTrialsReachTheGoalForHalfTheFlopsOfAGrid) {
  constexpr int kStudies = 20;
  double designed_sum = 0, uniform_sum = 0, designed_first = 0, uniform_first = 0, trials = 0, grid_trials = 0;
  int designed_covered = 0, uniform_covered = 0, reached = 0;
  for (uint32_t study = 0; study < kStudies; ++study) {
    const Course designed = Designed(7000 + study), uniform = Uniform(9000 + study);
    if (study < 5) {
      std::printf("study %u: designed %.3g FLOPs, %zu trials, %d refits; uniform %.3g FLOPs, %zu trials, %d refits\n",
                  study, designed.flops_twice, designed.trials, designed.refits, uniform.flops_twice, uniform.trials,
                  uniform.refits);
    }
    EXPECT_GT(designed.flops_first, 0) << "study " << study << ": " << designed.reason;
    EXPECT_GT(uniform.flops_first, 0) << "study " << study;
    reached += designed.reason.find("two refits in a row") != std::string::npos;
    designed_sum += designed.flops_twice / kStudies;
    uniform_sum += uniform.flops_twice / kStudies;
    designed_first += designed.flops_first / kStudies;
    uniform_first += uniform.flops_first / kStudies;
    trials += static_cast<double>(designed.trials) / kStudies;
    grid_trials += static_cast<double>(uniform.trials) / kStudies;
    designed_covered += designed.covered;
    uniform_covered += uniform.covered;
  }
  std::printf(
      "FLOPs until the 95%% interval of N*(1e21) is under a factor 1.5, mean of %d studies (4 budgets of 7 first, in "
      "both):\n"
      "                      designed   uniform grid   ratio   required\n"
      "  two refits in a row %.3g   %.3g       %.3f   <= 0.5\n"
      "  the first refit     %.3g   %.3g       %.3f   -\n"
      "  trials              %.0f         %.0f\n"
      "  interval holds N*   %d of %d   %d of %d\n",
      kStudies, designed_sum, uniform_sum, designed_sum / uniform_sum, designed_first, uniform_first,
      designed_first / uniform_first, trials, grid_trials, designed_covered, kStudies, uniform_covered, kStudies);
  EXPECT_EQ(reached, kStudies);
  EXPECT_LE(designed_sum, 0.5 * uniform_sum);
  EXPECT_LE(designed_first, 0.5 * uniform_first);
  EXPECT_GE(designed_covered, 16);  // under 95 % coverage fewer happen once in 300 times
}

}  // namespace
}  // namespace isoflop
