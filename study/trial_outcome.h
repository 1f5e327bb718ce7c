// How an attempt at a trial ended (the classes of docs/errors.md), and the
// states of a trial. The text forms are what the database, the wire's JSON and
// the screens show.
#ifndef ISOFLOP_STUDY_TRIAL_OUTCOME_H_
#define ISOFLOP_STUDY_TRIAL_OUTCOME_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace isoflop {

enum class TrialOutcome {
  kNone,           // "" - has not ended
  kCompleted,      // "completed": exit 0 and a final line
  kDiverged,       // "diverged": exit 87, a true result
  kPreempted,      // "preempted": exit 85, or our own checkpoint-and-stop
  kLost,           // "lost": worker unheard, or exit 75
  kNodeFault,      // "node_fault": CUDA, NCCL or disk of that node
  kBadCheckpoint,  // "bad_checkpoint": refused by its checksum
  kCrashed,        // "crashed": any other exit code or signal
  kOom,            // "oom": exit 86
  kConfig,         // "config": exit 78, never retried
  kTimeout,        // "timeout": wall limit
  kCancelled,      // "cancelled": by a person
};

enum class TrialState {
  kBlocked,    // "blocked": the parent's checkpoint is not there yet
  kQueued,     // "queued"
  kLeased,     // "leased"
  kCompleted,  // "completed"
  kDiverged,   // "diverged"
  kFailed,     // "failed"
  kCancelled,  // "cancelled"
};

std::string ToString(TrialOutcome outcome);
std::string ToString(TrialState state);
std::optional<TrialOutcome> ParseTrialOutcome(absl::string_view text);
std::optional<TrialState> ParseTrialState(absl::string_view text);

// completed, diverged, failed and cancelled are final; `retry` alone undoes
// the last three.
bool IsFinal(TrialState state);

// Exit codes of the trainer contract (docs/trainer_contract.md).
inline constexpr int kExitDone = 0;
inline constexpr int kExitTransient = 75;
inline constexpr int kExitConfig = 78;
inline constexpr int kExitPreempted = 85;
inline constexpr int kExitOom = 86;
inline constexpr int kExitDiverged = 87;

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_TRIAL_OUTCOME_H_
