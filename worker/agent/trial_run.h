// One attempt at a trial on this worker: its ranks, what they say, and the
// timers that end them.
//
// Writes points, checkpoints, notes and the outcome into the lease's report;
// does not talk to the coordinator. Time is handed in; nothing blocks but the
// disk. Not thread-safe.
#ifndef ISOFLOP_WORKER_AGENT_TRIAL_RUN_H_
#define ISOFLOP_WORKER_AGENT_TRIAL_RUN_H_

#include <poll.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "study/ids.h"
#include "worker/agent/attempt_end.h"
#include "worker/agent/event_line.h"
#include "worker/agent/lease_report.h"
#include "worker/agent/log_file.h"
#include "worker/agent/point_thinner.h"
#include "worker/agent/process_group.h"
#include "worker/agent/trial_environment.h"

namespace isoflop {

struct TrialRunOptions {
  AttemptPlace place;
  std::string checkpoint_path;  // place.checkpoint_dir below the store's root
  std::string log_path;
  std::optional<int64_t> params_total;  // that `started` must confirm
  absl::Duration wall_limit = absl::Hours(24);
  absl::Duration silence_limit = absl::Seconds(600);
};

class TrialRun {
 public:
  // Starts the ranks. `report` must outlive the run. An error is one of this
  // node: the trial was not begun, and nothing of it runs.
  static absl::StatusOr<std::unique_ptr<TrialRun>> Start(TrialRunOptions options,
                                                         LeaseReport* report, absl::Time now);
  // Kills what is left.
  ~TrialRun();

  // Appends what wakes it.
  void AddPollFds(std::vector<pollfd>& fds) const;
  // Reads, reaps, looks at the timers. Once IsGone, the outcome is in the
  // report.
  void Pump(absl::Time now);
  // When Pump has something to do though no descriptor wakes it. While
  // is_stopping, look in every 20 ms: a group that outlives its leader wakes
  // nobody.
  absl::Time NextDeadline() const;

  // SIGTERM, and SIGKILL after the grace. kCancelled, kConfig: SIGKILL at once.
  // The first cause counts, but for a cancel.
  void Stop(StopCause cause, std::string detail, absl::Time now);
  // SIGKILL; the end is nobody's business any more.
  void Kill();

  // Every rank's group is reaped to the last member, and nobody bears its
  // environment.
  bool IsGone() const { return is_gone_; }
  // When SIGKILL was sent first; InfiniteFuture: it was not.
  absl::Time killed_at() const { return killed_at_; }
  bool has_started() const { return started_.has_value(); }
  bool is_stopping() const { return stop_ != StopCause::kNone || first_end_.has_value(); }
  int64_t step() const { return step_; }
  double tokens_per_second() const { return tokens_per_second_; }
  const LogFile& log() const { return log_; }

 private:
  struct RankRun {
    std::unique_ptr<ProcessGroup> group;
    std::string events;  // bytes behind the last newline
    std::string output;
  };

  TrialRun(TrialRunOptions options, LeaseReport* report, absl::Time now);
  void ReadEvents(size_t rank, absl::Time now);
  void ReadOutput(size_t rank, absl::Time now);
  void TakeLine(size_t rank, absl::string_view line, absl::Time now);
  void TakeCheckpoint(const CheckpointEvent& event);
  void NotePoints(const std::vector<LossPoint>& points);
  void Note(std::string text);
  void WatchTimers(absl::Time now);
  void ReapRanks(absl::Time now);
  bool StraysAreGone();
  void WriteOutcome(absl::Time now);
  void SignalRanks(int signal);

  // Constant after construction.
  const TrialRunOptions options_;
  LeaseReport* const report_;
  const std::string mark_;  // in the environment of all its processes
  const absl::Time began_;
  const int64_t oom_kills_before_;

  LogFile log_;
  std::vector<RankRun> ranks_;
  PointThinner thinner_;
  std::optional<StartedEvent> started_;
  std::optional<FinalEvent> final_;
  std::optional<ErrorEvent> error_;
  int64_t micro_batch_ = 0;
  int64_t step_ = 0;
  double tokens_per_second_ = 0;
  absl::Time last_line_;
  absl::Time last_speed_at_;
  int64_t last_speed_tokens_ = -1;
  std::set<std::string> noted_;  // so that a repeated oddity is noted once
  int notes_ = 0;

  StopCause stop_ = StopCause::kNone;
  std::string stop_detail_;
  absl::Time abort_at_ = absl::InfiniteFuture();  // SIGABRT, for a trace
  absl::Time kill_at_ = absl::InfiniteFuture();
  absl::Time killed_at_ = absl::InfiniteFuture();
  std::set<pid_t> strays_;  // killed, to be reaped
  std::optional<absl::Time> first_end_;  // of a rank
  bool is_gone_ = false;
  bool forgotten_ = false;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_AGENT_TRIAL_RUN_H_
