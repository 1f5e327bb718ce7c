// Wishes and questions of people.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/coordinator_impl.h"
#include "proto/convert.h"
#include "study/shape_text.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

constexpr size_t kMaxTrialsPerStudy = 100'000;
constexpr int kReplayChunk = 500;

// Edits that turn `a` into `b`.
size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

wire::Event ToWireEvent(const EventRow& row) {
  wire::Event event;
  event.set_id(row.id);
  *event.mutable_at() = ToWire(row.at);
  event.set_study_id(row.study.value());
  event.set_trial_id(row.trial.value());
  event.set_worker(row.worker);
  event.set_kind(row.kind);
  event.set_detail(row.detail);
  return event;
}

RetryBudgets FromWire(const wire::SubmitHeader& header) {
  RetryBudgets budgets;
  if (!header.has_retry()) return budgets;
  budgets.lost = header.retry().lost();
  budgets.crashed = header.retry().crashed();
  budgets.oom = header.retry().oom();
  budgets.timeout = header.retry().timeout();
  return budgets;
}

}  // namespace

absl::StatusOr<Coordinator::Impl::StudyInfo*> Coordinator::Impl::FindStudy(const std::string& name,
                                                                          StudyId id) {
  if (id.is_set()) {
    const auto found = studies_.find(id);
    if (found != studies_.end()) return &found->second;
    return absl::NotFoundError(absl::StrCat("no study ", id.value(), "; cure: isoflop status"));
  }
  if (name.empty()) {
    if (studies_.empty()) {
      return absl::NotFoundError("no study yet; cure: isoflop submit STUDY.yaml");
    }
    return &studies_.rbegin()->second;
  }
  const auto found = study_by_name_.find(name);
  if (found != study_by_name_.end()) return &studies_.at(found->second);
  std::string nearest;
  size_t distance = std::max<size_t>(name.size() / 3, 1) + 1;
  for (const auto& [other, other_id] : study_by_name_) {
    if (const size_t d = EditDistance(name, other); d < distance) {
      distance = d;
      nearest = other;
    }
  }
  return absl::NotFoundError(
      absl::StrCat("no study '", absl::CEscape(name.substr(0, 80)), "'",
                   nearest.empty() ? "" : absl::StrCat(", did you mean '", nearest, "'?"),
                   "; cure: isoflop status"));
}

// ---- submit ----

void Coordinator::Impl::SubmitPlan(const wire::SubmitHeader& header,
                                   std::vector<PlannedTrial> trials,
                                   Callback<wire::SubmitReply> done) {
  const Room room(this);
  const absl::Time now = Now();
  if (stopping_) return Refuse(std::move(done), absl::UnavailableError("coordinator: stopping"));
  if (!IsValidName(header.study_name())) {
    return Refuse(std::move(done),
                  absl::InvalidArgumentError(absl::StrCat(
                      "study name '", absl::CEscape(header.study_name().substr(0, 80)),
                      "': [a-z0-9][a-z0-9._-]{0,63} is wanted")));
  }
  if (trials.empty() || trials.size() > kMaxTrialsPerStudy) {
    return Refuse(std::move(done),
                  absl::InvalidArgumentError(absl::StrCat("study ", header.study_name(), ": ",
                                                          trials.size(), " trials, 1 to ",
                                                          kMaxTrialsPerStudy, " are taken")));
  }
  for (size_t i = 0; i < trials.size(); ++i) {
    const auto& parent = trials[i].parent;
    if (parent && (*parent >= i || trials[*parent].role != TrialRole::kTrunk)) {
      return Refuse(std::move(done), absl::InvalidArgumentError(absl::StrCat(
                                         "trial ", i, " of the plan: its parent ", *parent,
                                         " is not a trunk before it")));
    }
  }
  if (!ledger_->HasRoom(trials.size() * 2 + 16)) {
    return Refuse(std::move(done), absl::ResourceExhaustedError("store: commits lag behind, wait"));
  }
  StudyInfo* study = nullptr;
  const auto known_name = study_by_name_.find(header.study_name());
  if (known_name != study_by_name_.end()) {
    study = &studies_.at(known_name->second);
    const TrialData& old_data = trials_.at(study->trials.front()).row.planned.spec.data;
    const TrialData& new_data = trials.front().spec.data;
    if (old_data.dataset_sha256 != new_data.dataset_sha256 ||
        old_data.eval_sha256 != new_data.eval_sha256) {
      return Refuse(
          std::move(done),
          absl::FailedPreconditionError(absl::StrCat(
              "study '", header.study_name(), "' is known with other ",
              old_data.dataset_sha256 != new_data.dataset_sha256 ? "data" : "evaluation data",
              ", and one law has one data set; cure: another name: in the YAML")));
    }
  }
  wire::SubmitReply reply;
  reply.set_study_name(header.study_name());
  // What the plan says of each trial: a row that exists, or a new number.
  std::set<std::string> planned;
  for (const PlannedTrial& trial : trials) planned.insert(trial.fingerprint);
  if (study != nullptr) {
    reply.set_study_id(study->row.id.value());
    for (const TrialId id : study->trials) {
      if (planned.count(trials_.at(id).row.planned.fingerprint) == 0) {
        reply.add_missing(id.value());
      }
    }
  }
  if (header.dry_run()) {
    for (const PlannedTrial& trial : trials) {
      const bool is_kept = study != nullptr && study->by_fingerprint.count(trial.fingerprint) != 0;
      is_kept ? reply.set_kept(reply.kept() + 1) : reply.set_added(reply.added() + 1);
      if (completed_by_fingerprint_.count(trial.fingerprint) != 0) reply.set_known(reply.known() + 1);
      reply.add_trial_ids(is_kept ? study->by_fingerprint.at(trial.fingerprint).value() : 0);
    }
    return Answer(std::move(done), std::move(reply));
  }
  const bool is_new = study == nullptr;
  if (is_new) {
    StudyRow row;
    row.id = next_study_;
    next_study_ = StudyId(next_study_.value() + 1);
    row.name = header.study_name();
    row.created_at = clock_.wall();
    row.state = header.paused() ? StudyState::kPaused : StudyState::kActive;
    row.state_reason = header.paused() ? "submitted paused" : "";
    study_by_name_[row.name] = row.id;
    study = &studies_[row.id];
    study->row = std::move(row);
    reply.set_study_id(study->row.id.value());
  }
  study->row.resolved_yaml = header.resolved_yaml();
  StudySettings& settings = study->row.settings;
  settings.retry = FromWire(header);
  if (std::isfinite(header.trial_wall_seconds()) && header.trial_wall_seconds() > 0) {
    settings.trial_wall = absl::Seconds(header.trial_wall_seconds());
  }
  settings.trainer_directory = header.trainer_directory();
  settings.launch_once = header.launch_once();
  settings.trainer_env = {header.trainer_env().begin(), header.trainer_env().end()};
  switch (header.slot()) {
    case wire::SLOT_CHOICE_CPU: settings.slot_kind = SlotKind::kCpu; break;
    case wire::SLOT_CHOICE_GPU: settings.slot_kind = SlotKind::kGpu; break;
    default: settings.slot_kind.reset();
  }
  Write(PutStudyOp{study->row});
  PutPolicy(*study, now);

  // A trunk whose branches are all known already needs no training.
  std::vector<bool> is_needed(trials.size(), false);
  for (const PlannedTrial& trial : trials) {
    if (trial.parent && completed_by_fingerprint_.count(trial.fingerprint) == 0) {
      is_needed[*trial.parent] = true;
    }
  }
  std::vector<TrialId> ids(trials.size());
  for (size_t i = 0; i < trials.size(); ++i) {
    PlannedTrial& trial = trials[i];
    const auto known = completed_by_fingerprint_.find(trial.fingerprint);
    if (known != completed_by_fingerprint_.end()) reply.set_known(reply.known() + 1);
    const auto kept = study->by_fingerprint.find(trial.fingerprint);
    if (kept != study->by_fingerprint.end()) {
      ids[i] = kept->second;
      reply.set_kept(reply.kept() + 1);
      reply.add_trial_ids(ids[i].value());
      continue;
    }
    TrialRow row;
    row.id = ids[i] = next_trial_;
    next_trial_ = TrialId(next_trial_.value() + 1);
    row.study = study->row.id;
    if (trial.parent) row.parent = ids[*trial.parent];
    row.planned = std::move(trial);
    row.record.state = row.parent ? TrialState::kBlocked : TrialState::kQueued;
    // The same experiment was done in another study: its result is taken over.
    if (known != completed_by_fingerprint_.end() &&
        (row.planned.role != TrialRole::kTrunk || !is_needed[i])) {
      const TrialInfo& source = trials_.at(known->second);
      row.record.state = TrialState::kCompleted;
      row.record.outcome = TrialOutcome::kCompleted;
      row.record.detail = absl::StrCat("same as trial ", known->second.value());
      row.result = source.row.result;
      row.started_at = source.row.started_at;
      row.ended_at = source.row.ended_at;
    }
    Write(PutTrialOp{row});
    Admit(row, now);
    reply.add_trial_ids(row.id.value());
    reply.set_added(reply.added() + 1);
  }
  if (is_new || reply.added() > 0) {
    AddEvent(study->row.id, TrialId(), "", "submitted",
             absl::StrCat(study->row.name, ": ", reply.added(), " trials added, ", reply.kept(),
                          " kept"));
  }
  if (study->unfinished == 0 && study->row.state == StudyState::kActive) {
    SetStudyState(*study, StudyState::kDone, "");
  } else if (study->unfinished > 0 && reply.added() > 0 &&
             (study->row.state == StudyState::kDone ||
              study->row.state == StudyState::kCancelled)) {
    SetStudyState(*study, StudyState::kActive, "");
  }
  wake_ = true;
  Answer(std::move(done), std::move(reply));
}

// ---- read ----

double Coordinator::Impl::FlopsDone(const TrialInfo& info) const {
  const PlannedTrial& planned = info.row.planned;
  const TrialState state = info.row.record.state;
  if (state == TrialState::kCompleted || state == TrialState::kDiverged) {
    return planned.flops_to_spend;
  }
  const int64_t start = planned.spec.branch_step.value_or(0);
  int64_t step = std::max(start, queue_.checkpoints().NewestStep(info.row.id));
  if (const auto live = live_.find(info.row.record.lease); live != live_.end()) {
    step = std::max(step, live->second.step);
  }
  const double all = static_cast<double>(std::max<int64_t>(planned.spec.steps - start, 1));
  return planned.flops_to_spend *
         std::clamp(static_cast<double>(step - start) / all, 0.0, 1.0);
}

void Coordinator::Impl::GetStudy(const wire::StudyRef& ref, Callback<wire::Study> done) {
  const Room room(this);
  const absl::Time now = Now();
  auto found = FindStudy(ref.name(), StudyId(ref.id()));
  if (!found.ok()) return Refuse(std::move(done), found.status());
  const StudyInfo& study = **found;
  wire::Study out;
  out.set_id(study.row.id.value());
  out.set_name(study.row.name);
  out.set_state(ToString(study.row.state));
  out.set_state_reason(study.row.state_reason);
  *out.mutable_created_at() = ToWire(study.row.created_at);
  if (study.started_at) *out.mutable_started_at() = ToWire(*study.started_at);
  if (study.unfinished == 0 && study.ended_at) *out.mutable_ended_at() = ToWire(*study.ended_at);
  if (ref.with_yaml()) out.set_resolved_yaml(study.row.resolved_yaml);
  wire::StateCounts* counts = out.mutable_trials();
  double flops_total = 0, flops_done = 0, flops_per_second = 0, longest = 0;
  int observations = 0, observations_done = 0, trunks = 0, slots_busy = 0, retries = 0;
  for (const TrialId id : study.trials) {
    const TrialInfo& info = trials_.at(id);
    const TrialRecord& record = info.row.record;
    const PlannedTrial& planned = info.row.planned;
    switch (record.state) {
      case TrialState::kBlocked: counts->set_blocked(counts->blocked() + 1); break;
      case TrialState::kQueued: counts->set_queued(counts->queued() + 1); break;
      case TrialState::kLeased: counts->set_leased(counts->leased() + 1); break;
      case TrialState::kCompleted: counts->set_completed(counts->completed() + 1); break;
      case TrialState::kDiverged: counts->set_diverged(counts->diverged() + 1); break;
      case TrialState::kFailed: counts->set_failed(counts->failed() + 1); break;
      case TrialState::kCancelled: counts->set_cancelled(counts->cancelled() + 1); break;
    }
    retries += std::max(record.attempts - 1, 0);
    const bool is_trunk = planned.role == TrialRole::kTrunk;
    trunks += is_trunk;
    if (record.state == TrialState::kCancelled) continue;
    if (IsObservation(planned.role)) {
      ++observations;
      observations_done +=
          record.state == TrialState::kCompleted || record.state == TrialState::kDiverged;
    }
    const double trial_done = FlopsDone(info);
    flops_total += planned.flops_to_spend;
    flops_done += trial_done;
    if (!IsFinal(record.state)) {
      double chain = planned.flops_to_spend - trial_done;
      if (info.row.parent) {
        const TrialInfo& trunk = trials_.at(*info.row.parent);
        if (!IsFinal(trunk.row.record.state)) {
          chain += trunk.row.planned.flops_to_spend - FlopsDone(trunk);
        }
      }
      longest = std::max(longest, chain);
    }
    if (const auto live = live_.find(record.lease); live != live_.end()) {
      slots_busy += static_cast<int>(queue_.lease(record.lease)->slots.size());
      const int64_t steps = planned.spec.steps - planned.spec.branch_step.value_or(0);
      const double tokens =
          static_cast<double>(std::max<int64_t>(steps, 1) * planned.spec.batch_tokens());
      if (tokens > 0) {
        flops_per_second += live->second.tokens_per_second * planned.flops_to_spend / tokens;
      }
    }
  }
  out.set_observations_total(observations);
  out.set_observations_done(observations_done);
  out.set_trunks(trunks);
  out.set_flops_total(flops_total);
  out.set_flops_done(flops_done);
  out.set_flops_per_second(flops_per_second);
  out.set_flops_longest_chain(longest);
  out.set_slots_busy(slots_busy);
  out.set_retries(retries);
  int slots_total = 0;
  for (const TrialQueue::WorkerView& worker : queue_.Workers(now)) {
    if (!worker.suspect) slots_total += static_cast<int>(worker.facts.slots.size());
  }
  out.set_slots_total(slots_total);
  if (study.unfinished > 0 && slots_total == 0) out.add_warnings("no worker is heard");
  out.set_last_event_id(next_event_ - 1);
  const std::string health = ledger_->Health();
  out.set_health(health);
  if (!health.empty()) {
    // It could not be answered before the store recovers; the reason can.
    return Refuse(std::move(done), absl::UnavailableError(absl::StrCat("store: ", health)));
  }
  Answer(std::move(done), std::move(out));
}

wire::Trial Coordinator::Impl::ToWireTrial(const TrialInfo& info, bool with_spec,
                                           absl::Time now) const {
  const TrialRow& row = info.row;
  const PlannedTrial& planned = row.planned;
  const TrialSpec& spec = planned.spec;
  wire::Trial out;
  out.set_id(row.id.value());
  out.set_study_id(row.study.value());
  out.set_study_name(studies_.at(row.study).row.name);
  out.set_role(ToWire(planned.role));
  out.set_state(ToString(row.record.state));
  out.set_outcome(ToString(row.record.outcome));
  out.set_outcome_detail(row.record.detail);
  out.set_waits_for(queue_.WhyWaits(row.id, now));
  if (row.parent) out.set_parent_trial_id(row.parent->value());
  out.set_branch_step(spec.branch_step.value_or(0));
  out.set_seed(spec.seed);
  out.set_n_layer(spec.model.n_layer);
  out.set_d_model(spec.model.d_model);
  out.set_params_embedding(planned.params.embedding);
  out.set_params_position(planned.params.position);
  out.set_params_head(planned.params.head);
  out.set_params_blocks(planned.params.blocks);
  out.set_vocab_size(spec.model.vocab_size);
  out.set_tied_head(spec.model.tied_head);
  if (spec.model.family == Family::kNgram) out.set_counted(NgramText(spec.model));
  out.set_tokens_planned(spec.tokens_planned());
  out.set_batch_tokens(spec.batch_tokens());
  out.set_budget_flops(planned.budget_flops);
  out.set_flops_6nd(planned.flops_6nd);
  out.set_flops_exact(planned.flops_exact);
  out.set_flops_exact_causal(planned.flops_exact_causal);
  out.set_flops_to_spend(planned.flops_to_spend);
  out.set_flops_done(FlopsDone(info));
  out.set_steps(spec.steps);
  out.set_step(info.last_step);
  out.set_worker(info.last_worker);
  out.set_attempt(row.record.attempts);
  out.set_previous_end(info.previous_end);
  out.set_micro_batch_limit(row.record.micro_batch_limit);
  out.set_slots_wanted(queue_.facts(row.id).slots);
  double wall_seconds = info.wall_seconds;
  if (const LeaseRecord* lease = queue_.lease(row.record.lease); lease != nullptr) {
    const auto live = live_.find(lease->id);
    out.set_suspect(queue_.IsSuspect(lease->instance, now));
    out.set_worker(lease->worker);
    for (const uint32_t slot : lease->slots) out.add_slots(slot);
    out.set_lease_id(lease->id.value());
    out.set_start_step(lease->start_step);
    if (live != live_.end()) {
      out.set_step(live->second.step);
      out.set_tokens_per_second(live->second.tokens_per_second);
      if (live->second.loss_nats) out.set_loss_nats(*live->second.loss_nats);
      wall_seconds += absl::ToDoubleSeconds(clock_.wall() - live->second.granted_at);
    }
  }
  out.set_wall_seconds(wall_seconds);
  if (row.result) {
    const TrialResult& result = *row.result;
    out.set_step(result.step);
    out.set_tokens_trained(result.tokens_trained);
    if (result.final_loss_nats) {
      out.set_final_loss_nats(*result.final_loss_nats);
      out.set_loss_nats(*result.final_loss_nats);
    }
    if (result.final_loss_se) out.set_final_loss_se(*result.final_loss_se);
    if (result.bits_per_byte) out.set_bits_per_byte(*result.bits_per_byte);
    if (result.tokens_per_second) out.set_tokens_per_second(*result.tokens_per_second);
    if (result.mfu) out.set_mfu(*result.mfu);
    out.set_device(result.device);
  }
  if (row.started_at) *out.mutable_started_at() = ToWire(*row.started_at);
  if (row.ended_at) *out.mutable_ended_at() = ToWire(*row.ended_at);
  out.set_fingerprint(planned.fingerprint);
  if (with_spec) out.set_spec(planned.text);
  return out;
}

void Coordinator::Impl::ListTrials(const wire::TrialFilter& filter,
                                   Callback<std::vector<wire::Trial>> done) {
  const Room room(this);
  const absl::Time now = Now();
  const std::set<std::string> states = {filter.states().begin(), filter.states().end()};
  std::vector<TrialId> ids;
  if (filter.trial_ids_size() > 0) {
    for (const int64_t id : filter.trial_ids()) {
      if (trials_.count(TrialId(id)) == 0) {
        return Refuse(std::move(done),
                      absl::NotFoundError(absl::StrCat("no trial ", id, "; cure: isoflop status --trials")));
      }
      ids.emplace_back(id);
    }
  } else {
    auto study = FindStudy(filter.study_name(), StudyId());
    if (!study.ok()) return Refuse(std::move(done), study.status());
    ids = (*study)->trials;
  }
  std::vector<wire::Trial> out;
  for (const TrialId id : ids) {
    const TrialInfo& info = trials_.at(id);
    if (!states.empty() && states.count(ToString(info.row.record.state)) == 0) continue;
    out.push_back(ToWireTrial(info, filter.with_spec(), now));
  }
  Answer(std::move(done), std::move(out));
}

void Coordinator::Impl::ListWorkers(const wire::WorkerFilter& filter,
                                    Callback<wire::WorkerList> done) {
  const Room room(this);
  wire::WorkerList out;
  for (const TrialQueue::WorkerView& view : queue_.Workers(Now())) {
    if (!filter.name().empty() && view.facts.name != filter.name()) continue;
    wire::Worker* worker = out.add_workers();
    worker->set_name(view.facts.name);
    worker->set_host(view.facts.host);
    worker->set_state(view.lost              ? "lost"
                      : view.suspect         ? "suspect"
                      : view.draining        ? "draining"
                      : view.suspended       ? "paused"
                      : view.leases.empty()  ? "idle"
                                             : "busy");
    for (const SlotFacts& facts : view.facts.slots) {
      wire::Slot* slot = worker->add_slots();
      slot->set_index(facts.index);
      slot->set_kind(facts.kind == SlotKind::kGpu ? wire::SLOT_KIND_GPU : wire::SLOT_KIND_CPU);
      slot->set_memory_bytes(facts.memory_bytes);
      slot->set_device(facts.device);
    }
    for (const uint32_t slot : view.free_slots) worker->add_free_slots(slot);
    for (const LeaseId lease : view.leases) {
      worker->add_trial_ids(queue_.lease(lease)->trial.value());
    }
    worker->set_unheard_seconds(absl::ToDoubleSeconds(view.unheard));
    worker->set_trainer_version(view.facts.trainer_version);
    worker->set_engine_ref(view.facts.engine_ref);
    worker->set_checkpoint_store_id(view.facts.checkpoint_store_id);
    if (!view.introduced) worker->set_notice("not heard since the coordinator started");
  }
  if (!filter.name().empty() && out.workers_size() == 0) {
    return Refuse(std::move(done),
                  absl::NotFoundError(absl::StrCat("no worker '", absl::CEscape(filter.name()),
                                                   "'; cure: isoflop status --workers")));
  }
  Answer(std::move(done), std::move(out));
}

// ---- history and logs ----

bool Coordinator::Impl::Matches(const Watcher& watcher, const EventRow& event) const {
  const wire::WatchRequest& wanted = watcher.request;
  if (wanted.trial_id() != 0) return event.trial.value() == wanted.trial_id();
  if (!wanted.worker().empty()) return event.worker == wanted.worker();
  return !watcher.study.is_set() || event.study == watcher.study;
}

Coordinator::Subscription Coordinator::Impl::Watch(const wire::WatchRequest& request,
                                                   std::function<void(wire::Event)> event,
                                                   std::function<void(absl::Status)> end) {
  Watcher watcher{request, StudyId(), std::move(event), std::move(end)};
  EventFilter filter;
  const Room room(this);
  const Subscription subscription = next_subscription_++;
  if (!request.study_name().empty()) {
    auto study = FindStudy(request.study_name(), StudyId());
    if (!study.ok()) {
      AtOnce([end = watcher.end, status = study.status()] { end(status); });
      return subscription;
    }
    watcher.study = filter.study = (*study)->row.id;
  }
  if (request.trial_id() != 0 && trials_.count(TrialId(request.trial_id())) == 0) {
    AtOnce([end = watcher.end, id = request.trial_id()] {
      end(absl::NotFoundError(absl::StrCat("no trial ", id, "; cure: isoflop status --trials")));
    });
    return subscription;
  }
  filter.trial = TrialId(request.trial_id());
  filter.worker = request.worker();
  // The history up to here is read when it is committed; what comes later is
  // sent as it is committed, so the two meet without a gap.
  const int64_t last = next_event_ - 1;
  WhenCommitted([ledger = ledger_, filter, after = request.after_event_id(), last,
                 event = watcher.event, end = watcher.end, follow = request.follow()]() mutable {
    while (after < last) {
      auto rows = ledger->Events(filter, after, kReplayChunk);
      if (!rows.ok()) return end(rows.status());
      for (const EventRow& row : *rows) {
        if (row.id > last) break;
        event(ToWireEvent(row));
      }
      if (rows->size() < static_cast<size_t>(kReplayChunk)) break;
      after = rows->back().id;
    }
    if (!follow) end(absl::OkStatus());
  });
  if (request.follow()) watchers_.emplace(subscription, std::move(watcher));
  return subscription;
}

Coordinator::Subscription Coordinator::Impl::ReadLog(const wire::LogRequest& request,
                                                     std::function<void(wire::LogChunk)> chunk,
                                                     std::function<void(absl::Status)> end) {
  const Room room(this);
  const Subscription subscription = next_subscription_++;
  const TrialId trial(request.trial_id());
  const auto info = trials_.find(trial);
  if (info == trials_.end()) {
    AtOnce([end, id = request.trial_id()] {
      end(absl::NotFoundError(absl::StrCat("no trial ", id, "; cure: isoflop status --trials")));
    });
    return subscription;
  }
  const LeaseRecord* lease = queue_.lease(info->second.row.record.lease);
  if (lease != nullptr && (request.attempt() == 0 || request.attempt() == lease->attempt)) {
    LogReader reader;
    reader.subscription = subscription;
    reader.offset = request.tail_bytes() > 0 ? -1 : 0;
    reader.max_bytes = request.tail_bytes();
    reader.follow = request.follow();
    live_[lease->id].log_readers.push_back(reader);
    log_readers_.emplace(subscription, std::make_pair(std::move(chunk), std::move(end)));
    wake_ = true;
    return subscription;
  }
  WhenCommitted([ledger = ledger_, trial, attempt = request.attempt(), chunk = std::move(chunk),
                 end = std::move(end)] {
    auto tail = ledger->LogTail(trial, attempt);
    if (!tail.ok()) return end(tail.status());
    wire::LogChunk out;
    out.set_size(static_cast<int64_t>(tail->size()));
    out.set_text(*std::move(tail));
    out.set_ended(true);
    chunk(std::move(out));
    end(absl::OkStatus());
  });
  return subscription;
}

void Coordinator::Impl::Unsubscribe(Subscription subscription) {
  const Room room(this);
  watchers_.erase(subscription);
  log_readers_.erase(subscription);
  for (auto& [id, live] : live_) {
    std::erase_if(live.log_readers, [&](const LogReader& reader) {
      return reader.subscription == subscription;
    });
  }
}

// ---- wishes ----

absl::StatusOr<std::vector<TrialId>> Coordinator::Impl::TrialsOf(
    const wire::ControlRequest& request) {
  std::vector<TrialId> out;
  for (const int64_t id : request.trial_ids()) {
    if (trials_.count(TrialId(id)) == 0) {
      return absl::NotFoundError(absl::StrCat("no trial ", id, "; cure: isoflop status --trials"));
    }
    out.emplace_back(id);
  }
  if (!out.empty() && !request.failed() && !request.diverged()) return out;
  ISOFLOP_ASSIGN_OR_RETURN(StudyInfo * study, FindStudy(request.study_name(), StudyId()));
  for (const TrialId id : study->trials) {
    const TrialState state = trials_.at(id).row.record.state;
    const bool is_wanted = (!request.failed() && !request.diverged()) ||
                           (request.failed() && state == TrialState::kFailed) ||
                           (request.diverged() && state == TrialState::kDiverged);
    if (is_wanted) out.push_back(id);
  }
  return out;
}

void Coordinator::Impl::Control(const wire::ControlRequest& request,
                                Callback<wire::ControlReply> done) {
  const Room room(this);
  if (stopping_) return Refuse(std::move(done), absl::UnavailableError("coordinator: stopping"));
  if (!ledger_->HasRoom(trials_.size() * 2 + 16)) {
    return Refuse(std::move(done), absl::ResourceExhaustedError("store: commits lag behind, wait"));
  }
  auto reply = DoControl(request, Now());
  if (!reply.ok()) return Refuse(std::move(done), reply.status());
  wake_ = true;
  Answer(std::move(done), *std::move(reply));
}

absl::StatusOr<wire::ControlReply> Coordinator::Impl::DoControl(
    const wire::ControlRequest& request, absl::Time now) {
  wire::ControlReply reply;
  const std::string reason = request.reason().substr(0, 1024);
  auto changed = [&](TrialId trial, std::string before, std::string after) {
    wire::Change* change = reply.add_changes();
    change->set_trial_id(trial.value());
    change->set_before(std::move(before));
    change->set_after(std::move(after));
  };
  auto count = [&](const std::vector<TrialId>& trials) {
    for (const TrialId id : trials) {
      const TrialState state = trials_.at(id).row.record.state;
      reply.set_running(reply.running() + (state == TrialState::kLeased));
      reply.set_waiting(reply.waiting() +
                        (state == TrialState::kQueued || state == TrialState::kBlocked));
      reply.set_results_kept(reply.results_kept() + (state == TrialState::kCompleted ||
                                                     state == TrialState::kDiverged));
    }
  };
  const bool is_pause = request.action() == wire::CONTROL_ACTION_PAUSE;
  if ((is_pause || request.action() == wire::CONTROL_ACTION_RESUME) && !request.worker().empty()) {
    if (request.dry_run()) {
      changed(TrialId(), request.worker(), is_pause ? "paused" : "resumed");
      return reply;
    }
    ISOFLOP_RETURN_IF_ERROR(queue_.SuspendWorker(request.worker(), is_pause, request.now()));
    AddEvent(StudyId(), TrialId(), request.worker(), is_pause ? "worker_paused" : "worker_resumed",
             reason);
    changed(TrialId(), request.worker(), is_pause ? "paused" : "resumed");
    return reply;
  }
  switch (request.action()) {
    case wire::CONTROL_ACTION_PAUSE:
    case wire::CONTROL_ACTION_RESUME: {
      ISOFLOP_ASSIGN_OR_RETURN(StudyInfo * study, FindStudy(request.study_name(), StudyId()));
      const StudyState before = study->row.state;
      const StudyState wanted = is_pause                 ? StudyState::kPaused
                                : study->unfinished == 0 ? StudyState::kDone
                                                         : StudyState::kActive;
      if (is_pause ? before != StudyState::kActive && before != StudyState::kPaused
                   : before != StudyState::kPaused) {
        return absl::FailedPreconditionError(
            absl::StrCat("study '", study->row.name, "' is ", ToString(before)));
      }
      if (before != wanted) changed(TrialId(), ToString(before), ToString(wanted));
      if (!request.dry_run()) {
        SetStudyState(*study, wanted, is_pause ? (reason.empty() ? "paused" : reason) : "");
        if (is_pause && request.now()) queue_.StopRunning(study->row.id, "paused");
        if (before != wanted) {
          AddEvent(study->row.id, TrialId(), "", is_pause ? "paused" : "resumed", reason);
        }
      }
      count(study->trials);
      return reply;
    }
    case wire::CONTROL_ACTION_CANCEL: {
      ISOFLOP_ASSIGN_OR_RETURN(std::vector<TrialId> trials, TrialsOf(request));
      // Branches before their trunks, so that none fails for its trunk's end.
      std::sort(trials.rbegin(), trials.rend());
      for (const TrialId id : trials) {
        const TrialState state = queue_.record(id).state;
        if (IsFinal(state) || queue_.record(id).cancel_wished) continue;
        changed(id, ToString(state), "cancelled");
        if (!request.dry_run()) queue_.Cancel(id, reason.empty() ? "cancelled" : reason, now);
      }
      if (!request.dry_run()) {
        WriteChanges();
        if (request.trial_ids_size() == 0) {
          ISOFLOP_ASSIGN_OR_RETURN(StudyInfo * study, FindStudy(request.study_name(), StudyId()));
          if (study->row.state != StudyState::kCancelled && reply.changes_size() > 0) {
            SetStudyState(*study, StudyState::kCancelled, reason);
            AddEvent(study->row.id, TrialId(), "", "cancelled", reason);
          }
        }
      }
      count(trials);
      return reply;
    }
    case wire::CONTROL_ACTION_RETRY: {
      ISOFLOP_ASSIGN_OR_RETURN(const std::vector<TrialId> trials, TrialsOf(request));
      for (const TrialId id : trials) {
        const TrialState state = queue_.record(id).state;
        if (!IsFinal(state) || state == TrialState::kCompleted) continue;
        changed(id, ToString(state), "queued");
        if (request.dry_run()) continue;
        StudyInfo& study = studies_.at(trials_.at(id).row.study);
        trials_.at(id).row.result.reset();
        queue_.Retry(id, request.slots(), now);
        WriteChanges();
        if (study.row.state == StudyState::kCancelled || study.row.state == StudyState::kDone) {
          SetStudyState(study, StudyState::kActive, "");
        }
      }
      count(trials);
      return reply;
    }
    default:
      return absl::InvalidArgumentError("control: no action");
  }
}

}  // namespace isoflop
