// The AnalysisResult as "isoflop.fit/1". Keys are only added within a number.
#include <nlohmann/json.hpp>
#include <utility>

#include "analysis/report/json_numbers.h"
#include "analysis/report/json_values.h"
#include "analysis/report/report.h"

namespace isoflop {

// static, not in an unnamed namespace: OrNull finds these by their argument.
using nlohmann::json;

static json ToJson(const ParametricFit& fit);
static json ToJson(const IsoflopFit& fit);
static json ToJson(const EnvelopeFit& fit);

static json ToJson(const Certificate& c) {
  return {{"outcome", ToString(c.outcome)},
          {"objective", c.objective},
          {"f", ResultNumber(c.f)},
          {"max_gradient", ResultNumber(c.max_gradient)},
          {"max_newton_step", ResultNumber(c.max_newton_step)},
          {"hessian_eigenvalues", ResultNumbers(c.hessian_eigenvalues)},
          {"starts_tried", c.starts_tried},
          {"starts_at_best", c.starts_at_best},
          {"next_basin_f", ResultNumber(c.next_basin_f)},
          {"next_basin_a", ResultNumber(c.next_basin_a)},
          {"at_bounds", c.at_bounds},
          {"rows_within_delta", c.rows_within_delta},
          {"sigma", ResultNumber(c.sigma)},
          {"delta_over_sigma", ResultNumber(c.delta_over_sigma)},
          {"iterations", c.iterations}};
}

static json ToJson(const ParametricFit& fit) {
  return {{"form", ToString(fit.law.form)},
          {"law", ToJson(fit.law)},
          {"E", ToJson(fit.E)},
          {"A", ToJson(fit.A)},
          {"B", ToJson(fit.B)},
          {"alpha", ToJson(fit.alpha)},
          {"beta", ToJson(fit.beta)},
          {"a", ToJson(fit.a)},
          {"b", ToJson(fit.b)},
          {"gamma", ToJson(fit.gamma)},
          {"optimum_coefficient", ToJson(fit.optimum_coefficient)},
          {"center_params", ResultNumber(fit.center_params)},
          {"center_tokens", ResultNumber(fit.center_tokens)},
          {"A_centered", ToJson(fit.A_centered)},
          {"B_centered", ToJson(fit.B_centered)},
          {"correlation", {{"of", {"ln A", "ln B", "ln E", "alpha", "beta"}}, {"values", ResultNumbers(fit.correlation)}}},
          {"certificate", ToJson(fit.certificate)}};
}

static json ToJson(const IsoflopFit& fit) {
  json budgets = json::array();
  for (const IsoflopBudget& budget : fit.budgets) {
    json parabola = nullptr;
    if (budget.parabola.has_value()) {
      parabola = {{"center_log10_params", ResultNumber(budget.parabola->center)},
                  {"p", ResultNumber(budget.parabola->p)},
                  {"q", ResultNumber(budget.parabola->q)},
                  {"r", ResultNumber(budget.parabola->r)},
                  {"p_se", ResultNumber(budget.parabola->p_se)}};
    }
    budgets.push_back({{"budget_flops", ResultNumber(budget.budget_flops)},
                       {"rows", budget.rows},
                       {"snapped", budget.snapped},
                       {"snap_range", ResultNumber(budget.snap_range)},
                       {"sizes", budget.sizes},
                       {"parabola", parabola},
                       {"params_optimal", OrNull(budget.params_optimal)},
                       {"tokens_optimal", OrNull(budget.tokens_optimal)},
                       {"loss_optimal", OrNull(budget.loss_optimal)},
                       {"bias_ln_params", ResultNumber(budget.bias)},
                       {"rejection", OrNull(budget.rejection)}});
  }
  return {{"budgets", budgets},
          {"pooled_sigma", ResultNumber(fit.pooled_sigma)},
          {"accepted", fit.accepted},
          {"params_law", OrNull(fit.params_law)},
          {"tokens_law", OrNull(fit.tokens_law)},
          {"params_law_ols", OrNull(fit.params_law_ols)},
          {"tokens_law_ols", OrNull(fit.tokens_law_ols)},
          {"params_law_corrected", OrNull(fit.params_law_corrected)},
          {"tokens_law_corrected", OrNull(fit.tokens_law_corrected)},
          {"bias_ln_params_at_target", ResultNumber(fit.bias_at_target)},
          {"refusal", OrNull(fit.refusal)}};
}

static json ToJson(const EnvelopeFit& fit) {
  json hull = json::array();
  for (const EnvelopePoint& point : fit.hull) {
    hull.push_back({{"row", point.row},
                    {"flops", ResultNumber(point.flops)},
                    {"params", ResultNumber(point.params)},
                    {"tokens", ResultNumber(point.tokens)},
                    {"loss", ResultNumber(point.loss)}});
  }
  return {{"hull", hull},
          {"curve_points", fit.curve_points},
          {"largest_share", ResultNumber(fit.largest_share)},
          {"ends_at_extreme_sizes", fit.ends_at_extreme_sizes},
          {"params_law", OrNull(fit.params_law)},
          {"tokens_law", OrNull(fit.tokens_law)},
          {"refusal", OrNull(fit.refusal)}};
}

static json ToJson(const KeptRow& row) {
  const Observation& o = row.observation;
  return {{"source", o.source},
          {"trial_id", o.trial_id},
          {"config_id", o.config_id},
          {"seed", o.seed},
          {"params", InputNumber(row.params)},
          {"tokens", InputNumber(row.tokens)},
          {"tokens_derived", o.tokens_derived},
          {"flops", InputNumber(row.flops)},
          {"budget_flops", InputNumber(o.budget_flops)},
          {"loss", InputNumber(row.loss)},
          {"weight", InputNumber(row.weight)},
          {"predicted_loss", ResultNumber(row.predicted_loss)},
          {"residual", ResultNumber(row.residual)}};
}

static json ToJson(const Exclusion& exclusion) {
  return {{"source", exclusion.source},
          {"trial_id", exclusion.trial_id},
          {"rule", ToString(exclusion.rule)},
          {"detail", exclusion.detail},
          {"params", InputNumber(exclusion.params)},
          {"tokens", InputNumber(exclusion.tokens)},
          {"flops", InputNumber(exclusion.flops)},
          {"loss", InputNumber(exclusion.loss)}};
}

static json OptionsJson(const AnalysisOptions& options) {
  const AnalysisSpec& spec = options.spec;
  return {{"form", spec.form},
          {"objective", ToString(spec.objective)},
          {"delta", InputNumber(spec.delta)},
          {"outliers", spec.outliers},
          {"weights", ToString(spec.weights)},
          {"loss", ToString(spec.loss)},
          {"bootstrap", {{"method", spec.bootstrap_method}, {"draws", spec.draws}, {"seed", spec.bootstrap_seed}, {"coverage", spec.coverage}}},
          {"levels", spec.levels},
          {"isoflop_minimum", spec.isoflop_minimum},
          {"budget_tolerance", InputNumber(spec.budget_tolerance)},
          {"holdout_error", InputNumber(spec.holdout_error)},
          {"goal_budget", InputNumber(spec.goal_budget)},
          {"goal_factor", InputNumber(spec.goal_factor)},
          {"count", ToString(options.count)},
          {"flops", ToString(options.flops)},
          {"budgets", options.budgets},
          {"inference_tokens", options.inference_tokens},
          {"unique_tokens", InputNumber(options.unique_tokens)},
          {"allow_extrapolation", options.allow_extrapolation}};
}

static json FrontiersJson(const AnalysisResult& result) {
  json out = json::array();
  for (const Frontier& frontier : result.frontiers) {
    json points = json::array();
    for (const FrontierPoint& point : frontier.points) {
      points.push_back({{"budget_flops", ResultNumber(point.budget_flops)},
                        {"log10_over_max", ResultNumber(point.log10_over_max)},
                        {"extrapolated", point.extrapolated},
                        {"params", ToJson(point.params)},
                        {"tokens", ToJson(point.tokens)},
                        {"tokens_per_parameter", ToJson(point.tokens_per_parameter)},
                        {"loss", OrNull(point.loss)}});
    }
    out.push_back({{"approach", static_cast<int>(frontier.approach)}, {"points", points}});
  }
  return out;
}

std::string AnalysisJson(const AnalysisResult& result) {
  json rows = json::array(), exclusions = json::array(), warnings = json::array();
  for (const KeptRow& row : result.rows) rows.push_back(ToJson(row));
  for (const Exclusion& exclusion : result.exclusions) exclusions.push_back(ToJson(exclusion));
  for (const Warning& warning : result.warnings) warnings.push_back({{"code", ToString(warning.code)}, {"message", warning.message}});
  json out = {{"schema", "isoflop.fit/1"},
              {"options", OptionsJson(result.options)},
              {"observations_sha256", result.observations_sha256},
              {"rows_read", result.rows_read},
              {"rows", rows},
              {"exclusions", exclusions},
              {"max_flops", ResultNumber(result.max_flops)},
              {"target_flops", ResultNumber(result.target_flops)},
              {"count_known", result.count_known},
              {"parametric", OrNull(result.parametric)},
              {"parametric_refusal", OrNull(result.parametric_refusal)},
              {"isoflop", OrNull(result.isoflop)},
              {"envelope", OrNull(result.envelope)},
              {"frontiers", FrontiersJson(result)},
              {"bootstrap",
               {{"method", result.bootstrap.method},
                {"draws", result.bootstrap.draws},
                {"failed", result.bootstrap.failed},
                {"seed", result.bootstrap.seed},
                {"clusters", result.bootstrap.clusters},
                {"jump_share", ResultNumber(result.bootstrap.jump_share)}}},
              {"warnings", warnings}};
  out.update(SectionsJson(result));
  return DumpJson(out);
}

}  // namespace isoflop
