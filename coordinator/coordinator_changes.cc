// What the queue decided, as operations for the ledger and lines of history.
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/coordinator_impl.h"
#include "proto/convert.h"
#include "study/format.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

// Ends that are remembered, to tell a worker that asks again; older ones it is
// told in general words.
constexpr size_t kEndedLeases = 10'000;

}  // namespace

void Coordinator::Impl::AddEvent(StudyId study, TrialId trial, const std::string& worker,
                                 const std::string& kind, std::string detail) {
  EventRow row;
  row.id = next_event_++;
  row.at = clock_.wall();
  row.study = study;
  row.trial = trial;
  row.worker = worker;
  row.kind = kind;
  row.detail = std::move(detail);
  for (const auto& [subscription, watcher] : watchers_) {
    if (!Matches(watcher, row)) continue;
    wire::Event event;
    event.set_id(row.id);
    *event.mutable_at() = ToWire(row.at);
    event.set_study_id(study.value());
    event.set_trial_id(trial.value());
    event.set_worker(worker);
    event.set_kind(kind);
    event.set_detail(row.detail);
    WhenCommitted([send = watcher.event, event = std::move(event)] { send(event); });
  }
  Write(AddEventOp{std::move(row)});
}

void Coordinator::Impl::PutPolicy(const StudyInfo& study, absl::Time now) {
  queue_.PutStudy(study.row.id,
                  {.retry = study.row.settings.retry,
                   .paused = study.row.state == StudyState::kPaused,
                   .cancelled = study.row.state == StudyState::kCancelled},
                  now);
}

void Coordinator::Impl::SetStudyState(StudyInfo& study, StudyState state,
                                      const std::string& reason) {
  if (study.row.state == state && study.row.state_reason == reason) return;
  study.row.state = state;
  study.row.state_reason = reason;
  PutPolicy(study, Now());
  Write(SetStudyStateOp{study.row.id, state, reason});
  if (state == StudyState::kDone) {
    AddEvent(study.row.id, TrialId(), "", "study_done", study.row.name);
  }
  wake_ = true;
}

void Coordinator::Impl::WriteChanges() {
  // Noting a change never makes the queue change again.
  const std::vector<QueueChange> changes = queue_.TakeChanges();
  for (const QueueChange& change : changes) {
    if (const auto* trial = std::get_if<TrialChanged>(&change)) {
      NoteTrialChanged(trial->trial);
      wake_ = true;
    } else if (const auto* granted = std::get_if<LeaseGranted>(&change)) {
      NoteLeaseGranted(granted->lease);
    } else if (const auto* acknowledged = std::get_if<LeaseAcknowledged>(&change)) {
      Write(AcknowledgeLeaseOp{acknowledged->lease, clock_.wall()});
    } else if (const auto* moved = std::get_if<LeaseMoved>(&change)) {
      Write(MoveLeaseOp{moved->lease, moved->instance});
    } else if (const auto* ended = std::get_if<LeaseEnded>(&change)) {
      NoteLeaseEnded(*ended);
    } else if (const auto* condemned = std::get_if<CheckpointsCondemned>(&change)) {
      Write(SetCheckpointsOp{condemned->checkpoints, CheckpointFate::kCondemned});
    }
  }
}

void Coordinator::Impl::NoteTrialChanged(TrialId trial) {
  TrialInfo& info = trials_.at(trial);
  const TrialRecord before = std::exchange(info.row.record, queue_.record(trial));
  const TrialRecord& after = info.row.record;
  UpdateTrialOp update{trial, after, queue_.facts(trial).slots};
  if (after.cancel_wished) update.record.outcome = TrialOutcome::kCancelled;
  Write(std::move(update));
  if (before.state == after.state) return;

  StudyInfo& study = studies_.at(info.row.study);
  study.unfinished += static_cast<int>(IsFinal(before.state)) - static_cast<int>(IsFinal(after.state));
  if (IsFinal(after.state)) {
    info.row.ended_at = study.ended_at = clock_.wall();
    std::string detail = after.detail;
    if (after.state == TrialState::kCompleted) {
      completed_by_fingerprint_.emplace(info.row.planned.fingerprint, trial);
      if (info.row.result && info.row.result->final_loss_nats) {
        detail = absl::StrCat("loss ", ExactNumber(*info.row.result->final_loss_nats));
      }
    }
    AddEvent(study.row.id, trial, info.last_worker, ToString(after.state), std::move(detail));
    if (study.unfinished == 0 && study.row.state == StudyState::kActive) {
      SetStudyState(study, StudyState::kDone, "");
    }
    return;
  }
  info.row.ended_at.reset();
  if (study.row.state == StudyState::kDone) SetStudyState(study, StudyState::kActive, "");
  if (before.state == TrialState::kBlocked && after.state == TrialState::kQueued) {
    AddEvent(study.row.id, trial, "", "unblocked",
             absl::StrCat("trunk ", info.row.parent ? info.row.parent->value() : 0,
                          " has its step ", info.row.planned.spec.branch_step.value_or(0)));
  } else if (IsFinal(before.state)) {
    AddEvent(study.row.id, trial, "", "queued_again", after.detail);
    completed_by_fingerprint_.erase(info.row.planned.fingerprint);
  }
}

void Coordinator::Impl::NoteLeaseGranted(LeaseId id) {
  const LeaseRecord* lease = queue_.lease(id);
  if (lease == nullptr) return;  // ended in the same breath
  TrialInfo& info = trials_.at(lease->trial);
  const absl::Time at = clock_.wall();
  LiveLease& live = live_[id];
  live.steps = info.row.planned.spec.steps;
  live.step = lease->start_step;
  live.granted_at = at;
  info.last_worker = lease->worker;
  if (!info.row.started_at) info.row.started_at = at;
  StudyInfo& study = studies_.at(lease->study);
  if (!study.started_at) study.started_at = at;
  const WorkerFacts* worker = queue_.worker(lease->instance);
  Write(GrantLeaseOp{*lease, worker == nullptr ? "" : worker->host, at});
  AddEvent(lease->study, lease->trial, lease->worker, "leased",
           absl::StrCat("attempt ", lease->attempt, " on ", lease->worker, ":",
                        SlotRange(lease->slots), ", lease ", id.value(),
                        lease->resume ? absl::StrCat(", from step ", lease->resume->step) : ""));
}

void Coordinator::Impl::NoteLeaseEnded(const LeaseEnded& ended) {
  const LeaseRecord& lease = ended.lease;
  TrialInfo& info = trials_.at(lease.trial);
  const absl::Time at = clock_.wall();
  std::string log_tail;
  const auto live = live_.find(lease.id);
  if (live != live_.end()) {
    log_tail = std::move(live->second.log_tail);
    info.last_step = live->second.step;
    info.wall_seconds += absl::ToDoubleSeconds(at - live->second.granted_at);
    for (const LogReader& reader : live->second.log_readers) {
      const auto found = log_readers_.find(reader.subscription);
      if (found == log_readers_.end()) continue;
      WhenCommitted([end = found->second.second] { end(absl::OkStatus()); });
      log_readers_.erase(found);
    }
    live_.erase(live);
  }
  const std::string outcome = ToString(ended.outcome);
  info.previous_end = outcome;
  ended_leases_[lease.id] = absl::StrCat("ended: ", outcome);
  if (ended_leases_.size() > kEndedLeases) ended_leases_.erase(ended_leases_.begin());
  Write(EndLeaseOp{lease.id, ended.outcome, ended.reason, std::move(log_tail), lease.acknowledged,
                   at});
  AddEvent(lease.study, lease.trial, lease.worker, "attempt_ended",
           absl::StrCat("attempt ", lease.attempt, " on ", lease.worker, ":",
                        SlotRange(lease.slots), " ", outcome,
                        ended.reason.empty() ? "" : absl::StrCat(": ", ended.reason),
                        lease.acknowledged ? "" : " (never acknowledged, costs no retry)"));
}

}  // namespace isoflop
