// An AnalysisResult written down rather than fitted, small enough for golden files.
#ifndef ISOFLOP_TESTS_ANALYSIS_REPORT_LITERAL_RESULT_H_
#define ISOFLOP_TESTS_ANALYSIS_REPORT_LITERAL_RESULT_H_

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "analysis/analysis_result.h"
#include "analysis/report/report.h"

namespace isoflop {

inline Estimate About(double value, double spread) {
  Estimate estimate{.value = value};
  estimate.se = value * spread / 2;
  estimate.intervals = {{80, value * (1 - 0.6 * spread), value * (1 + 0.6 * spread)}, {95, value * (1 - spread), value * (1 + spread)}};
  estimate.method = "pairs";
  return estimate;
}

inline AnalysisResult LiteralResult() {
  AnalysisResult result;
  const LossLaw law{.form = LawForm::kChinchilla, .E = 1.69, .A = 406.4, .B = 410.7, .alpha = 0.34, .beta = 0.28};
  result.observations_sha256 = std::string(64, '0');
  for (const double budget : {1e18, 1e19}) {
    IsoflopBudget group{.budget_flops = budget};
    const double center = std::sqrt(budget / 120);
    for (const double factor : {0.25, 0.5, 1.0, 2.0, 4.0}) {
      KeptRow row;
      row.params = std::round(center * factor);
      row.tokens = std::round(budget / (6 * row.params));
      row.flops = 6 * row.params * row.tokens;
      row.predicted_loss = law.LossAt(row.params, row.tokens);
      row.loss = *row.predicted_loss * (factor == 1.0 ? 1.001 : 0.9995);
      row.residual = std::log(row.loss / *row.predicted_loss);
      row.observation.source = absl::StrCat("runs.csv:", result.rows.size() + 2);
      row.observation.seed = 1;
      row.observation.budget_flops = budget;
      row.observation.tokens_trained = row.tokens;
      row.observation.final_loss_nats = row.loss;
      group.rows.push_back(result.rows.size());
      result.rows.push_back(row);
    }
    group.parabola = Parabola{.center = std::log10(center), .p = 0.31, .q = 0.02, .r = law.LossAt(center, budget / (6 * center)), .p_se = 0.01};
    group.params_optimal = About(center * 0.93, 0.1);
    group.tokens_optimal = About(budget / (6 * center * 0.93), 0.1);
    group.loss_optimal = About(group.parabola->LossAt(center * 0.93), 0.002);
    group.bias = -0.012;
    if (!result.isoflop.has_value()) result.isoflop.emplace();
    result.isoflop->budgets.push_back(group);
  }
  result.isoflop->budgets[1].rejection = Refusal{Code::kMinimumAtEdge, "no size is smaller than the minimum", "widen the grid"};
  result.isoflop->accepted = 1;
  result.isoflop->refusal = Refusal{Code::kTooFewPoints, "1 accepted budget, 2 are needed", "more budgets"};
  result.exclusions.push_back({.source = "runs.csv:12", .trial_id = "", .rule = ExclusionRule::kDiverged, .detail = "diverged at step 40",
                               .params = 1e8, .tokens = 1e9, .flops = 6e17, .loss = 7.1});
  result.rows_read = static_cast<int>(result.rows.size() + result.exclusions.size());
  result.max_flops = 1e19;
  result.target_flops = 1e20;
  ParametricFit fit;
  fit.law = law;
  fit.E = About(law.E, 0.03);
  fit.A = About(law.A, 0.4);
  fit.B = About(law.B, 0.4);
  fit.alpha = About(law.alpha, 0.05);
  fit.beta = About(law.beta, 0.05);
  fit.a = About(law.a(), 0.06);
  fit.b = About(law.b(), 0.06);
  fit.gamma = About(law.gamma(), 0.06);
  const double G = std::pow(law.alpha * law.A / (law.beta * law.B), 1 / (law.alpha + law.beta));
  fit.optimum_coefficient = About(G, 0.1);
  fit.center_params = 2e8;
  fit.center_tokens = 4e9;
  fit.A_centered = About(law.A * std::pow(2e8, -law.alpha), 0.02);
  fit.B_centered = About(law.B * std::pow(4e9, -law.beta), 0.02);
  fit.certificate = {.outcome = FitOutcome::kOptimal, .objective = "huber(0.001) on log loss", .f = 1.25e-6, .max_gradient = 1e-14, .max_newton_step = 2e-13,
                     .hessian_eigenvalues = {1e-4, 2e-4, 0.9, 37, 990}, .starts_tried = 40, .starts_at_best = 38, .next_basin_f = {}, .next_basin_a = {},
                     .at_bounds = {}, .rows_within_delta = 10, .sigma = 7.4e-4, .delta_over_sigma = 1.35, .iterations = 7};
  result.parametric = fit;
  Frontier frontier;
  for (int k = 0; k <= 8; ++k) {
    FrontierPoint point;
    point.budget_flops = 1e18 * std::pow(10, k / 4.0);
    point.log10_over_max = k / 4.0 - 1;
    point.extrapolated = k > 4;
    const double params = G * std::pow(point.budget_flops / 6, law.a()), tokens = point.budget_flops / (6 * params);
    point.params = About(params, 0.08);
    point.tokens = About(tokens, 0.08);
    point.tokens_per_parameter = About(tokens / params, 0.16);
    point.loss = About(law.LossAt(params, tokens), 0.003);
    frontier.points.push_back(point);
    if (k % 4 != 0) continue;
    result.optimal.push_back({.budget_flops = point.budget_flops, .log10_over_max = point.log10_over_max, .extrapolated = point.extrapolated, .asked = false,
                              .params = point.params, .tokens = point.tokens, .tokens_per_parameter = point.tokens_per_parameter, .loss = *point.loss,
                              .epochs = {}, .hours = {}});
  }
  result.frontiers.push_back(frontier);
  for (const double ratio : {4.0, 20.0, 100.0}) {
    EfficiencyRow row;
    row.budget_flops = 1e20;
    row.tokens_per_parameter = ratio;
    row.params = std::sqrt(1e20 / (6 * ratio));
    row.tokens = ratio * row.params;
    row.loss = About(law.LossAt(row.params, row.tokens), 0.003);
    row.excess_loss = About(0.01, 0.3);
    row.equivalent_flops = About(0.9e20, 0.05);
    row.wasted_fraction = About(0.1, 0.3);
    row.wasted_flops = 1e19;
    result.efficiency.push_back(row);
  }
  result.bootstrap.method = "pairs";
  result.bootstrap.draws = 2000;
  result.bootstrap.seed = 1;
  result.noise.sigma = 7.4e-4;
  result.warnings = {{Code::kNoiseUnknown, "no cell has two seeds; sigma comes from the residuals"}, {Code::kExtrapolation, "optima beyond 1e19 FLOPs lie outside the data"}};
  return result;
}

inline ReportContext LiteralContext() {
  ReportContext context;
  context.title = "runs.csv";
  context.source = "CSV";
  context.program_version = "0.1.0";
  context.commands = {"isoflop report runs.csv"};
  return context;
}

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_ANALYSIS_REPORT_LITERAL_RESULT_H_
