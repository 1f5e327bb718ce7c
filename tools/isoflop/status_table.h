// Where a study stands, as lines for the screen and as JSON. Pure: time comes in
// as `now`.
#ifndef ISOFLOP_TOOLS_ISOFLOP_STATUS_TABLE_H_
#define ISOFLOP_TOOLS_ISOFLOP_STATUS_TABLE_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "proto/study_admin.pb.h"
#include "study/param_counts.h"
#include "tools/isoflop/live_fit.h"
#include "tools/isoflop/study_source.h"

namespace isoflop {

enum class StatusRows {
  kWhatMatters,  // running and failed ones, what ended last, what comes next
  kAll,
  kFailed,       // failed, diverged and cancelled ones
};

struct StatusOptions {
  StatusRows rows = StatusRows::kWhatMatters;
  CountConvention count = CountConvention::kNonEmbeddingPlusHead;
};

// Seconds to the end by the FLOPs that are left: at the speed of the running
// trials now, and between that speed and the mean since the start. The longest
// chain bounds each from below. nullopt: not known.
struct StatusEta {
  double seconds = 0;
  double low = 0;
  double high = 0;
};
std::optional<StatusEta> EstimateEta(const wire::Study& study, absl::Time now);

// "web-depths  active  14/24 observations  61% of FLOPs  ETA 2h05m (1h50m -
// 2h30m)  slots 8/8  a 0.49 [0.44, 0.54]"
std::string StatusHeadline(const StudyView& view, const std::optional<LiveFit>& fit, absl::Time now);

// The table under it; the last line tells how many rows were left out.
std::vector<std::string> StatusLines(const StudyView& view, const std::optional<LiveFit>& fit,
                                     const StatusOptions& options);

std::vector<std::string> WorkerLines(const wire::WorkerList& workers);

// "isoflop.status/1".
nlohmann::json StatusJson(const StudyView& view, const std::optional<LiveFit>& fit,
                          const StatusOptions& options, absl::Time now);
nlohmann::json WorkersJson(const wire::WorkerList& workers);

// "20.6K", or what a baseline is, which has no N: "3-gram kneser_ney".
std::string ParamsText(const wire::Trial& trial, CountConvention count);

// N of a trial under `count`.
double ParamsOfTrial(const wire::Trial& trial, CountConvention count);
// "235M x 3.29B".
std::string SizeOfTrial(const wire::Trial& trial, CountConvention count);

// ISO 8601 in UTC, or null.
nlohmann::json TimeJson(const google::protobuf::Timestamp& time, bool is_there);

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_STATUS_TABLE_H_
