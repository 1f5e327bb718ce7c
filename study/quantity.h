// Numbers as people write them in a study: 1e18, 125M, 64Ki, 5%, 12h.
//
// Pure functions; nullopt: the text is not such a number. Signs, blanks inside
// and trailing characters are never accepted.
#ifndef ISOFLOP_STUDY_QUANTITY_H_
#define ISOFLOP_STUDY_QUANTITY_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace isoflop {

// A plain decimal number, "0.003", "3e-3", "-0.52": finite, no unit.
std::optional<double> ParsePlainNumber(const std::string& text);

// A non-negative amount: plain, or with K M B T (powers of 1000) or Ki Mi Gi Ti
// (of 1024): "1e18", "2.5B", "64Ki". G is taken for B.
std::optional<double> ParseAmount(const std::string& text);

// The same as a whole number up to 2^53. An amount with a unit comes out whole
// ("0.2T" is 200000000000); one without must be whole ("1.5" is nullopt).
std::optional<int64_t> ParseCount(const std::string& text);

// "5%" or 0.05: 0.05.
std::optional<double> ParseShare(const std::string& text);

// "90s", "10m", "12h", "2d"; 0.5h is half an hour.
std::optional<absl::Duration> ParseDuration(const std::string& text);

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_QUANTITY_H_
