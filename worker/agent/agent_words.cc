// What the agent says: one Synchronize at a time, everything that it holds in it.
#include <stdlib.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/convert.h"
#include "worker/agent/agent_impl.h"
#include "worker/agent/event_line.h"

namespace isoflop {
namespace {

constexpr int kPointsPerRequest = 512;
// Outcomes with their log tails, so that a request stays within 128 KiB.
constexpr int kOutcomesPerRequest = 3;
constexpr int kDeletedPerRequest = 256;
// Beyond a request's `wait`.
constexpr absl::Duration kSlack = absl::Seconds(10);

}  // namespace

std::vector<uint32_t> Agent::Impl::FreeSlots() const {
  std::set<uint32_t> busy;
  for (const auto& [id, lease] : leases_) {
    // Free again only after proof of death.
    if (lease.run && !lease.run->IsGone()) busy.insert(lease.slots.begin(), lease.slots.end());
  }
  std::vector<uint32_t> out;
  for (const AgentSlot& slot : slots_) {
    if (busy.count(slot.index) == 0) out.push_back(slot.index);
  }
  return out;
}

bool Agent::Impl::HasUrgentNews() const {
  if (conversation_.MustIntroduce() || !deleted_.empty() || draining_ != told_draining_ ||
      FreeSlots() != told_free_) {
    return true;
  }
  for (const auto& [id, lease] : leases_) {
    if (lease.settled) continue;
    if (lease.log_wish || lease.report->HasUrgentNews()) return true;
  }
  return false;
}

void Agent::Impl::MaybeSpeak(absl::Time now) {
  if (!conversation_.MaySpeak(now)) return;
  bool points = false;
  bool many = false;
  for (const auto& [id, lease] : leases_) {
    if (lease.settled) continue;
    points |= lease.report->HasPoints();
    many |= lease.report->HasManyPoints();
  }
  const bool beat = points && now - last_points_ >= options_.busy_beat;
  if (conversation_.IsSilent() || beat || HasUrgentNews()) Speak(beat || many, now);
}

void Agent::Impl::FillWorker(wire::WorkerInfo* info) const {
  info->set_name(options_.name);
  info->set_host(HostName());
  for (const AgentSlot& slot : slots_) {
    wire::Slot* out = info->add_slots();
    out->set_index(slot.index);
    out->set_kind(slot.kind == AgentSlotKind::kGpu ? wire::SLOT_KIND_GPU : wire::SLOT_KIND_CPU);
    out->set_memory_bytes(slot.memory_bytes);
    out->set_device(slot.device);
  }
  for (const std::string& hash : datasets_.hashes()) info->add_dataset_sha256(hash);
  info->set_checkpoint_store_id(root_.store_id());
  info->set_trainer_version(options_.trainer_version);
  info->set_builtin_only(options_.builtin_only);
  if (const char* job = getenv("SLURM_JOB_ID")) info->set_engine_ref(CleanText(absl::StrCat("slurm:", job), 64));
}

void Agent::Impl::FillLease(LeaseId id, Lease& lease, bool with_points, int& points, int& outcomes,
                            wire::SynchronizeRequest& request, bool& news) {
  wire::HeldLease* held = request.add_held();
  held->set_lease_id(id.value());
  held->set_steps(lease.steps);
  const TrialRun* run = lease.run.get();
  if (run == nullptr || run->is_stopping() || run->IsGone()) {
    held->set_phase(wire::LEASE_PHASE_STOPPING);
  } else {
    held->set_phase(run->has_started() ? wire::LEASE_PHASE_RUNNING : wire::LEASE_PHASE_STARTING);
  }
  if (run != nullptr) {
    held->set_step(run->step());
    held->set_tokens_per_second(run->tokens_per_second());
  }
  // An end waits for its points.
  const bool ends = lease.report->has_outcome();
  const int room = with_points || ends ? points : 0;
  if (lease.report->Fill(*held, room, outcomes > 0, conversation_.number() + 1)) news = true;
  points -= held->points_size();
  if (held->has_outcome()) --outcomes;
  if (lease.log_wish) {
    wire::LogChunk* chunk = held->mutable_log();
    if (run != nullptr) {
      int64_t offset = lease.log_wish->offset();
      chunk->set_text(run->log().Read(
          offset, std::clamp<int64_t>(lease.log_wish->max_bytes(), 1, kMaxLogChunkBytes)));
      chunk->set_offset(offset);
      chunk->set_size(run->log().size());
      chunk->set_ended(run->IsGone() &&
                       offset + static_cast<int64_t>(chunk->text().size()) == run->log().size());
    }
    lease.log_wish.reset();
  }
}

void Agent::Impl::Speak(bool with_points, absl::Time now) {
  auto call = std::make_unique<Call>();
  wire::SynchronizeRequest& request = call->request;
  // The first word is answered at once, and so is an introduction.
  bool news = conversation_.number() == 0 || conversation_.MustIntroduce();
  if (conversation_.MustIntroduce()) {
    FillWorker(request.mutable_worker());
    call->introduced = true;
  }
  int points = kPointsPerRequest;
  int outcomes = kOutcomesPerRequest;
  bool busy = false;
  for (auto& [id, lease] : leases_) {
    if (lease.settled) continue;
    busy = true;
    FillLease(id, lease, with_points, points, outcomes, request, news);
  }
  if (with_points) last_points_ = now;
  told_free_ = FreeSlots();
  for (const uint32_t slot : told_free_) request.add_free_slots(slot);
  int deleted = 0;
  for (auto& [checkpoint, number] : deleted_) {
    if (++deleted > kDeletedPerRequest) break;
    request.add_deleted_checkpoints(checkpoint);
    number = conversation_.number() + 1;
    news = true;
  }
  request.set_draining(draining_);
  told_draining_ = draining_;
  const absl::Duration wait = busy ? options_.busy_beat : options_.idle_beat;
  *request.mutable_wait() = ToWire(wait);
  conversation_.Begin(request, news);
  call->number = conversation_.number();
  channel_->Prepare(call->context, wait + kSlack);
  Call* const raw = call.release();
  {
    const std::lock_guard lock(mu_);
    calls_.insert(raw);
  }
  stub_->async()->Synchronize(&raw->context, &raw->request, &raw->response,
                              [this, raw](grpc::Status status) {
                                raw->status = channel_->ToStatus(status);
                                const std::lock_guard lock(mu_);
                                answers_.emplace_back(raw);
                                Wake();
                                calls_.erase(raw);
                                no_calls_.notify_all();
                              });
}

}  // namespace isoflop
