// Published power laws of approaches 1 and 2 and the numbers that they must give
// (tests/data/README.md), printed beside ours.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "analysis/analyze.h"
#include "analysis/envelope_fit.h"
#include "analysis/frontier.h"
#include "analysis/isoflop_fit.h"
#include "analysis/power_law.h"
#include "tests/analysis/approach_fits.h"
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

TEST(PublishedFrontiersTest, G1GemstonesEnvelope) {
  const absl::StatusOr<CsvTable> table = ParseCsv(ReadTestFile("gemstones_hot_curves_1100.csv"), "curves");
  ASSERT_TRUE(table.ok());
  const std::vector<double> params = Column(*table, "params"), width = Column(*table, "width");
  const std::vector<double> depth = Column(*table, "depth"), tokens = Column(*table, "tokens");
  const std::vector<double> loss = Column(*table, "final_loss");
  std::map<double, size_t> runs;  // a shape is a run
  std::vector<EnvelopePoint> points;
  for (size_t i = 0; i < params.size(); ++i) {
    const double flops_per_token = depth[i] * (90 * width[i] * width[i] + 21855.75 * width[i]) + 301845 * width[i];
    const size_t run = runs.try_emplace(params[i], runs.size()).first->second;
    points.push_back({run, flops_per_token * tokens[i], params[i], tokens[i], loss[i]});
  }
  const EnvelopeCandidates candidates = CandidatesOf(std::move(points));
  const EnvelopeFit fit = FitEnvelope(candidates);
  ASSERT_TRUE(fit.params_law && fit.tokens_law);
  EXPECT_EQ(fit.curve_points, 1100);
  EXPECT_EQ(fit.open_vertices, 21);
  Demand("G1", "hull points", 21, static_cast<double>(fit.hull.size()), 0);
  Demand("G1", "N exponent", 0.499380216083, fit.params_law->exponent.value, 1e-9);
  Demand("G1", "D exponent", 0.480988823213, fit.tokens_law->exponent.value, 1e-9);
  const std::optional<EnvelopeLaws> refit = RefitEnvelope(candidates, std::vector<double>(runs.size(), 1));
  ASSERT_TRUE(refit);
  EXPECT_EQ(refit->params_exponent, fit.params_law->exponent.value);
  EXPECT_EQ(refit->tokens_exponent, fit.tokens_law->exponent.value);
}

TEST(PublishedFrontiersTest, L1LlamaThreeParabolas) {
  const AnalysisResult result = AnalyzeOrDie(ReadPublished("llama3_isoflops.csv"), PublishedOptions(0, 0));
  ASSERT_TRUE(result.isoflop && result.isoflop->tokens_law_ols);
  EXPECT_EQ(result.isoflop->accepted, 10);
  Demand("L1", "D* coefficient", 0.2993551447, std::exp(result.isoflop->tokens_law_ols->ln_coefficient.value), 1e-7);
  Demand("L1", "D* exponent", 0.5367791271, result.isoflop->tokens_law_ols->exponent.value, 1e-7);
}

TEST(PublishedFrontiersTest, S1BiasOfParabolas) {
  const double truth = OptimumAt(HoffmannLaw(), 1e24).tokens;
  Demand("S1", "true D*(1e24)", 4035834749563, truth, 1e-6);
  for (const auto& [spread, percent] : {std::pair{2.0, 0.326937804}, std::pair{16.0, 5.10024}}) {
    AnalysisOptions options = PublishedOptions(0, 0);
    options.spec.goal_budget = 1e24;
    const AnalysisResult result = AnalyzeOrDie(SimulatedStudy(HoffmannLaw(), 1e17, 1e21, 5, 15, spread), options);
    ASSERT_TRUE(result.isoflop && result.isoflop->tokens_law_ols && result.isoflop->bias_at_target);
    const std::string what = "% too low, width " + std::to_string(static_cast<int>(spread));
    Demand("S1", what, percent, 100 * (1 - result.isoflop->tokens_law_ols->At(1e24) / truth), 1e-6);
    // The bias routine, on the fitted law: N* too high by what D* is too low.
    Demand("S1", what + ", bias", percent, 100 * (1 - std::exp(-*result.isoflop->bias_at_target)), 1e-6);
  }
}

TEST(PublishedFrontiersTest, N1NanochatExponentsByConvention) {
  const absl::StatusOr<CsvTable> table = ParseCsv(ReadTestFile("nanochat_jan26_optima.csv"), "nanochat");
  ASSERT_TRUE(table.ok());
  std::map<std::string, std::vector<size_t>> by_convention;
  std::vector<std::string> order;
  for (size_t i = 0; i < table->rows.size(); ++i) {
    const std::string& convention = table->rows[i].cells[0];
    if (!by_convention.contains(convention)) order.push_back(convention);
    by_convention[convention].push_back(i);
  }
  const std::vector<double> params = Column(*table, "eff_params"), tokens = Column(*table, "tokens");
  const std::vector<double> budgets = {1e18, 2.15e18, 4.64e18, 1e19};
  std::vector<std::pair<double, double>> exponents;
  for (const std::string& convention : order) {
    std::vector<double> n, d;
    for (const size_t i : by_convention[convention]) {
      n.push_back(params[i]);
      d.push_back(tokens[i]);
    }
    exponents.emplace_back(FitPowerLaw(budgets, n).exponent.value, FitPowerLaw(budgets, d).exponent.value);
  }
  const std::pair<double, double> required[] = {{0.536117, 0.488928}, {0.374483, 0.500792}, {0.696493, 0.405833}};
  for (const auto& [n, d] : required) {
    const auto nearest = std::min_element(exponents.begin(), exponents.end(), [n = n](const auto& x, const auto& y) {
      return std::abs(x.first - n) < std::abs(y.first - n);
    });
    Demand("N1", "N exponent", n, nearest->first, 1e-6);
    Demand("N1", "D exponent", d, nearest->second, 1e-6);
  }
}

TEST(PublishedFrontiersTest, P1PorianWeightedAndOrdinary) {
  const absl::StatusOr<CsvTable> table = ParseCsv(ReadTestFile("porian_refinedweb_optimal_pairs.csv"), "porian");
  ASSERT_TRUE(table.ok());
  const std::vector<double> flops = Column(*table, "flops"), params = Column(*table, "n_star");
  const std::vector<double> spread = Column(*table, "n_star_std");
  std::map<std::string, std::array<std::vector<double>, 3>> series;
  for (size_t i = 0; i < table->rows.size(); ++i) {
    if (std::isnan(params[i]) || std::isnan(spread[i])) continue;  // one row has empty cells
    std::string key;
    for (size_t j = 0; j < 7; ++j) key += table->rows[i].cells[j] + ",";
    series[key][0].push_back(flops[i]);
    series[key][1].push_back(params[i]);
    series[key][2].push_back(spread[i] * spread[i]);
  }
  ASSERT_EQ(series.size(), 5u);
  std::vector<std::pair<double, double>> exponents;
  for (const auto& [key, columns] : series) {
    exponents.emplace_back(FitPowerLaw(columns[0], columns[1]).exponent.value,
                           FitPowerLaw(columns[0], columns[1], columns[2]).exponent.value);
  }
  std::sort(exponents.rbegin(), exponents.rend());
  const std::pair<double, double> required[] = {{0.83376793, 0.83530004}, {0.70089920, 0.70646991},
                                                {0.60352776, 0.60203753}, {0.57142489, 0.57149479},
                                                {0.49702880, 0.49689508}};
  for (size_t i = 0; i < 5; ++i) {
    Demand("P1", "exponent, OLS", required[i].first, exponents[i].first, 1e-7);
    Demand("P1", "exponent, weighted", required[i].second, exponents[i].second, 1e-7);
  }
}

// The bias routine on the true law, not on a fitted one.
TEST(PublishedFrontiersTest, S1BiasRoutineOnTheTrueLaw) {
  for (const auto& [spread, percent] : {std::pair{2.0, 0.326937804}, std::pair{16.0, 5.10024}}) {
    const std::vector<KeptRow> rows = KeptRowsOf(SimulatedStudy(HoffmannLaw(), 1e17, 1e21, 5, 15, spread));
    IsoflopFit fit = FitIsoflop(rows, {});
    AddIsoflopBias(rows, HoffmannLaw(), 1e24, {}, &fit);
    ASSERT_TRUE(fit.bias_at_target && fit.params_law_corrected && fit.tokens_law_corrected);
    const std::string width = "width " + std::to_string(static_cast<int>(spread));
    Demand("S1", "% too low, true law, " + width, percent, 100 * (1 - std::exp(-*fit.bias_at_target)), 1e-6);
    const OptimalPoint truth = OptimumAt(HoffmannLaw(), 1e24);
    Demand("S1", "corrected N*(1e24), " + width, truth.params, fit.params_law_corrected->At(1e24), 1e-9);
    Demand("S1", "corrected D*(1e24), " + width, truth.tokens, fit.tokens_law_corrected->At(1e24), 1e-9);
  }
}

}  // namespace
}  // namespace isoflop
