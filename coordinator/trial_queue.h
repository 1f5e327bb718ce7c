// The queue of trials of all studies, and who holds a lease on which.
//
// A pure state machine: time comes in as `now` (monotonic), nothing is read or
// written outside. What it decides goes into a log of changes in the order in
// which they hold; the caller takes the log and writes it to the store before
// any answer that builds on it leaves.
//
// Not thread-safe; Coordinator holds its mutex around every call.
#ifndef ISOFLOP_COORDINATOR_TRIAL_QUEUE_H_
#define ISOFLOP_COORDINATOR_TRIAL_QUEUE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/checkpoint_table.h"
#include "coordinator/coordinator_options.h"
#include "coordinator/retry_policy.h"
#include "study/ids.h"
#include "study/trial_outcome.h"

namespace isoflop {

enum class SlotKind { kCpu, kGpu };
enum class LeaseWish { kRun, kCheckpointAndStop, kStop };

struct SlotFacts {
  uint32_t index = 0;
  SlotKind kind = SlotKind::kCpu;
  int64_t memory_bytes = 0;  // 0: not known
  std::string device{};
};

// What a worker says of itself.
struct WorkerFacts {
  std::string name{};
  std::string host{};
  std::vector<SlotFacts> slots{};
  std::set<std::string> datasets{};  // sha256; empty: it checks on its own
  std::string checkpoint_store_id{};
  std::optional<absl::Duration> time_left{};
  bool builtin_only = false;
  std::string address{};
  std::string trainer_version{};
  std::string engine_ref{};
};

// One study, as far as the queue cares.
struct StudyPolicy {
  RetryBudgets retry{};
  bool paused = false;
  bool cancelled = false;
  friend bool operator==(const StudyPolicy&, const StudyPolicy&) = default;
};

// One trial, as far as the queue cares.
struct QueuedTrial {
  TrialId id{};
  StudyId study{};
  std::optional<TrialId> parent{};      // a branch's trunk
  int64_t branch_step = 0;            // where it leaves the trunk
  std::vector<int64_t> branch_steps{};  // of a trunk, rising
  int64_t steps = 0;
  double flops_to_spend = 0;  // from its start (a branch: from branch_step)
  int slots = 1;
  double memory_bytes_per_slot = 0;
  std::optional<SlotKind> slot_kind{};  // nullopt: any
  std::string dataset_sha256{};
  bool is_custom = false;  // `trainer: {command}`
};

// What a trial has behind it.
struct TrialRecord {
  TrialState state = TrialState::kQueued;
  TrialOutcome outcome = TrialOutcome::kNone;
  std::string detail{};
  int attempts = 0;
  int micro_batch_limit = 0;
  RetryCounts counts{};
  LeaseId lease{};  // while leased
  bool cancel_wished = false;
};

struct LeaseRecord {
  LeaseId id{};
  TrialId trial{};
  StudyId study{};
  std::string instance{};
  std::string worker{};  // name
  int attempt = 0;
  std::vector<uint32_t> slots{};
  int64_t start_step = 0;
  bool acknowledged = false;
  bool overdue = false;  // its worker is lost without proof: others may have the trial
  LeaseWish wish = LeaseWish::kRun;
  std::string wish_reason{};
  // Where it starts: own, or the trunk's for a branch; nullopt: step 0.
  std::optional<CheckpointRecord> resume{};
};

// ---- the log of changes ----
struct TrialChanged {
  TrialId trial{};
};
struct LeaseGranted {
  LeaseId lease{};
};
struct LeaseAcknowledged {
  LeaseId lease{};
};
struct CheckpointsCondemned {  // to be deleted by a worker of their store
  std::vector<CheckpointId> checkpoints{};
};
struct LeaseMoved {  // to the next instance of its worker, which flushes the spool
  LeaseId lease{};
  std::string instance{};
};
struct LeaseEnded {
  LeaseRecord lease{};
  TrialOutcome outcome = TrialOutcome::kNone;
  std::string reason{};
};
using QueueChange =
    std::variant<TrialChanged, LeaseGranted, LeaseAcknowledged, LeaseMoved, LeaseEnded,
                 CheckpointsCondemned>;

class TrialQueue {
 public:
  // `next_lease`: above every lease id that the store has ever known.
  TrialQueue(QueueOptions options, LeaseId next_lease);

  // ---- studies and trials ----

  void PutStudy(StudyId study, const StudyPolicy& policy, absl::Time now);
  // Adds a trial with what the store knows of it; a trunk before its branches.
  // A trial that is leased needs AddRecoveredLease. One that is not final is
  // blocked or queued by what `checkpoints()` holds.
  void AddTrial(const QueuedTrial& trial, const TrialRecord& record, absl::Time now);
  // A live lease of before a restart: it keeps running under a full new timer
  // and the grace, unless its worker is heard sooner.
  void AddRecoveredLease(const LeaseRecord& lease, const std::string& host, absl::Time now);
  CheckpointTable& checkpoints() { return checkpoints_; }
  const CheckpointTable& checkpoints() const { return checkpoints_; }

  // A checkpoint of `trial` was recorded: branches may start, the count of
  // attempts without progress starts anew.
  void NoteCheckpoint(TrialId trial, absl::Time now);

  // ---- workers ----

  // A worker speaks. `facts`: nullptr when it did not introduce itself again.
  // `previous`: the instance that it proves dead; empty for none. `carried`:
  // the leases of `previous` that it found in its spool; they move over with
  // the wish to stop, the others end as lost.
  // AlreadyExists: another live instance has the name. FailedPrecondition: this
  // instance was replaced and shall stop.
  absl::Status Renew(const std::string& instance, const WorkerFacts* facts,
                     const std::string& previous, const std::set<LeaseId>& carried, bool draining,
                     const std::set<uint32_t>& free_slots, absl::Time now);
  // The operator's pause and resume of a worker, by name.
  absl::Status SuspendWorker(const std::string& name, bool suspended, bool stop_now);

  // ---- leases ----

  // Leases the queued trial with the longest chain of FLOPs left that fits
  // `instance`. Nullopt when none fits: the normal state of an idle worker.
  std::optional<LeaseRecord> LeaseNext(const std::string& instance, absl::Time now);
  // The first listing by its worker. Harmless again.
  void Acknowledge(LeaseId lease);
  // An unacknowledged lease that its worker does not list ends free of charge
  // when nobody wants it there any more (paused, draining, cancelled). False:
  // it should be told again.
  bool MaybeWithdraw(LeaseId lease, absl::Time now);
  // A lease of before a restart has no slots in the store. One that its worker
  // does not list is given free ones again, or, if nobody took it up and there
  // are none, ends free of charge (false).
  bool EnsureSlots(LeaseId lease, absl::Time now);
  // A live lease as its worker should hear it (again).
  LeaseRecord LeaseToTell(LeaseId lease) const;
  // Ends the attempt under `lease`. FailedPrecondition: the lease has ended or
  // passed on, and `end` was ignored.
  absl::Status Finish(LeaseId lease, AttemptEnd end, absl::Time now);

  // Timers: marks leases overdue, ends orphans, lets waits run out. To be
  // called at least once a second; see QueueOptions::late_tick.
  void Expire(absl::Time now);

  // ---- wishes of people ----

  // True: something changed.
  bool Cancel(TrialId trial, const std::string& reason, absl::Time now);
  // Fresh budgets for a failed, diverged or cancelled trial, and for the trunk
  // whose end it suffered from. `slots` > 0: from now on so many.
  bool Retry(TrialId trial, int slots, absl::Time now);
  // Checkpoint and stop all running trials of a study.
  void StopRunning(StudyId study, const std::string& reason);

  // ---- reading ----

  // Takes the log; the queue's own is empty afterwards.
  std::vector<QueueChange> TakeChanges();
  bool has_changes() const { return !changes_.empty(); }

  const TrialRecord& record(TrialId trial) const;
  const QueuedTrial& facts(TrialId trial) const;
  bool knows(TrialId trial) const { return trials_.count(trial) != 0; }
  const LeaseRecord* lease(LeaseId lease) const;  // nullptr: not live
  std::vector<LeaseId> LeasesOf(const std::string& instance) const;
  const WorkerFacts* worker(const std::string& instance) const;  // nullptr: not known
  // Live and replaced instances.
  struct WorkerView {
    std::string instance{};
    WorkerFacts facts{};
    bool introduced = false;
    bool draining = false;
    bool suspended = false;
    bool suspect = false;
    bool lost = false;
    absl::Duration unheard{};
    std::vector<uint32_t> free_slots{};
    std::vector<LeaseId> leases{};
  };
  std::vector<WorkerView> Workers(absl::Time now) const;
  bool IsSuspect(const std::string& instance, absl::Time now) const;
  // Whether `instance` could take a trial if one fitted.
  bool HasFreeSlot(const std::string& instance) const;
  bool HasCandidates() const;
  // One line that names what a trial waits for; empty when it runs or is final.
  std::string WhyWaits(TrialId trial, absl::Time now) const;
  // When Expire has something to do at the soonest.
  absl::Time NextDeadline() const;
  std::string DebugString(absl::Time now) const;
  // Ends the process when two leases share a trial or a slot, or an index is
  // off; for tests after every step.
  void CheckInvariantsForTesting() const;

 private:
  struct Entry {
    QueuedTrial facts;
    TrialRecord record;
    std::vector<TrialId> branches;
    absl::Time not_before = absl::InfinitePast();
    absl::Time queued_since = absl::InfinitePast();
    std::map<std::string, absl::Time> excluded_hosts;  // until
    std::string avoid_host;                            // another is taken first
    double priority = 0;  // FLOPs left on its longest chain, while in a line
    enum class Place { kNone, kReady, kWaiting } place = Place::kNone;
  };
  struct WorkerEntry {
    WorkerFacts facts{};
    bool introduced = false;
    bool draining = false;
    bool suspended = false;
    absl::Time last_heard{};
    absl::Time facts_at{};
    std::set<uint32_t> proven_free{};  // as it said last
    std::set<uint32_t> free_slots{};   // of these, not under a lease
    std::set<LeaseId> leases{};
  };
  struct StudyEntry {
    StudyPolicy policy;
    int leased_slots = 0;
    // Grantable, longest chain first: (-FLOPs, id).
    std::set<std::pair<double, TrialId>> ready;
  };

  Entry& entry(TrialId trial);
  double ChainFlopsLeft(const Entry& entry) const;
  void Enqueue(Entry& entry, absl::Duration wait, absl::Time now);
  void LeaveLine(Entry& entry);
  void BlockOrQueue(Entry& entry, absl::Duration wait, absl::Time now);
  bool CanStart(const Entry& entry) const;
  void EndForGood(Entry& entry, TrialState state, TrialOutcome outcome, std::string detail,
                  absl::Time now);
  void SettleBranchesOf(Entry& trunk, absl::Time now);
  void EndLease(LeaseId lease, AttemptEnd end, absl::Time now);
  void CondemnOf(const Entry& entry);
  void MarkOverdue(LeaseRecord& lease, bool overdue, absl::Time now);
  void PromoteDue(absl::Time now);
  // Empty when it fits; else why not.
  std::string Misfit(const Entry& entry, const WorkerEntry& worker, bool slots_free_now,
                     absl::Time now) const;
  std::vector<uint32_t> PickSlots(const Entry& entry, const WorkerEntry& worker,
                                  bool free_now) const;
  bool AnotherHostFits(const Entry& entry, const std::string& host, absl::Time now) const;
  std::optional<CheckpointRecord> ResumePoint(const Entry& entry,
                                              const std::string& store_id) const;
  int64_t LastUsefulStep(const Entry& entry) const;
  bool StoreIsAlive(const std::string& store_id) const;
  bool MayStartWithout(const Entry& entry, const std::string& store_id, absl::Time now) const;

  // Constant after construction.
  const QueueOptions options_;

  // State. The caller's mutex guards it.
  std::map<StudyId, StudyEntry> studies_;
  std::map<TrialId, Entry> trials_;
  std::map<LeaseId, LeaseRecord> leases_;
  std::map<std::string, WorkerEntry> workers_;     // by instance
  std::set<std::string> replaced_;                 // instances that shall stop
  std::set<std::string> suspended_names_;
  std::set<std::pair<absl::Time, TrialId>> waiting_;  // by not_before
  CheckpointTable checkpoints_;
  LeaseId next_lease_;
  std::optional<absl::Time> last_tick_;
  std::vector<QueueChange> changes_;
};

}  // namespace isoflop

#endif  // ISOFLOP_COORDINATOR_TRIAL_QUEUE_H_
