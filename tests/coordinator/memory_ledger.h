// A ledger in memory: keeps committed batches only, so that a crash is the
// destruction of the coordinator and a new one on the same ledger. Commits when
// told, fills up and fails when told.
#ifndef ISOFLOP_TESTS_COORDINATOR_MEMORY_LEDGER_H_
#define ISOFLOP_TESTS_COORDINATOR_MEMORY_LEDGER_H_

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/ledger.h"
#include "gtest/gtest.h"
#include "study/status_macros.h"

namespace isoflop {

// What outlives a coordinator: the rows.
struct MemoryDisk {
  std::string store_id = "0123456789abcdef";
  int64_t epoch = 0;
  std::map<StudyId, StudyRow> studies;
  std::map<TrialId, TrialRow> trials;
  std::map<LeaseId, RecoveredLease> live;
  std::map<LeaseId, TrialOutcome> ended;
  std::map<LeaseId, std::string> log_tails;
  std::map<LeaseId, TrialId> trial_of;
  std::map<LeaseId, std::map<uint64_t, LossPoint>> points;
  std::map<CheckpointId, CheckpointRecord> checkpoints;
  std::vector<EventRow> events;
  int stale_reports = 0;
  std::map<TrialId, int> results;  // accepted final results
  int commits = 0;
};

class MemoryLedger final : public Ledger {
 public:
  // With `commits_itself`, a thread commits what is appended; else Commit does.
  explicit MemoryLedger(MemoryDisk* disk, bool commits_itself = false) : disk_(disk) {
    if (commits_itself) thread_ = std::thread([this] { Run(); });
  }
  ~MemoryLedger() override { Close(); }

  absl::StatusOr<LedgerSnapshot> Load() override {
    const std::lock_guard lock(mu_);
    LedgerSnapshot out;
    out.store_id = disk_->store_id;
    out.epoch = ++disk_->epoch;
    for (const auto& [id, study] : disk_->studies) {
      out.studies.push_back(study);
      out.next_study = StudyId(id.value() + 1);
    }
    for (const auto& [id, trial] : disk_->trials) {
      out.trials.push_back(trial);
      out.next_trial = TrialId(id.value() + 1);
    }
    for (const auto& [id, lease] : disk_->live) out.leases.push_back(lease);
    if (!disk_->trial_of.empty()) {
      out.next_lease = LeaseId(disk_->trial_of.rbegin()->first.value() + 1);
    }
    for (const auto& [id, checkpoint] : disk_->checkpoints) {
      out.checkpoints.push_back(checkpoint);
      out.next_checkpoint = CheckpointId(id.value() + 1);
    }
    if (!disk_->events.empty()) out.next_event = disk_->events.back().id + 1;
    return out;
  }
  uint64_t Append(std::vector<LedgerOp> batch) override {
    const std::lock_guard lock(mu_);
    ISOFLOP_CHECK(!closed_, "appended after Close");
    queue_.push_back(std::move(batch));
    changed_.notify_one();
    return ++appended_;
  }
  bool HasRoom(size_t) const override {
    const std::lock_guard lock(mu_);
    return has_room_;
  }
  void WhenDurable(uint64_t number, std::function<void()> then) override {
    const std::lock_guard lock(mu_);
    ISOFLOP_CHECK(waiting_.empty() || waiting_.back().first <= number, "numbers fall");
    waiting_.emplace_back(number, std::move(then));
    changed_.notify_one();
  }
  std::string Health() const override {
    const std::lock_guard lock(mu_);
    return health_;
  }
  void Close() override {
    {
      const std::lock_guard lock(mu_);
      if (closed_ && !thread_.joinable()) return;
      closed_ = true;
      changed_.notify_one();
    }
    if (thread_.joinable()) thread_.join();
    Commit();
  }
  absl::StatusOr<std::vector<EventRow>> Events(const EventFilter& filter, int64_t after,
                                               int limit) override {
    const std::lock_guard lock(mu_);
    std::vector<EventRow> out;
    for (const EventRow& event : disk_->events) {
      if (event.id > after && static_cast<int>(out.size()) < limit &&
          (!filter.study.is_set() || event.study == filter.study) &&
          (!filter.trial.is_set() || event.trial == filter.trial) &&
          (filter.worker.empty() || event.worker == filter.worker)) {
        out.push_back(event);
      }
    }
    return out;
  }
  absl::StatusOr<std::string> LogTail(TrialId trial, int) override {
    const std::lock_guard lock(mu_);
    for (auto it = disk_->log_tails.rbegin(); it != disk_->log_tails.rend(); ++it) {
      if (disk_->trial_of.at(it->first) == trial) return it->second;
    }
    return absl::NotFoundError("no log");
  }
  absl::Status Query(const std::string& sql,
                     const std::function<void(const QueryColumns&)>& columns,
                     const std::function<bool(std::vector<QueryCell>)>& row) override {
    columns({{"sql", "n"}, {"TEXT", "INTEGER"}});
    for (int64_t i = 0; i < 1000; ++i) {
      if (!row({{sql}, {i}})) break;
    }
    return absl::OkStatus();
  }

  // Commits all that is queued, then runs what waited for it.
  void Commit() {
    std::vector<std::function<void()>> ready;
    {
      const std::lock_guard lock(mu_);
      if (health_.empty()) {
        for (std::vector<LedgerOp>& batch : queue_) {
          for (LedgerOp& op : batch) {
            std::visit([this](auto& some) { Apply(some); }, op);
          }
          ++disk_->commits;
          ++committed_;
        }
        queue_.clear();
      }
      while (!waiting_.empty() && waiting_.front().first <= committed_) {
        ready.push_back(std::move(waiting_.front().second));
        waiting_.pop_front();
      }
    }
    for (auto& then : ready) then();
  }
  // What was not committed is gone.
  void Crash() {
    const std::lock_guard lock(mu_);
    closed_ = true;
    queue_.clear();
    waiting_.clear();
  }
  void set_health(std::string health) {
    const std::lock_guard lock(mu_);
    health_ = std::move(health);
    changed_.notify_one();
  }
  void set_has_room(bool has_room) {
    const std::lock_guard lock(mu_);
    has_room_ = has_room;
  }

 private:
  void Run() {
    while (true) {
      {
        std::unique_lock lock(mu_);
        changed_.wait(lock, [this] {
          return closed_ || (!queue_.empty() && health_.empty()) ||
                 (!waiting_.empty() && waiting_.front().first <= committed_);
        });
        if (closed_) return;
      }
      Commit();
    }
  }

  // The fence of every write that a worker causes.
  bool Holds(TrialId trial, LeaseId lease) {
    const TrialRow& row = disk_->trials.at(trial);
    return row.record.state == TrialState::kLeased && row.record.lease == lease;
  }
  void Apply(PutStudyOp& op) { disk_->studies[op.study.id] = op.study; }
  void Apply(SetStudyStateOp& op) {
    disk_->studies.at(op.study).state = op.state;
    disk_->studies.at(op.study).state_reason = op.reason;
  }
  void Apply(PutTrialOp& op) { disk_->trials[op.trial.id] = op.trial; }
  void Apply(UpdateTrialOp& op) {
    TrialRow& row = disk_->trials.at(op.trial);
    row.record = op.record;
    row.record.cancel_wished = op.record.state == TrialState::kLeased &&
                               op.record.outcome == TrialOutcome::kCancelled;
  }
  void Apply(FinishTrialOp& op) {
    ISOFLOP_CHECK(Holds(op.trial, op.lease), absl::StrCat("stale finish of ", op.lease.value()));
    disk_->trials.at(op.trial).result = op.result;
    ++disk_->results[op.trial];
  }
  void Apply(GrantLeaseOp& op) {
    for (const auto& [id, live] : disk_->live) {
      ISOFLOP_CHECK(live.lease.trial != op.lease.trial, "two live leases of one trial");
    }
    ISOFLOP_CHECK(disk_->trial_of.emplace(op.lease.id, op.lease.trial).second, "lease id again");
    RecoveredLease& live = disk_->live[op.lease.id];
    live.lease = op.lease;
    live.lease.resume.reset();
    live.lease.slots.clear();  // the store keeps none
    live.host = op.worker_host;
  }
  void Apply(AcknowledgeLeaseOp& op) { disk_->live.at(op.lease).lease.acknowledged = true; }
  void Apply(MoveLeaseOp& op) { disk_->live.at(op.lease).lease.instance = op.instance; }
  void Apply(EndLeaseOp& op) {
    ISOFLOP_CHECK(disk_->live.erase(op.lease) == 1, "a lease ends once");
    disk_->ended[op.lease] = op.outcome;
    disk_->log_tails[op.lease] = op.log_tail;
  }
  void Apply(AppendPointsOp& op) {
    ISOFLOP_CHECK(Holds(op.trial, op.lease), "stale points");
    uint64_t seq = op.first_seq;
    for (const LossPoint& point : op.points) {
      auto& points = disk_->points[op.lease];
      ISOFLOP_CHECK(points.size() + 1 == seq, "a gap in the stored seqs");
      points.emplace(seq++, point);
      RecoveredLease& live = disk_->live.at(op.lease);
      live.durable_seq = seq - 1;
      live.last_step = point.step;
      live.last_tokens = point.tokens;
    }
  }
  void Apply(AddCheckpointOp& op) {
    ISOFLOP_CHECK(Holds(op.checkpoint.trial, op.checkpoint.lease), "stale checkpoint");
    disk_->checkpoints[op.checkpoint.id] = op.checkpoint;
  }
  void Apply(SetCheckpointsOp& op) {
    for (const CheckpointId id : op.checkpoints) {
      if (op.fate == CheckpointFate::kDeleted) {
        disk_->checkpoints.erase(id);
      } else {
        disk_->checkpoints.at(id).state = op.fate == CheckpointFate::kBad
                                              ? CheckpointState::kBad
                                              : CheckpointState::kCondemned;
      }
    }
  }
  void Apply(PutWorkerOp&) {}
  void Apply(AddEventOp& op) { disk_->events.push_back(op.event); }
  void Apply(StaleReportOp&) { ++disk_->stale_reports; }

  mutable std::mutex mu_;
  std::condition_variable changed_;
  MemoryDisk* const disk_;  // guarded by mu_, as all below
  std::deque<std::vector<LedgerOp>> queue_;
  std::deque<std::pair<uint64_t, std::function<void()>>> waiting_;
  uint64_t appended_ = 0;
  uint64_t committed_ = 0;
  std::string health_;
  bool has_room_ = true;
  bool closed_ = false;
  std::thread thread_;
};

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_COORDINATOR_MEMORY_LEDGER_H_
