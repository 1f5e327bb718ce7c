// The StudyComparison as "isoflop.compare/1". Keys are only added within a number.
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_format.h"
#include "analysis/study_comparison.h"

namespace isoflop {
namespace {

using nlohmann::json;

// 10 digits; null for what is not finite, such as an open end of an interval.
json Number(double value) {
  if (!std::isfinite(value)) return nullptr;
  return std::strtod(absl::StrFormat("%.10g", value).c_str(), nullptr);
}

json Number(const std::optional<double>& value) { return value ? Number(*value) : json(nullptr); }

json ToJson(const Refusal& refusal) {
  return {{"code", ToString(refusal.code)}, {"message", refusal.message}, {"cure", refusal.cure}};
}

json ToJson(const Estimate& estimate) {
  json intervals = json::array();
  for (const Interval& interval : estimate.intervals) {
    intervals.push_back({{"level", Number(interval.level)}, {"lo", Number(interval.lo)}, {"hi", Number(interval.hi)}});
  }
  return {{"value", Number(estimate.value)},
          {"se", Number(estimate.se)},
          {"intervals", intervals},
          {"method", estimate.method}};
}

json ToJson(const Quantity& quantity) {
  if (const Estimate* estimate = EstimateIn(quantity)) return ToJson(*estimate);
  return {{"refusal", ToJson(std::get<Refusal>(quantity))}};
}

json ToJson(const LossLaw& law) {
  return {{"E", Number(law.E)},
          {"A", Number(law.A)},
          {"B", Number(law.B)},
          {"alpha", Number(law.alpha)},
          {"beta", Number(law.beta)}};
}

json ToJson(const SharingTest& test) {
  return {{"statistic", Number(test.statistic)}, {"p", Number(test.p)}, {"draws", test.draws}};
}

json ToJson(const Certificate& c) {
  json eigenvalues = json::array();
  for (const double value : c.hessian_eigenvalues) eigenvalues.push_back(Number(value));
  return {{"outcome", ToString(c.outcome)},
          {"objective", c.objective},
          {"f", Number(c.f)},
          {"max_gradient", Number(c.max_gradient)},
          {"max_newton_step", Number(c.max_newton_step)},
          {"hessian_eigenvalues", eigenvalues},
          {"starts_tried", c.starts_tried},
          {"starts_at_best", c.starts_at_best},
          {"next_basin_f", Number(c.next_basin_f)},
          {"next_basin_a", Number(c.next_basin_a)},
          {"at_bounds", c.at_bounds},
          {"rows_within_delta", c.rows_within_delta},
          {"sigma", Number(c.sigma)},
          {"delta_over_sigma", Number(c.delta_over_sigma)}};
}

}  // namespace

std::string ComparisonJson(const StudyComparison& comparison) {
  json multipliers = json::array();
  for (const MultiplierRow& row : comparison.multipliers) {
    multipliers.push_back({{"loss", Number(row.loss)},
                           {"flops_first", ToJson(row.flops_first)},
                           {"flops_second", ToJson(row.flops_second)},
                           {"multiplier", ToJson(row.multiplier)}});
  }
  json warnings = json::array();
  for (const Warning& warning : comparison.warnings) {
    warnings.push_back({{"code", ToString(warning.code)}, {"message", warning.message}});
  }
  json out = {{"schema", "isoflop.compare/1"},
              {"first", {{"name", comparison.first}, {"rows", comparison.rows_first}}},
              {"second", {{"name", comparison.second}, {"rows", comparison.rows_second}}},
              {"refusal", comparison.refusal ? ToJson(*comparison.refusal) : json(nullptr)},
              {"warnings", warnings},
              {"multipliers", multipliers}};
  // Nothing was fitted where the studies may not be compared.
  const bool fitted = !comparison.certificate.objective.empty();
  out["fit"] = nullptr;
  if (fitted) {
    out["first"]["bootstrap_method"] = comparison.method_first;
    out["second"]["bootstrap_method"] = comparison.method_second;
    out["fit"] = {{"shared_exponents", comparison.shared_exponents},
                  {"shared_E", comparison.shared_E},
                  {"exponents_test", ToJson(comparison.exponents_test)},
                  {"E_test", ToJson(comparison.E_test)},
                  {"law_first", ToJson(comparison.law_first)},
                  {"law_second", ToJson(comparison.law_second)},
                  {"alpha_first", ToJson(comparison.alpha)},
                  {"beta_first", ToJson(comparison.beta)},
                  {"alpha_second", ToJson(comparison.alpha_second)},
                  {"beta_second", ToJson(comparison.beta_second)},
                  {"E_first", ToJson(comparison.E_first)},
                  {"E_second", ToJson(comparison.E_second)},
                  {"certificate", ToJson(comparison.certificate)},
                  {"draws", comparison.draws},
                  {"failed", comparison.failed}};
  }
  return out.dump(1, ' ', false, json::error_handler_t::replace);
}

}  // namespace isoflop
