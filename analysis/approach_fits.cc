#include "analysis/approach_fits.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "analysis/envelope_fit.h"
#include "analysis/interval_methods.h"
#include "analysis/isoflop_bias.h"
#include "analysis/isoflop_fit.h"
#include "analysis/law_fit.h"
#include "analysis/leverage.h"
#include "analysis/parametric_estimates.h"
#include "analysis/power_law_draws.h"
#include "analysis/seed_noise.h"
#include "analysis/statistics.h"
#include "analysis/subset_fit.h"

namespace isoflop {
namespace {

// Loss points along the way, or rows of one run at several D: a CSV's curves.
bool HasCurves(const std::vector<KeptRow>& rows) {
  std::map<std::string, double> tokens_of_run;
  for (const KeptRow& row : rows) {
    if (!row.observation.curve.empty()) return true;
    if (row.observation.trial_id.empty()) continue;
    const auto [run, is_new] = tokens_of_run.try_emplace(row.observation.trial_id, row.tokens);
    if (!is_new && run->second != row.tokens) return true;
  }
  return false;
}

}  // namespace

Resampling FitApproaches(int threads, bool finished_schedules_only, AnalysisResult* result) {
  const AnalysisSpec& spec = result->options.spec;
  // Approach 3.
  const FitRows rows = FitRowsOfSubset(result->rows, AllRows(result->rows.size()));
  const LawFitOptions fit_options = LawFitOptionsOf(result->options);
  std::optional<LawFit> law_fit;
  result->parametric_refusal = RefuseFit(result->rows, rows.weight, ParameterCount(fit_options.form),
                                         HasSeparateExponents(fit_options.form));
  if (!result->parametric_refusal) law_fit = FitLossLaw(rows, fit_options);

  // Approaches 1 and 2, and the draws of all three.
  EnvelopeCandidates envelope;
  if (HasCurves(result->rows)) {
    envelope = EnvelopePoints(result->rows, {.finished_schedules_only = finished_schedules_only});
    result->envelope = FitEnvelope(envelope);
  }
  IsoflopOptions isoflop_options{spec.budget_tolerance, result->options.flops, result->noise.sigma * Mean(rows.loss)};
  isoflop_options.minimum = ParseMinimumMethod(spec.isoflop_minimum).value_or(MinimumMethod::kQuadratic);
  result->isoflop = FitIsoflop(result->rows, isoflop_options);
  AnalysisOptions options = result->options;
  options.threads = threads;
  Resampling resampling = ResampleFits(result->rows, rows, law_fit ? &*law_fit : nullptr, fit_options, isoflop_options,
                                       options, envelope, result->noise);
  result->bootstrap = resampling.summary;
  if (law_fit) {
    FillParametric(*law_fit, rows, result);
    if (!result->noise.from_replicates) result->noise.sigma = law_fit->certificate.sigma;
    result->noise.lack_of_fit = TestLackOfFit(*result);
    AddIsoflopBias(result->rows, law_fit->law, result->target_flops, isoflop_options, &*result->isoflop);
  }
  const auto add_intervals = [&](Approach approach, auto& fit) {
    if (!fit || !fit->params_law || !fit->tokens_law) return;
    AddPowerLawIntervals(PowerLawsOf(resampling.fits, approach), spec.levels, result->bootstrap.method,
                         &*fit->params_law, &*fit->tokens_law);
  };
  add_intervals(Approach::kIsoflop, result->isoflop);
  add_intervals(Approach::kEnvelope, result->envelope);
  if (result->isoflop->params_law_corrected && result->isoflop->tokens_law_corrected) {
    AddPowerLawIntervals(CorrectedPowerLawsOf(resampling.fits), spec.levels, result->bootstrap.method,
                         &*result->isoflop->params_law_corrected, &*result->isoflop->tokens_law_corrected);
  }
  return resampling;
}

AnalysisResult WithRows(const AnalysisResult& whole, absl::Span<const size_t> part) {
  AnalysisResult result;
  result.options = whole.options;
  result.target_flops = whole.target_flops;
  result.count_known = whole.count_known;
  for (const size_t i : part) {
    result.rows.push_back(whole.rows[i]);
    result.rows.back().predicted_loss.reset();
    result.rows.back().residual.reset();
    result.max_flops = std::max(result.max_flops, whole.rows[i].flops);
  }
  result.rows_read = static_cast<int>(part.size());
  result.noise = MeasureSeedNoise(result.rows);
  return result;
}

}  // namespace isoflop
