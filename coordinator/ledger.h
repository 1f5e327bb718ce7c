// What the coordinator writes, and how it learns that it is on disk: numbered
// batches of idempotent operations, committed in order.
//
// Not the store: StoreLedger (coordinator/store_ledger.h) is the one that
// commits to it; simulations use one in memory that crashes, stalls and fills up.
//
// Thread-safe. Append and WhenDurable never block on a disk; what WhenDurable is
// given must not block.
#ifndef ISOFLOP_COORDINATOR_LEDGER_H_
#define ISOFLOP_COORDINATOR_LEDGER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/checkpoint_table.h"
#include "coordinator/trial_queue.h"
#include "study/ids.h"
#include "study/observation.h"
#include "study/plan.h"
#include "study/trial_outcome.h"
#include "study/trial_result.h"

namespace isoflop {

enum class StudyState { kActive, kPaused, kDone, kCancelled };
std::string ToString(StudyState state);  // "active", "paused", "done", "cancelled"

// What a study needs beside its trials.
struct StudySettings {
  RetryBudgets retry{};
  absl::Duration trial_wall = absl::Hours(24);
  std::string trainer_directory{};
  bool launch_once = false;  // the command starts its own ranks
  std::map<std::string, std::string> trainer_env{};
  std::optional<SlotKind> slot_kind{};
};

struct StudyRow {
  StudyId id{};
  std::string name{};
  std::string resolved_yaml{};
  StudySettings settings{};
  StudyState state = StudyState::kActive;
  std::string state_reason{};
  absl::Time created_at{};
};

struct TrialRow {
  TrialId id{};
  StudyId study{};
  std::optional<TrialId> parent{};
  PlannedTrial planned{};
  TrialRecord record{};
  std::optional<TrialResult> result{};
  std::optional<absl::Time> started_at{};
  std::optional<absl::Time> ended_at{};
};

// ---- operations ----
struct PutStudyOp {
  StudyRow study;
};
struct SetStudyStateOp {
  StudyId study;
  StudyState state;
  std::string reason;
};
struct PutTrialOp {
  TrialRow trial;
};
// State, outcome, detail, lease, attempts, micro-batch limit. A trial that is
// leased with the outcome kCancelled is one whose cancel is wished.
struct UpdateTrialOp {
  TrialId trial;
  TrialRecord record;
  int slots = 1;
};
// Fenced by `lease`.
struct FinishTrialOp {
  TrialId trial;
  LeaseId lease;
  TrialResult result;
};
struct GrantLeaseOp {
  LeaseRecord lease;
  std::string worker_host;
  absl::Time at;
};
struct AcknowledgeLeaseOp {
  LeaseId lease;
  absl::Time at;
};
struct MoveLeaseOp {
  LeaseId lease;
  std::string instance;
};
struct EndLeaseOp {
  LeaseId lease;
  TrialOutcome outcome;
  std::string reason;
  std::string log_tail;
  bool was_acknowledged;
  absl::Time at;
};
// Fenced by `lease`.
struct AppendPointsOp {
  TrialId trial;
  LeaseId lease;
  uint64_t first_seq;
  std::vector<LossPoint> points;
};
// Fenced by the record's lease.
struct AddCheckpointOp {
  CheckpointRecord checkpoint;
};
enum class CheckpointFate { kBad, kCondemned, kDeleted };
struct SetCheckpointsOp {
  std::vector<CheckpointId> checkpoints;
  CheckpointFate fate;
};
struct PutWorkerOp {
  WorkerFacts facts;
  std::string instance;
  absl::Time at;
};
struct EventRow {
  int64_t id = 0;
  absl::Time at{};
  StudyId study{};
  TrialId trial{};
  std::string worker{};
  std::string kind{};
  std::string detail{};
};
struct AddEventOp {
  EventRow event;
};
struct StaleReportOp {
  TrialId trial;
  LeaseId lease;
  std::string what;
  absl::Time at;
};
using LedgerOp =
    std::variant<PutStudyOp, SetStudyStateOp, PutTrialOp, UpdateTrialOp, FinishTrialOp,
                 GrantLeaseOp, AcknowledgeLeaseOp, MoveLeaseOp, EndLeaseOp, AppendPointsOp,
                 AddCheckpointOp, SetCheckpointsOp, PutWorkerOp, AddEventOp, StaleReportOp>;

// ---- what is there at a start ----
struct RecoveredLease {
  LeaseRecord lease{};
  std::string host{};
  uint64_t durable_seq = 0;
  int64_t last_step = 0;
  int64_t last_tokens = 0;
};
struct LedgerSnapshot {
  std::string store_id{};
  int64_t epoch = 0;
  // Above everything that was ever used.
  StudyId next_study = StudyId(1);
  TrialId next_trial = TrialId(1);
  LeaseId next_lease = LeaseId(1);
  CheckpointId next_checkpoint = CheckpointId(1);
  int64_t next_event = 1;
  std::vector<StudyRow> studies{};
  std::vector<TrialRow> trials{};  // trunks before their branches
  std::vector<RecoveredLease> leases{};
  std::vector<CheckpointRecord> checkpoints{};  // not the deleted ones
};

struct EventFilter {
  StudyId study{};      // 0: any
  TrialId trial{};      // 0: any
  std::string worker{};  // empty: any
};

// Rows of a query, some at a time; false ends it.
struct QueryColumns {
  std::vector<std::string> names{};
  std::vector<std::string> types{};
};
struct QueryCell {
  std::variant<std::monostate, int64_t, double, std::string> value{};
  bool is_blob = false;
};

class Ledger {
 public:
  virtual ~Ledger() = default;

  virtual absl::StatusOr<LedgerSnapshot> Load() = 0;

  // Takes `batch` for one commit and returns its number (they rise by one).
  virtual uint64_t Append(std::vector<LedgerOp> batch) = 0;
  // Room for `operations` more; when false nothing should be begun.
  virtual bool HasRoom(size_t operations) const = 0;
  // Runs `then` once batch `number` is committed, on a thread of the ledger and
  // never on the caller's, in the order of the calls. Numbers never fall.
  virtual void WhenDurable(uint64_t number, std::function<void()> then) = 0;
  // Empty when commits go through; else the reason, for people.
  virtual std::string Health() const = 0;

  // Commits what can be committed, runs what waits for that, and drops the rest.
  // Nothing may be appended afterwards. Blocks for well under 5 s.
  virtual void Close() = 0;

  // Reads of what is committed; they may take milliseconds.
  virtual absl::StatusOr<std::vector<EventRow>> Events(const EventFilter& filter,
                                                       int64_t after_event_id, int limit) = 0;
  // The kept end of an attempt's log (attempt 0: of the newest that ended).
  virtual absl::StatusOr<std::string> LogTail(TrialId trial, int attempt) = 0;
  // Read-only SQL under a time limit. `row` returns false to stop.
  virtual absl::Status Query(const std::string& sql,
                             const std::function<void(const QueryColumns&)>& columns,
                             const std::function<bool(std::vector<QueryCell>)>& row) = 0;
};

}  // namespace isoflop

#endif  // ISOFLOP_COORDINATOR_LEDGER_H_
