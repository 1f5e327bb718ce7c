#include "coordinator/retry_policy.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

RetryDecision Final(TrialState state, TrialOutcome outcome, std::string detail) {
  return {.next = state, .outcome = outcome, .detail = std::move(detail)};
}

absl::Duration Backoff(absl::Duration first, int count, absl::Duration most) {
  absl::Duration wait = first;
  for (int i = 1; i < count && wait < most; ++i) wait *= 2;
  return std::min(wait, most);
}

// Any number in [0, 1) that differs from lease to lease.
double Spread(int64_t lease_number) {
  const uint64_t mixed = static_cast<uint64_t>(lease_number) * 0x9e3779b97f4a7c15u;
  return static_cast<double>(mixed >> 11) / 9007199254740992.0;
}

// Spends one of `count`; fails the trial when more than `budget` are spent.
RetryDecision Spend(int& count, int budget, const AttemptEnd& end, absl::Duration first_wait,
                    const QueueOptions& options, absl::string_view hint) {
  ++count;
  if (count > budget) {
    return Final(TrialState::kFailed, end.outcome,
                 absl::StrCat(ToString(end.outcome), " ", count, count == 1 ? " time" : " times",
                              hint, end.detail.empty() ? "" : ": ", end.detail));
  }
  return {.next = TrialState::kQueued,
          .wait = Backoff(first_wait, count, options.max_backoff),
          .prefer_other_host = true};
}

RetryDecision DecideOom(const AttemptEnd& end, const RetryBudgets& budgets, int micro_batch_limit,
                        RetryCounts& counts) {
  ++counts.oom;
  const int in_use = end.micro_batch_sequences > 0 ? end.micro_batch_sequences : micro_batch_limit;
  if (in_use == 1) {
    return Final(TrialState::kFailed, end.outcome,
                 absl::StrCat("out of memory at micro-batch 1: ", end.detail,
                              "; cure: more slots (isoflop retry --slots)"));
  }
  if (counts.oom > budgets.oom) {
    return Final(TrialState::kFailed, end.outcome,
                 absl::StrCat("out of memory ", counts.oom, " times: ", end.detail,
                              "; cure: more slots (isoflop retry --slots)"));
  }
  // A trainer that did not say what it used starts over at a limit of 1 only
  // when halving has nothing to halve.
  return {.next = TrialState::kQueued, .micro_batch_limit = in_use > 0 ? in_use / 2 : 1};
}

}  // namespace

RetryDecision DecideRetry(const AttemptEnd& end, const RetryBudgets& budgets,
                          int micro_batch_limit, const QueueOptions& options,
                          RetryCounts& counts) {
  // A final result that comes before the stop wins over the wish to cancel.
  if (end.outcome == TrialOutcome::kCompleted) {
    return Final(TrialState::kCompleted, end.outcome, end.detail);
  }
  if (end.outcome == TrialOutcome::kDiverged) {
    return Final(TrialState::kDiverged, end.outcome, end.detail);
  }
  if (end.cancel_wished || end.outcome == TrialOutcome::kCancelled) {
    return Final(TrialState::kCancelled, TrialOutcome::kCancelled, end.detail);
  }
  if (end.was_withdrawn) return {.next = TrialState::kQueued};
  if (!end.was_acknowledged && end.outcome != TrialOutcome::kConfig) {
    if (++counts.unacknowledged_in_row >= options.max_unacknowledged) {
      return Final(TrialState::kFailed, TrialOutcome::kLost,
                   absl::StrCat(counts.unacknowledged_in_row,
                                " leases in a row were never acknowledged: it seems to kill "
                                "agents"));
    }
    return {.next = TrialState::kQueued, .wait = options.preempted_jitter * Spread(end.lease_number)};
  }
  counts.unacknowledged_in_row = 0;
  counts.without_progress = end.got_further ? 0 : counts.without_progress + 1;

  RetryDecision decision;
  switch (end.outcome) {
    case TrialOutcome::kPreempted:
      decision = {.next = TrialState::kQueued,
                  .wait = options.preempted_jitter * Spread(end.lease_number)};
      break;
    case TrialOutcome::kLost:
      decision = Spend(counts.lost, budgets.lost, end, options.lost_backoff, options,
                       ", may kill its node");
      break;
    case TrialOutcome::kNodeFault:
      decision = Spend(counts.lost, budgets.lost, end, options.lost_backoff, options, "");
      decision.exclude_host = true;
      break;
    case TrialOutcome::kBadCheckpoint:
      decision = Spend(counts.lost, budgets.lost, end, absl::ZeroDuration(), options, "");
      decision.prefer_other_host = false;
      break;
    case TrialOutcome::kCrashed:
      decision = Spend(counts.crashed, budgets.crashed, end, options.crashed_backoff, options, "");
      break;
    case TrialOutcome::kOom:
      decision = DecideOom(end, budgets, micro_batch_limit, counts);
      break;
    case TrialOutcome::kTimeout:
      if (!end.got_further) {
        return Final(TrialState::kFailed, end.outcome,
                     absl::StrCat("wall limit without a step forward: ", end.detail));
      }
      decision = Spend(counts.timeout, budgets.timeout, end, absl::ZeroDuration(), options, "");
      break;
    case TrialOutcome::kConfig:
      return Final(TrialState::kFailed, end.outcome, end.detail);
    case TrialOutcome::kNone:
    case TrialOutcome::kCompleted:
    case TrialOutcome::kDiverged:
    case TrialOutcome::kCancelled:
      ISOFLOP_CHECK(false, absl::StrCat("outcome '", ToString(end.outcome), "' of lease ",
                                        end.lease_number));
  }
  if (!IsFinal(decision.next) &&
      counts.without_progress >= options.max_attempts_without_progress) {
    return Final(TrialState::kFailed, end.outcome,
                 absl::StrCat(counts.without_progress, " attempts without a step forward, the last ",
                              ToString(end.outcome), ": ", end.detail));
  }
  return decision;
}

}  // namespace isoflop
