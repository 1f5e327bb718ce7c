#include "analysis/report/json_values.h"

#include <variant>
#include <vector>

#include "analysis/report/json_numbers.h"

namespace isoflop {
namespace {

nlohmann::json IntervalsJson(const std::vector<Interval>& intervals) {
  nlohmann::json out = nlohmann::json::array();
  for (const Interval& interval : intervals) out.push_back(ToJson(interval));
  return out;
}

}  // namespace

nlohmann::json ToJson(const Refusal& refusal) {
  return {{"code", ToString(refusal.code)}, {"message", refusal.message}, {"cure", refusal.cure}};
}

nlohmann::json ToJson(const Interval& interval) {
  return {{"level", ResultNumber(interval.level)}, {"lo", ResultNumber(interval.lo)}, {"hi", ResultNumber(interval.hi)}};
}

nlohmann::json ToJson(const Estimate& estimate) {
  return {{"value", ResultNumber(estimate.value)},
          {"se", ResultNumber(estimate.se)},
          {"intervals", IntervalsJson(estimate.intervals)},
          {"bca", IntervalsJson(estimate.bca)},
          {"method", estimate.method}};
}

nlohmann::json ToJson(const Quantity& quantity) {
  if (const Estimate* estimate = EstimateIn(quantity)) return ToJson(*estimate);
  return {{"refusal", ToJson(std::get<Refusal>(quantity))}};
}

nlohmann::json ToJson(const PowerLaw& law) {
  return {{"exponent", ToJson(law.exponent)}, {"ln_coefficient", ToJson(law.ln_coefficient)}, {"points", law.points}};
}

nlohmann::json ToJson(const LossLaw& law) {
  return {{"form", ToString(law.form)},
          {"E", ResultNumber(law.E)},
          {"A", ResultNumber(law.A)},
          {"B", ResultNumber(law.B)},
          {"alpha", ResultNumber(law.alpha)},
          {"beta", ResultNumber(law.beta)},
          {"kappa", ResultNumber(law.kappa)},
          {"repeat_tokens", ResultNumber(law.repeat_tokens)},
          {"repeat_params", ResultNumber(law.repeat_params)}};
}

}  // namespace isoflop
