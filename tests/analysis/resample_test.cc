#include "analysis/resample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <numeric>
#include <set>

#include "analysis/leverage.h"
#include "analysis/normal.h"
#include "analysis/row_draws.h"
#include "analysis/statistics.h"
#include "tests/analysis/uncertainty_world.h"

namespace isoflop {
namespace {

std::vector<KeptRow> World(double noise, uint32_t seed = 3) {
  return KeptRowsOf(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 5, 9, 8, noise, seed));
}

TEST(LeverageTest, SumsToTheParametersAndIsThatOfLeastSquares) {
  const std::vector<KeptRow> rows = World(0.002);
  const std::vector<double> ones(rows.size(), 1);
  for (const LossLaw& law :
       {HoffmannLaw(), LossLaw{LawForm::kTied, 1.69, 406.4, 410.7, 0.3, 0.3}, LossLaw{LawForm::kKaplan, 0, 3e4, 1e8, 0.8, 1, 0.1},
        LossLaw{LawForm::kMultiplicative, 1.5, 5e3, 0, 0.2, 0.25}}) {
    const std::vector<double> h = Leverages(rows, ones, law);
    EXPECT_NEAR(std::accumulate(h.begin(), h.end(), 0.0), ParameterCount(law.form), 1e-9) << ToString(law.form);
    for (const double x : h) EXPECT_TRUE(x > 0 && x < 1);
  }
  // Under least squares h_i = -d r_i / d y_i + 1 for small residuals: move one loss,
  // fit again.
  std::vector<KeptRow> exact = World(0);
  const std::vector<double> h = Leverages(exact, ones, HoffmannLaw());
  for (const size_t row : {size_t{0}, size_t{20}, size_t{44}}) {
    std::vector<KeptRow> moved = exact;
    const double step = 1e-5;
    moved[row].loss *= std::exp(step);
    const FitRows rows_moved = FitRowsOfSubset(moved, AllRows(moved.size()));
    const LawFit fit = FitLossLaw(rows_moved, {FitObjective::kMse});
    const double pulled = std::log(PredictedLossOf(fit.law, exact[row])) - std::log(exact[row].loss);
    EXPECT_NEAR(pulled / step, h[row], 2e-3 * h[row]);
  }
  // A weight of 2 is a row twice.
  std::vector<double> twice = ones;
  twice[7] = 2;
  std::vector<KeptRow> doubled = exact;
  doubled.push_back(exact[7]);
  const std::vector<double> by_weight = Leverages(exact, twice, HoffmannLaw());
  const std::vector<double> by_row = Leverages(doubled, std::vector<double>(doubled.size(), 1), HoffmannLaw());
  EXPECT_NEAR(by_weight[7], by_row[7] + by_row.back(), 1e-9);
  EXPECT_NEAR(by_weight[3], by_row[3], 1e-9);
  // E = 0: the law is on that bound and E no longer free.
  const std::vector<double> without = Leverages(exact, ones, LossLaw{LawForm::kChinchilla, 0, 406.4, 410.7, 0.34, 0.28});
  EXPECT_NEAR(std::accumulate(without.begin(), without.end(), 0.0), 4, 1e-9);
}

TEST(RowDrawsTest, WildDrawsAreWebbsPointsTimesTheResidualPerCluster) {
  std::vector<KeptRow> rows = World(0.01);
  for (size_t i = 0; i < rows.size(); ++i) rows[i].observation.config_id = "c" + std::to_string(i / 3);
  const FitRows fit_rows = FitRowsOfSubset(rows, AllRows(rows.size()));
  const LossLaw law = HoffmannLaw();
  const auto clusters = BootstrapClusters(rows, "wild");
  ASSERT_EQ(clusters.size(), 15u);
  const ResampleDesign design = MakeResampleDesign(rows, fit_rows, "wild", clusters, &law, {});
  std::mt19937 generator(1);
  constexpr int kDraws = 3000;
  const RowDraws draws = DrawRows(design, rows.size(), kDraws, &generator);
  const std::vector<double> h = Leverages(rows, fit_rows.weight, law);
  std::set<double> points;
  double sum = 0, squares = 0;
  DrawnRows drawn;
  for (int draw = 0; draw < kDraws; ++draw) {
    RowsOfDraw(design, draws, draw, fit_rows, &drawn);
    ASSERT_EQ(drawn.rows.size(), rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      const double fitted = std::log(law.LossAt(rows[i].params, rows[i].tokens));
      const double v = (drawn.rows.ln_loss[i] - fitted) / ((std::log(rows[i].loss) - fitted) / std::sqrt(1 - h[i]));
      points.insert(std::round(v * v * 1e6) / 1e6);
      if (i % 3 == 0) sum += v, squares += v * v;
      const double number = draws.numbers[static_cast<size_t>(draw) * clusters.size() + i / 3];
      ASSERT_NEAR(v, number, 1e-6);
      ASSERT_EQ(drawn.losses[i], std::exp(drawn.rows.ln_loss[i]));
    }
  }
  EXPECT_THAT(points, testing::ElementsAre(0.5, 1.0, 1.5));
  EXPECT_NEAR(sum / (kDraws * 15), 0, 0.025);
  EXPECT_NEAR(squares / (kDraws * 15), 1, 0.01);
}

TEST(RowDrawsTest, ParametricDrawsHaveTheNoiseOfTheSeedsAtTheirLoss) {
  std::vector<KeptRow> rows = World(0);
  for (size_t i = 0; i < rows.size(); ++i) rows[i].observation.trial_id = std::to_string(i / 2);  // two points a run
  SeedNoise noise;
  noise.from_replicates = true;
  noise.sigma = 0.1;
  noise.ln_sigma_intercept = -7;
  noise.ln_sigma_slope = 1.5;
  const FitRows fit_rows = FitRowsOfSubset(rows, AllRows(rows.size()));
  const LossLaw law = HoffmannLaw();
  const auto runs = BootstrapClusters(rows, "parametric");
  const ResampleDesign design = MakeResampleDesign(rows, fit_rows, "parametric", runs, &law, noise);
  std::mt19937 generator(1), again(1);
  const RowDraws draws = DrawRows(design, rows.size(), 2, &generator);
  DrawnRows drawn;
  for (int draw = 0; draw < 2; ++draw) {
    RowsOfDraw(design, draws, draw, fit_rows, &drawn);
    for (const std::vector<size_t>& run : runs) {
      const double z = DrawNormal(&again);
      for (const size_t row : run) {
        const double loss = law.LossAt(rows[row].params, rows[row].tokens);
        EXPECT_NEAR(drawn.rows.ln_loss[row], std::log(loss) + std::exp(-7 + 1.5 * std::log(loss)) * z, 1e-12);
      }
    }
  }
}

// Under least squares all four methods estimate the same standard errors where the
// noise is even and normal.
TEST(ResampleFitsTest, MethodsAgreeOnAnEvenWorld) {
  const std::vector<KeptRow> rows = World(0.005, 8);
  std::map<std::string, std::pair<double, double>> se;
  std::printf("%-10s  SE of a   of E (MSE on 45 rows, B = 800)\n", "method");
  for (const char* method : {"pairs", "cluster", "wild", "parametric"}) {
    const AnalysisResult result = FittedWorld(rows, WorldOptions(method, 800, FitObjective::kMse));
    EXPECT_EQ(result.bootstrap.failed, 0);
    EXPECT_EQ(result.bootstrap.method, method);
    se[method] = {*result.parametric->a.se, *result.parametric->E.se};
    std::printf("%-10s  %.5f  %.5f\n", method, se[method].first, se[method].second);
  }
  EXPECT_EQ(se["pairs"], se["cluster"]);  // rows without ids are their own clusters
  for (const char* method : {"wild", "parametric"}) {
    EXPECT_NEAR(se[method].first / se["pairs"].first, 1, 0.3) << method;
    EXPECT_NEAR(se[method].second / se["pairs"].second, 1, 0.3) << method;
  }
}

TEST(ResampleFitsTest, ThreadsNeverChangeAByteUnderAnyMethod) {
  std::vector<KeptRow> rows = World(0.005);
  for (size_t i = 0; i < rows.size(); ++i) rows[i].observation.config_id = std::to_string(i / 2);
  for (const char* method : {"pairs", "cluster", "wild", "parametric"}) {
    AnalysisResult result = FittedWorld(rows, WorldOptions(method, 40));
    const LawFit fit = FitLossLaw(FitRowsOfSubset(rows, AllRows(rows.size())), {});
    const Resampling one = ResampleWorld(result, fit, 1);
    ASSERT_EQ(one.summary.laws, result.bootstrap.laws);
    for (const int threads : {2, 3}) {
      const Resampling more = ResampleWorld(result, fit, threads);
      EXPECT_EQ(more.summary.laws, one.summary.laws) << method << threads;
      for (size_t draw = 0; draw < 40; ++draw) {
        ASSERT_EQ(more.fits[draw].isoflop.has_value(), one.fits[draw].isoflop.has_value());
        if (!one.fits[draw].isoflop) continue;
        EXPECT_EQ(more.fits[draw].isoflop->params_exponent, one.fits[draw].isoflop->params_exponent);
      }
    }
    // Another seed, other draws.
    result.options.spec.bootstrap_seed = 2;
    EXPECT_NE(ResampleWorld(result, fit, 1).summary.laws, one.summary.laws);
  }
}

TEST(ResampleFitsTest, ApproachTwoSeesTheLossesThatADrawMoved) {
  const AnalysisResult result = FittedWorld(World(0.003), WorldOptions("wild", 100));
  const LawFit fit = FitLossLaw(FitRowsOfSubset(result.rows, AllRows(result.rows.size())), {});
  std::set<double> exponents;
  for (const ResampledFit& draw : ResampleWorld(result, fit, 1).fits) {
    if (draw.isoflop) exponents.insert(draw.isoflop->params_exponent);
    EXPECT_FALSE(draw.envelope);
  }
  EXPECT_GT(exponents.size(), 50u);
}

TEST(ResampleFitsTest, WithoutALawWildDrawsFailAndPairsServeApproachTwo) {
  const std::vector<KeptRow> rows = World(0.003);
  const FitRows fit_rows = FitRowsOfSubset(rows, AllRows(rows.size()));
  const Resampling wild = ResampleFits(rows, fit_rows, nullptr, {}, {}, WorldOptions("wild", 30));
  EXPECT_EQ(wild.summary.failed, 30);
  EXPECT_TRUE(wild.summary.laws.empty());
  const Resampling pairs = ResampleFits(rows, fit_rows, nullptr, {}, {}, WorldOptions("pairs", 30));
  EXPECT_TRUE(std::any_of(pairs.fits.begin(), pairs.fits.end(), [](const ResampledFit& fit) { return fit.isoflop.has_value(); }));
}

TEST(ResampleFitsTest, OtherFormsGoTheSameWay) {
  for (const LawForm form : {LawForm::kTied, LawForm::kKaplan, LawForm::kMultiplicative}) {
    AnalysisOptions options = WorldOptions("pairs", 30);
    options.spec.form = ToString(form);
    const std::vector<KeptRow> rows = World(0.003);
    const FitRows fit_rows = FitRowsOfSubset(rows, AllRows(rows.size()));
    const LawFitOptions fit_options = LawFitOptionsOf(options);
    const LawFit fit = FitLossLaw(fit_rows, fit_options);
    for (const char* method : {"pairs", "wild"}) {
      options.spec.bootstrap_method = method;
      const Resampling resampling = ResampleFits(rows, fit_rows, &fit, fit_options, {}, options);
      EXPECT_GE(resampling.summary.laws.size(), 28u) << ToString(form) << " " << method;
      for (const LossLaw& law : resampling.summary.laws) EXPECT_EQ(law.form, form);
    }
  }
}

TEST(RefuseFitTest, EachReasonAndWhatIsOffered) {
  const auto rows_of = [](const std::vector<std::pair<double, double>>& cells) {
    std::vector<KeptRow> rows;
    for (const auto& [params, tokens] : cells) {
      rows.emplace_back();
      rows.back().params = params;
      rows.back().tokens = tokens;
    }
    return rows;
  };
  const auto refuse = [](const std::vector<KeptRow>& rows, int parameters, bool separate) {
    return RefuseFit(rows, std::vector<double>(rows.size(), 1), parameters, separate);
  };
  // Five cells: enough for four parameters.
  const auto five = rows_of({{1e6, 1e8}, {2e6, 1e8}, {4e6, 1e8}, {1e6, 2e8}, {1e6, 4e8}, {1e6, 4e8}});
  const std::optional<Refusal> few = refuse(five, 5, true);
  ASSERT_TRUE(few);
  EXPECT_EQ(few->code, Code::kUnderdetermined);
  EXPECT_THAT(few->message, testing::HasSubstr("5 cells (N, D) for 5 parameters"));
  EXPECT_THAT(few->cure, testing::StartsWith("form: tied, or "));
  EXPECT_FALSE(refuse(five, 4, false));
  // Two sizes: nothing helps.
  const auto two = rows_of({{1e6, 1e8}, {2e6, 1e8}, {1e6, 2e8}, {2e6, 2e8}, {1e6, 4e8}, {2e6, 4e8}});
  ASSERT_TRUE(refuse(two, 5, true));
  EXPECT_THAT(refuse(two, 5, true)->cure, testing::Not(testing::HasSubstr("tied")));
  // N and D nearly in lockstep: tied can. In lockstep: nobody can.
  std::vector<std::pair<double, double>> near, exact;
  for (int i = 0; i < 10; ++i) {
    const double params = 1e6 * std::pow(2, i);
    near.emplace_back(params, params * (i % 2 ? 18 : 22));
    exact.emplace_back(params, params * 20);
  }
  ASSERT_TRUE(refuse(rows_of(near), 5, true));
  EXPECT_EQ(refuse(rows_of(near), 5, true)->code, Code::kCollinear);
  EXPECT_THAT(refuse(rows_of(near), 5, true)->cure, testing::HasSubstr("tied"));
  EXPECT_FALSE(refuse(rows_of(near), 4, false));
  EXPECT_THAT(refuse(rows_of(exact), 5, true)->cure, testing::Not(testing::HasSubstr("tied")));
  EXPECT_EQ(refuse(rows_of(exact), 4, false)->code, Code::kCollinear);
  EXPECT_FALSE(refuse(World(0), 5, true));
}

TEST(SeedNoiseTest, ALineThroughTheCellsFromThreeOn) {
  // sigma = e^-8 L^2, twenty seeds at six losses; and sixty times two seeds.
  for (const auto& [cells, seeds, tolerance] : {std::tuple{6, 20, 0.35}, std::tuple{200, 2, 0.35}}) {
    std::mt19937 generator(5);
    std::vector<KeptRow> rows;
    for (int cell = 0; cell < cells; ++cell) {
      const double ln_loss = 0.8 + 0.8 * cell / (cells - 1);
      for (int seed = 0; seed < seeds; ++seed) {
        KeptRow row;
        row.observation.config_id = std::to_string(cell);
        row.loss = std::exp(ln_loss + std::exp(-8 + 2 * ln_loss) * DrawNormal(&generator));
        rows.push_back(row);
      }
    }
    const SeedNoise noise = MeasureSeedNoise(rows);
    ASSERT_TRUE(noise.ln_sigma_slope);
    std::printf("sigma line, %d cells of %d seeds: slope %.3f (truth 2), sigma at L = e^1.2 off by %.3f\n", cells, seeds,
                *noise.ln_sigma_slope, noise.SigmaAt(std::exp(1.2)) / std::exp(-8 + 2.4) - 1);
    EXPECT_NEAR(*noise.ln_sigma_slope, 2, 2 * tolerance);
    // ln s of two seeds averaged would lie 0.64 low.
    EXPECT_NEAR(std::log(noise.SigmaAt(std::exp(1.2))), -8 + 2.4, 0.12);
    // Noise falls with the loss, so weights rise as it falls.
    const std::vector<double> weights = InverseVarianceWeights(rows, noise);
    EXPECT_NEAR(Mean(weights), 1, 1e-12);
    EXPECT_GT(weights.front(), weights.back());
    EXPECT_NEAR(weights.front() / weights.back(),
                std::pow(noise.SigmaAt(rows.back().loss) / noise.SigmaAt(rows.front().loss), 2), 1e-9);
  }
}

TEST(SeedNoiseTest, NoLineWithoutThreeCellsOrWithoutASpread) {
  std::vector<KeptRow> rows(8);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].observation.config_id = std::to_string(i / 2);
    rows[i].loss = 3 + 0.01 * static_cast<double>(i % 2);
  }
  EXPECT_FALSE(MeasureSeedNoise(rows).ln_sigma_slope);  // one loss
  for (size_t i = 0; i < rows.size(); ++i) rows[i].loss *= 1 + 0.1 * static_cast<double>(i / 2);
  EXPECT_TRUE(MeasureSeedNoise(rows).ln_sigma_slope);
  EXPECT_NEAR(*MeasureSeedNoise(rows).ln_sigma_slope, 0, 1e-9);  // the same in logs everywhere
  EXPECT_NEAR(MeasureSeedNoise(rows).SigmaAt(2), MeasureSeedNoise(rows).sigma, 1e-12);
  rows.resize(4);
  EXPECT_FALSE(MeasureSeedNoise(rows).ln_sigma_slope);  // two cells
  EXPECT_THAT(InverseVarianceWeights(rows, MeasureSeedNoise(rows)), testing::Each(1));
  EXPECT_THAT(InverseVarianceWeights(rows, SeedNoise()), testing::Each(1));
}

}  // namespace
}  // namespace isoflop
