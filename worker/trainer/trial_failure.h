// The one exception of the trainer that says how the program ends.
#ifndef ISOFLOP_WORKER_TRAINER_TRIAL_FAILURE_H_
#define ISOFLOP_WORKER_TRAINER_TRIAL_FAILURE_H_

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

#include "absl/status/status.h"
#include "study/trial_outcome.h"

namespace isoflop {

class TrialFailure : public std::runtime_error {
 public:
  // `kind` is one of the error event's: config data oom diverged comm io
  // checkpoint bug.
  TrialFailure(int exit_code, std::string kind, const std::string& message, std::optional<int64_t> step = std::nullopt)
      : std::runtime_error(message), exit_code_(exit_code), kind_(std::move(kind)), step_(step) {}

  int exit_code() const { return exit_code_; }
  const std::string& kind() const { return kind_; }
  std::optional<int64_t> step() const { return step_; }

 private:
  int exit_code_;
  std::string kind_;
  std::optional<int64_t> step_;
};

// Throws unless `status` is OK: what is wrong with trial or data (InvalidArgument,
// NotFound, DataLoss, FailedPrecondition, OutOfRange) ends with 78, the rest with 75.
inline void ThrowUnlessOk(const absl::Status& status, const std::string& kind) {
  if (status.ok()) return;
  const bool transient = absl::IsUnavailable(status) || absl::IsResourceExhausted(status) ||
                         absl::IsDeadlineExceeded(status) || absl::IsInternal(status) || absl::IsUnknown(status);
  throw TrialFailure(transient ? kExitTransient : kExitConfig, kind, std::string(status.message()));
}

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_TRIAL_FAILURE_H_
