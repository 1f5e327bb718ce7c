#include "analysis/interval_methods.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <numeric>

#include "analysis/bootstrap.h"
#include "analysis/frontier.h"
#include "analysis/normal.h"
#include "analysis/prediction.h"
#include "analysis/row_draws.h"
#include "tests/analysis/uncertainty_world.h"

namespace isoflop {
namespace {

// --- BCa ---

// Efron and Tibshirani's 15 law schools.
constexpr double kLsat[15] = {576, 635, 558, 578, 666, 580, 555, 661, 651, 605, 653, 575, 545, 572, 594};
constexpr double kGpa[15] = {3.39, 3.30, 2.81, 3.03, 3.44, 3.07, 3.00, 3.43,
                             3.36, 3.13, 3.12, 2.74, 2.76, 2.88, 2.96};

double Correlation(const std::vector<double>& weights) {
  double w = 0, x = 0, y = 0, xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < 15; ++i) {
    w += weights[i];
    x += weights[i] * kLsat[i];
    y += weights[i] * kGpa[i];
  }
  x /= w;
  y /= w;
  for (size_t i = 0; i < 15; ++i) {
    xx += weights[i] * (kLsat[i] - x) * (kLsat[i] - x);
    yy += weights[i] * (kGpa[i] - y) * (kGpa[i] - y);
    xy += weights[i] * (kLsat[i] - x) * (kGpa[i] - y);
  }
  return xy / std::sqrt(xx * yy);
}

double Variance(const std::vector<double>& weights) {
  double w = 0, x = 0, xx = 0;
  for (size_t i = 0; i < 15; ++i) {
    w += weights[i];
    x += weights[i] * kLsat[i];
  }
  x /= w;
  for (size_t i = 0; i < 15; ++i) xx += weights[i] * (kLsat[i] - x) * (kLsat[i] - x);
  return xx / w;
}

// scipy 1.17 (stats._resampling._bca_interval on numpy's RandomState(42).choice(15,
// (2000, 15)), which is our stream): acceleration of the correlation -0.07566, as
// published.
TEST(BcaTest, LawSchoolsAsScipyHasThem) {
  std::vector<std::vector<size_t>> clusters;
  for (size_t i = 0; i < 15; ++i) clusters.push_back({i});
  const std::vector<uint16_t> counts = DrawCounts(clusters, 15, 2000, 42);
  const struct {
    const char* name;
    double (*statistic)(const std::vector<double>&);
    double value, lo80, hi80, lo95, hi95;
  } kRows[] = {{"correlation", Correlation, 0.776374491289407, 0.5186807858566987, 0.9050910428525608,
                0.358420118458738, 0.9409063580446293},
               {"variance", Variance, 1630.3288888888887, 1300.136827429961, 2149.106313252089, 1049.9282838966856,
                2364.2653689671392}};
  for (const auto& row : kRows) {
    std::vector<double> draws, jackknife;
    for (size_t draw = 0; draw < 2000; ++draw) {
      draws.push_back(row.statistic(std::vector<double>(counts.begin() + static_cast<ptrdiff_t>(15 * draw),
                                                        counts.begin() + static_cast<ptrdiff_t>(15 * draw + 15))));
    }
    for (size_t i = 0; i < 15; ++i) {
      std::vector<double> weights(15, 1);
      weights[i] = 0;
      jackknife.push_back(row.statistic(weights));
    }
    const double value = row.statistic(std::vector<double>(15, 1));
    EXPECT_NEAR(value / row.value, 1, 1e-12);
    const std::vector<double> levels = {80, 95};
    const std::vector<Interval> bca = BcaIntervals(value, draws, jackknife, levels);
    ASSERT_EQ(bca.size(), 2u);
    std::printf("BCa of the %s, 95 %%: [%.12g, %.12g], scipy [%.12g, %.12g]\n", row.name, bca[1].lo, bca[1].hi,
                row.lo95, row.hi95);
    EXPECT_NEAR(bca[0].lo / row.lo80, 1, 1e-9);
    EXPECT_NEAR(bca[0].hi / row.hi80, 1, 1e-9);
    EXPECT_NEAR(bca[1].lo / row.lo95, 1, 1e-9);
    EXPECT_NEAR(bca[1].hi / row.hi95, 1, 1e-9);
  }
}

TEST(BcaTest, SymmetricDrawsGiveThePercentiles) {
  std::vector<double> draws;
  for (int i = -500; i <= 500; ++i) draws.push_back(i);
  const std::vector<double> levels = {90}, jackknife = {-1, 0, 1};
  const std::vector<Interval> bca = BcaIntervals(0, draws, jackknife, levels);
  ASSERT_EQ(bca.size(), 1u);
  EXPECT_NEAR(bca[0].lo, -450, 1e-9);
  EXPECT_NEAR(bca[0].hi, 450, 1e-9);
}

TEST(BcaTest, NothingWhereThereIsNothingToCorrectBy) {
  const std::vector<double> levels = {95}, three = {1, 2, 3}, two = {1, 2}, open = {1, 2, INFINITY};
  std::vector<double> draws(50);
  std::iota(draws.begin(), draws.end(), 0);
  EXPECT_FALSE(BcaIntervals(25, draws, three, levels).empty());
  EXPECT_TRUE(BcaIntervals(25, draws, two, levels).empty());
  EXPECT_TRUE(BcaIntervals(25, draws, open, levels).empty());
  EXPECT_TRUE(BcaIntervals(-1, draws, three, levels).empty());
  EXPECT_TRUE(BcaIntervals(99, draws, three, levels).empty());
  draws.resize(19);
  EXPECT_TRUE(BcaIntervals(9, draws, three, levels).empty());
}

TEST(BcaTest, FillsTheSkewedNumbersAlone) {
  AnalysisResult result =
      FittedWorld(KeptRowsOf(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 5, 9, 8, 0.004)), WorldOptions("pairs", 300));
  OptimalRow row = PredictOptimum(result, 1e20);
  result.optimal.push_back(row);
  const std::vector<std::optional<LossLaw>> jackknife = JackknifeLaws(result, 1);
  ASSERT_EQ(jackknife.size(), 45u);
  EXPECT_EQ(jackknife, JackknifeLaws(result, 3));
  AddBca(jackknife, &result);
  const std::vector<const Estimate*> skewed = {
      &result.parametric->A,
      &result.parametric->B,
      &result.parametric->optimum_coefficient,
      EstimateIn(result.optimal[0].params),
      EstimateIn(result.optimal[0].tokens),
      EstimateIn(result.optimal[0].tokens_per_parameter)};
  for (const Estimate* estimate : skewed) {
    ASSERT_EQ(estimate->bca.size(), 2u);
    EXPECT_LT(estimate->bca[1].lo, estimate->bca[0].lo);
    EXPECT_LT(estimate->bca[0].hi, estimate->bca[1].hi);
    EXPECT_LT(estimate->bca[1].lo, estimate->value);
    EXPECT_GT(estimate->bca[1].hi, estimate->value);
  }
  EXPECT_TRUE(result.parametric->a.bca.empty());
  // Monotone numbers have monotone intervals: D/N = D^2 6 / C.
  const Estimate& tokens = *EstimateIn(result.optimal[0].tokens);
  const Estimate& ratio = *EstimateIn(result.optimal[0].tokens_per_parameter);
  EXPECT_NEAR(ratio.bca[1].hi / (6 * std::pow(tokens.bca[1].hi, 2) / 1e20), 1, 5e-3);
}

// --- profiles ---

const Profile& Named(const std::vector<Profile>& profiles, const std::string& name) {
  for (const Profile& profile : profiles) {
    if (profile.name == name) return profile;
  }
  ADD_FAILURE() << name;
  return profiles.front();
}

// The least f with one number held, by brute force: E and B on the law's own scale
// by a simplex that knows no derivatives.
double NelderMead(const std::function<double(const std::vector<double>&)>& f, std::vector<double> x, double size) {
  const size_t n = x.size();
  std::vector<std::pair<double, std::vector<double>>> simplex = {{f(x), x}};
  for (size_t i = 0; i < n; ++i) {
    std::vector<double> y = x;
    y[i] += size;
    simplex.emplace_back(f(y), y);
  }
  for (int round = 0; round < 2500; ++round) {
    std::sort(simplex.begin(), simplex.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<double> center(n, 0);
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) center[j] += simplex[i].second[j] / static_cast<double>(n);
    }
    const auto at = [&](double t) {
      std::vector<double> y(n);
      for (size_t j = 0; j < n; ++j) y[j] = center[j] + t * (simplex[n].second[j] - center[j]);
      return std::make_pair(f(y), y);
    };
    auto reflected = at(-1);
    if (reflected.first < simplex[0].first) {
      const auto further = at(-2);
      simplex[n] = further.first < reflected.first ? further : reflected;
    } else if (reflected.first < simplex[n - 1].first) {
      simplex[n] = reflected;
    } else {
      const auto inner = at(reflected.first < simplex[n].first ? -0.5 : 0.5);
      if (inner.first < std::min(simplex[n].first, reflected.first)) {
        simplex[n] = inner;
      } else {
        for (size_t i = 1; i <= n; ++i) {
          for (size_t j = 0; j < n; ++j) simplex[i].second[j] = 0.5 * (simplex[i].second[j] + simplex[0].second[j]);
          simplex[i].first = f(simplex[i].second);
        }
      }
    }
  }
  return simplex[0].first;
}

// f over the law that `law_of` makes of four free numbers, the fifth being held.
TEST(ProfileTest, ConstrainedMinimaAreThoseOfBruteForce) {
  for (const FitObjective objective : {FitObjective::kMse, FitObjective::kHuber}) {
    AnalysisOptions options = WorldOptions("pairs", 100, objective);
    options.spec.delta = 0.003;
    const AnalysisResult result =
        FittedWorld(KeptRowsOf(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 5, 9, 8, 0.004)), options);
    const FitRows rows = FitRowsOfSubset(result.rows, AllRows(result.rows.size()));
    const LawFitOptions fit_options = LawFitOptionsOf(options);
    const LossLaw& best = result.parametric->law;
    const double best_f = ObjectiveOf(rows, fit_options, best);
    const std::vector<Profile> profiles = ProfileLaw(result);
    ASSERT_EQ(profiles.size(), 5u);
    double inside = 0, score = 0;
    for (const KeptRow& row : result.rows) {
      const double r = std::log(row.loss / best.LossAt(row.params, row.tokens));
      inside += std::abs(r) <= 0.003;
      score += std::pow(std::clamp(r, -0.003, 0.003), 2);
    }
    const double scale = objective == FitObjective::kMse ? 40 / best_f : 2 * (inside - 5) / score;

    // ln A and ln B at the centre, ln E, alpha, beta; one of them follows from the rest.
    using Maker = std::function<LossLaw(const std::vector<double>&, double)>;
    const double n0 = rows.n0, d0 = rows.d0, ln_c = std::log(result.target_flops / 6);
    const auto law_of = [=](double a, double b, double E, double alpha, double beta) {
      return LossLaw{LawForm::kChinchilla, E, std::exp(a + alpha * n0), std::exp(b + beta * d0), alpha, beta};
    };
    const double a = std::log(best.A) - best.alpha * n0, b = std::log(best.B) - best.beta * d0;
    const struct {
      const char* name;
      Maker make;
      std::vector<double> start;
    } kRows[] = {
        {"alpha", [=](const auto& x, double t) { return law_of(x[0], x[1], x[2], t, x[3]); }, {a, b, best.E, best.beta}},
        {"beta", [=](const auto& x, double t) { return law_of(x[0], x[1], x[2], x[3], t); }, {a, b, best.E, best.alpha}},
        {"alpha - beta",
         [=](const auto& x, double t) { return law_of(x[0], x[1], x[2], x[3] + t, x[3]); },
         {a, b, best.E, best.beta}},
        {"E", [=](const auto& x, double t) { return law_of(x[0], x[1], t, x[2], x[3]); }, {a, b, best.alpha, best.beta}},
        {"ln N*(C_T)",
         [=](const auto& x, double t) {
           // ln N* = ln G + a ln(C/6), solved for ln A.
           const double alpha = x[2], beta = x[3], ln_b = x[0] + beta * d0;
           if (!(alpha > 0 && beta > 0)) return law_of(NAN, NAN, NAN, NAN, NAN);
           const double ln_a = t * (alpha + beta) - beta * ln_c - std::log(alpha / beta) + ln_b;
           return law_of(ln_a - alpha * n0, x[0], x[1], alpha, beta);
         },
         {b, best.E, best.alpha, best.beta}}};
    for (const auto& row : kRows) {
      const Profile& profile = Named(profiles, row.name);
      ASSERT_EQ(profile.value.size(), profile.statistic.size());
      EXPECT_TRUE(std::is_sorted(profile.value.begin(), profile.value.end()));
      double worst = 0;
      int points = 0;
      for (size_t i = 0; i < profile.value.size(); ++i) {
        if (profile.statistic[i] > 8 || i % 3 != 0) continue;
        const double t = profile.value[i];
        const auto f = [&](const std::vector<double>& x) {
          const double value = ObjectiveOf(rows, fit_options, row.make(x, t));
          return std::isfinite(value) ? value : 1e9;
        };
        double brute = NelderMead(f, row.start, 0.05);
        for (const double size : {0.02, 0.3}) brute = std::min(brute, NelderMead(f, row.start, size));
        const double required = scale * (brute - best_f);
        // Never above brute force; below it only as far as that stops early.
        EXPECT_LE(profile.statistic[i], required + 1e-6) << row.name << " at " << t;
        worst = std::max(worst, std::abs(profile.statistic[i] - required));
        ++points;
      }
      std::printf("%-28s %-13s [%.5g, %.5g] about %.5g; %d points, statistic within %.2g of brute force\n",
                  ObjectiveName(fit_options).c_str(), row.name, profile.lo.value_or(NAN), profile.hi.value_or(NAN),
                  profile.at_best, points, worst);
      EXPECT_GT(points, 1);
      EXPECT_LT(worst, 0.02) << row.name;
      ASSERT_TRUE(profile.lo && profile.hi) << row.name;
      EXPECT_LT(*profile.lo, profile.at_best);
      EXPECT_GT(*profile.hi, profile.at_best);
    }
    const double ln_params = std::log(OptimumAt(best, result.target_flops).params);
    EXPECT_NEAR(Named(profiles, "ln N*(C_T)").at_best, ln_params, 1e-9);
  }
}

TEST(ProfileTest, HoldsTheTruthAboutAsOftenAsItSays) {
  constexpr int kStudies = 100;
  std::map<std::string, int> covered;
  for (const FitObjective objective : {FitObjective::kMse, FitObjective::kHuber}) {
    covered.clear();
    for (int study = 0; study < kStudies; ++study) {
      const AnalysisResult result =
          FittedWorld(KeptRowsOf(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 5, 11, 8, 0.005, 100 + study)),
                      WorldOptions("pairs", 0, objective));
      for (const Profile& profile : ProfileLaw(result)) {
        const LossLaw law = HoffmannLaw();
        const double truth = profile.name == "alpha"          ? law.alpha
                             : profile.name == "beta"         ? law.beta
                             : profile.name == "E"            ? law.E
                             : profile.name == "alpha - beta" ? law.alpha - law.beta
                                                              : std::log(OptimumAt(law, result.target_flops).params);
        covered[profile.name] += (!profile.lo || *profile.lo <= truth) && (!profile.hi || truth <= *profile.hi);
      }
    }
    for (const auto& [name, count] : covered) {
      std::printf("profile of %-13s under %-5s: 95 %% region holds the truth in %d of %d studies\n", name.c_str(),
                  objective == FitObjective::kMse ? "mse" : "huber", count, kStudies);
      // 95 % of 100 fall under 88 once in 500 times. Without the five rows that the fit
      // runs through taken off, huber held E in 82 of them.
      EXPECT_GE(count, 88) << name;
    }
  }
}

TEST(ProfileTest, WhatTheDataDoNotTellIsOpen) {
  // Two budgets and wide noise: E may well be 0.
  const AnalysisResult result = FittedWorld(
      KeptRowsOf(SimulatedStudy(HoffmannLaw(), 1e18, 2e18, 2, 6, 3, 0.02, 4)),
      WorldOptions("pairs", 100, FitObjective::kMse));
  bool open = false;
  for (const Profile& profile : ProfileLaw(result)) open = open || !profile.lo || !profile.hi;
  EXPECT_TRUE(open);
  // And where they do, nothing is.
  const AnalysisResult sharp = FittedWorld(KeptRowsOf(SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 6, 9, 8, 0.002)),
                                           WorldOptions("pairs", 100));
  for (const Profile& profile : ProfileLaw(sharp)) EXPECT_TRUE(profile.lo && profile.hi) << profile.name;
  // Of five rows inside delta the fit runs through all: nothing is left to judge by.
  EXPECT_TRUE(ProfileLaw(FittedWorld(result.rows, WorldOptions("pairs", 0))).empty());
  // lad and other forms have none.
  AnalysisOptions tied = WorldOptions("pairs", 0);
  tied.spec.form = "tied";
  EXPECT_TRUE(ProfileLaw(FittedWorld(sharp.rows, tied)).empty());
  EXPECT_TRUE(ProfileLaw(FittedWorld(sharp.rows, WorldOptions("pairs", 0, FitObjective::kLad))).empty());
}

TEST(ProfileTest, ExactFlopsOfSixNdGiveTheSameProfile) {
  AnalysisOptions options = WorldOptions("pairs", 0, FitObjective::kMse);
  AnalysisResult result =
      FittedWorld(KeptRowsOf(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 5, 9, 8, 0.004)), options);
  const Profile by_6nd = Named(ProfileLaw(result), "ln N*(C_T)");
  result.options.flops = FlopsConvention::kExact;
  const Profile exact = Named(ProfileLaw(result), "ln N*(C_T)");
  EXPECT_NEAR(exact.at_best, by_6nd.at_best, 1e-6);
  EXPECT_NEAR(*exact.lo, *by_6nd.lo, 1e-5);
  EXPECT_NEAR(*exact.hi, *by_6nd.hi, 1e-5);
  // A token that costs N^1.2: N* is smaller, and the held optimum is one.
  for (KeptRow& row : result.rows) row.flops *= std::pow(row.params / 1e9, 0.2);
  const Profile dear = Named(ProfileLaw(result), "ln N*(C_T)");
  const ComputeModel compute = ComputeModelOf(result);
  EXPECT_NEAR(dear.at_best, std::log(compute.OptimumAt(result.parametric->law, result.target_flops).params), 1e-9);
  ASSERT_TRUE(dear.lo && dear.hi);
  EXPECT_LT(*dear.lo, dear.at_best);
  EXPECT_GT(*dear.hi, dear.at_best);
  // In D = C / (6 N^1.2 ...) the optimum bends: the width goes with b/(alpha + 1.2 beta).
  EXPECT_LT(*dear.hi - *dear.lo, *by_6nd.hi - *by_6nd.lo);
}

// --- influence ---

TEST(InfluenceTest, NamesTheRowThatMovesTheLaw) {
  std::vector<Observation> observations = SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 5, 9, 8, 0.002);
  for (size_t i = 0; i < observations.size(); ++i) observations[i].source = "trial " + std::to_string(i + 1);
  observations[44].final_loss_nats *= 1.08;  // largest N of the largest budget
  const AnalysisResult result =
      FittedWorld(KeptRowsOf(observations), WorldOptions("pairs", 200, FitObjective::kMse));
  const std::vector<Influence> influence = MeasureInfluence(result, 1);
  ASSERT_GE(influence.size(), 50u);  // 45 runs, 5 budgets; each size is a run
  EXPECT_TRUE(influence[0].what == "trial 45" || influence[0].what.starts_with("budget 1e20")) << influence[0].what;
  EXPECT_TRUE(influence[1].what == "trial 45" || influence[1].what.starts_with("budget 1e20")) << influence[1].what;
  for (size_t i = 1; i < influence.size(); ++i) {
    EXPECT_LE(std::abs(influence[i].delta_ln_params_at_target), std::abs(influence[i - 1].delta_ln_params_at_target));
  }
  // Against a fit from nothing of the rest.
  for (const Influence& row : influence) {
    if (row.what != "trial 45") continue;
    std::vector<KeptRow> rest = result.rows;
    rest.pop_back();
    const LawFit fit = FitLossLaw(FitRowsOfSubset(rest, AllRows(rest.size())), {FitObjective::kMse});
    EXPECT_NEAR(row.delta_a, fit.law.a() - result.parametric->law.a(), 1e-8);
    const double ln_params = std::log(OptimumAt(fit.law, result.target_flops).params /
                                      OptimumAt(result.parametric->law, result.target_flops).params);
    EXPECT_NEAR(row.delta_ln_params_at_target, ln_params, 1e-7);
    EXPECT_NEAR(*row.delta_a_se, row.delta_a / *result.parametric->a.se, 1e-9);
    EXPECT_EQ(row.rows, 1);
  }
  const std::vector<Influence> again = MeasureInfluence(result, 3);
  ASSERT_EQ(again.size(), influence.size());
  for (size_t i = 0; i < again.size(); ++i) {
    EXPECT_EQ(again[i].what, influence[i].what);
    EXPECT_EQ(again[i].delta_ln_params_at_target, influence[i].delta_ln_params_at_target);
  }
}

// --- lack of fit ---

// Replicates of `seeds` a cell; `bend` adds what the law cannot follow.
AnalysisResult ReplicatedWorld(int seeds, double noise, double bend, uint32_t seed) {
  std::vector<Observation> rows;
  std::mt19937 generator(seed);
  for (const Observation& cell : SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 4, 7, 8)) {
    const double x = std::log(cell.params_blocks.value_or(1)) - 20;
    for (int i = 0; i < seeds; ++i) {
      rows.push_back(cell);
      rows.back().config_id = std::to_string(*cell.params_blocks) + "," + std::to_string(cell.tokens_trained);
      rows.back().final_loss_nats *= std::exp(noise * DrawNormal(&generator) + bend * std::sin(4 * x));
    }
  }
  return FittedWorld(KeptRowsOf(rows), WorldOptions("cluster", 0, FitObjective::kMse));
}

TEST(LackOfFitTest, IsTheTextbookF) {
  const AnalysisResult result = ReplicatedWorld(3, 0.003, 0, 2);
  const std::optional<LackOfFit> test = TestLackOfFit(result);
  ASSERT_TRUE(test);
  EXPECT_EQ(test->df_law, 28 - 5);
  EXPECT_EQ(test->df_seeds, 28 * 2);
  // Residual sum of squares = lack of fit + pure error.
  double rss = 0;
  for (const KeptRow& row : result.rows) rss += std::pow(*row.residual, 2);
  const double pure = std::pow(result.noise.sigma, 2) * test->df_seeds;
  EXPECT_NEAR(test->F, ((rss - pure) / test->df_law) / (pure / test->df_seeds), 1e-9);
  EXPECT_NEAR(test->p, FUpperTail(test->F, 23, 56), 1e-15);
  EXPECT_FALSE(TestLackOfFit(ReplicatedWorld(1, 0.003, 0, 2)));
}

TEST(LackOfFitTest, RejectsABentWorldAndFewStraightOnes) {
  EXPECT_LT(TestLackOfFit(ReplicatedWorld(3, 0.003, 0.01, 2))->p, 1e-6);
  int rejected = 0;
  for (uint32_t seed = 0; seed < 100; ++seed) rejected += TestLackOfFit(ReplicatedWorld(2, 0.003, 0, seed))->p < 0.05;
  std::printf("lack of fit: %d of 100 straight worlds rejected at 5 %%\n", rejected);
  EXPECT_LE(rejected, 14);
}

}  // namespace
}  // namespace isoflop
