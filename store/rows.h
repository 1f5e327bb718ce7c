// The rows of the store as plain structs.
#ifndef ISOFLOP_STORE_ROWS_H_
#define ISOFLOP_STORE_ROWS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "study/ids.h"
#include "study/observation.h"
#include "study/plan.h"
#include "study/trial_outcome.h"
#include "study/trial_result.h"

namespace isoflop {

struct StudyRecord {
  StudyId id{};
  std::string name{};
  std::string spec_yaml{};  // all defaults and rules resolved
  std::string settings{};   // JSON of the writer's own
  absl::Time created_at{};
  std::string state{};      // active, paused, done, cancelled
  std::string state_reason{};
};

// What changes of a trial while it is worked on.
struct TrialStanding {
  TrialState state = TrialState::kQueued;
  TrialOutcome outcome = TrialOutcome::kNone;
  std::string detail{};
  LeaseId lease{};  // while leased
  bool cancel_wished = false;
  int attempts = 0;
  int micro_batch_limit = 0;
  std::string retry_counts{};  // JSON of the writer's own
};

struct StoredTrial {
  TrialId id{};
  StudyId study{};
  std::optional<TrialId> parent{};
  PlannedTrial planned{};  // without `parent`, `known`
  TrialStanding standing{};
  std::optional<TrialResult> result{};
  std::optional<absl::Time> started_at{};
  std::optional<absl::Time> finished_at{};
};

struct StoredLease {
  LeaseId id{};
  TrialId trial{};
  int attempt = 0;
  std::string worker{};
  std::string host{};
  std::string instance{};
  int64_t start_step = 0;
  absl::Time granted_at{};
  bool acknowledged = false;
  // Ended leases only.
  std::optional<absl::Time> ended_at{};
  std::string outcome{};
  std::string end_reason{};
  // Of its points.
  uint64_t durable_seq = 0;
  int64_t last_step = 0;
  int64_t last_tokens = 0;
};

struct StoredCheckpoint {
  CheckpointId id{};
  TrialId trial{};
  LeaseId lease{};
  int64_t step = 0;
  std::string store_id{};
  std::string path{};
  std::string sha256{};
  int64_t bytes = 0;
  std::string state{};  // committed, bad, condemned, deleted
};

struct StoredWorker {
  std::string name{};
  std::string host{};
  std::string instance{};
  std::string slots{};  // JSON
  std::string checkpoint_store_id{};
  std::string address{};
  std::string trainer_version{};
  std::string engine_ref{};
  absl::Time introduced_at{};
};

struct StoredEvent {
  int64_t id = 0;
  absl::Time at{};
  StudyId study{};  // 0: none
  TrialId trial{};  // 0: none
  std::string worker{};
  std::string kind{};
  std::string detail{};
};

}  // namespace isoflop

#endif  // ISOFLOP_STORE_ROWS_H_
