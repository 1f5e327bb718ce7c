#include "analysis/interval_methods.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "analysis/bootstrap.h"
#include "analysis/frontier.h"
#include "analysis/leverage.h"
#include "analysis/normal.h"
#include "analysis/prediction.h"
#include "analysis/resample.h"
#include "analysis/row_draws.h"
#include "analysis/seed_noise.h"
#include "analysis/statistics.h"
#include "analysis/subset_fit.h"

namespace isoflop {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

using Number = std::function<double(const LossLaw&)>;

// BCa of `number` over the draws and the jackknife of the result.
void FillBca(absl::Span<const std::optional<LossLaw>> jackknife, const Number& number, const AnalysisResult& result,
             Estimate* estimate) {
  if (estimate->intervals.empty()) return;
  std::vector<double> draws, left_out;
  for (const LossLaw& law : result.bootstrap.laws) draws.push_back(number(law));
  for (const std::optional<LossLaw>& law : jackknife) left_out.push_back(law ? number(*law) : kNan);
  estimate->bca = BcaIntervals(estimate->value, std::move(draws), left_out, result.options.spec.levels);
}

}  // namespace

std::vector<Interval> BcaIntervals(double value, std::vector<double> draws, absl::Span<const double> jackknife,
                                   absl::Span<const double> levels) {
  std::erase_if(draws, [](double x) { return std::isnan(x); });
  const auto finite = std::count_if(draws.begin(), draws.end(), [](double x) { return std::isfinite(x); });
  std::vector<double> left_out;
  for (const double x : jackknife) {
    if (std::isinf(x)) return {};
    if (!std::isnan(x)) left_out.push_back(x);
  }
  if (finite < 20 || left_out.size() < 3) return {};
  std::sort(draws.begin(), draws.end());

  const auto [first, last] = std::equal_range(draws.begin(), draws.end(), value);
  const double below = static_cast<double>(first - draws.begin()) + 0.5 * static_cast<double>(last - first);
  const double z0 = NormalQuantile(below / static_cast<double>(draws.size()));
  if (!std::isfinite(z0)) return {};

  const double mean = Mean(left_out);
  double squares = 0, cubes = 0;
  for (const double x : left_out) {
    squares += (mean - x) * (mean - x);
    cubes += (mean - x) * (mean - x) * (mean - x);
  }
  const double acceleration = squares > 0 ? cubes / (6 * std::pow(squares, 1.5)) : 0;

  const auto quantile = [&](double p) {
    const double z = z0 + NormalQuantile(p);
    const double stretch = 1 - acceleration * z;
    // Past the pole the correction asks for more than all draws hold.
    if (!(stretch > 0)) return z > 0 ? draws.back() : draws.front();
    return SortedQuantile(draws, NormalCdf(z0 + z / stretch));
  };
  std::vector<Interval> intervals;
  for (const double level : levels) {
    const double tail = 0.5 * (1 - level / 100);
    intervals.push_back({level, quantile(tail), quantile(1 - tail)});
  }
  return intervals;
}

std::vector<std::optional<LossLaw>> JackknifeLaws(const AnalysisResult& result, int threads) {
  if (!result.parametric) return {};
  const FitRows rows = FitRowsOfSubset(result.rows, AllRows(result.rows.size()));
  const LawFitOptions options = LawFitOptionsOf(result.options);
  const std::vector<Theta> starts = {ThetaOf(rows, result.parametric->law)};
  const std::vector<std::vector<size_t>> clusters = BootstrapClusters(result.rows, result.bootstrap.method);
  std::vector<std::optional<LossLaw>> laws(clusters.size());
  ParallelFor(static_cast<int>(clusters.size()), threads, [&](int first, int last) {
    for (int cluster = first; cluster < last; ++cluster) {
      std::vector<double> weights = rows.weight;
      for (const size_t row : clusters[static_cast<size_t>(cluster)]) weights[row] = 0;
      if (RefuseFit(result.rows, weights, ParameterCount(options.form), HasSeparateExponents(options.form))) continue;
      const Refit refit = RefitLossLaw(RowsOfWeight(rows, weights), options, starts);
      if (std::isfinite(refit.f)) laws[static_cast<size_t>(cluster)] = LawOf(rows, refit.theta);
    }
  });
  return laws;
}

void AddBca(absl::Span<const std::optional<LossLaw>> jackknife, AnalysisResult* result) {
  if (!result->parametric) return;
  ParametricFit& parametric = *result->parametric;
  FillBca(jackknife, [](const LossLaw& law) { return law.A; }, *result, &parametric.A);
  FillBca(jackknife, [](const LossLaw& law) { return law.B; }, *result, &parametric.B);
  FillBca(jackknife, [](const LossLaw& law) { return HasOptimum(law) ? OptimumCoefficient(law) : kNan; }, *result,
          &parametric.optimum_coefficient);
  const ComputeModel compute = ComputeModelOf(*result);
  for (OptimalRow& row : result->optimal) {
    const double budget = row.budget_flops;
    const auto fill = [&](Quantity* quantity, double (*number)(const OptimalPoint&)) {
      Estimate* estimate = std::get_if<Estimate>(quantity);
      if (estimate == nullptr) return;
      FillBca(jackknife,
              [&](const LossLaw& law) { return HasOptimum(law) ? number(compute.OptimumAt(law, budget)) : kNan; },
              *result, estimate);
    };
    fill(&row.params, [](const OptimalPoint& point) { return point.params; });
    fill(&row.tokens, [](const OptimalPoint& point) { return point.tokens; });
    fill(&row.tokens_per_parameter, [](const OptimalPoint& point) { return point.tokens / point.params; });
  }
}

std::optional<LackOfFit> TestLackOfFit(const AnalysisResult& result) {
  if (!result.parametric || !result.noise.from_replicates) return std::nullopt;
  const LossLaw& law = result.parametric->law;
  LackOfFit test;
  double around_law = 0, inside = 0;
  int cells = 0;
  for (const std::vector<size_t>& cell : SeedCells(result.rows)) {
    double mean = 0, predicted = 0;
    for (const size_t row : cell) {
      mean += std::log(result.rows[row].loss);
      predicted += std::log(PredictedLossOf(law, result.rows[row]));
    }
    const double m = static_cast<double>(cell.size());
    mean /= m;
    predicted /= m;
    around_law += m * (mean - predicted) * (mean - predicted);
    for (const size_t row : cell) inside += std::pow(std::log(result.rows[row].loss) - mean, 2);
    test.df_seeds += static_cast<int>(cell.size()) - 1;
    ++cells;
  }
  test.df_law = cells - ParameterCount(law.form);
  if (test.df_law < 1 || test.df_seeds < 1 || !(inside > 0)) return std::nullopt;
  test.F = (around_law / test.df_law) / (inside / test.df_seeds);
  test.p = FUpperTail(test.F, test.df_law, test.df_seeds);
  return test;
}

}  // namespace isoflop
