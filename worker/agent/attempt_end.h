// What an attempt's end means: exit codes and signals of its ranks, the trainer's
// last words and our own wish, as one class of docs/errors.md.
//
// Pure functions; thread-safe.
#ifndef ISOFLOP_WORKER_AGENT_ATTEMPT_END_H_
#define ISOFLOP_WORKER_AGENT_ATTEMPT_END_H_

#include <optional>
#include <string>
#include <vector>

#include "study/trial_outcome.h"
#include "worker/agent/event_line.h"

namespace isoflop {

// Why the agent stopped a trainer that did not stop by itself.
enum class StopCause {
  kNone,
  kPreempted,  // wished by the coordinator, or the agent drains
  kCancelled,
  kTimeout,    // wall limit
  kStalled,    // silence
  kConfig,     // it said what the trial denies
};

struct AttemptFacts {
  // waitpid's status a rank; nullopt: killed by us after another rank's end.
  std::vector<std::optional<int>> ranks{};
  bool has_final = false;
  std::optional<ErrorEvent> error{};
  StopCause stop = StopCause::kNone;
  std::string stop_detail{};    // "no line for 600 s"
  bool host_ran_out = false;    // the kernel's oom_kill counted up meanwhile
  std::string last_line{};      // of the log
};

struct AttemptVerdict {
  TrialOutcome outcome = TrialOutcome::kCrashed;
  std::string detail{};         // one line
  std::optional<int> exit_code{};
  std::optional<int> signal{};
};

// An end after our own stop takes the stop's cause, but for exit 0 with a
// final line, 78, 86 and 87 (kConfig is taken always). Of several ranks the most specific class wins:
// oom, config, diverged, then bad_checkpoint, node_fault, crashed, lost.
AttemptVerdict JudgeAttempt(const AttemptFacts& facts);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_AGENT_ATTEMPT_END_H_
