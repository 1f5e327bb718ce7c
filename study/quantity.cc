#include "study/quantity.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace isoflop {
namespace {

constexpr double kMaxExactCount = 9007199254740992.0;  // 2^53

constexpr std::pair<const char*, double> kUnits[] = {
    {"Ki", 1024.0}, {"Mi", 1048576.0}, {"Gi", 1073741824.0}, {"Ti", 1099511627776.0},
    {"K", 1e3},     {"M", 1e6},        {"B", 1e9},           {"G", 1e9},
    {"T", 1e12},
};

// Decimal digits, a point, an exponent; nothing else (no "inf", no hex).
std::optional<double> ParseDecimal(absl::string_view text, bool allow_sign) {
  absl::string_view digits = text;
  if (allow_sign && !digits.empty() && (digits.front() == '-' || digits.front() == '+')) digits.remove_prefix(1);
  if (digits.empty() || !((digits.front() >= '0' && digits.front() <= '9') || digits.front() == '.')) {
    return std::nullopt;
  }
  if (text.front() == '+') text.remove_prefix(1);
  double value = 0;
  const char* end = text.data() + text.size();
  const std::from_chars_result result = std::from_chars(text.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

// The number before a unit, and the unit's factor (1 where there is none).
std::optional<std::pair<double, double>> SplitUnit(const std::string& text) {
  for (const auto& [unit, factor] : kUnits) {
    absl::string_view rest = text;
    if (!absl::ConsumeSuffix(&rest, unit)) continue;
    const std::optional<double> value = ParseDecimal(rest, false);
    if (!value) return std::nullopt;
    return std::make_pair(*value, factor);
  }
  const std::optional<double> value = ParseDecimal(text, false);
  if (!value) return std::nullopt;
  return std::make_pair(*value, 1.0);
}

}  // namespace

std::optional<double> ParsePlainNumber(const std::string& text) { return ParseDecimal(text, true); }

std::optional<double> ParseAmount(const std::string& text) {
  const auto split = SplitUnit(text);
  if (!split) return std::nullopt;
  const double amount = split->first * split->second;
  // 0.2T is 2e11, not 200000000000.00003.
  const double whole = std::nearbyint(amount);
  const bool nearly_whole = std::fabs(amount - whole) <= 1e-12 * amount;
  return split->second > 1 && nearly_whole ? whole : amount;
}

std::optional<int64_t> ParseCount(const std::string& text) {
  const auto split = SplitUnit(text);
  if (!split) return std::nullopt;
  const double amount = split->first * split->second;
  const double whole = std::nearbyint(amount);
  if (whole > kMaxExactCount) return std::nullopt;
  if (split->second == 1 && whole != amount) return std::nullopt;
  return static_cast<int64_t>(whole);
}

std::optional<double> ParseShare(const std::string& text) {
  absl::string_view rest = text;
  if (!absl::ConsumeSuffix(&rest, "%")) return ParseDecimal(text, false);
  const std::optional<double> percent = ParseDecimal(rest, false);
  if (!percent) return std::nullopt;
  return *percent / 100;
}

std::optional<absl::Duration> ParseDuration(const std::string& text) {
  if (text.size() < 2) return std::nullopt;
  const std::optional<double> value = ParseDecimal(absl::string_view(text).substr(0, text.size() - 1), false);
  if (!value || *value > 1e9) return std::nullopt;
  switch (text.back()) {
    case 's': return absl::Seconds(*value);
    case 'm': return absl::Minutes(*value);
    case 'h': return absl::Hours(*value);
    case 'd': return absl::Hours(24 * *value);
    default: return std::nullopt;
  }
}

}  // namespace isoflop
