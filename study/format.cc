#include "study/format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace isoflop {
namespace {

constexpr std::array<const char*, 6> kUnits = {"", "K", "M", "B", "T", "Q"};

// The power of 1000 whose unit leaves at least `least`, after rounding to the
// digits shown (999,950 is 1.00M, not 1000.0K).
size_t UnitOf(double value, double least) {
  size_t unit = 0;
  while (unit + 1 < kUnits.size() && value >= 999.5 * std::pow(1000.0, static_cast<double>(unit))) ++unit;
  if (least < 1 && unit + 1 < kUnits.size() && unit > 0 &&
      value >= least * std::pow(1000.0, static_cast<double>(unit + 1))) {
    ++unit;
  }
  return unit;
}

std::string InUnit(double value, size_t unit, int small_decimals) {
  if (unit == 0) return absl::StrFormat("%.0f", value);
  const double scaled = value / std::pow(1000.0, static_cast<double>(unit));
  const int decimals = scaled < 9.995 ? small_decimals : scaled < 99.95 ? 1 : 0;
  return absl::StrFormat("%.*f%s", decimals, scaled, kUnits[unit]);
}

}  // namespace

std::string FormatCount(double count) {
  if (!std::isfinite(count)) return "-";
  const size_t unit = UnitOf(count, 1);
  return InUnit(count, unit, unit == 1 ? 1 : 2);
}

std::string FormatTokens(double tokens) {
  if (!std::isfinite(tokens)) return "-";
  const size_t unit = UnitOf(tokens, 0.1);
  return InUnit(tokens, unit, unit == 1 ? 1 : 2);
}

std::string FormatRate(double per_second) {
  if (!std::isfinite(per_second)) return "-";
  return InUnit(per_second, UnitOf(per_second, 1), 1);
}

std::string FormatFlops(double flops) {
  if (!std::isfinite(flops)) return "-";
  if (flops == 0) return "0";
  const std::string text = absl::StrFormat("%.2e", flops);  // "1.14e+11"
  const std::pair<std::string, std::string> parts = absl::StrSplit(text, 'e');
  std::string mantissa = parts.first;
  while (mantissa.back() == '0') mantissa.pop_back();
  if (mantissa.back() == '.') mantissa.pop_back();
  const int exponent = std::atoi(parts.second.c_str());
  return exponent == 0 ? mantissa : absl::StrCat(mantissa, "e", exponent);
}

std::string FormatRatio(double ratio) {
  if (!std::isfinite(ratio)) return "-";
  if (ratio >= 9995) return FormatCount(ratio);
  return absl::StrFormat("%.*f", ratio < 9.95 ? 1 : 0, ratio);
}

std::string FormatSeconds(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "-";
  if (seconds < 0.95) return seconds == 0 ? "0s" : absl::StrFormat("%.1fs", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return absl::StrFormat("%ds", whole);
  if (whole < 3600) return absl::StrFormat("%dm%02ds", whole / 60, whole % 60);
  const int64_t minutes = (whole + 30) / 60;
  if (minutes < 24 * 60) return absl::StrFormat("%dh%02dm", minutes / 60, minutes % 60);
  const int64_t hours = (minutes + 30) / 60;
  return absl::StrFormat("%dd%02dh", hours / 24, hours % 24);
}

std::string FormatLoss(double loss_nats) {
  if (!std::isfinite(loss_nats)) return "-";
  return FormatSignificant(loss_nats, 4);
}

std::string FormatBytes(double bytes) {
  if (!std::isfinite(bytes)) return "-";
  static constexpr std::array<const char*, 6> kByteUnits = {"B", "kB", "MB", "GB", "TB", "PB"};
  size_t unit = 0;
  while (unit + 1 < kByteUnits.size() && bytes >= 999.5) {
    bytes /= 1000;
    ++unit;
  }
  const int decimals = unit == 0 || bytes >= 9.95 ? 0 : 1;
  return absl::StrFormat("%.*f %s", decimals, bytes, kByteUnits[unit]);
}

std::string Plural(int64_t count, const std::string& noun) {
  return absl::StrCat(count, " ", noun, count == 1 ? "" : "s");
}

std::string FormatSignificant(double value, int digits) {
  if (!std::isfinite(value)) return "-";
  if (value == 0) return absl::StrFormat("%.*f", digits - 1, 0.0);
  const std::string rounded = absl::StrFormat("%.*e", digits - 1, value);
  const double exact = std::strtod(rounded.c_str(), nullptr);
  const int magnitude = static_cast<int>(std::floor(std::log10(std::fabs(exact)) + 1e-12));
  return absl::StrFormat("%.*f", std::max(0, digits - 1 - magnitude), exact);
}

std::string ExactNumber(double value) {
  if (std::nearbyint(value) == value && std::fabs(value) < 1e15) {
    return absl::StrFormat("%.0f", value == 0 ? 0.0 : value);  // no -0
  }
  std::array<char, 40> buffer{};
  const std::to_chars_result end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  std::string text(buffer.data(), end.ptr);
  const size_t e = text.find('e');  // 1e-08 and 1e+20: one spelling, 1e-8 and 1e20
  if (e == std::string::npos) return text;
  return absl::StrCat(text.substr(0, e), "e", std::atoi(text.c_str() + e + 1));
}

}  // namespace isoflop
