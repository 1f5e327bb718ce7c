// What the agent itself needs of a trial's text; the rest is the trainer's
// business, so keys of a later release are no reason to refuse it.
//
// Pure; thread-safe.
#ifndef ISOFLOP_WORKER_AGENT_TRIAL_FACTS_H_
#define ISOFLOP_WORKER_AGENT_TRIAL_FACTS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace isoflop {

struct TrialFacts {
  int64_t steps = 0;
  bool deterministic = true;
  std::string dataset_sha256{};  // empty: it names none
  // Of a custom model: what the study states, which `started` must confirm.
  std::optional<int64_t> params_total{};
};

// InvalidArgument: no JSON object, or no count `steps`.
absl::StatusOr<TrialFacts> ReadTrialFacts(const std::string& trial_json);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_AGENT_TRIAL_FACTS_H_
