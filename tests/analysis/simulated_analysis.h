// An analysis of simulated rows with what the design and the comparison read of it:
// rows, the law of approach 3, bootstrap laws, sigma.
#ifndef ISOFLOP_TESTS_ANALYSIS_SIMULATED_ANALYSIS_H_
#define ISOFLOP_TESTS_ANALYSIS_SIMULATED_ANALYSIS_H_

#include <algorithm>
#include <vector>

#include "analysis/isoflop_fit.h"
#include "analysis/law_fit.h"
#include "analysis/resample.h"
#include "tests/analysis/test_data.h"

namespace isoflop {

inline KeptRow MakeKeptRow(double params, double tokens, double loss) {
  KeptRow row;
  row.observation = MakeObservation(params, tokens, loss);
  row.params = params;
  row.tokens = tokens;
  row.flops = 6 * params * tokens;
  row.loss = loss;
  return row;
}

inline std::vector<KeptRow> KeptRows(const std::vector<Observation>& observations) {
  std::vector<KeptRow> rows;
  for (const Observation& o : observations) {
    rows.push_back(MakeKeptRow(*o.params_blocks, o.tokens_trained, o.final_loss_nats));
    rows.back().observation = o;
  }
  return rows;
}

// `sigma` 0: not known from seeds, the residuals' is taken.
inline AnalysisResult AnalysisOf(std::vector<KeptRow> rows, double target_flops, int draws, double sigma) {
  AnalysisResult result;
  result.options.spec.draws = draws;
  result.options.spec.bootstrap_method = "pairs";
  result.rows = std::move(rows);
  result.target_flops = target_flops;
  std::vector<double> params, tokens, loss;
  for (const KeptRow& row : result.rows) {
    params.push_back(row.params);
    tokens.push_back(row.tokens);
    loss.push_back(row.loss);
    result.max_flops = std::max(result.max_flops, row.flops);
  }
  const FitRows fit_rows = MakeFitRows(params, tokens, loss);
  result.parametric_refusal = RefuseFit(result.rows, fit_rows.weight);
  if (result.parametric_refusal) return result;
  const LawFit fit = FitLossLaw(fit_rows, {});
  const Resampling resampling = ResampleFits(result.rows, fit_rows, &fit, {}, {}, result.options);
  result.bootstrap = resampling.summary;
  result.parametric.emplace();
  result.parametric->law = fit.law;
  result.parametric->certificate = fit.certificate;
  result.noise.from_replicates = sigma > 0;
  result.noise.sigma = sigma > 0 ? sigma : fit.certificate.sigma;
  return result;
}

// Standard normals, the same everywhere (Box-Muller on mt19937).
class NormalStream {
 public:
  explicit NormalStream(uint32_t seed) : generator_(seed) {}
  double Next() { return std::sqrt(-2 * std::log(Uniform())) * std::cos(6.283185307179586 * Uniform()); }

 private:
  double Uniform() { return (static_cast<double>(generator_()) + 0.5) / 4294967296.0; }
  std::mt19937 generator_;
};

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_ANALYSIS_SIMULATED_ANALYSIS_H_
