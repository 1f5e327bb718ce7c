// The screen of a running study: what changed, and where it stands, as lines of
// text. See docs/ARCHITECTURE.md for the walk; `isoflop run` shows them.
//
// Pure: no clock, terminal or network; time comes in as seconds from any origin.
// Not thread-safe.
#ifndef ISOFLOP_TOOLS_ISOFLOP_LIVE_VIEW_H_
#define ISOFLOP_TOOLS_ISOFLOP_LIVE_VIEW_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proto/study_admin.pb.h"
#include "study/param_counts.h"
#include "tools/isoflop/live_fit.h"

namespace isoflop {

struct LiveViewOptions {
  CountConvention count = CountConvention::kNonEmbeddingPlusHead;
  // Heads a slot's label, "cpu:0". Empty: the worker's name does, "w3:0-7".
  std::string slot_kind;
  // Expected slot seconds of each trial that is to be trained, by its number:
  // the ETA then goes by time, not by FLOPs. May lack some or all.
  std::map<int64_t, double> expected_seconds;
};

// What became of one trial since the last look.
struct TrialChange {
  enum class Kind { kStarted, kEnded, kAgain };
  Kind kind = Kind::kStarted;
  std::string state;  // of kEnded: completed, diverged, failed, cancelled
  std::string line;   // " trial 31  20.6K x 0.40M  completed  loss 1.878"
};

class LiveView {
 public:
  explicit LiveView(LiveViewOptions options) : options_(std::move(options)) {}

  // Takes the study and all its trials as they are at `now`, and returns what
  // changed. The first call tells what runs, not what was done before.
  std::vector<TrialChange> Update(const wire::Study& study, const std::vector<wire::Trial>& trials,
                                  double now);

  // The law of the observations so far: losses are then told with what it
  // predicted, from the next change on.
  void SetFit(LiveFit fit) { fit_ = std::move(fit); }

  // The redrawn block: the summary, a line a running trial (up to 8; else their
  // count and the 5 that take longest), the fit.
  std::vector<std::string> Block(double now) const;
  // "austen-quickstart  21/46 observations  2 running  23 waiting  58% of
  // 9.23e12 FLOPs  2m37s, ETA 1m54s (±15s)"
  std::string Summary(double now) const;

  // Seconds to the end, with how far off that may be; nullopt: too early to say.
  struct Eta {
    double seconds = 0;
    double plus_minus = 0;
  };
  std::optional<Eta> EstimateEta(double now) const;

 private:
  struct Seen {
    std::string state;
    int attempt = 0;
  };
  struct Sample {
    double at = 0;
    double done = 0;
  };
  double ParamsOf(const wire::Trial& trial) const;
  std::string NameOf(const wire::Trial& trial) const;
  std::string SlotsOf(const wire::Trial& trial) const;
  std::string EndedLine(const wire::Trial& trial) const;
  // Work of a trial, in expected seconds or FLOPs, and the share that is done.
  double WorkOf(const wire::Trial& trial) const;

  const LiveViewOptions options_;

  // State.
  bool started_ = false;
  double begun_at_ = 0;
  wire::Study study_;
  std::vector<wire::Trial> running_;
  std::map<int64_t, Seen> seen_;
  bool by_seconds_ = false;
  double work_left_ = 0;
  double longest_left_ = 0;  // of one trial
  double done_before_ = 0;   // work that was done when we came
  std::deque<Sample> samples_;  // of the last minute, oldest first
  std::optional<LiveFit> fit_;
};

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_LIVE_VIEW_H_
