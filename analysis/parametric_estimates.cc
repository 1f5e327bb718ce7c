#include "analysis/parametric_estimates.h"

#include <cmath>
#include <limits>
#include <vector>

#include "analysis/frontier.h"
#include "analysis/prediction.h"
#include "analysis/statistics.h"
#include "analysis/subset_fit.h"

namespace isoflop {
namespace {

// Correlation of (ln A, ln B, ln E, alpha, beta) over the draws in which all five
// are finite.
std::vector<double> CorrelationOf(const std::vector<LossLaw>& laws) {
  std::vector<std::vector<double>> columns(5);
  for (const LossLaw& law : laws) {
    if (!(law.A > 0 && law.B > 0 && law.E > 0)) continue;
    const double values[5] = {std::log(law.A), std::log(law.B), std::log(law.E), law.alpha, law.beta};
    for (size_t j = 0; j < 5; ++j) columns[j].push_back(values[j]);
  }
  if (columns[0].size() < 20) return {};
  std::vector<double> correlation;
  for (size_t j = 0; j < 5; ++j) {
    for (size_t k = 0; k < 5; ++k) {
      const double mean_j = Mean(columns[j]), mean_k = Mean(columns[k]);
      double sum = 0;
      for (size_t i = 0; i < columns[j].size(); ++i) sum += (columns[j][i] - mean_j) * (columns[k][i] - mean_k);
      const double scale = static_cast<double>(columns[j].size() - 1) * StandardDeviation(columns[j]) *
                           StandardDeviation(columns[k]);
      correlation.push_back(j == k ? 1 : scale > 0 ? sum / scale : 0);
    }
  }
  return correlation;
}

}  // namespace

void FillParametric(const LawFit& fit, const FitRows& rows, AnalysisResult* result) {
  ParametricFit& parametric = result->parametric.emplace();
  parametric.law = fit.law;
  parametric.certificate = fit.certificate;
  parametric.center_params = std::exp(rows.n0);
  parametric.center_tokens = std::exp(rows.d0);
  const auto over_draws = [&](double (*number)(const LossLaw&)) { return EstimateOverDraws(*result, number); };
  parametric.E = over_draws([](const LossLaw& law) { return law.E; });
  parametric.A = over_draws([](const LossLaw& law) { return law.A; });
  parametric.B = over_draws([](const LossLaw& law) { return law.B; });
  parametric.alpha = over_draws([](const LossLaw& law) { return law.alpha; });
  parametric.beta = over_draws([](const LossLaw& law) { return law.beta; });
  parametric.a = over_draws([](const LossLaw& law) { return law.a(); });
  parametric.b = over_draws([](const LossLaw& law) { return law.b(); });
  parametric.gamma = over_draws([](const LossLaw& law) { return law.gamma(); });
  if (HasOptimum(fit.law)) {
    parametric.optimum_coefficient = over_draws([](const LossLaw& law) {
      return HasOptimum(law) ? OptimumCoefficient(law) : std::numeric_limits<double>::quiet_NaN();
    });
  }
  const double n0 = rows.n0, d0 = rows.d0;
  parametric.A_centered = EstimateOverDraws(*result, [n0](const LossLaw& law) { return law.A * std::exp(-law.alpha * n0); });
  parametric.B_centered = EstimateOverDraws(*result, [d0](const LossLaw& law) { return law.B * std::exp(-law.beta * d0); });
  parametric.correlation = CorrelationOf(result->bootstrap.laws);
  for (KeptRow& row : result->rows) {
    row.predicted_loss = PredictedLossOf(fit.law, row);
    row.residual = std::log(row.loss / *row.predicted_loss);
  }
}

}  // namespace isoflop
