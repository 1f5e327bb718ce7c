// The timers and limits of a coordinator, each with its reason. Tests shorten
// them; an operator seldom should.
#ifndef ISOFLOP_COORDINATOR_COORDINATOR_OPTIONS_H_
#define ISOFLOP_COORDINATOR_COORDINATOR_OPTIONS_H_

#include "absl/time/time.h"

namespace isoflop {

struct QueueOptions {
  // Affect results.

  // Unheard this long: no new lease there. Four beats and some slack.
  absl::Duration suspect = absl::Seconds(45);
  // Unheard this long: its trials may go elsewhere. A GPU hour is dearer than
  // five minutes.
  absl::Duration lost = absl::Seconds(300);
  // After a restart of the coordinator every live lease gets `lost` and this.
  absl::Duration restart_grace = absl::Seconds(60);
  // Unheard this long, a lease ends though nobody else wants its trial: its
  // worker has stopped by then.
  absl::Duration orphan_limit = absl::Hours(2);
  // A tick that comes later than this moves every deadline by its lateness: a
  // suspended laptop must not lose its leases.
  absl::Duration late_tick = absl::Seconds(5);
  // Waits before the next attempt, doubled with each of its class.
  absl::Duration lost_backoff = absl::Seconds(10);
  absl::Duration crashed_backoff = absl::Seconds(30);
  absl::Duration max_backoff = absl::Minutes(6);
  absl::Duration preempted_jitter = absl::Seconds(5);
  // After node_fault: not this host for so long, or until its next instance.
  absl::Duration node_fault_exclusion = absl::Minutes(30);
  // Leases in a row that nobody acknowledged: the trial seems to kill agents.
  int max_unacknowledged = 5;
  // Attempts without a committed step forward.
  int max_attempts_without_progress = 20;
  // A place that ends sooner gets nothing.
  absl::Duration min_time_left = absl::Minutes(5);
  // A checkpoint whose store no live worker has is waited for so long, then the
  // trial starts again from what can be reached.
  absl::Duration checkpoint_elsewhere = absl::Minutes(5);
};

struct CoordinatorOptions {
  QueueOptions queue;
  // Affect speed only.

  // A hanging request runs out after its `wait` minus up to this share of it,
  // so that a fleet does not speak at once.
  double wait_jitter = 0.25;
  absl::Duration max_wait = absl::Seconds(30);
};

}  // namespace isoflop

#endif  // ISOFLOP_COORDINATOR_COORDINATOR_OPTIONS_H_
