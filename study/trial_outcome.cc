#include "study/trial_outcome.h"

#include <utility>

namespace isoflop {
namespace {

constexpr std::pair<TrialOutcome, const char*> kOutcomes[] = {
    {TrialOutcome::kNone, ""},
    {TrialOutcome::kCompleted, "completed"},
    {TrialOutcome::kDiverged, "diverged"},
    {TrialOutcome::kPreempted, "preempted"},
    {TrialOutcome::kLost, "lost"},
    {TrialOutcome::kNodeFault, "node_fault"},
    {TrialOutcome::kBadCheckpoint, "bad_checkpoint"},
    {TrialOutcome::kCrashed, "crashed"},
    {TrialOutcome::kOom, "oom"},
    {TrialOutcome::kConfig, "config"},
    {TrialOutcome::kTimeout, "timeout"},
    {TrialOutcome::kCancelled, "cancelled"},
};
constexpr std::pair<TrialState, const char*> kStates[] = {
    {TrialState::kBlocked, "blocked"},     {TrialState::kQueued, "queued"},
    {TrialState::kLeased, "leased"},       {TrialState::kCompleted, "completed"},
    {TrialState::kDiverged, "diverged"},   {TrialState::kFailed, "failed"},
    {TrialState::kCancelled, "cancelled"},
};

}  // namespace

std::string ToString(TrialOutcome outcome) {
  for (const auto& [value, text] : kOutcomes) {
    if (value == outcome) return text;
  }
  return "unknown";
}

std::string ToString(TrialState state) {
  for (const auto& [value, text] : kStates) {
    if (value == state) return text;
  }
  return "unknown";
}

std::optional<TrialOutcome> ParseTrialOutcome(absl::string_view text) {
  for (const auto& [value, name] : kOutcomes) {
    if (text == name) return value;
  }
  return std::nullopt;
}

std::optional<TrialState> ParseTrialState(absl::string_view text) {
  for (const auto& [value, name] : kStates) {
    if (text == name) return value;
  }
  return std::nullopt;
}

bool IsFinal(TrialState state) {
  return state == TrialState::kCompleted || state == TrialState::kDiverged ||
         state == TrialState::kFailed || state == TrialState::kCancelled;
}

}  // namespace isoflop
