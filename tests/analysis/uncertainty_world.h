// A fitted and resampled analysis for the tests of its uncertainty, made from its
// parts.
#ifndef ISOFLOP_TESTS_ANALYSIS_UNCERTAINTY_WORLD_H_
#define ISOFLOP_TESTS_ANALYSIS_UNCERTAINTY_WORLD_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "analysis/parametric_estimates.h"
#include "analysis/resample.h"
#include "analysis/seed_noise.h"
#include "analysis/subset_fit.h"
#include "tests/analysis/test_data.h"

namespace isoflop {

inline std::vector<KeptRow> KeptRowsOf(const std::vector<Observation>& observations) {
  std::vector<KeptRow> rows;
  for (const Observation& observation : observations) {
    KeptRow row;
    row.observation = observation;
    row.params = observation.params_unnamed.value_or(observation.params_blocks.value_or(0));
    row.tokens = observation.tokens_trained;
    row.flops = 6 * row.params * row.tokens;
    row.loss = observation.final_loss_nats;
    rows.push_back(row);
  }
  return rows;
}

inline Resampling ResampleWorld(const AnalysisResult& result, const LawFit& fit, int threads,
                                const EnvelopeCandidates& envelope = {}) {
  AnalysisOptions options = result.options;
  options.threads = threads;
  return ResampleFits(result.rows, FitRowsOfSubset(result.rows, AllRows(result.rows.size())), &fit,
                      LawFitOptionsOf(options), IsoflopOptions(), options, envelope, result.noise);
}

// Rows, noise, law and `options.spec.draws` draws; C_T ten times the largest C.
inline AnalysisResult FittedWorld(std::vector<KeptRow> rows, const AnalysisOptions& options) {
  AnalysisResult result;
  result.options = options;
  result.rows = std::move(rows);
  for (const KeptRow& row : result.rows) result.max_flops = std::max(result.max_flops, row.flops);
  result.target_flops = options.spec.goal_budget.value_or(10 * result.max_flops);
  result.noise = MeasureSeedNoise(result.rows);
  const FitRows fit_rows = FitRowsOfSubset(result.rows, AllRows(result.rows.size()));
  const LawFit fit = FitLossLaw(fit_rows, LawFitOptionsOf(options));
  result.bootstrap = ResampleWorld(result, fit, 1).summary;
  FillParametric(fit, fit_rows, &result);
  if (!result.noise.from_replicates) result.noise.sigma = fit.certificate.sigma;
  return result;
}

inline AnalysisOptions WorldOptions(const std::string& method, int draws,
                                    FitObjective objective = FitObjective::kHuber) {
  AnalysisOptions options;
  options.spec.bootstrap_method = method;
  options.spec.draws = draws;
  options.spec.objective = objective;
  return options;
}

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_ANALYSIS_UNCERTAINTY_WORLD_H_
