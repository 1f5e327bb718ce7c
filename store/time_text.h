// Instants as the store writes them: "2026-11-25T17:46:47.123Z", UTC.
#ifndef ISOFLOP_STORE_TIME_TEXT_H_
#define ISOFLOP_STORE_TIME_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace isoflop {

inline std::string TimeText(absl::Time at) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", at, absl::UTCTimeZone());
}
// absl::UnixEpoch() for a text that is none.
inline absl::Time ParseTimeText(absl::string_view text) {
  absl::Time at;
  std::string error;
  return absl::ParseTime("%Y-%m-%dT%H:%M:%E*SZ", text, absl::UTCTimeZone(), &at, &error) ? at : absl::UnixEpoch();
}

}  // namespace isoflop

#endif  // ISOFLOP_STORE_TIME_TEXT_H_
