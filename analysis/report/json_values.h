// The small values of an AnalysisResult as JSON. Internal to analysis/report.
#ifndef ISOFLOP_ANALYSIS_REPORT_JSON_VALUES_H_
#define ISOFLOP_ANALYSIS_REPORT_JSON_VALUES_H_

#include <nlohmann/json.hpp>
#include <optional>

#include "analysis/analysis_result.h"

namespace isoflop {

nlohmann::json ToJson(const Refusal& refusal);
nlohmann::json ToJson(const Interval& interval);
nlohmann::json ToJson(const Estimate& estimate);
// An estimate, or {"refusal": {"code", "message", "cure"}}.
nlohmann::json ToJson(const Quantity& quantity);
nlohmann::json ToJson(const PowerLaw& law);
nlohmann::json ToJson(const LossLaw& law);  // infinite repeats: null

template <typename T>
nlohmann::json OrNull(const std::optional<T>& value) {
  return value.has_value() ? ToJson(*value) : nlohmann::json(nullptr);
}

// The sections beside the fit, to be merged into the object (analysis_json_sections.cc).
nlohmann::json SectionsJson(const AnalysisResult& result);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_REPORT_JSON_VALUES_H_
