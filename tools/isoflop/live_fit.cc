#include "tools/isoflop/live_fit.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/analysis_result.h"
#include "analysis/analyze.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr double kScreenLevel = 95;

std::vector<Observation> ObservationsOf(const std::vector<wire::Trial>& trials) {
  std::vector<Observation> observations;
  for (const wire::Trial& trial : trials) {
    if (trial.role() == wire::TRIAL_ROLE_TRUNK || trial.state() != "completed" ||
        !trial.has_final_loss_nats()) {
      continue;
    }
    Observation row;
    row.trial_id = absl::StrCat(trial.id());
    row.source = absl::StrCat("trial ", trial.id());
    row.config_id = absl::StrCat(trial.n_layer(), "x", trial.d_model(), "x", trial.tokens_planned());
    row.fingerprint = trial.fingerprint();
    row.params_embedding = static_cast<double>(trial.params_embedding());
    row.params_position = static_cast<double>(trial.params_position());
    row.params_head = static_cast<double>(trial.params_head());
    row.params_blocks = static_cast<double>(trial.params_blocks());
    row.tokens_trained = static_cast<double>(trial.tokens_trained());
    row.flops_exact = trial.flops_exact();
    if (trial.budget_flops() > 0) row.budget_flops = trial.budget_flops();
    row.final_loss_nats = trial.final_loss_nats();
    if (trial.has_bits_per_byte()) row.bits_per_byte = trial.bits_per_byte();
    if (trial.has_final_loss_se()) row.final_loss_se = trial.final_loss_se();
    row.seed = trial.seed();
    row.d_model = trial.d_model();
    row.n_layer = trial.n_layer();
    row.vocab_size = trial.vocab_size();
    row.outcome = TrialOutcome::kCompleted;
    row.schedule_ended = true;
    observations.push_back(std::move(row));
  }
  return observations;
}

std::string WithInterval(const Estimate& estimate, int digits) {
  std::string text = FormatSignificant(estimate.value, digits);
  if (const Interval* interval = estimate.At(kScreenLevel); interval != nullptr) {
    absl::StrAppend(&text, " [", FormatSignificant(interval->lo, digits), ", ",
                    FormatSignificant(interval->hi, digits), "]");
  }
  return text;
}

std::string LineOf(const AnalysisResult& result) {
  const ParametricFit& fit = *result.parametric;
  std::string line = absl::StrCat(" fit (n ", result.rows.size(), "): a ", WithInterval(fit.a, 2),
                                  "   E ", WithInterval(fit.E, 3));
  for (const OptimalRow& row : result.optimal) {
    const Estimate* ratio = EstimateIn(row.tokens_per_parameter);
    if (row.asked && ratio != nullptr) {
      absl::StrAppend(&line, "   D/N at ", FormatFlops(row.budget_flops), ": ",
                      WithInterval(*ratio, 2));
      break;
    }
  }
  return line;
}

}  // namespace

double LiveFit::Z(double params, double tokens, double loss) const {
  const double predicted = std::log(law.LossAt(params, tokens));
  double squares = 0;
  for (const LossLaw& draw : draws) {
    const double difference = std::log(draw.LossAt(params, tokens)) - predicted;
    if (std::isfinite(difference)) squares += difference * difference;
  }
  const double own = draws.empty() ? 0 : squares / static_cast<double>(draws.size());
  const double spread = std::sqrt(sigma * sigma + own);
  return spread > 0 ? (std::log(loss) - predicted) / spread : 0;
}

std::optional<LiveFit> FitLive(const std::vector<wire::Trial>& trials, AnalysisOptions options) {
  std::vector<Observation> observations = ObservationsOf(trials);
  double largest = 0;
  for (const wire::Trial& trial : trials) largest = std::max(largest, trial.budget_flops());
  options.budgets.clear();
  if (largest > 0) options.budgets = {largest};
  options.spec.draws = kLiveDraws;
  options.threads = 1;
  options.sections = AnalysisOptions::Sections::None();  // a line, every few seconds
  options.spec.coverage = "off";
  if (options.spec.form == "auto") options.spec.form = "chinchilla";
  const absl::StatusOr<AnalysisResult> result = Analyze(std::move(observations), options);
  if (!result.ok() || !result->parametric.has_value()) return std::nullopt;
  LiveFit fit;
  fit.law = result->parametric->law;
  // Of the residuals with the five parameters taken off: few rows fit too well.
  double squares = 0;
  for (const KeptRow& row : result->rows) squares += row.residual.value_or(0) * row.residual.value_or(0);
  fit.sigma = std::sqrt(squares / std::max(1.0, static_cast<double>(result->rows.size()) - 5));
  fit.draws = result->bootstrap.laws;
  fit.rows = static_cast<int>(result->rows.size());
  fit.line = LineOf(*result);
  fit.exponent = absl::StrCat("a ", WithInterval(result->parametric->a, 2));
  return fit;
}

}  // namespace isoflop
