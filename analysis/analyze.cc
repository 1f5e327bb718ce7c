#include "analysis/analyze.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "analysis/agreement.h"
#include "analysis/analysis_warnings.h"
#include "analysis/approach_fits.h"
#include "analysis/bootstrap.h"
#include "analysis/conventions.h"
#include "analysis/coverage.h"
#include "analysis/experiment_design.h"
#include "analysis/form_ranking.h"
#include "analysis/holdout.h"
#include "analysis/interval_methods.h"
#include "analysis/optimum_tables.h"
#include "analysis/seed_noise.h"
#include "analysis/selection.h"
#include "analysis/sensitivity.h"
#include "study/did_you_mean.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

const std::vector<std::string>& FormNames();

constexpr int kMaxDraws = 100'000;

absl::Status Invalid(const std::string& what, const std::string& cure) {
  return absl::InvalidArgumentError(absl::StrCat("analysis: ", what, "\ncure: ", cure));
}

absl::Status CheckOptions(const AnalysisOptions& options) {
  const AnalysisSpec& spec = options.spec;
  if (spec.form != "auto" && !ParseLawForm(spec.form)) {
    return Invalid(absl::StrCat("no form '", spec.form, "'", DidYouMeanClause(spec.form, FormNames())),
                   "form: chinchilla, or one of auto, tied, gadre, kaplan, multiplicative, data_constrained");
  }
  const std::string& method = spec.bootstrap_method;
  const std::vector<std::string> methods = {"auto", "pairs", "cluster", "clusters", "wild", "parametric"};
  if (std::find(methods.begin(), methods.end(), method) == methods.end()) {
    return Invalid(absl::StrCat("no bootstrap method '", method, "'", DidYouMeanClause(method, methods)),
                   "method: auto, pairs, cluster, wild or parametric");
  }
  if (spec.isoflop_minimum != "quadratic" && spec.isoflop_minimum != "cubic" && spec.isoflop_minimum != "akima") {
    return Invalid(absl::StrCat("no minimum '", spec.isoflop_minimum, "'"), "minimum: quadratic, cubic or akima");
  }
  if (spec.coverage != "fast" && spec.coverage != "nested" && spec.coverage != "off") {
    return Invalid(absl::StrCat("no coverage '", spec.coverage, "'"), "coverage: fast, nested or off");
  }
  if (!(spec.delta > 0) || !std::isfinite(spec.delta)) {
    return Invalid(absl::StrCat("delta ", spec.delta, " is not a positive number"), "delta: 1e-3");
  }
  if (spec.outliers < 0) return Invalid(absl::StrCat("outliers ", spec.outliers, " is below 0"), "outliers: 0");
  if (spec.draws < 0 || spec.draws > kMaxDraws) {
    return Invalid(absl::StrCat("draws ", spec.draws, " is not in 0 to ", kMaxDraws), "draws: 2000");
  }
  for (const double level : spec.levels) {
    if (!(level > 0 && level < 100)) {
      return Invalid(absl::StrCat("level ", level, " is not a percentage between 0 and 100"), "levels: [80, 95]");
    }
  }
  for (const double budget : options.budgets) {
    if (!(budget > 0) || !std::isfinite(budget)) {
      return Invalid(absl::StrCat("budget ", budget, " is not a positive number of FLOPs"), "a number such as 1e21");
    }
  }
  return absl::OkStatus();
}

const std::vector<std::string>& FormNames() {
  static const std::vector<std::string> names = {"auto",   "chinchilla",     "tied",            "gadre",
                                                 "kaplan", "multiplicative", "data_constrained"};
  return names;
}

// Rows, exclusions, conventions, C_T; false: nothing can be fitted, and
// result->parametric_refusal says why.
bool Prepare(const std::vector<Observation>& observations, AnalysisResult* result) {
  result->options.threads = 0;  // never part of a result
  result->rows_read = static_cast<int>(observations.size());
  result->observations_sha256 = HashObservations(observations);
  Selection selection = SelectRows(observations, result->options);
  result->rows = std::move(selection.rows);
  result->exclusions = std::move(selection.exclusions);
  result->warnings = std::move(selection.warnings);
  result->count_known = selection.count_known;
  std::string& method = result->options.spec.bootstrap_method;
  if (method == "clusters") method = "cluster";
  if (method == "auto") method = AutoBootstrapMethod(result->rows);
  if (result->rows.empty()) {
    result->parametric_refusal = Refusal{Code::kUnderdetermined, "no row is left to fit", "isoflop fit STUDY.csv"};
    return false;
  }
  for (const KeptRow& row : result->rows) result->max_flops = std::max(result->max_flops, row.flops);
  result->target_flops = result->options.spec.goal_budget.value_or(10 * result->max_flops);
  if (selection.refusal) {
    result->parametric_refusal = selection.refusal;
    result->warnings.push_back({selection.refusal->code, selection.refusal->message});
    return false;
  }
  result->noise = MeasureSeedNoise(result->rows);
  if (result->options.spec.weights == FitWeights::kInverseVariance) {
    const std::vector<double> weights = InverseVarianceWeights(result->rows, result->noise);
    for (size_t i = 0; i < weights.size(); ++i) result->rows[i].weight = weights[i];
  }
  return true;
}

// "auto" becomes the form that predicts best; the ranking stays in the result.
void ResolveForm(AnalysisResult* result) {
  std::string& form = result->options.spec.form;
  if (form != "auto") return;
  result->forms = RankForms(result->rows, result->options);
  form = ToString(result->forms->recommended);
}

// What needs a law and reads the finished fit: intervals beside the percentiles.
void FillUncertainty(int threads, AnalysisResult* result) {
  AddBca(JackknifeLaws(*result, threads), result);
  result->profiles = ProfileLaw(*result);
  result->influence = MeasureInfluence(*result, threads);
  if (result->options.spec.coverage == "off") return;
  CoverageOptions coverage;
  coverage.nested = result->options.spec.coverage == "nested";
  coverage.seed = result->options.spec.bootstrap_seed;
  coverage.threads = threads;
  result->coverage = SimulateCoverage(*result, coverage);
}

}  // namespace

absl::StatusOr<AnalysisResult> Analyze(std::vector<Observation> observations, const AnalysisOptions& options) {
  ISOFLOP_RETURN_IF_ERROR(CheckOptions(options));
  AnalysisResult result;
  result.options = options;
  if (!Prepare(observations, &result)) return result;
  const AnalysisOptions::Sections& sections = options.sections;
  ResolveForm(&result);
  const Resampling resampling = FitApproaches(options.threads, /*finished_schedules_only=*/false, &result);

  // How far the law is known to reach, then the optimum within that reach.
  if (sections.holdout) result.holdout = ScoreHoldout(result, options.threads);
  double min_flops = std::numeric_limits<double>::infinity();
  for (const KeptRow& row : result.rows) min_flops = std::min(min_flops, row.flops);
  const double from = std::min(min_flops, result.target_flops / 10);
  FillFrontiers(resampling.fits, from, &result);
  FillOptimumTables(from, &result);

  if (sections.uncertainty && result.parametric) FillUncertainty(options.threads, &result);
  if (sections.agreement) {
    result.agreement = JudgeAgreement(result, resampling.fits, [&](const StudyPart& part) {
      PartFits fits{WithRows(result, part.rows), {}};
      fits.draws = FitApproaches(options.threads, part.finished_schedules_only, &fits.result).fits;
      return fits;
    });
  }
  if (sections.sensitivity && result.parametric) {
    result.sensitivity = SensitivitySheet(observations, result, options.threads);
  }
  if (sections.forms && !result.forms) result.forms = RankForms(result.rows, result.options);
  if (sections.conventions) result.conventions = CompareConventions(observations, result, options.threads);
  if (sections.design && result.parametric) result.design = DesignNextTrials(result, {});
  AddWarnings(&result);
  return result;
}

}  // namespace isoflop
