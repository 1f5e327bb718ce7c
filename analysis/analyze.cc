#include "analysis/analyze.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/bootstrap.h"
#include "analysis/frontier.h"
#include "analysis/isoflop_fit.h"
#include "analysis/law_fit.h"
#include "analysis/prediction.h"
#include "analysis/resample.h"
#include "analysis/seed_noise.h"
#include "analysis/selection.h"
#include "analysis/statistics.h"
#include "study/format.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

constexpr int kFrontierPoints = 49;
constexpr double kRatios[] = {4, 10, 20, 40, 100};  // tokens per parameter of T7
constexpr int kMaxDraws = 100'000;

absl::Status Invalid(const std::string& what, const std::string& cure) {
  return absl::InvalidArgumentError(absl::StrCat("analysis: ", what, "\ncure: ", cure));
}

absl::Status CheckOptions(const AnalysisOptions& options) {
  const AnalysisSpec& spec = options.spec;
  if (!ParseLawForm(spec.form)) return Invalid(absl::StrCat("no form '", spec.form, "'"), "form: chinchilla");
  if (spec.form != "chinchilla") {
    return Invalid(absl::StrCat("form '", spec.form, "' comes in a later release"), "form: chinchilla");
  }
  if (spec.objective == FitObjective::kLad || spec.objective == FitObjective::kMseRaw) {
    return Invalid(absl::StrCat("objective '", ToString(spec.objective), "' comes in a later release"),
                   "objective: huber, or mse");
  }
  if (spec.weights == FitWeights::kInverseVariance) {
    return Invalid("weights 'inverse_variance' come in a later release", "weights: none, or by_run");
  }
  const std::string& method = spec.bootstrap_method;
  if (method == "wild" || method == "parametric") {
    return Invalid(absl::StrCat("bootstrap method '", method, "' comes in a later release"),
                   "method: auto, pairs or cluster");
  }
  if (method != "auto" && method != "pairs" && method != "cluster" && method != "clusters") {
    return Invalid(absl::StrCat("no bootstrap method '", method, "'"), "method: auto, pairs or cluster");
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

// --- approach 3 ---------------------------------------------------------------------------

FitRows FitRowsOf(const std::vector<KeptRow>& kept) {
  std::vector<double> params, tokens, loss;
  for (const KeptRow& row : kept) {
    params.push_back(row.params);
    tokens.push_back(row.tokens);
    loss.push_back(row.loss);
  }
  FitRows rows = MakeFitRows(params, tokens, loss);
  for (size_t i = 0; i < kept.size(); ++i) rows.weight[i] = kept[i].weight;
  return rows;
}

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
    row.predicted_loss = fit.law.LossAt(row.params, row.tokens);
    row.residual = std::log(row.loss / *row.predicted_loss);
  }
}

void WarnOfCertificate(const AnalysisOptions& options, AnalysisResult* result) {
  const Certificate& certificate = result->parametric->certificate;
  const auto warn = [&](Code code, std::string message) { result->warnings.push_back({code, std::move(message)}); };
  switch (certificate.outcome) {
    case FitOutcome::kOptimal:
      break;
    case FitOutcome::kBoundHit: {
      std::string bounds;
      for (const std::string& bound : certificate.at_bounds) absl::StrAppend(&bounds, bounds.empty() ? "" : ", ", bound);
      warn(Code::kBoundHit, bounds);
      break;
    }
    case FitOutcome::kMaxIterations:
      warn(Code::kMaxIterations, absl::StrFormat("the last Newton step was %.2g, 1e-9 is demanded",
                                                 certificate.max_newton_step));
      break;
    case FitOutcome::kSingular:
      warn(Code::kSingular, "the Hessian is not positive definite at the best point");
      break;
    case FitOutcome::kMultipleBasins:
      warn(Code::kMultipleBasins, absl::StrFormat("a second optimum has f %.4g and a %.3f, the best f %.4g and a %.3f",
                                                  *certificate.next_basin_f, *certificate.next_basin_a, certificate.f,
                                                  result->parametric->law.a()));
      break;
  }
  const int rows = static_cast<int>(result->rows.size());
  if (options.spec.objective == FitObjective::kHuber && 4 * certificate.rows_within_delta < rows) {
    warn(Code::kDeltaNearLad, absl::StrCat(certificate.rows_within_delta, " of ", rows, " rows inside delta"));
  }
}

// --- approach 2 ---------------------------------------------------------------------------

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<double> OverIsoflopDraws(const std::vector<ResampledFit>& fits, double (*number)(const IsoflopLaws&)) {
  std::vector<double> draws;
  for (const ResampledFit& fit : fits) draws.push_back(fit.isoflop ? number(*fit.isoflop) : kNan);
  return draws;
}

// Intervals of the power laws, where at least half of the draws found one.
void AddIsoflopIntervals(const Resampling& resampling, const AnalysisOptions& options, IsoflopFit* fit) {
  const auto found = std::count_if(resampling.fits.begin(), resampling.fits.end(),
                                   [](const ResampledFit& f) { return f.isoflop.has_value(); });
  if (!fit->params_law || 2 * found < static_cast<int64_t>(resampling.fits.size()) || found == 0) return;
  const auto fill = [&](Estimate* estimate, double (*number)(const IsoflopLaws&)) {
    *estimate = EstimateFromDraws(estimate->value, OverIsoflopDraws(resampling.fits, number), options.spec.levels,
                                  resampling.summary.method);
  };
  fill(&fit->params_law->exponent, [](const IsoflopLaws& laws) { return laws.params_exponent; });
  fill(&fit->params_law->ln_coefficient, [](const IsoflopLaws& laws) { return laws.params_ln_coefficient; });
  fill(&fit->tokens_law->exponent, [](const IsoflopLaws& laws) { return laws.tokens_exponent; });
  fill(&fit->tokens_law->ln_coefficient, [](const IsoflopLaws& laws) { return laws.tokens_ln_coefficient; });
}

// One warning a code: budgets of the same fate are counted, the first is told.
void WarnOfBudgets(const IsoflopFit& fit, AnalysisResult* result) {
  std::map<Code, std::pair<int, std::string>> by_code;  // how many, the first
  const auto add = [&](Code code, const std::string& message) {
    std::pair<int, std::string>& entry = by_code[code];
    if (entry.first++ == 0) entry.second = message;
  };
  for (const IsoflopBudget& budget : fit.budgets) {
    const std::string at = absl::StrCat("budget ", FormatFlops(budget.budget_flops));
    if (budget.rejection) {
      add(budget.rejection->code, budget.rejection->message);
    } else if (budget.sizes < 5) {
      add(Code::kTooFewPoints, absl::StrCat(at, ": only ", Plural(budget.sizes, "size")));
    }
    if (budget.snapped) {
      add(Code::kBudgetSnapped,
          absl::StrFormat("%s: %s within %.1f%% taken as one", at,
                          Plural(static_cast<int64_t>(budget.rows.size()), "row"), 100 * budget.snap_range));
    }
  }
  for (const auto& [code, entry] : by_code) {
    const auto& [count, first] = entry;
    result->warnings.push_back(
        {code, count == 1 ? first : absl::StrCat(count, " of ", fit.budgets.size(), " budgets, first: ", first)});
  }
}

// --- frontier ------------------------------------------------------------------------------

std::vector<double> LogSpaced(double from, double to, int points) {
  std::vector<double> values;
  for (int i = 0; i < points; ++i) {
    values.push_back(from * std::pow(to / from, static_cast<double>(i) / (points - 1)));
  }
  return values;
}

Frontier ParametricFrontier(const AnalysisResult& result, double from) {
  Frontier frontier{.approach = Approach::kParametric};
  AnalysisResult all = result;  // the curve goes to C_T, however weak: it is drawn dashed there
  all.options.allow_extrapolation = true;
  for (const double budget : LogSpaced(from, result.target_flops, kFrontierPoints)) {
    const OptimalRow row = PredictOptimum(all, budget);
    if (EstimateIn(row.params) == nullptr) return frontier;
    frontier.points.push_back({budget, row.log10_over_max, row.extrapolated, *EstimateIn(row.params),
                               *EstimateIn(row.tokens), *EstimateIn(row.tokens_per_parameter), *EstimateIn(row.loss)});
  }
  return frontier;
}

Frontier IsoflopFrontier(const AnalysisResult& result, const Resampling& resampling, double from) {
  Frontier frontier{.approach = Approach::kIsoflop};
  const PowerLaw& params = *result.isoflop->params_law;
  const PowerLaw& tokens = *result.isoflop->tokens_law;
  const bool with_intervals = !params.exponent.intervals.empty();
  for (const double budget : LogSpaced(from, result.target_flops, kFrontierPoints)) {
    const double ln_budget = std::log(budget);
    std::vector<double> params_draws, tokens_draws, ratio_draws;
    for (const ResampledFit& fit : resampling.fits) {
      if (!with_intervals || !fit.isoflop) continue;
      params_draws.push_back(std::exp(fit.isoflop->params_ln_coefficient + fit.isoflop->params_exponent * ln_budget));
      tokens_draws.push_back(std::exp(fit.isoflop->tokens_ln_coefficient + fit.isoflop->tokens_exponent * ln_budget));
      ratio_draws.push_back(tokens_draws.back() / params_draws.back());
    }
    const auto estimate = [&](double value, std::vector<double> draws) {
      return EstimateFromDraws(value, std::move(draws), result.options.spec.levels, resampling.summary.method);
    };
    FrontierPoint point;
    point.budget_flops = budget;
    point.log10_over_max = std::log10(budget / result.max_flops);
    point.extrapolated = point.log10_over_max > 1e-9;
    point.params = estimate(params.At(budget), std::move(params_draws));
    point.tokens = estimate(tokens.At(budget), std::move(tokens_draws));
    point.tokens_per_parameter = estimate(tokens.At(budget) / params.At(budget), std::move(ratio_draws));
    frontier.points.push_back(std::move(point));
  }
  return frontier;
}

// Slot hours that `flops` cost at the speed of the row nearest in ln N whose
// speed is known.
std::optional<double> HoursAt(const AnalysisResult& result, double params, double tokens) {
  const KeptRow* nearest = nullptr;
  for (const KeptRow& row : result.rows) {
    if (!row.observation.tokens_per_second || *row.observation.tokens_per_second <= 0) continue;
    if (nearest == nullptr ||
        std::abs(std::log(row.params / params)) < std::abs(std::log(nearest->params / params))) {
      nearest = &row;
    }
  }
  if (nearest == nullptr) return std::nullopt;
  // FLOPs a second stay, FLOPs a token grow with N.
  const double seconds_per_token = params / nearest->params / *nearest->observation.tokens_per_second;
  return tokens * seconds_per_token / 3600;
}

std::optional<double> UniqueTokens(const AnalysisResult& result) {
  for (const KeptRow& row : result.rows) {
    if (row.observation.unique_tokens) return row.observation.unique_tokens;
  }
  return std::nullopt;
}

void FillTables(double from, AnalysisResult* result) {
  std::vector<std::pair<double, bool>> budgets;  // C, asked by the user
  for (double decade = std::floor(std::log10(from)); decade <= std::log10(result->target_flops) + 1e-9; ++decade) {
    const double budget = std::pow(10, decade);
    if (budget >= from * (1 - 1e-9)) budgets.emplace_back(budget, false);
  }
  budgets.emplace_back(result->target_flops, result->options.spec.goal_budget.has_value());
  for (const double budget : result->options.budgets) budgets.emplace_back(budget, true);
  std::stable_sort(budgets.begin(), budgets.end());
  for (size_t i = 0; i < budgets.size(); ++i) {
    if (i + 1 < budgets.size() && budgets[i + 1].first <= budgets[i].first * (1 + 1e-9)) {
      budgets[i + 1].second = budgets[i + 1].second || budgets[i].second;
      continue;
    }
    OptimalRow row = PredictOptimum(*result, budgets[i].first);
    row.asked = budgets[i].second;
    if (const Estimate* tokens = EstimateIn(row.tokens)) {
      if (const std::optional<double> unique = UniqueTokens(*result)) row.epochs = tokens->value / *unique;
      row.hours = HoursAt(*result, EstimateIn(row.params)->value, tokens->value);
    }
    if (row.asked || budgets[i].first == result->target_flops) {
      for (const double ratio : kRatios) {
        if (std::optional<EfficiencyRow> cost = PredictEfficiency(*result, row.budget_flops, ratio)) {
          result->efficiency.push_back(*std::move(cost));
        }
      }
    }
    result->optimal.push_back(std::move(row));
  }
}

void WarnOfUncertainty(AnalysisResult* result) {
  const auto warn = [&](Code code, std::string message) { result->warnings.push_back({code, std::move(message)}); };
  const BootstrapSummary& bootstrap = result->bootstrap;
  if (result->parametric) {
    const Interval* a = result->parametric->a.At(95);
    if (a != nullptr && a->hi - a->lo > 0.4) {
      warn(Code::kWeaklyIdentified, absl::StrFormat("the 95%% interval of a is [%.2f, %.2f]", a->lo, a->hi));
    }
  }
  if (!result->noise.from_replicates && !result->rows.empty()) {
    warn(Code::kNoiseUnknown, "no cell has two seeds; sigma is taken from the residuals");
  }
  if (bootstrap.method == "cluster" && bootstrap.draws > 0 && bootstrap.clusters < 10) {
    warn(Code::kFewClusters, absl::StrCat(Plural(bootstrap.clusters, "cluster"), ", 10 are wanted"));
  }
  if (bootstrap.jump_share > 0.05) {
    warn(Code::kBootstrapJumps,
         absl::StrFormat("another basin won %.1f%% of the draws", 100 * bootstrap.jump_share));
  }
}

}  // namespace

absl::StatusOr<AnalysisResult> Analyze(std::vector<Observation> observations, const AnalysisOptions& options) {
  ISOFLOP_RETURN_IF_ERROR(CheckOptions(options));
  AnalysisResult result;
  result.options = options;
  result.options.threads = 0;  // never part of a result
  result.rows_read = static_cast<int>(observations.size());
  result.observations_sha256 = HashObservations(observations);
  Selection selection = SelectRows(observations, options);
  result.rows = std::move(selection.rows);
  result.exclusions = std::move(selection.exclusions);
  result.warnings = std::move(selection.warnings);
  result.count_known = selection.count_known;

  std::string& method = result.options.spec.bootstrap_method;
  if (method == "clusters") method = "cluster";
  if (method == "auto") method = AutoBootstrapMethod(result.rows);
  if (result.rows.empty()) {
    result.parametric_refusal = Refusal{Code::kUnderdetermined, "no row is left to fit", "isoflop fit STUDY.csv"};
    return result;
  }

  double min_flops = std::numeric_limits<double>::infinity();
  for (const KeptRow& row : result.rows) {
    result.max_flops = std::max(result.max_flops, row.flops);
    min_flops = std::min(min_flops, row.flops);
  }
  result.target_flops = options.spec.goal_budget.value_or(10 * result.max_flops);
  if (selection.refusal) {
    result.parametric_refusal = selection.refusal;
    result.warnings.push_back({selection.refusal->code, selection.refusal->message});
    return result;
  }
  result.noise = MeasureSeedNoise(result.rows);

  // Approach 3.
  const FitRows rows = FitRowsOf(result.rows);
  const LawFitOptions fit_options{options.spec.objective, options.spec.delta};
  std::optional<LawFit> law_fit;
  result.parametric_refusal = RefuseFit(result.rows, rows.weight);
  if (!result.parametric_refusal) law_fit = FitLossLaw(rows, fit_options);

  // Approach 2, and the draws of both.
  const IsoflopOptions isoflop_options{options.spec.budget_tolerance, options.flops,
                                       result.noise.sigma * Mean(rows.loss)};
  result.isoflop = FitIsoflop(result.rows, isoflop_options);
  AnalysisOptions resolved = result.options;
  resolved.threads = options.threads;
  const Resampling resampling =
      ResampleFits(result.rows, rows, law_fit ? &*law_fit : nullptr, fit_options, isoflop_options, resolved);
  result.bootstrap = resampling.summary;
  if (law_fit) {
    FillParametric(*law_fit, rows, &result);
    WarnOfCertificate(options, &result);
    if (!result.noise.from_replicates) result.noise.sigma = law_fit->certificate.sigma;
    AddIsoflopBias(result.rows, law_fit->law, result.target_flops, isoflop_options, &*result.isoflop);
  } else {
    result.warnings.push_back({result.parametric_refusal->code, result.parametric_refusal->message});
  }
  AddIsoflopIntervals(resampling, options, &*result.isoflop);
  WarnOfBudgets(*result.isoflop, &result);
  WarnOfUncertainty(&result);

  const double from = std::min(min_flops, result.target_flops / 10);
  if (result.isoflop->params_law) result.frontiers.push_back(IsoflopFrontier(result, resampling, from));
  if (result.parametric) {
    Frontier frontier = ParametricFrontier(result, from);
    if (!frontier.points.empty()) result.frontiers.push_back(std::move(frontier));
    FillTables(from, &result);
  }
  if (std::any_of(result.optimal.begin(), result.optimal.end(), [](const OptimalRow& row) { return row.extrapolated; })) {
    result.warnings.push_back({Code::kExtrapolation, absl::StrCat("optima beyond ", FormatFlops(result.max_flops),
                                                                  " FLOPs lie outside the data")});
  }
  std::stable_sort(result.warnings.begin(), result.warnings.end(),
                   [](const Warning& x, const Warning& y) { return x.code < y.code; });
  return result;
}

}  // namespace isoflop
