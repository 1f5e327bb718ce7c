// Words of workers: what they hold, what they should hold.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "coordinator/coordinator_impl.h"
#include "proto/convert.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

constexpr int kMaxSlots = 1024;
constexpr int kMaxHeld = 4096;
constexpr int kMaxPointsPerRequest = 512;
constexpr size_t kMaxTextBytes = 1024;
constexpr size_t kExpendablePerAnswer = 64;
// Room in the ledger below which no report is taken: the most operations that
// one request can cause, and some.
constexpr size_t kOperationsPerRequest = 2048;

// A wish was told and the worker does not act on it yet: it is told again
// after this.
constexpr absl::Duration kTellAgain = absl::Seconds(1);

std::string Clip(std::string text, size_t most) {
  if (text.size() > most) text.resize(most);
  return text;
}

wire::Wish ToWire(LeaseWish wish) {
  switch (wish) {
    case LeaseWish::kRun: return wire::WISH_RUN;
    case LeaseWish::kCheckpointAndStop: return wire::WISH_CHECKPOINT_AND_STOP;
    case LeaseWish::kStop: return wire::WISH_STOP;
  }
  return wire::WISH_RUN;
}

WorkerFacts FromWire(const wire::WorkerInfo& info) {
  WorkerFacts facts;
  facts.name = info.name();
  facts.host = info.host();
  for (const wire::Slot& slot : info.slots()) {
    facts.slots.push_back({.index = slot.index(),
                           .kind = slot.kind() == wire::SLOT_KIND_GPU ? SlotKind::kGpu
                                                                      : SlotKind::kCpu,
                           .memory_bytes = slot.memory_bytes(),
                           .device = slot.device()});
  }
  facts.datasets = {info.dataset_sha256().begin(), info.dataset_sha256().end()};
  facts.checkpoint_store_id = info.checkpoint_store_id();
  if (info.has_time_left()) facts.time_left = isoflop::FromWire(info.time_left());
  facts.builtin_only = info.builtin_only();
  facts.address = info.address();
  facts.trainer_version = info.trainer_version();
  facts.engine_ref = info.engine_ref();
  return facts;
}

template <class T>
std::optional<double> Finite(bool is_set, T value) {
  return is_set && std::isfinite(value) ? std::optional<double>(value) : std::nullopt;
}

TrialResult FromWire(const wire::FinalObservation& in) {
  TrialResult out;
  out.step = in.step();
  out.tokens_trained = in.tokens_trained();
  out.final_loss_nats = Finite(in.has_final_loss_nats(), in.final_loss_nats());
  out.final_loss_se = Finite(in.has_final_loss_se(), in.final_loss_se());
  out.bits_per_byte = Finite(in.has_bits_per_byte(), in.bits_per_byte());
  out.eval_tokens = in.eval_tokens();
  if (in.has_eval_bytes()) out.eval_bytes = in.eval_bytes();
  out.eval_sha256 = Clip(in.eval_sha256(), kMaxTextBytes);
  if (in.has_unique_tokens()) out.unique_tokens = in.unique_tokens();
  out.train_loss_nats = Finite(in.has_train_loss_nats(), in.train_loss_nats());
  out.flops_exact = Finite(in.has_flops_exact(), in.flops_exact());
  out.wall_seconds = Finite(in.has_wall_seconds(), in.wall_seconds());
  out.tokens_per_second = Finite(in.has_tokens_per_second(), in.tokens_per_second());
  out.mfu = Finite(in.has_mfu(), in.mfu());
  if (in.has_peak_memory_bytes()) out.peak_memory_bytes = in.peak_memory_bytes();
  if (in.has_resumed_exact()) out.resumed_exact = in.resumed_exact();
  if (in.has_params_total()) out.params_total = in.params_total();
  out.device = Clip(in.device(), kMaxTextBytes);
  out.precision = Clip(in.precision(), kMaxTextBytes);
  out.program = Clip(in.program(), kMaxTextBytes);
  out.tokenizer_sha256 = Clip(in.tokenizer_sha256(), kMaxTextBytes);
  out.sample_text = Clip(in.sample_text(), kMaxTextBytes);
  return out;
}

void Reject(wire::SynchronizeResponse& response, LeaseId lease, uint64_t seq, std::string field,
            std::string why) {
  wire::Rejected* rejected = response.add_rejected();
  rejected->set_lease_id(lease.value());
  rejected->set_seq(seq);
  rejected->set_field(std::move(field));
  rejected->set_why(std::move(why));
}

}  // namespace

absl::Status Coordinator::Impl::Check(const wire::SynchronizeRequest& request) const {
  if (request.protocol_version() != kProtocolVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "protocol: this coordinator speaks version ", kProtocolVersion, ", the worker version ",
        request.protocol_version(), "; cure: install the same release of isoflop on both"));
  }
  if (!request.store_id().empty() && request.store_id() != store_id_) {
    return absl::FailedPreconditionError(absl::StrCat(
        "store: this coordinator serves store ", absl::BytesToHexString(store_id_).substr(0, 12),
        ", the worker belongs to ", absl::BytesToHexString(request.store_id()).substr(0, 12),
        "; cure: another --server, or start the worker anew"));
  }
  if (request.epoch_seen() > epoch_) {
    return absl::FailedPreconditionError(absl::StrCat(
        "store: the worker has heard epoch ", request.epoch_seen(), ", this coordinator is of epoch ",
        epoch_, ": an older copy of the store; cure: isoflop coordinator --restore"));
  }
  if (request.instance_id().empty() || request.instance_id().size() > 64) {
    return absl::InvalidArgumentError("instance_id: 1 to 64 bytes are wanted");
  }
  if (request.held_size() > kMaxHeld) {
    return absl::InvalidArgumentError(absl::StrCat("held: more than ", kMaxHeld, " leases"));
  }
  if (request.has_worker()) {
    const wire::WorkerInfo& worker = request.worker();
    if (!IsValidName(worker.name())) {
      return absl::InvalidArgumentError(absl::StrCat(
          "worker name '", absl::CEscape(Clip(worker.name(), 80)),
          "': [a-z0-9][a-z0-9._-]{0,63} is wanted; cure: isoflop worker --name W"));
    }
    if (worker.slots_size() > kMaxSlots) {
      return absl::InvalidArgumentError(absl::StrCat("slots: more than ", kMaxSlots));
    }
    std::set<uint32_t> indexes;
    for (const wire::Slot& slot : worker.slots()) {
      if (!indexes.insert(slot.index()).second || slot.memory_bytes() < 0) {
        return absl::InvalidArgumentError(absl::StrCat("slot ", slot.index(), ": twice, or memory below 0"));
      }
    }
    if (worker.host().size() > kMaxTextBytes || worker.checkpoint_store_id().size() > 64) {
      return absl::InvalidArgumentError("worker: host or checkpoint_store_id is too long");
    }
  }
  return absl::OkStatus();
}

void Coordinator::Impl::Synchronize(const wire::SynchronizeRequest& request,
                                    Callback<wire::SynchronizeResponse> done) {
  const Room room(this);
  const absl::Time now = Now();
  if (stopping_) return Refuse(std::move(done), absl::UnavailableError("coordinator: stopping"));
  if (absl::Status status = Check(request); !status.ok()) {
    return Refuse(std::move(done), std::move(status));
  }
  const std::string& instance = request.instance_id();
  if (const auto known = sessions_.find(instance);
      known != sessions_.end() && request.sync_number() <= known->second.highest_sync) {
    return Refuse(std::move(done),
                  absl::AbortedError(absl::StrCat("request ", request.sync_number(),
                                                  " came after ", known->second.highest_sync)));
  }
  if (!ledger_->HasRoom(kOperationsPerRequest)) {
    return Refuse(std::move(done), absl::ResourceExhaustedError("store: commits lag behind, wait"));
  }

  std::set<LeaseId> listed;
  std::set<LeaseId> carried;
  for (const wire::HeldLease& held : request.held()) {
    const LeaseId id(held.lease_id());
    listed.insert(id);
    const LeaseRecord* lease = queue_.lease(id);
    if (lease != nullptr && lease->instance == request.previous_instance()) carried.insert(id);
  }
  std::optional<WorkerFacts> facts;
  if (request.has_worker()) facts = FromWire(request.worker());
  const std::set<uint32_t> free = {request.free_slots().begin(), request.free_slots().end()};
  if (absl::Status status =
          queue_.Renew(instance, facts ? &*facts : nullptr, request.previous_instance(), carried,
                       request.draining(), free, now);
      !status.ok()) {
    return Refuse(std::move(done), std::move(status));
  }

  Session& session = sessions_[instance];
  if (session.pending) {
    Refuse(std::move(session.pending->done),
           absl::AbortedError(absl::StrCat("superseded by request ", request.sync_number())));
    session.pending.reset();
  }
  // The first word of an instance is answered at once: the epoch in the answer
  // makes one that we do not know (any more) introduce itself.
  const bool is_first_word = session.highest_sync == 0;
  session.highest_sync = request.sync_number();
  if (const auto old = sessions_.find(request.previous_instance());
      old != sessions_.end() && old->first != instance) {
    if (old->second.pending) {
      Refuse(std::move(old->second.pending->done),
             absl::FailedPreconditionError("this instance was replaced by a newer one"));
    }
    sessions_.erase(old);
  }

  SyncNews news;
  news.answer_now = is_first_word || (free != session.last_free && !free.empty());
  session.last_free = free;
  if (facts) {
    if (!session.introduced) {
      news.answer_now = true;
      AddEvent(StudyId(), TrialId(), facts->name, "worker_joined",
               absl::StrCat("host ", facts->host, ", ", facts->slots.size(), " slots"));
      Log(absl::StrCat("worker ", facts->name, " from ", facts->host, ": ", facts->slots.size(),
                       " slots"));
    }
    session.introduced = true;
    session.name = facts->name;
    session.checkpoint_store_id = facts->checkpoint_store_id;
    Write(PutWorkerOp{*facts, instance, clock_.wall()});
  }
  WriteChanges();

  for (const wire::HeldLease& held : request.held()) TakeHeld(instance, session, held, now, news);

  if (request.deleted_checkpoints_size() > 0) {
    std::vector<CheckpointId> ids;
    for (const int64_t id : request.deleted_checkpoints()) ids.emplace_back(id);
    ids = queue_.checkpoints().Deleted(session.checkpoint_store_id, ids);
    for (const CheckpointId id : ids) session.told_expendable.erase(id);
    if (!ids.empty()) Write(SetCheckpointsOp{std::move(ids), CheckpointFate::kDeleted});
    news.answer_now = true;
  }
  for (const LeaseId id : queue_.LeasesOf(instance)) {
    if (listed.count(id) != 0) continue;
    if (queue_.MaybeWithdraw(id, now) || !queue_.EnsureSlots(id, now)) news.answer_now = true;
  }
  WriteChanges();
  GrantAll(instance, now);

  if (!news.answer_now && !HasSomethingToSay(instance, session, listed, now)) {
    const absl::Duration wait =
        std::clamp(FromWire(request.wait()), absl::ZeroDuration(), options_.max_wait);
    // A cheap spread; a fleet that was answered at once does not come back at once.
    jitter_ = jitter_ * 6364136223846793005u + 1442695040888963407u;
    const double share = static_cast<double>(jitter_ >> 33) / 2147483648.0;
    absl::Time deadline = now + wait * (1 - options_.wait_jitter * share);
    for (const wire::HeldLease& held : request.held()) {
      const LeaseRecord* lease = queue_.lease(LeaseId(held.lease_id()));
      if (lease != nullptr && lease->wish != LeaseWish::kRun &&
          held.phase() != wire::LEASE_PHASE_STOPPING) {
        deadline = std::min(deadline, now + kTellAgain);
      }
    }
    session.pending = Pending{request.sync_number(), deadline, std::move(listed), std::move(done)};
    return;
  }
  news.response.set_sync_number(request.sync_number());
  session.pending = Pending{request.sync_number(), now, {}, std::move(done)};
  Complete(instance, session, listed, std::move(news.response), now);
}

// ---- what a worker says of one lease ----

void Coordinator::Impl::Settle(LeaseId lease, std::string reason, SyncNews& news) {
  wire::Settled* settled = news.response.add_settled();
  settled->set_lease_id(lease.value());
  settled->set_reason(std::move(reason));
  news.answer_now = true;
}

void Coordinator::Impl::TakeHeld(const std::string& instance, Session& session,
                                 const wire::HeldLease& held, absl::Time now, SyncNews& news) {
  const LeaseId id(held.lease_id());
  const LeaseRecord* lease = queue_.lease(id);
  if (lease == nullptr || lease->instance != instance) {
    const auto end = ended_leases_.find(id);
    const std::string reason = lease != nullptr            ? "belongs to another instance"
                               : end != ended_leases_.end() ? end->second
                                                            : "ended or passed on";
    if (held.points_size() > 0 || held.checkpoints_size() > 0 || held.has_outcome()) {
      Write(StaleReportOp{
          lease != nullptr ? lease->trial : TrialId(), id,
          absl::StrCat(session.name, ": ", held.points_size(), " points, ",
                       held.checkpoints_size(), " checkpoints",
                       held.has_outcome()
                           ? absl::StrCat(", outcome ", isoflop::ToString(isoflop::FromWire(
                                                            held.outcome().outcome_class())))
                           : ""),
          clock_.wall()});
    }
    Settle(id, reason, news);
    return;
  }
  queue_.Acknowledge(id);
  LiveLease& live = live_[id];
  live.phase = held.phase();
  if (held.step() >= 0) live.step = std::max(live.step, held.step());
  if (held.steps() > 0) live.steps = held.steps();
  if (std::isfinite(held.tokens_per_second()) && held.tokens_per_second() >= 0) {
    live.tokens_per_second = held.tokens_per_second();
  }
  // Who has not introduced itself to this epoch says it all again with its host and
  // its checkpoint store; the OK to this request acknowledges nothing.
  if (!session.introduced) {
    news.answer_now = true;
    return;
  }
  TakePoints(*lease, live, held, news);
  TakeCheckpoints(*lease, live, session, held, now, news);
  for (const std::string& note : held.notes()) {
    AddEvent(lease->study, lease->trial, session.name, "note", Clip(note, kMaxTextBytes));
    news.answer_now = true;
  }
  if (held.has_log()) TakeLog(live, held.log(), now);
  if (held.phase() == wire::LEASE_PHASE_ENDED) TakeOutcome(*lease, live, held, now, news);
}

void Coordinator::Impl::TakePoints(const LeaseRecord& lease, LiveLease& live,
                                   const wire::HeldLease& held, SyncNews& news) {
  if (held.points_size() == 0) return;
  news.answer_now = true;
  if (held.first_seq() == 0) {
    Reject(news.response, lease.id, 0, "first_seq", "counts from 1");
    return;
  }
  AppendPointsOp append{lease.trial, lease.id, live.accepted_seq + 1, {}};
  const int count = std::min(held.points_size(), kMaxPointsPerRequest);
  for (int i = 0; i < count; ++i) {
    const uint64_t seq = held.first_seq() + static_cast<uint64_t>(i);
    if (seq <= live.accepted_seq) continue;  // said again
    if (seq > live.accepted_seq + 1) break;  // a gap: durable_seq says where to go on
    const LossPoint point = isoflop::FromWire(held.points(i));
    if (point.step < live.last_step || point.tokens < live.last_tokens) {
      Reject(news.response, lease.id, seq, point.step < live.last_step ? "step" : "tokens",
             absl::StrCat("falls to ", point.step, " steps, ", point.tokens, " tokens from ",
                          live.last_step, ", ", live.last_tokens));
      break;
    }
    live.last_step = point.step;
    live.last_tokens = point.tokens;
    live.step = std::max(live.step, point.step);
    if (point.loss_nats) live.loss_nats = point.loss_nats;
    live.accepted_seq = seq;
    append.points.push_back(point);
  }
  if (!append.points.empty()) Write(std::move(append));
}

void Coordinator::Impl::TakeCheckpoints(const LeaseRecord& lease, LiveLease& live,
                                        const Session& session, const wire::HeldLease& held,
                                        absl::Time now, SyncNews& news) {
  for (const wire::Checkpoint& checkpoint : held.checkpoints()) {
    news.answer_now = true;
    // The path is a function of the numbers, so that no text names a file.
    const std::string path = absl::StrFormat("trial-%d/lease-%d/step-%08d", lease.trial.value(),
                                             lease.id.value(), checkpoint.step());
    if (checkpoint.path() != path) {
      Reject(news.response, lease.id, 0, "checkpoint.path", absl::StrCat("is not ", path));
      continue;
    }
    if (checkpoint.step() <= 0 || checkpoint.step() > live.steps || checkpoint.bytes() < 0 ||
        checkpoint.sha256().size() > 64) {
      Reject(news.response, lease.id, 0, "checkpoint",
             absl::StrCat("step ", checkpoint.step(), " of ", live.steps, ", or bytes or sha256"));
      continue;
    }
    if (!live.checkpoint_paths.insert(path).second) continue;  // said again
    CheckpointRecord record;
    record.id = next_checkpoint_;
    next_checkpoint_ = CheckpointId(next_checkpoint_.value() + 1);
    record.trial = lease.trial;
    record.lease = lease.id;
    record.step = checkpoint.step();
    record.store_id = session.checkpoint_store_id;
    record.path = path;
    record.sha256 = checkpoint.sha256();
    record.bytes = checkpoint.bytes();
    Write(AddCheckpointOp{record});
    queue_.checkpoints().Add(std::move(record));
    queue_.NoteCheckpoint(lease.trial, now);
    WriteChanges();
  }
}

void Coordinator::Impl::TakeOutcome(const LeaseRecord& lease_ref, LiveLease& live,
                                    const wire::HeldLease& held, absl::Time now, SyncNews& news) {
  const LeaseRecord lease = lease_ref;  // ends below
  news.answer_now = true;
  if (held.points_size() > 0 &&
      held.first_seq() + static_cast<uint64_t>(held.points_size()) > live.accepted_seq + 1 &&
      held.first_seq() > live.accepted_seq + 1) {
    // Points are missing before these: the end waits until they are here.
    return;
  }
  const wire::Outcome& said = held.outcome();
  AttemptEnd end;
  end.outcome = isoflop::FromWire(said.outcome_class());
  end.detail = Clip(said.detail(), kMaxTextBytes);
  if (end.detail.empty() && said.has_trainer_error()) {
    end.detail = Clip(said.trainer_error().message(), kMaxTextBytes);
  }
  end.micro_batch_sequences = std::max(said.micro_batch_sequences(), 0);
  if (end.outcome == TrialOutcome::kNone) {
    Reject(news.response, lease.id, 0, "outcome", "an end needs its class");
    return;
  }
  const bool is_trunk = !queue_.facts(lease.trial).branch_steps.empty();
  if (end.outcome == TrialOutcome::kCompleted &&
      (!said.has_final() || (!is_trunk && !(said.final().has_final_loss_nats() &&
                                            std::isfinite(said.final().final_loss_nats()))))) {
    end.outcome = TrialOutcome::kCrashed;
    end.detail = "exit 0 without a final loss";
  }
  if (end.outcome == TrialOutcome::kCancelled &&
      !queue_.record(lease.trial).cancel_wished) {
    // Stopped by a wish that is none any more.
    end.outcome = TrialOutcome::kPreempted;
  }
  if (end.outcome == TrialOutcome::kBadCheckpoint) {
    const LeaseRecord told = queue_.LeaseToTell(lease.id);
    if (told.resume) {
      const auto bad = queue_.checkpoints().MarkBad(told.resume->trial, told.resume->path);
      if (bad) Write(SetCheckpointsOp{{*bad}, CheckpointFate::kBad});
    }
  }
  live.log_tail = Clip(said.log_tail(), static_cast<size_t>(kMaxLogTailBytes));
  if (said.has_final()) trials_.at(lease.trial).row.result = FromWire(said.final());
  const absl::Status finished = queue_.Finish(lease.id, end, now);
  ISOFLOP_CHECK(finished.ok(), finished.ToString());
  const TrialState state = queue_.record(lease.trial).state;
  if (state == TrialState::kCompleted || state == TrialState::kDiverged) {
    TrialInfo& info = trials_.at(lease.trial);
    Write(FinishTrialOp{lease.trial, lease.id, info.row.result.value_or(TrialResult())});
  } else {
    trials_.at(lease.trial).row.result.reset();
  }
  WriteChanges();
  Settle(lease.id, isoflop::ToString(end.outcome), news);
}

void Coordinator::Impl::TakeLog(LiveLease& live, const wire::LogChunk& chunk, absl::Time now) {
  if (static_cast<int64_t>(chunk.text().size()) > kMaxLogChunkBytes || chunk.offset() < 0) return;
  for (auto reader = live.log_readers.begin(); reader != live.log_readers.end();) {
    const auto found = log_readers_.find(reader->subscription);
    if (found == log_readers_.end()) {
      reader = live.log_readers.erase(reader);
      continue;
    }
    const int64_t end = chunk.offset() + static_cast<int64_t>(chunk.text().size());
    reader->next_at = chunk.text().empty() ? now + kTellAgain : now;
    if (reader->offset < 0 || (chunk.offset() <= reader->offset && end > reader->offset)) {
      wire::LogChunk send;
      const int64_t skip = reader->offset < 0 ? 0 : reader->offset - chunk.offset();
      send.set_offset(chunk.offset() + skip);
      send.set_text(chunk.text().substr(static_cast<size_t>(skip)));
      send.set_size(chunk.size());
      reader->offset = end;
      WhenCommitted([out = found->second.first, send = std::move(send)] { out(send); });
    }
    if (!reader->follow && reader->offset >= chunk.size()) {
      WhenCommitted([done = found->second.second] { done(absl::OkStatus()); });
      log_readers_.erase(found);
      reader = live.log_readers.erase(reader);
      continue;
    }
    ++reader;
  }
}

// ---- what a worker is told ----

void Coordinator::Impl::GrantAll(const std::string& instance, absl::Time now) {
  // A store that cannot commit gets no new leases.
  if (!ledger_->Health().empty()) return;
  while (queue_.LeaseNext(instance, now)) WriteChanges();
  WriteChanges();
}

bool Coordinator::Impl::HasSomethingToSay(const std::string& instance, const Session& session,
                                          const std::set<LeaseId>& listed, absl::Time now) const {
  for (const LeaseId id : queue_.LeasesOf(instance)) {
    const LeaseRecord* lease = queue_.lease(id);
    if (listed.count(id) == 0) {
      if (lease->slots.empty()) continue;  // told once its worker has introduced itself
      return true;
    }
    const auto live = live_.find(id);
    if (lease->wish != LeaseWish::kRun) {
      const auto told = session.told.find(id);
      if (told == session.told.end() || told->second != lease->wish) return true;
      // Told, but the answer may have been lost.
      if (live != live_.end() && live->second.phase != wire::LEASE_PHASE_STOPPING &&
          live->second.phase != wire::LEASE_PHASE_ENDED && now - session.told_at > kTellAgain) {
        return true;
      }
    }
    if (live != live_.end() && !live->second.log_readers.empty() &&
        live->second.log_readers.front().next_at <= now) {
      return true;
    }
  }
  for (const CheckpointRecord& record :
       queue_.checkpoints().Expendable(session.checkpoint_store_id, kExpendablePerAnswer)) {
    if (session.introduced && session.told_expendable.count(record.id) == 0) return true;
  }
  return false;
}

void Coordinator::Impl::FillAssignment(const LeaseRecord& lease,
                                       wire::Assignment* assignment) const {
  const TrialInfo& info = trials_.at(lease.trial);
  const StudyInfo& study = studies_.at(lease.study);
  assignment->set_trial_json(info.row.planned.text);
  assignment->set_trial_id(lease.trial.value());
  assignment->set_attempt(lease.attempt);
  for (const uint32_t slot : lease.slots) assignment->add_slots(slot);
  if (lease.resume) {
    assignment->set_resume_path(lease.resume->path);
    assignment->set_resume_step(lease.resume->step);
    assignment->set_resume_sha256(lease.resume->sha256);
  }
  assignment->set_micro_batch_limit(queue_.record(lease.trial).micro_batch_limit);
  *assignment->mutable_wall_limit() = isoflop::ToWire(study.row.settings.trial_wall);
  if (const auto& trainer = info.row.planned.spec.trainer) {
    wire::TrainerCommand* command = assignment->mutable_trainer();
    for (const std::string& argument : trainer->command) command->add_command(argument);
    command->set_launch_once(study.row.settings.launch_once);
    command->set_directory(study.row.settings.trainer_directory);
    command->mutable_env()->insert(study.row.settings.trainer_env.begin(),
                                   study.row.settings.trainer_env.end());
  }
}

// Answers the pending request of `session`.
void Coordinator::Impl::Complete(const std::string& instance, Session& session,
                                 const std::set<LeaseId>& listed,
                                 wire::SynchronizeResponse response, absl::Time now) {
  response.set_store_id(store_id_);
  response.set_coordinator_epoch(epoch_);
  response.set_sync_number(session.pending->sync_number);
  session.told.clear();
  for (const LeaseId id : queue_.LeasesOf(instance)) {
    const LeaseRecord lease = queue_.LeaseToTell(id);
    if (listed.count(id) == 0 && lease.slots.empty()) continue;
    const LiveLease& live = live_[id];
    wire::DesiredLease* desired = response.add_desired();
    desired->set_lease_id(id.value());
    desired->set_durable_seq(live.accepted_seq);
    desired->set_wish(ToWire(lease.wish));
    desired->set_wish_reason(lease.wish_reason);
    session.told[id] = lease.wish;
    if (listed.count(id) == 0) FillAssignment(lease, desired->mutable_assignment());
    if (!live.log_readers.empty() && live.log_readers.front().next_at <= now) {
      const LogReader& reader = live.log_readers.front();
      desired->mutable_log()->set_offset(reader.offset);
      desired->mutable_log()->set_max_bytes(
          reader.max_bytes > 0 ? std::min(reader.max_bytes, kMaxLogChunkBytes)
                               : kMaxLogChunkBytes);
    }
  }
  if (session.introduced) {
    for (const CheckpointRecord& record :
         queue_.checkpoints().Expendable(session.checkpoint_store_id, kExpendablePerAnswer)) {
      wire::Expendable* expendable = response.add_expendable();
      expendable->set_checkpoint_id(record.id.value());
      expendable->set_path(record.path);
      session.told_expendable.insert(record.id);
    }
  }
  if (const std::string health = ledger_->Health(); !health.empty()) {
    response.set_notice(absl::StrCat("no new leases: ", health));
  }
  session.told_at = now;
  Callback<wire::SynchronizeResponse> done = std::move(session.pending->done);
  session.pending.reset();
  Answer(std::move(done), std::move(response));
}

void Coordinator::Impl::AnswerHanging(const std::string& instance, Session& session,
                                      absl::Time now) {
  const std::set<LeaseId> listed = std::move(session.pending->listed);
  Complete(instance, session, listed, {}, now);
}

void Coordinator::Impl::WakeHanging(absl::Time now) {
  for (auto& [instance, session] : sessions_) {
    if (!session.pending) continue;
    if (queue_.HasCandidates() && queue_.HasFreeSlot(instance)) GrantAll(instance, now);
    if (HasSomethingToSay(instance, session, session.pending->listed, now)) {
      AnswerHanging(instance, session, now);
    }
  }
  wake_ = false;
}

}  // namespace isoflop
