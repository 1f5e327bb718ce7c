#include "worker/agent/attempt_end.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace isoflop {
namespace {

// Higher is more specific.
int Rank(TrialOutcome outcome) {
  switch (outcome) {
    case TrialOutcome::kOom: return 9;
    case TrialOutcome::kConfig: return 8;
    case TrialOutcome::kDiverged: return 7;
    case TrialOutcome::kBadCheckpoint: return 6;
    case TrialOutcome::kNodeFault: return 5;
    case TrialOutcome::kCrashed: return 4;
    case TrialOutcome::kLost: return 3;
    case TrialOutcome::kPreempted: return 2;
    case TrialOutcome::kCompleted: return 1;
    default: return 0;
  }
}

bool HasKind(const AttemptFacts& facts, const char* kind) {
  return facts.error && facts.error->kind == kind;
}

TrialOutcome OfExitCode(const AttemptFacts& facts, size_t rank, int code) {
  switch (code) {
    case kExitDone:
      return rank > 0 || facts.has_final ? TrialOutcome::kCompleted : TrialOutcome::kCrashed;
    case kExitConfig: return TrialOutcome::kConfig;
    case kExitPreempted: return TrialOutcome::kPreempted;
    case kExitOom: return TrialOutcome::kOom;
    case kExitDiverged: return TrialOutcome::kDiverged;
    default: break;
  }
  if (HasKind(facts, "checkpoint")) return TrialOutcome::kBadCheckpoint;
  if (HasKind(facts, "io")) return TrialOutcome::kNodeFault;
  return code == kExitTransient ? TrialOutcome::kLost : TrialOutcome::kCrashed;
}

TrialOutcome OfSignal(const AttemptFacts& facts, size_t rank, int signal) {
  // A collective aborts beside a dead peer: then the peer's end counts.
  for (size_t other = 0; signal == SIGABRT && other < facts.ranks.size(); ++other) {
    if (other != rank && facts.ranks[other]) return TrialOutcome::kLost;
  }
  return TrialOutcome::kCrashed;
}

std::string SignalName(int signal) {
  const char* name = sigabbrev_np(signal);
  return name == nullptr ? absl::StrCat("signal ", signal) : absl::StrCat("SIG", name);
}

std::string Describe(const AttemptFacts& facts, const AttemptVerdict& verdict) {
  std::string how;
  if (verdict.exit_code) how = absl::StrCat("exit code ", *verdict.exit_code);
  if (verdict.signal) how = absl::StrCat("ended by ", SignalName(*verdict.signal));
  if (verdict.signal == SIGKILL && facts.host_ran_out) how = "host_oom: killed by the kernel, memory of the host ran out";
  if (verdict.exit_code == kExitDone && !facts.has_final) how = "exit code 0 without a final line";
  if (facts.error) return absl::StrCat(how, ": ", facts.error->kind, ": ", facts.error->message);
  if (verdict.outcome == TrialOutcome::kCrashed && !facts.last_line.empty()) {
    return CleanText(absl::StrCat(how, ": ", facts.last_line), 1000);
  }
  return how;
}

}  // namespace

AttemptVerdict JudgeAttempt(const AttemptFacts& facts) {
  AttemptVerdict out;
  int best = -1;
  for (size_t i = 0; i < facts.ranks.size(); ++i) {
    if (!facts.ranks[i]) continue;
    const int status = *facts.ranks[i];
    AttemptVerdict one;
    if (WIFSIGNALED(status)) {
      one.signal = WTERMSIG(status);
      one.outcome = OfSignal(facts, i, *one.signal);
    } else {
      one.exit_code = WEXITSTATUS(status);
      one.outcome = OfExitCode(facts, i, *one.exit_code);
    }
    // Part 0's finished result stands, whatever the others do at the end.
    const bool is_result = i == 0 && one.outcome == TrialOutcome::kCompleted;
    const int rank = is_result ? 10 : Rank(one.outcome);
    if (rank > best) {
      best = rank;
      out = std::move(one);
    }
  }
  out.detail = Describe(facts, out);
  const bool keeps_its_word =
      out.exit_code.has_value() &&
      (out.outcome == TrialOutcome::kCompleted || out.outcome == TrialOutcome::kConfig ||
       out.outcome == TrialOutcome::kOom || out.outcome == TrialOutcome::kDiverged);
  if (facts.stop == StopCause::kNone || (keeps_its_word && facts.stop != StopCause::kConfig)) {
    return out;
  }
  switch (facts.stop) {
    case StopCause::kNone: break;
    case StopCause::kPreempted: out.outcome = TrialOutcome::kPreempted; break;
    case StopCause::kCancelled: out.outcome = TrialOutcome::kCancelled; break;
    case StopCause::kTimeout: out.outcome = TrialOutcome::kTimeout; break;
    case StopCause::kStalled: out.outcome = TrialOutcome::kLost; break;
    case StopCause::kConfig: out.outcome = TrialOutcome::kConfig; break;
  }
  out.detail = facts.stop_detail;
  return out;
}

}  // namespace isoflop
