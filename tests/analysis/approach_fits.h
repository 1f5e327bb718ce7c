// The three approaches on rows with a known truth, with their draws: what the
// tests of approaches 1 and 2 and of the verdict fit.
#ifndef ISOFLOP_TESTS_ANALYSIS_APPROACH_FITS_H_
#define ISOFLOP_TESTS_ANALYSIS_APPROACH_FITS_H_

#include <algorithm>
#include <utility>
#include <vector>

#include "analysis/agreement.h"
#include "analysis/bootstrap.h"
#include "analysis/envelope_fit.h"
#include "analysis/isoflop_fit.h"
#include "analysis/law_fit.h"
#include "tests/analysis/test_data.h"

namespace isoflop {

// z with P(Z < z) = `p`, by bisection.
inline double StandardNormalAt(double p) {
  double lo = -40, hi = 40;
  for (int i = 0; i < 80; ++i) {
    const double middle = 0.5 * (lo + hi);
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < p ? lo : hi) = middle;
  }
  return 0.5 * (lo + hi);
}

// Under C = 6ND, or the observations' exact FLOPs.
inline std::vector<KeptRow> KeptRowsOf(const std::vector<Observation>& observations,
                                       FlopsConvention flops = FlopsConvention::k6nd) {
  std::vector<KeptRow> rows;
  for (const Observation& observation : observations) {
    KeptRow row;
    row.observation = observation;
    row.params = *observation.params_blocks;
    row.tokens = observation.tokens_trained;
    row.flops = flops == FlopsConvention::kExact ? *observation.flops_exact : 6 * row.params * row.tokens;
    row.loss = observation.final_loss_nats;
    rows.push_back(std::move(row));
  }
  return rows;
}

inline PartFits FitApproaches(std::vector<KeptRow> rows, double target_flops, const AnalysisOptions& options,
                              bool finished_schedules_only = false) {
  PartFits fits;
  AnalysisResult& result = fits.result;
  result.options = options;
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
  const LawFitOptions law_options{options.spec.objective, options.spec.delta};
  const IsoflopOptions isoflop_options{
      options.spec.budget_tolerance, options.flops, 0,
      ParseMinimumMethod(options.spec.isoflop_minimum).value_or(MinimumMethod::kQuadratic)};
  const LawFit law = FitLossLaw(fit_rows, law_options);
  result.parametric.emplace().law = law.law;
  result.isoflop = FitIsoflop(result.rows, isoflop_options);
  AddIsoflopBias(result.rows, law.law, target_flops, isoflop_options, &*result.isoflop);
  const EnvelopeCandidates curves =
      EnvelopePoints(result.rows, {.finished_schedules_only = finished_schedules_only});
  result.envelope = FitEnvelope(curves);
  result.bootstrap.method = "pairs";
  result.bootstrap.draws = options.spec.draws;
  const std::vector<uint16_t> counts =
      DrawCounts(BootstrapClusters(result.rows, "pairs"), result.rows.size(), options.spec.draws, 1);
  const std::vector<BudgetGroup> groups = GroupByBudget(result.rows, isoflop_options.budget_tolerance);
  const ComputeModel compute = ComputeModelOf(result.rows, options.flops);
  for (size_t draw = 0; draw < static_cast<size_t>(options.spec.draws); ++draw) {
    FitRows sample = fit_rows;
    for (size_t i = 0; i < sample.size(); ++i) sample.weight[i] = counts[draw * sample.size() + i];
    ResampledFit fit;
    fit.law = LawOf(sample, RefitLossLaw(sample, law_options, {law.theta}).theta);
    const IsoflopCorrection correction{&*fit.law, &compute};
    fit.isoflop = RefitIsoflop(result.rows, groups, sample.weight, sample.loss, isoflop_options, &correction);
    fit.envelope = RefitEnvelope(curves, sample.weight);
    result.bootstrap.laws.push_back(*fit.law);
    fits.draws.push_back(std::move(fit));
  }
  return fits;
}

// The verdict on `fits`, parts fitted as they were.
inline Agreement JudgeFits(const PartFits& fits) {
  return JudgeAgreement(fits.result, fits.draws, [&](const StudyPart& part) {
    std::vector<KeptRow> rows;
    for (const size_t row : part.rows) rows.push_back(fits.result.rows[row]);
    return FitApproaches(std::move(rows), fits.result.target_flops, fits.result.options, part.finished_schedules_only);
  });
}

// Adds to each observation a curve of `points` train losses of `loss_at(N, tokens,
// share of the run)` times the noise of the final loss, and an evaluation point
// that no approach may take.
template <class LossAt>
void AddCurves(int points, const LossLaw& law, LossAt loss_at, std::vector<Observation>* observations) {
  for (Observation& row : *observations) {
    const double params = *row.params_blocks;
    const double noise = row.final_loss_nats / law.LossAt(params, row.tokens_trained);
    for (int k = 1; k <= points; ++k) {
      const double share = std::pow(0.1, 1 - static_cast<double>(k) / points);
      LossPoint point;
      point.step = static_cast<int64_t>(std::llround(1e6 * share));
      point.tokens = static_cast<int64_t>(std::llround(row.tokens_trained * share));
      point.loss_nats = noise * loss_at(params, static_cast<double>(point.tokens), share);
      row.curve.push_back(point);
    }
    LossPoint evaluation = row.curve.back();
    evaluation.kind = LossKind::kEval;
    evaluation.loss_nats = 0.1;
    row.curve.push_back(evaluation);
  }
}

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_ANALYSIS_APPROACH_FITS_H_
