// Follows one study on a coordinator to its end and shows it: a redrawn block on
// a terminal, else a line a change and a summary a minute.
#ifndef ISOFLOP_TOOLS_ISOFLOP_STUDY_WATCH_H_
#define ISOFLOP_TOOLS_ISOFLOP_STUDY_WATCH_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "analysis/analysis_options.h"
#include "proto/study_admin.pb.h"
#include "tools/isoflop/interrupts.h"
#include "tools/isoflop/live_view.h"
#include "tools/isoflop/study_admin_client.h"

namespace isoflop {

struct StudyWatchOptions {
  std::string study_name;
  LiveViewOptions view;
  // Under which the law is fitted while the study runs; nullopt: it is not.
  std::optional<AnalysisOptions> fit;
  bool quiet = false;  // shows nothing
  // A coordinator that is not heard for so long is given up.
  absl::Duration unheard = absl::Seconds(30);
  // Asked at every look, where given: true ends the watch (a worker that has
  // ended). The caller knows why.
  std::function<bool()> has_ended;
  // Told when a signal came: how many so far. Returns a line to show, and the
  // watch goes on until has_ended. Empty: the first signal ends the watch.
  std::function<std::string(int count)> on_interrupt;
};

enum class WatchEnd {
  kFinished,     // no trial is left to do
  kPaused,       // paused, and nothing runs any more
  kInterrupted,  // by a signal
  kStopped,      // has_ended said so
};

struct WatchResult {
  WatchEnd end = WatchEnd::kFinished;
  wire::Study study;  // as it was last seen
  double seconds = 0;
};

// Blocks until the study has ended or something else ends it. Unavailable: the
// coordinator was not heard for too long.
absl::StatusOr<WatchResult> WatchStudy(StudyAdminClient& client, const StudyWatchOptions& options,
                                       Interrupts& interrupts);

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_STUDY_WATCH_H_
