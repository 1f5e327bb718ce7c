#include "coordinator/trial_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

// Expire is called at least this often.
constexpr absl::Duration kTick = absl::Seconds(1);
// "Another node first" holds for so long, then any node will do.
constexpr absl::Duration kAvoidHostFor = absl::Minutes(1);

bool AnyStore(const std::string&) { return true; }

CheckpointTable::Reaches Only(const std::string& store_id) {
  return [&store_id](const std::string& other) { return other == store_id; };
}

std::string GiB(double bytes) { return absl::StrFormat("%.3g GiB", bytes / (1 << 30)); }

}  // namespace

TrialQueue::TrialQueue(QueueOptions options, LeaseId next_lease)
    : options_(options), next_lease_(next_lease) {}

TrialQueue::Entry& TrialQueue::entry(TrialId trial) {
  const auto found = trials_.find(trial);
  ISOFLOP_CHECK(found != trials_.end(), absl::StrCat("trial ", trial.value(), " is not known"));
  return found->second;
}

// ---- studies and trials ----

void TrialQueue::PutStudy(StudyId study, const StudyPolicy& policy, absl::Time) {
  studies_[study].policy = policy;
}

void TrialQueue::AddTrial(const QueuedTrial& trial, const TrialRecord& record, absl::Time now) {
  ISOFLOP_CHECK(studies_.count(trial.study) != 0,
                absl::StrCat("trial ", trial.id.value(), " of an unknown study"));
  Entry& added = trials_[trial.id];
  added.facts = trial;
  added.record = record;
  added.queued_since = now;
  if (trial.parent) entry(*trial.parent).branches.push_back(trial.id);
  if (IsFinal(record.state) || record.state == TrialState::kLeased) return;
  BlockOrQueue(added, absl::ZeroDuration(), now);
  if (trial.parent) {
    // The trunk's chain may have become longer.
    Entry& trunk = entry(*trial.parent);
    if (trunk.place == Entry::Place::kReady) Enqueue(trunk, absl::ZeroDuration(), now);
  }
}

void TrialQueue::AddRecoveredLease(const LeaseRecord& lease, const std::string& host,
                                   absl::Time now) {
  Entry& of = entry(lease.trial);
  ISOFLOP_CHECK(of.record.state == TrialState::kLeased && of.record.lease == lease.id,
                absl::StrCat("lease ", lease.id.value(), " is not that of trial ",
                             lease.trial.value()));
  WorkerEntry& worker = workers_[lease.instance];
  if (!worker.introduced) {
    worker.facts.name = lease.worker;
    worker.facts.host = host;
    worker.last_heard = now + options_.restart_grace;
  }
  worker.leases.insert(lease.id);
  LeaseRecord& kept = leases_[lease.id] = lease;
  kept.study = of.facts.study;
  // What it reached before the restart does not count as its progress twice.
  kept.start_step = checkpoints_.NewestStep(lease.trial);
  if (of.record.cancel_wished) {
    kept.wish = LeaseWish::kStop;
    kept.wish_reason = "cancelled";
  }
  studies_[kept.study].leased_slots += static_cast<int>(kept.slots.size());
}

void TrialQueue::NoteCheckpoint(TrialId trial, absl::Time now) {
  Entry& of = entry(trial);
  of.record.counts.without_progress = 0;
  if (of.facts.branch_steps.empty()) {
    CondemnOf(of);
    return;
  }
  SettleBranchesOf(of, now);
  CondemnOf(of);
}

// All but the two newest go; a branch point stays until its branches are
// completed or cancelled; of a finished trial the newest stays.
void TrialQueue::CondemnOf(const Entry& of) {
  std::set<int64_t> keep;
  for (const TrialId id : of.branches) {
    const Entry& branch = entry(id);
    if (branch.record.state != TrialState::kCompleted &&
        branch.record.state != TrialState::kCancelled) {
      keep.insert(branch.facts.branch_step);
    }
  }
  const bool is_finished = of.record.state == TrialState::kCompleted;
  std::vector<CheckpointId> condemned = checkpoints_.Condemn(of.facts.id, keep, is_finished);
  if (!condemned.empty()) changes_.push_back(CheckpointsCondemned{std::move(condemned)});
}

bool TrialQueue::CanStart(const Entry& of) const {
  return !of.facts.parent ||
         checkpoints_.Newest(of.facts.id, of.facts.steps, AnyStore).has_value() ||
         checkpoints_.At(*of.facts.parent, of.facts.branch_step, AnyStore).has_value();
}

double TrialQueue::ChainFlopsLeft(const Entry& of) const {
  const int64_t start = of.facts.branch_step;
  const int64_t done = std::max(checkpoints_.NewestStep(of.facts.id), start) - start;
  const int64_t all = std::max<int64_t>(of.facts.steps - start, 1);
  double flops = of.facts.flops_to_spend *
                 (1 - std::min(1.0, static_cast<double>(done) / static_cast<double>(all)));
  double longest_branch = 0;
  for (const TrialId id : of.branches) {
    const Entry& branch = trials_.at(id);
    if (!IsFinal(branch.record.state)) {
      longest_branch = std::max(longest_branch, branch.facts.flops_to_spend);
    }
  }
  return flops + longest_branch;
}

void TrialQueue::LeaveLine(Entry& of) {
  if (of.place == Entry::Place::kReady) {
    studies_[of.facts.study].ready.erase({-of.priority, of.facts.id});
  } else if (of.place == Entry::Place::kWaiting) {
    waiting_.erase({of.not_before, of.facts.id});
  }
  of.place = Entry::Place::kNone;
}

void TrialQueue::Enqueue(Entry& of, absl::Duration wait, absl::Time now) {
  LeaveLine(of);
  of.priority = ChainFlopsLeft(of);
  of.not_before = now + wait;
  if (wait > absl::ZeroDuration()) {
    of.place = Entry::Place::kWaiting;
    waiting_.insert({of.not_before, of.facts.id});
  } else {
    of.place = Entry::Place::kReady;
    studies_[of.facts.study].ready.insert({-of.priority, of.facts.id});
  }
}

void TrialQueue::PromoteDue(absl::Time now) {
  while (!waiting_.empty() && waiting_.begin()->first <= now) {
    Enqueue(entry(waiting_.begin()->second), absl::ZeroDuration(), now);
  }
}

void TrialQueue::BlockOrQueue(Entry& of, absl::Duration wait, absl::Time now) {
  const TrialState before = of.record.state;
  if (CanStart(of)) {
    of.record.state = TrialState::kQueued;
    of.queued_since = now;
    Enqueue(of, wait, now);
  } else {
    of.record.state = TrialState::kBlocked;
    LeaveLine(of);
    Entry& trunk = entry(*of.facts.parent);
    if (trunk.record.state == TrialState::kCompleted) {
      // Its branch point is there no more: the trunk runs again.
      trunk.record.outcome = TrialOutcome::kNone;
      trunk.record.counts = {};
      trunk.record.detail =
          absl::StrCat("its checkpoint of step ", of.facts.branch_step, " is needed again");
      BlockOrQueue(trunk, absl::ZeroDuration(), now);
    } else if (IsFinal(trunk.record.state)) {
      EndForGood(of, TrialState::kFailed, trunk.record.outcome,
                 absl::StrCat("trunk ", trunk.facts.id.value(), " ",
                              ToString(trunk.record.state)),
                 now);
      return;
    }
  }
  if (of.record.state != before) changes_.push_back(TrialChanged{of.facts.id});
}

void TrialQueue::EndForGood(Entry& of, TrialState state, TrialOutcome outcome, std::string detail,
                            absl::Time now) {
  LeaveLine(of);
  of.record.state = state;
  of.record.outcome = outcome;
  of.record.detail = std::move(detail);
  of.record.cancel_wished = false;
  of.record.lease = LeaseId();
  changes_.push_back(TrialChanged{of.facts.id});
  if (!of.branches.empty()) SettleBranchesOf(of, now);
  CondemnOf(of);
  if (of.facts.parent) CondemnOf(entry(*of.facts.parent));
}

void TrialQueue::SettleBranchesOf(Entry& trunk, absl::Time now) {
  for (const TrialId id : trunk.branches) {
    Entry& branch = entry(id);
    if (branch.record.state == TrialState::kBlocked) BlockOrQueue(branch, absl::ZeroDuration(), now);
  }
}

// ---- workers ----

absl::Status TrialQueue::Renew(const std::string& instance, const WorkerFacts* facts,
                               const std::string& previous, const std::set<LeaseId>& carried,
                               bool draining, const std::set<uint32_t>& free_slots,
                               absl::Time now) {
  if (replaced_.count(instance) != 0) {
    return absl::FailedPreconditionError(
        "this instance was replaced by a newer one of its worker; it shall stop");
  }
  if (facts != nullptr) {
    for (const auto& [other, entry] : workers_) {
      if (other == instance || other == previous || !entry.introduced) continue;
      if (entry.facts.name == facts->name && now - entry.last_heard < options_.suspect) {
        return absl::AlreadyExistsError(absl::StrCat(
            "worker name '", facts->name, "' is in use on host ", entry.facts.host, ", heard ",
            absl::FormatDuration(absl::Trunc(now - entry.last_heard, absl::Seconds(1))),
            " ago; cure: isoflop worker --name OTHER"));
      }
    }
  }
  if (!previous.empty() && previous != instance && replaced_.insert(previous).second) {
    const auto old = workers_.find(previous);
    if (old != workers_.end()) {
      const std::set<LeaseId> leases = old->second.leases;
      const std::string name = old->second.facts.name;
      for (const LeaseId id : leases) {
        if (carried.count(id) == 0) {
          EndLease(id, {.outcome = TrialOutcome::kLost,
                        .detail = absl::StrCat("worker ", name, " started anew"),
                        .was_acknowledged = leases_.at(id).acknowledged},
                   now);
          continue;
        }
        LeaseRecord& lease = leases_.at(id);
        MarkOverdue(lease, false, now);
        lease.instance = instance;
        lease.wish = LeaseWish::kStop;
        lease.wish_reason = "its worker started anew";
        workers_[instance].leases.insert(id);
        changes_.push_back(LeaseMoved{id, instance});
      }
      workers_.erase(previous);
    }
  }
  WorkerEntry& worker = workers_[instance];
  if (facts != nullptr) {
    worker.facts = *facts;
    worker.facts_at = now;
    worker.introduced = true;
    worker.suspended = suspended_names_.count(facts->name) != 0;
  }
  worker.last_heard = now;
  worker.draining = draining;
  worker.proven_free.clear();
  for (const SlotFacts& slot : worker.facts.slots) {
    if (free_slots.count(slot.index) != 0) worker.proven_free.insert(slot.index);
  }
  worker.free_slots = worker.proven_free;
  for (const LeaseId id : worker.leases) {
    LeaseRecord& lease = leases_.at(id);
    MarkOverdue(lease, false, now);
    for (const uint32_t slot : lease.slots) worker.free_slots.erase(slot);
  }
  return absl::OkStatus();
}

absl::Status TrialQueue::SuspendWorker(const std::string& name, bool suspended, bool stop_now) {
  bool found = false;
  for (auto& [instance, worker] : workers_) {
    if (worker.facts.name != name) continue;
    found = true;
    worker.suspended = suspended;
    if (!suspended || !stop_now) continue;
    for (const LeaseId id : worker.leases) {
      LeaseRecord& lease = leases_.at(id);
      if (lease.wish == LeaseWish::kStop) continue;
      lease.wish = LeaseWish::kCheckpointAndStop;
      lease.wish_reason = "worker paused";
    }
  }
  if (!found && suspended_names_.count(name) == 0) {
    return absl::NotFoundError(absl::StrCat("no worker '", name, "'"));
  }
  if (suspended) {
    suspended_names_.insert(name);
  } else {
    suspended_names_.erase(name);
  }
  return absl::OkStatus();
}

bool TrialQueue::StoreIsAlive(const std::string& store_id) const {
  for (const auto& [instance, worker] : workers_) {
    if (worker.introduced && worker.facts.checkpoint_store_id == store_id) return true;
  }
  return false;
}

bool TrialQueue::IsSuspect(const std::string& instance, absl::Time now) const {
  const auto found = workers_.find(instance);
  return found == workers_.end() || now - found->second.last_heard > options_.suspect;
}

// ---- leases ----

std::vector<uint32_t> TrialQueue::PickSlots(const Entry& of, const WorkerEntry& worker,
                                            bool free_now) const {
  std::vector<uint32_t> slots;
  for (const SlotFacts& slot : worker.facts.slots) {
    if (static_cast<int>(slots.size()) == of.facts.slots) break;
    if (of.facts.slot_kind && *of.facts.slot_kind != slot.kind) continue;
    if (slot.memory_bytes > 0 &&
        static_cast<double>(slot.memory_bytes) < of.facts.memory_bytes_per_slot) {
      continue;
    }
    if (!free_now || worker.free_slots.count(slot.index) != 0) slots.push_back(slot.index);
  }
  return slots;
}

// A trunk that owes a branch point must pass its step (again).
int64_t TrialQueue::LastUsefulStep(const Entry& of) const {
  int64_t last = of.facts.steps;
  for (const TrialId id : of.branches) {
    const Entry& branch = trials_.at(id);
    if (branch.record.state == TrialState::kBlocked) last = std::min(last, branch.facts.branch_step);
  }
  return last;
}

// Where an attempt on a place with `store_id` starts: the newest checkpoint of
// its own there, else its trunk's there.
std::optional<CheckpointRecord> TrialQueue::ResumePoint(const Entry& of,
                                                        const std::string& store_id) const {
  auto own = checkpoints_.Newest(of.facts.id, LastUsefulStep(of), Only(store_id));
  if (own || !of.facts.parent) return own;
  return checkpoints_.At(*of.facts.parent, of.facts.branch_step, Only(store_id));
}

// A newer checkpoint lies in another store: it is worth a wait unless no live
// worker has that store, and then for a while.
bool TrialQueue::MayStartWithout(const Entry& of, const std::string& store_id,
                                 absl::Time now) const {
  const auto here = ResumePoint(of, store_id);
  if (of.facts.parent && !here) return false;  // a branch has no step 0 of its own
  const auto newest = checkpoints_.Newest(of.facts.id, LastUsefulStep(of), AnyStore);
  if (!newest || (here && here->trial == of.facts.id && here->step >= newest->step)) return true;
  return !StoreIsAlive(newest->store_id) &&
         now - of.queued_since > options_.checkpoint_elsewhere;
}

std::string TrialQueue::Misfit(const Entry& of, const WorkerEntry& worker, bool slots_free_now,
                               absl::Time now) const {
  const QueuedTrial& facts = of.facts;
  int of_kind = 0;
  int64_t most_memory = 0;
  for (const SlotFacts& slot : worker.facts.slots) {
    if (facts.slot_kind && *facts.slot_kind != slot.kind) continue;
    ++of_kind;
    most_memory = std::max(most_memory, slot.memory_bytes);
  }
  if (of_kind < facts.slots) {
    return absl::StrCat("needs ", facts.slots, " slots of one worker, the largest has ", of_kind);
  }
  if (static_cast<int>(PickSlots(of, worker, false).size()) < facts.slots) {
    return absl::StrCat("needs ", GiB(facts.memory_bytes_per_slot), " a slot, the largest has ",
                        GiB(static_cast<double>(most_memory)));
  }
  if (!facts.dataset_sha256.empty() && !worker.facts.datasets.empty() &&
      worker.facts.datasets.count(facts.dataset_sha256) == 0) {
    return absl::StrCat("needs the data set ", facts.dataset_sha256.substr(0, 12), "..., which ",
                        worker.facts.name, " does not have; cure: isoflop worker --data DIR");
  }
  if (facts.is_custom && worker.facts.builtin_only) {
    return "its trainer is a command, the workers take the builtin one only";
  }
  const auto excluded = of.excluded_hosts.find(worker.facts.host);
  if (excluded != of.excluded_hosts.end() && now < excluded->second) {
    return absl::StrCat("host ", worker.facts.host, " had a fault with it");
  }
  if (!MayStartWithout(of, worker.facts.checkpoint_store_id, now)) {
    return absl::StrCat("its checkpoint is not in the store of worker ", worker.facts.name);
  }
  if (slots_free_now && static_cast<int>(PickSlots(of, worker, true).size()) < facts.slots) {
    return "a free slot";
  }
  return "";
}

bool TrialQueue::AnotherHostFits(const Entry& of, const std::string& host, absl::Time now) const {
  for (const auto& [instance, worker] : workers_) {
    if (worker.facts.host != host && worker.introduced && !worker.draining && !worker.suspended &&
        now - worker.last_heard <= options_.suspect && Misfit(of, worker, false, now).empty()) {
      return true;
    }
  }
  return false;
}

std::optional<LeaseRecord> TrialQueue::LeaseNext(const std::string& instance, absl::Time now) {
  PromoteDue(now);
  const auto found = workers_.find(instance);
  if (found == workers_.end()) return std::nullopt;
  WorkerEntry& worker = found->second;
  if (!worker.introduced || worker.draining || worker.suspended || worker.free_slots.empty() ||
      now - worker.last_heard > options_.suspect) {
    return std::nullopt;
  }
  if (worker.facts.time_left &&
      worker.facts_at + *worker.facts.time_left - now <= options_.min_time_left) {
    return std::nullopt;
  }
  // The study with the fewest leased slots goes first.
  std::vector<std::pair<int, StudyId>> order;
  for (const auto& [id, study] : studies_) {
    if (!study.policy.paused && !study.policy.cancelled && !study.ready.empty()) {
      order.emplace_back(study.leased_slots, id);
    }
  }
  std::sort(order.begin(), order.end());
  Entry* chosen = nullptr;
  for (const auto& [slots, study] : order) {
    for (const auto& [priority, id] : studies_.at(study).ready) {
      Entry& candidate = entry(id);
      if (!Misfit(candidate, worker, true, now).empty()) continue;
      if (candidate.avoid_host == worker.facts.host &&
          now - candidate.queued_since < kAvoidHostFor &&
          AnotherHostFits(candidate, worker.facts.host, now)) {
        continue;
      }
      chosen = &candidate;
      break;
    }
    if (chosen != nullptr) break;
  }
  if (chosen == nullptr) return std::nullopt;

  if (chosen->record.state == TrialState::kLeased) {
    // The commit that grants the next lease ends the one of the lost worker.
    const LeaseRecord& old = leases_.at(chosen->record.lease);
    EndLease(old.id,
             {.outcome = TrialOutcome::kLost,
              .detail = absl::StrCat("worker ", old.worker, " unheard for over ",
                                     absl::FormatDuration(options_.lost)),
              .was_acknowledged = old.acknowledged},
             now);
    if (chosen->record.state != TrialState::kQueued) return LeaseNext(instance, now);
  }
  LeaveLine(*chosen);
  LeaseRecord lease;
  lease.id = next_lease_;
  next_lease_ = LeaseId(next_lease_.value() + 1);
  lease.trial = chosen->facts.id;
  lease.study = chosen->facts.study;
  lease.instance = instance;
  lease.worker = worker.facts.name;
  lease.attempt = ++chosen->record.attempts;
  lease.slots = PickSlots(*chosen, worker, true);
  lease.resume = ResumePoint(*chosen, worker.facts.checkpoint_store_id);
  lease.start_step = lease.resume ? lease.resume->step : 0;
  for (const uint32_t slot : lease.slots) worker.free_slots.erase(slot);
  worker.leases.insert(lease.id);
  studies_[lease.study].leased_slots += static_cast<int>(lease.slots.size());
  chosen->record.state = TrialState::kLeased;
  chosen->record.lease = lease.id;
  chosen->record.outcome = TrialOutcome::kNone;
  chosen->record.detail.clear();
  leases_[lease.id] = lease;
  changes_.push_back(LeaseGranted{lease.id});
  changes_.push_back(TrialChanged{lease.trial});
  return lease;
}

void TrialQueue::Acknowledge(LeaseId id) {
  LeaseRecord& lease = leases_.at(id);
  if (lease.acknowledged) return;
  lease.acknowledged = true;
  entry(lease.trial).record.counts.unacknowledged_in_row = 0;
  changes_.push_back(LeaseAcknowledged{id});
}

bool TrialQueue::MaybeWithdraw(LeaseId id, absl::Time now) {
  const LeaseRecord& lease = leases_.at(id);
  const StudyPolicy& policy = studies_.at(lease.study).policy;
  const WorkerEntry& worker = workers_.at(lease.instance);
  if (lease.acknowledged || (lease.wish == LeaseWish::kRun && !policy.paused &&
                             !policy.cancelled && !worker.draining && !worker.suspended)) {
    return false;
  }
  AttemptEnd end{.outcome = TrialOutcome::kPreempted,
                 .detail = "nobody wanted it there any more before its worker took it up",
                 .was_acknowledged = false,
                 .was_withdrawn = true};
  EndLease(id, std::move(end), now);
  return true;
}

bool TrialQueue::EnsureSlots(LeaseId id, absl::Time now) {
  LeaseRecord& lease = leases_.at(id);
  WorkerEntry& worker = workers_.at(lease.instance);
  if (!lease.slots.empty() || !worker.introduced) return true;
  const Entry& of = entry(lease.trial);
  std::vector<uint32_t> slots = PickSlots(of, worker, true);
  if (static_cast<int>(slots.size()) == of.facts.slots) {
    for (const uint32_t slot : slots) worker.free_slots.erase(slot);
    studies_.at(lease.study).leased_slots += of.facts.slots;
    lease.slots = std::move(slots);
    return true;
  }
  if (lease.acknowledged) return true;
  EndLease(id,
           {.outcome = TrialOutcome::kPreempted,
            .detail = "no free slot for it after a restart",
            .was_acknowledged = false,
            .was_withdrawn = true},
           now);
  return false;
}

LeaseRecord TrialQueue::LeaseToTell(LeaseId id) const {
  LeaseRecord lease = leases_.at(id);
  if (!lease.resume) {
    // Recovered: the same rule finds the same point.
    const WorkerEntry& worker = workers_.at(lease.instance);
    lease.resume = ResumePoint(trials_.at(lease.trial), worker.facts.checkpoint_store_id);
    lease.start_step = lease.resume ? lease.resume->step : 0;
  }
  return lease;
}

void TrialQueue::MarkOverdue(LeaseRecord& lease, bool overdue, absl::Time now) {
  if (lease.overdue == overdue) return;
  lease.overdue = overdue;
  Entry& of = entry(lease.trial);
  if (!overdue) {
    LeaveLine(of);
    return;
  }
  of.queued_since = now;
  if (of.record.cancel_wished) {
    EndLease(lease.id,
             {.outcome = TrialOutcome::kCancelled, .detail = "cancelled while its worker was lost"},
             now);
    return;
  }
  Enqueue(of, absl::ZeroDuration(), now);
}

void TrialQueue::EndLease(LeaseId id, AttemptEnd end, absl::Time now) {
  const LeaseRecord lease = leases_.at(id);
  Entry& of = entry(lease.trial);
  LeaveLine(of);
  const auto worker = workers_.find(lease.instance);
  const std::string host = worker == workers_.end() ? "" : worker->second.facts.host;
  if (worker != workers_.end()) {
    worker->second.leases.erase(id);
    for (const uint32_t slot : lease.slots) {
      if (worker->second.proven_free.count(slot) != 0) worker->second.free_slots.insert(slot);
    }
  }
  studies_[lease.study].leased_slots -= static_cast<int>(lease.slots.size());
  leases_.erase(id);

  end.lease_number = id.value();
  end.cancel_wished = of.record.cancel_wished;
  end.got_further =
      checkpoints_.NewestStep(of.facts.id) > std::max(lease.start_step, of.facts.branch_step);
  const RetryDecision decision =
      DecideRetry(end, studies_.at(lease.study).policy.retry, of.record.micro_batch_limit,
                  options_, of.record.counts);
  changes_.push_back(LeaseEnded{lease, end.outcome, end.detail});
  of.record.lease = LeaseId();
  if (decision.micro_batch_limit > 0) of.record.micro_batch_limit = decision.micro_batch_limit;
  if (IsFinal(decision.next)) {
    EndForGood(of, decision.next, decision.outcome, decision.detail, now);
    return;
  }
  of.record.outcome = TrialOutcome::kNone;
  of.record.detail = end.detail;
  if (decision.exclude_host) of.excluded_hosts[host] = now + options_.node_fault_exclusion;
  of.avoid_host = decision.prefer_other_host ? host : "";
  BlockOrQueue(of, decision.wait, now);
}

absl::Status TrialQueue::Finish(LeaseId id, AttemptEnd end, absl::Time now) {
  const auto found = leases_.find(id);
  if (found == leases_.end()) {
    return absl::FailedPreconditionError(absl::StrCat("lease ", id.value(), " has ended"));
  }
  const Entry& of = entry(found->second.trial);
  end.was_acknowledged = true;
  if (end.outcome == TrialOutcome::kCompleted) {
    for (const TrialId branch : of.branches) {
      const Entry& waits = entry(branch);
      if (!IsFinal(waits.record.state) && !CanStart(waits)) {
        end.outcome = TrialOutcome::kCrashed;
        end.detail = absl::StrCat("ended without its branch point at step ",
                                  waits.facts.branch_step);
        break;
      }
    }
  }
  EndLease(id, std::move(end), now);
  return absl::OkStatus();
}

void TrialQueue::Expire(absl::Time now) {
  if (last_tick_ && now - *last_tick_ > kTick + options_.late_tick) {
    // We were stopped, not the workers: nobody could be heard meanwhile.
    const absl::Duration late = now - *last_tick_ - kTick;
    for (auto& [instance, worker] : workers_) worker.last_heard += late;
    std::set<std::pair<absl::Time, TrialId>> moved;
    for (const auto& [at, trial] : waiting_) {
      entry(trial).not_before = at + late;
      moved.insert({at + late, trial});
    }
    waiting_ = std::move(moved);
  }
  last_tick_ = now;
  for (auto it = workers_.begin(); it != workers_.end();) {
    WorkerEntry& worker = it->second;
    const absl::Duration unheard = now - worker.last_heard;
    if (unheard > options_.orphan_limit) {
      const std::set<LeaseId> leases = worker.leases;
      for (const LeaseId id : leases) {
        EndLease(id,
                 {.outcome = TrialOutcome::kLost,
                  .detail = absl::StrCat("worker ", worker.facts.name, " unheard for over ",
                                         absl::FormatDuration(options_.orphan_limit)),
                  .was_acknowledged = leases_.at(id).acknowledged},
                 now);
      }
      it = workers_.erase(it);
      continue;
    }
    if (unheard > options_.lost) {
      const std::set<LeaseId> leases = worker.leases;
      for (const LeaseId id : leases) MarkOverdue(leases_.at(id), true, now);
    }
    ++it;
  }
  PromoteDue(now);
}

// ---- wishes of people ----

bool TrialQueue::Cancel(TrialId trial, const std::string& reason, absl::Time now) {
  Entry& of = entry(trial);
  if (IsFinal(of.record.state)) return false;
  if (of.record.state != TrialState::kLeased) {
    EndForGood(of, TrialState::kCancelled, TrialOutcome::kCancelled, reason, now);
    return true;
  }
  if (of.record.cancel_wished) return false;
  of.record.cancel_wished = true;
  LeaseRecord& lease = leases_.at(of.record.lease);
  lease.wish = LeaseWish::kStop;
  lease.wish_reason = reason;
  changes_.push_back(TrialChanged{trial});
  if (lease.overdue) {
    EndLease(lease.id, {.outcome = TrialOutcome::kCancelled, .detail = reason}, now);
  }
  return true;
}

bool TrialQueue::Retry(TrialId trial, int slots, absl::Time now) {
  Entry& of = entry(trial);
  if (!IsFinal(of.record.state) || of.record.state == TrialState::kCompleted) return false;
  of.record.counts = {};
  of.record.outcome = TrialOutcome::kNone;
  of.record.detail.clear();
  of.record.state = TrialState::kBlocked;
  of.excluded_hosts.clear();
  of.avoid_host.clear();
  if (slots > 0) of.facts.slots = slots;
  if (!CanStart(of)) Retry(*of.facts.parent, 0, now);
  BlockOrQueue(of, absl::ZeroDuration(), now);
  if (of.record.state == TrialState::kBlocked) changes_.push_back(TrialChanged{trial});
  const std::string because = absl::StrCat("trunk ", trial.value(), " ");
  for (const TrialId id : of.branches) {
    const Entry& branch = entry(id);
    if (branch.record.state == TrialState::kFailed &&
        absl::StartsWith(branch.record.detail, because)) {
      Retry(id, 0, now);
    }
  }
  return true;
}

void TrialQueue::StopRunning(StudyId study, const std::string& reason) {
  for (auto& [id, lease] : leases_) {
    if (lease.study != study || lease.wish == LeaseWish::kStop) continue;
    lease.wish = LeaseWish::kCheckpointAndStop;
    lease.wish_reason = reason;
  }
}

// ---- reading ----

std::vector<QueueChange> TrialQueue::TakeChanges() { return std::exchange(changes_, {}); }

const TrialRecord& TrialQueue::record(TrialId trial) const { return trials_.at(trial).record; }
const QueuedTrial& TrialQueue::facts(TrialId trial) const { return trials_.at(trial).facts; }

const LeaseRecord* TrialQueue::lease(LeaseId id) const {
  const auto found = leases_.find(id);
  return found == leases_.end() ? nullptr : &found->second;
}

const WorkerFacts* TrialQueue::worker(const std::string& instance) const {
  const auto found = workers_.find(instance);
  return found == workers_.end() ? nullptr : &found->second.facts;
}

std::vector<LeaseId> TrialQueue::LeasesOf(const std::string& instance) const {
  const auto found = workers_.find(instance);
  if (found == workers_.end()) return {};
  return {found->second.leases.begin(), found->second.leases.end()};
}

std::vector<TrialQueue::WorkerView> TrialQueue::Workers(absl::Time now) const {
  std::vector<WorkerView> out;
  for (const auto& [instance, worker] : workers_) {
    WorkerView& view = out.emplace_back();
    view.instance = instance;
    view.facts = worker.facts;
    view.introduced = worker.introduced;
    view.draining = worker.draining;
    view.suspended = worker.suspended;
    view.unheard = std::max(now - worker.last_heard, absl::ZeroDuration());
    view.suspect = view.unheard > options_.suspect;
    view.lost = view.unheard > options_.lost;
    view.free_slots = {worker.free_slots.begin(), worker.free_slots.end()};
    view.leases = {worker.leases.begin(), worker.leases.end()};
  }
  return out;
}

bool TrialQueue::HasFreeSlot(const std::string& instance) const {
  const auto found = workers_.find(instance);
  return found != workers_.end() && !found->second.free_slots.empty();
}

bool TrialQueue::HasCandidates() const {
  for (const auto& [id, study] : studies_) {
    if (!study.ready.empty() && !study.policy.paused && !study.policy.cancelled) return true;
  }
  return false;
}

std::string TrialQueue::WhyWaits(TrialId trial, absl::Time now) const {
  const Entry& of = trials_.at(trial);
  const StudyPolicy& policy = studies_.at(of.facts.study).policy;
  if (of.record.state == TrialState::kBlocked) {
    return absl::StrCat("trunk ", of.facts.parent->value(), ", its step ", of.facts.branch_step);
  }
  if (of.record.state == TrialState::kLeased && of.place != Entry::Place::kNone) {
    return "its worker, which is unheard; any other may take it";
  }
  if (of.record.state != TrialState::kQueued) return "";
  if (policy.paused) return "its study, which is paused";
  if (of.place == Entry::Place::kWaiting && of.not_before > now) {
    return absl::StrCat("its next attempt, in ",
                        absl::FormatDuration(absl::Ceil(of.not_before - now, absl::Seconds(1))),
                        of.record.detail.empty() ? "" : absl::StrCat(" (", of.record.detail, ")"));
  }
  std::string why;
  int heard = 0;
  for (const auto& [instance, worker] : workers_) {
    if (!worker.introduced || now - worker.last_heard > options_.suspect) continue;
    ++heard;
    if (worker.draining || worker.suspended) continue;
    const std::string misfit = Misfit(of, worker, true, now);
    if (misfit.empty() || misfit == "a free slot") return "a free slot";
    why = misfit;
  }
  if (heard == 0) return "a worker: none is heard";
  if (why.empty()) return "a worker that takes trials: all are paused or draining";
  return absl::StrCat("a place that fits: ", why);
}

absl::Time TrialQueue::NextDeadline() const {
  return waiting_.empty() ? absl::InfiniteFuture() : waiting_.begin()->first;
}

std::string TrialQueue::DebugString(absl::Time now) const {
  std::string out = absl::StrCat("next lease ", next_lease_.value(), "\n");
  for (const auto& [id, of] : trials_) {
    absl::StrAppend(&out, "trial ", id.value(), " ", ToString(of.record.state), " ",
                    ToString(of.record.outcome), " attempts ", of.record.attempts, " lease ",
                    of.record.lease.value(), " place ", static_cast<int>(of.place), "\n");
  }
  for (const auto& [instance, worker] : workers_) {
    absl::StrAppend(&out, "worker ", worker.facts.name, " unheard ",
                    absl::FormatDuration(now - worker.last_heard), " free ",
                    worker.free_slots.size(), " leases ", worker.leases.size(), "\n");
  }
  return out;
}

void TrialQueue::CheckInvariantsForTesting() const {
  std::map<StudyId, int> slots_of_study;
  for (const auto& [id, lease] : leases_) {
    const Entry& of = trials_.at(lease.trial);
    ISOFLOP_CHECK(of.record.state == TrialState::kLeased && of.record.lease == id,
                  absl::StrCat("lease ", id.value(), " and trial ", lease.trial.value()));
    ISOFLOP_CHECK(id < next_lease_, absl::StrCat("lease ", id.value(), " from the future"));
    ISOFLOP_CHECK(workers_.count(lease.instance) == 1 &&
                      workers_.at(lease.instance).leases.count(id) == 1,
                  absl::StrCat("lease ", id.value(), " without its worker"));
    slots_of_study[lease.study] += static_cast<int>(lease.slots.size());
  }
  for (const auto& [instance, worker] : workers_) {
    std::set<uint32_t> taken = worker.free_slots;
    for (const LeaseId id : worker.leases) {
      for (const uint32_t slot : leases_.at(id).slots) {
        ISOFLOP_CHECK(taken.insert(slot).second,
                      absl::StrCat("slot ", slot, " of ", worker.facts.name, " twice"));
      }
    }
  }
  for (const auto& [id, study] : studies_) {
    ISOFLOP_CHECK(study.leased_slots == slots_of_study[id],
                  absl::StrCat("study ", id.value(), " counts ", study.leased_slots, " slots"));
  }
  for (const auto& [id, of] : trials_) {
    const bool in_line = of.place != Entry::Place::kNone;
    const TrialState state = of.record.state;
    ISOFLOP_CHECK((state == TrialState::kLeased) == of.record.lease.is_set(),
                  absl::StrCat("trial ", id.value(), " ", ToString(state), " lease ",
                               of.record.lease.value()));
    ISOFLOP_CHECK(state == TrialState::kQueued ? in_line
                  : state == TrialState::kLeased
                      ? in_line == leases_.at(of.record.lease).overdue
                      : !in_line,
                  absl::StrCat("trial ", id.value(), " ", ToString(state), " in line: ", in_line));
    if (state == TrialState::kBlocked) {
      ISOFLOP_CHECK(!CanStart(of) && !IsFinal(trials_.at(*of.facts.parent).record.state),
                    absl::StrCat("trial ", id.value(), " is blocked for nothing"));
    }
  }
}

}  // namespace isoflop
