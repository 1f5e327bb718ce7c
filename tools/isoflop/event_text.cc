#include "tools/isoflop/event_text.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "proto/convert.h"
#include "study/format.h"

namespace isoflop {
namespace {

// "loss 3.2141592" as a screen shows it.
std::string Shortened(const std::string& detail) {
  double loss = 0;
  if (absl::StartsWith(detail, "loss ") && absl::SimpleAtod(detail.substr(5), &loss)) {
    return "loss " + FormatLoss(loss);
  }
  return detail;
}

std::string With(const std::string& words, const std::string& detail, const char* between = ", ") {
  return detail.empty() ? words : absl::StrCat(words, between, detail);
}

}  // namespace

std::string EventTime(const wire::Event& event) {
  const absl::TimeZone zone = absl::LocalTimeZone();
  const absl::Time at = FromWire(event.at());
  const bool today = absl::FormatTime("%F", at, zone) == absl::FormatTime("%F", absl::Now(), zone);
  return absl::FormatTime(today ? "%H:%M:%S" : "%F %H:%M:%S", at, zone);
}

std::string EventText(const wire::Event& event, bool with_subject) {
  const std::string& kind = event.kind();
  const std::string& detail = event.detail();
  std::string subject;
  if (with_subject && event.trial_id() != 0) subject = absl::StrCat("trial ", event.trial_id(), " ");
  // These name the attempt and the worker themselves.
  if (kind == "leased" || kind == "attempt_ended") {
    return absl::StrCat(subject.empty() ? "" : absl::StrCat("trial ", event.trial_id(), ": "), detail);
  }
  if (kind == "note") return absl::StrCat(subject.empty() ? "" : absl::StrCat("trial ", event.trial_id(), ": "), "said: ", detail);
  if (kind == "worker_joined") return With(absl::StrCat("worker ", event.worker(), " joined"), detail);
  if (kind == "worker_paused") return With(absl::StrCat("worker ", event.worker(), " paused"), detail);
  if (kind == "worker_resumed") return With(absl::StrCat("worker ", event.worker(), " resumed"), detail);
  if (kind == "study_done") return absl::StrCat("study ", detail, " is done");
  if (kind == "unblocked") return With(absl::StrCat(subject, "may start"), detail);
  if (kind == "queued_again") return With(absl::StrCat(subject, "queued again"), detail);
  if (event.trial_id() == 0 && event.study_id() != 0) subject = with_subject ? "study " : "";
  std::string words = kind;
  for (char& c : words) {
    if (c == '_') c = ' ';
  }
  return With(absl::StrCat(subject, words), Shortened(detail));
}

nlohmann::json EventJson(const wire::Event& event) {
  const auto number = [](int64_t id) { return id == 0 ? nlohmann::json(nullptr) : nlohmann::json(id); };
  return {{"schema", "isoflop.event/1"},
          {"id", event.id()},
          {"at", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", FromWire(event.at()), absl::UTCTimeZone())},
          {"study", number(event.study_id())},
          {"trial", number(event.trial_id())},
          {"worker", event.worker().empty() ? nlohmann::json(nullptr) : nlohmann::json(event.worker())},
          {"kind", event.kind()},
          {"detail", event.detail()}};
}

}  // namespace isoflop
