// What follows the end of an attempt: again, or the end of the trial. One table
// of docs/errors.md, nothing else.
//
// Pure functions; thread-safe.
#ifndef ISOFLOP_COORDINATOR_RETRY_POLICY_H_
#define ISOFLOP_COORDINATOR_RETRY_POLICY_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "coordinator/coordinator_options.h"
#include "study/trial_outcome.h"

namespace isoflop {

// How often a trial may be tried again after an end of each class. Preemption
// and a lease that nobody acknowledged cost nothing.
struct RetryBudgets {
  int lost = 5;  // with node_fault and bad_checkpoint
  int crashed = 2;
  int oom = 2;
  int timeout = 1;
  friend bool operator==(const RetryBudgets&, const RetryBudgets&) = default;
};

// What a trial has spent since its budget was last fresh.
struct RetryCounts {
  int lost = 0;
  int crashed = 0;
  int oom = 0;
  int timeout = 0;
  int unacknowledged_in_row = 0;
  int without_progress = 0;  // attempts since its last committed step forward
  friend bool operator==(const RetryCounts&, const RetryCounts&) = default;
};

// One attempt's end.
struct AttemptEnd {
  TrialOutcome outcome = TrialOutcome::kNone;
  std::string detail{};
  int micro_batch_sequences = 0;  // in use; 0: not known
  bool was_acknowledged = true;
  bool was_withdrawn = false;     // by us, before anybody took it up
  bool got_further = false;       // a checkpoint beyond its start was committed
  bool cancel_wished = false;     // a person has cancelled the trial
  // Leases rise: the source of the jitter, so that the policy stays pure.
  int64_t lease_number = 0;
};

struct RetryDecision {
  // kQueued or a final state.
  TrialState next = TrialState::kQueued;
  // Of the trial when `next` is final; else kNone.
  TrialOutcome outcome = TrialOutcome::kNone;
  std::string detail{};
  absl::Duration wait{};          // before the next attempt
  int micro_batch_limit = 0;    // new limit; 0: as it was
  bool exclude_host = false;    // node_fault: not there
  bool prefer_other_host = false;
};

// Counts `end` into `counts` and decides. `micro_batch_limit` is the trial's
// limit so far (0: none).
RetryDecision DecideRetry(const AttemptEnd& end, const RetryBudgets& budgets,
                          int micro_batch_limit, const QueueOptions& options,
                          RetryCounts& counts);

}  // namespace isoflop

#endif  // ISOFLOP_COORDINATOR_RETRY_POLICY_H_
