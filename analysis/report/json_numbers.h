// Numbers in JSON: results in 10 digits, inputs in 17, null for what is not
// finite. Internal to analysis/report.
#ifndef ISOFLOP_ANALYSIS_REPORT_JSON_NUMBERS_H_
#define ISOFLOP_ANALYSIS_REPORT_JSON_NUMBERS_H_

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"

namespace isoflop {

inline nlohmann::json ResultNumber(double value) {
  if (!std::isfinite(value)) return nullptr;
  // The nearest double prints as at most these 10 digits.
  return std::strtod(absl::StrFormat("%.10g", value).c_str(), nullptr);
}

inline nlohmann::json InputNumber(double value) {
  if (!std::isfinite(value)) return nullptr;
  return value;
}

inline nlohmann::json ResultNumber(const std::optional<double>& value) {
  return value.has_value() ? ResultNumber(*value) : nlohmann::json(nullptr);
}

inline nlohmann::json InputNumber(const std::optional<double>& value) {
  return value.has_value() ? InputNumber(*value) : nlohmann::json(nullptr);
}

inline nlohmann::json ResultNumbers(const std::vector<double>& values) {
  nlohmann::json out = nlohmann::json::array();
  for (const double value : values) out.push_back(ResultNumber(value));
  return out;
}

// Sorted keys (nlohmann's objects are), one space a level; bytes that are no
// UTF-8 become U+FFFD.
inline std::string DumpJson(const nlohmann::json& value) {
  return value.dump(1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_REPORT_JSON_NUMBERS_H_
