#include "coordinator/coordinator.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/coordinator_impl.h"
#include "proto/convert.h"
#include "study/status_macros.h"

namespace isoflop {

std::string ToString(StudyState state) {
  switch (state) {
    case StudyState::kActive: return "active";
    case StudyState::kPaused: return "paused";
    case StudyState::kDone: return "done";
    case StudyState::kCancelled: return "cancelled";
  }
  return "";
}

// ---- the way in and the way out ----

Coordinator::Impl::Room::Room(Impl* impl) : impl_(impl) {
  impl_->mu_.lock();
}

Coordinator::Impl::Room::~Room() {
  Impl& impl = *impl_;
  const absl::Time now = impl.Now();
  impl.WriteChanges();
  if (impl.wake_) {
    impl.wake_ = false;
    impl.WakeHanging(now);
  }
  if (!impl.ops_.empty()) {
    impl.last_batch_ = impl.ledger_->Append(std::exchange(impl.ops_, {}));
  }
  // Under the mutex, so that answers keep the order of what they tell.
  for (auto& answer : impl.when_committed_) {
    impl.ledger_->WhenDurable(impl.last_batch_, std::move(answer));
  }
  impl.when_committed_.clear();
  std::vector<std::function<void()>> at_once = std::exchange(impl.at_once_, {});
  impl.mu_.unlock();
  for (auto& answer : at_once) answer();
}

void Coordinator::Impl::WhenCommitted(std::function<void()> answer) {
  when_committed_.push_back(std::move(answer));
}

void Coordinator::Impl::AtOnce(std::function<void()> answer) {
  at_once_.push_back(std::move(answer));
}

void Coordinator::Impl::Log(const std::string& line) {
  if (log_) {
    AtOnce([this, line] { log_(line); });
  }
}

// ---- lifecycle ----

Coordinator::Impl::Impl(CoordinatorOptions options, Ledger* ledger, Clock clock,
                        std::function<void(const std::string&)> log, LedgerSnapshot snapshot)
    : options_(options),
      ledger_(ledger),
      clock_(std::move(clock)),
      log_(std::move(log)),
      store_id_(snapshot.store_id),
      epoch_(snapshot.epoch),
      queue_(options.queue, snapshot.next_lease),
      next_study_(snapshot.next_study),
      next_trial_(snapshot.next_trial),
      next_checkpoint_(snapshot.next_checkpoint),
      next_event_(snapshot.next_event) {
  const Room room(this);
  Recover(std::move(snapshot));
}

// One trial into the tables and the queue.
void Coordinator::Impl::Admit(const TrialRow& row, absl::Time now) {
  TrialInfo& info = trials_[row.id];
  info.row = row;
  StudyInfo& study = studies_.at(row.study);
  study.trials.push_back(row.id);
  study.by_fingerprint.emplace(row.planned.fingerprint, row.id);
  if (!IsFinal(row.record.state)) ++study.unfinished;
  if (row.record.state == TrialState::kCompleted) {
    completed_by_fingerprint_.emplace(row.planned.fingerprint, row.id);
  }
  if (row.started_at && (!study.started_at || *row.started_at < *study.started_at)) {
    study.started_at = row.started_at;
  }
  if (row.ended_at && (!study.ended_at || *row.ended_at > *study.ended_at)) {
    study.ended_at = row.ended_at;
  }
  const PlannedTrial& planned = row.planned;
  QueuedTrial queued;
  queued.id = row.id;
  queued.study = row.study;
  queued.parent = row.parent;
  queued.branch_step = planned.spec.branch_step.value_or(0);
  queued.branch_steps = planned.spec.branch_steps;
  queued.steps = planned.spec.steps;
  queued.flops_to_spend = planned.flops_to_spend;
  queued.slots = planned.slots;
  queued.memory_bytes_per_slot = planned.memory_bytes_per_slot;
  queued.slot_kind = study.row.settings.slot_kind;
  queued.dataset_sha256 = planned.spec.data.dataset_sha256;
  queued.is_custom = planned.spec.trainer.has_value();
  queue_.AddTrial(queued, row.record, now);
}

void Coordinator::Impl::Recover(LedgerSnapshot snapshot) {
  const absl::Time now = Now();
  for (StudyRow& row : snapshot.studies) {
    study_by_name_[row.name] = row.id;
    StudyInfo& info = studies_[row.id];
    info.row = std::move(row);
    PutPolicy(info, now);
  }
  for (CheckpointRecord& checkpoint : snapshot.checkpoints) {
    queue_.checkpoints().Add(std::move(checkpoint));
  }
  for (const TrialRow& row : snapshot.trials) Admit(row, now);
  for (const RecoveredLease& recovered : snapshot.leases) {
    queue_.AddRecoveredLease(recovered.lease, recovered.host, now);
    LiveLease& live = live_[recovered.lease.id];
    live.accepted_seq = recovered.durable_seq;
    live.last_step = live.step = recovered.last_step;
    live.last_tokens = recovered.last_tokens;
    live.steps = queue_.facts(recovered.lease.trial).steps;
    live.granted_at = clock_.wall();
    for (const CheckpointRecord& checkpoint : snapshot.checkpoints) {
      if (checkpoint.lease == recovered.lease.id) live.checkpoint_paths.insert(checkpoint.path);
    }
    trials_.at(recovered.lease.trial).last_worker = recovered.lease.worker;
  }
}

void Coordinator::Impl::Tick() {
  const Room room(this);
  if (stopping_) return;
  const absl::Time now = Now();
  queue_.Expire(now);
  for (auto& [instance, session] : sessions_) {
    if (session.pending && session.pending->deadline <= now) AnswerHanging(instance, session, now);
  }
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    // Forgotten by the queue: an orphan, long gone.
    const bool gone = queue_.worker(it->first) == nullptr && !it->second.pending;
    it = gone ? sessions_.erase(it) : std::next(it);
  }
  wake_ = true;
}

void Coordinator::Impl::Stop() {
  const Room room(this);
  if (stopping_) return;
  stopping_ = true;
  for (auto& [instance, session] : sessions_) {
    if (!session.pending) continue;
    Refuse(std::move(session.pending->done), absl::UnavailableError("coordinator: stopping"));
    session.pending.reset();
  }
  for (auto& [id, watcher] : watchers_) {
    AtOnce([end = std::move(watcher.end)] { end(absl::UnavailableError("coordinator: stopping")); });
  }
  watchers_.clear();
  for (auto& [id, reader] : log_readers_) {
    AtOnce([end = std::move(reader.second)] {
      end(absl::UnavailableError("coordinator: stopping"));
    });
  }
  log_readers_.clear();
}

std::string Coordinator::Impl::DebugString() const {
  const std::lock_guard lock(mu_);
  return queue_.DebugString(Now());
}

void Coordinator::Impl::CheckInvariantsForTesting() const {
  const std::lock_guard lock(mu_);
  queue_.CheckInvariantsForTesting();
  for (const auto& [id, study] : studies_) {
    const auto unfinished = std::count_if(
        study.trials.begin(), study.trials.end(),
        [&](TrialId trial) { return !IsFinal(queue_.record(trial).state); });
    ISOFLOP_CHECK(unfinished == study.unfinished,
                  absl::StrCat("study ", id.value(), " counts ", study.unfinished, " unfinished of ",
                               unfinished));
  }
}

std::string SlotRange(const std::vector<uint32_t>& slots) {
  std::string out;
  for (size_t i = 0; i < slots.size();) {
    size_t last = i;
    while (last + 1 < slots.size() && slots[last + 1] == slots[last] + 1) ++last;
    absl::StrAppend(&out, out.empty() ? "" : ",", slots[i]);
    if (last > i) absl::StrAppend(&out, "-", slots[last]);
    i = last + 1;
  }
  return out;
}

// ---- the door ----

Coordinator::Coordinator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Coordinator::~Coordinator() = default;

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Create(
    CoordinatorOptions options, Ledger* ledger, Clock clock,
    std::function<void(const std::string&)> log) {
  ISOFLOP_ASSIGN_OR_RETURN(LedgerSnapshot snapshot, ledger->Load());
  return std::unique_ptr<Coordinator>(new Coordinator(std::make_unique<Impl>(
      options, ledger, std::move(clock), std::move(log), std::move(snapshot))));
}

void Coordinator::Synchronize(const wire::SynchronizeRequest& request,
                              Callback<wire::SynchronizeResponse> done) {
  impl_->Synchronize(request, std::move(done));
}
void Coordinator::SubmitPlan(const wire::SubmitHeader& header, std::vector<PlannedTrial> trials,
                             Callback<wire::SubmitReply> done) {
  impl_->SubmitPlan(header, std::move(trials), std::move(done));
}
void Coordinator::GetStudy(const wire::StudyRef& ref, Callback<wire::Study> done) {
  impl_->GetStudy(ref, std::move(done));
}
void Coordinator::ListTrials(const wire::TrialFilter& filter,
                             Callback<std::vector<wire::Trial>> done) {
  impl_->ListTrials(filter, std::move(done));
}
void Coordinator::ListWorkers(const wire::WorkerFilter& filter, Callback<wire::WorkerList> done) {
  impl_->ListWorkers(filter, std::move(done));
}
void Coordinator::Control(const wire::ControlRequest& request, Callback<wire::ControlReply> done) {
  impl_->Control(request, std::move(done));
}
Coordinator::Subscription Coordinator::Watch(const wire::WatchRequest& request,
                                             std::function<void(wire::Event)> event,
                                             std::function<void(absl::Status)> end) {
  return impl_->Watch(request, std::move(event), std::move(end));
}
Coordinator::Subscription Coordinator::ReadLog(const wire::LogRequest& request,
                                               std::function<void(wire::LogChunk)> chunk,
                                               std::function<void(absl::Status)> end) {
  return impl_->ReadLog(request, std::move(chunk), std::move(end));
}
void Coordinator::Unsubscribe(Subscription subscription) { impl_->Unsubscribe(subscription); }
void Coordinator::Tick() { impl_->Tick(); }
void Coordinator::Stop() { impl_->Stop(); }
std::string Coordinator::Health() const { return impl_->Health(); }
std::string Coordinator::store_id() const { return impl_->store_id(); }
int64_t Coordinator::epoch() const { return impl_->epoch(); }
std::string Coordinator::DebugString() const { return impl_->DebugString(); }
void Coordinator::CheckInvariantsForTesting() const { impl_->CheckInvariantsForTesting(); }

}  // namespace isoflop
