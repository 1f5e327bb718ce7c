#include "tools/isoflop/study_source.h"

#include <filesystem>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/convert.h"
#include "store/result_store.h"
#include "study/shape_text.h"
#include "study/status_macros.h"
#include "study/study_yaml.h"
#include "tools/isoflop/local_cluster.h"

namespace isoflop {
namespace {

constexpr int kEventsPerRead = 10000;

wire::Trial TrialOf(const StoredTrial& stored, const std::string& study_name,
                    const StoredLease* lease) {
  const PlannedTrial& planned = stored.planned;
  wire::Trial out;
  out.set_id(stored.id.value());
  out.set_study_id(stored.study.value());
  out.set_study_name(study_name);
  out.set_role(ToWire(planned.role));
  out.set_state(ToString(stored.standing.state));
  out.set_outcome(ToString(stored.standing.outcome));
  out.set_outcome_detail(stored.standing.detail);
  if (stored.parent) out.set_parent_trial_id(stored.parent->value());
  out.set_branch_step(planned.spec.branch_step.value_or(0));
  out.set_seed(planned.spec.seed);
  out.set_n_layer(planned.spec.model.n_layer);
  out.set_d_model(planned.spec.model.d_model);
  out.set_params_embedding(planned.params.embedding);
  out.set_params_position(planned.params.position);
  out.set_params_head(planned.params.head);
  out.set_params_blocks(planned.params.blocks);
  out.set_vocab_size(planned.spec.model.vocab_size);
  out.set_tied_head(planned.spec.model.tied_head);
  if (planned.spec.model.family == Family::kNgram) out.set_counted(NgramText(planned.spec.model));
  out.set_tokens_planned(planned.spec.tokens_planned());
  out.set_batch_tokens(planned.spec.batch_tokens());
  out.set_budget_flops(planned.budget_flops);
  out.set_flops_6nd(planned.flops_6nd);
  out.set_flops_exact(planned.flops_exact);
  out.set_flops_exact_causal(planned.flops_exact_causal);
  out.set_flops_to_spend(planned.flops_to_spend);
  out.set_steps(planned.spec.steps);
  out.set_attempt(stored.standing.attempts);
  out.set_micro_batch_limit(stored.standing.micro_batch_limit);
  out.set_slots_wanted(planned.slots);
  out.set_fingerprint(planned.fingerprint);
  if (lease != nullptr) {
    out.set_worker(lease->worker);
    out.set_lease_id(lease->id.value());
    out.set_start_step(lease->start_step);
    out.set_step(std::max(lease->start_step, lease->last_step));
    out.set_attempt(lease->attempt);
  }
  if (stored.result) {
    const TrialResult& result = *stored.result;
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
  if (IsFinal(stored.standing.state)) {
    out.set_flops_done(planned.flops_to_spend);
  } else if (out.step() > 0 && planned.spec.steps > planned.spec.branch_step.value_or(0)) {
    const double start = static_cast<double>(planned.spec.branch_step.value_or(0));
    out.set_flops_done(planned.flops_to_spend *
                       std::max(0.0, (static_cast<double>(out.step()) - start) /
                                         (static_cast<double>(planned.spec.steps) - start)));
  }
  if (stored.started_at) *out.mutable_started_at() = ToWire(*stored.started_at);
  if (stored.finished_at) *out.mutable_ended_at() = ToWire(*stored.finished_at);
  return out;
}

void CountTrial(const wire::Trial& trial, wire::Study& study) {
  wire::StateCounts& counts = *study.mutable_trials();
  const std::string& state = trial.state();
  if (state == "blocked") counts.set_blocked(counts.blocked() + 1);
  if (state == "queued") counts.set_queued(counts.queued() + 1);
  if (state == "leased") counts.set_leased(counts.leased() + 1);
  if (state == "completed") counts.set_completed(counts.completed() + 1);
  if (state == "diverged") counts.set_diverged(counts.diverged() + 1);
  if (state == "failed") counts.set_failed(counts.failed() + 1);
  if (state == "cancelled") counts.set_cancelled(counts.cancelled() + 1);
  study.set_retries(study.retries() + std::max(trial.attempt() - 1, 0));
  const bool is_trunk = trial.role() == wire::TRIAL_ROLE_TRUNK;
  if (is_trunk) study.set_trunks(study.trunks() + 1);
  if (state == "cancelled") return;
  if (!is_trunk && trial.role() != wire::TRIAL_ROLE_BASELINE) {
    study.set_observations_total(study.observations_total() + 1);
    if (state == "completed" || state == "diverged") {
      study.set_observations_done(study.observations_done() + 1);
    }
  }
  study.set_flops_total(study.flops_total() + trial.flops_to_spend());
  study.set_flops_done(study.flops_done() + trial.flops_done());
}

absl::StatusOr<std::unique_ptr<ResultStore>> OpenStore(const Environment& environment) {
  auto store = ResultStore::Open(environment.db);
  if (absl::IsNotFound(store.status())) {
    return absl::NotFoundError(absl::StrCat(
        "store: there is none at ", environment.db,
        ", and no coordinator listens: nothing was run here yet\n"
        "cure: isoflop run STUDY.yaml, or --server ADDR of a coordinator elsewhere"));
  }
  return store;
}

}  // namespace

std::string ServerAddress(const Environment& environment) {
  return environment.server_is_default ? absl::StrCat("unix:", LocalSocket(environment))
                                       : environment.server;
}

absl::StatusOr<std::unique_ptr<StudyAdminClient>> ConnectToServer(const Environment& environment) {
  return StudyAdminClient::Connect(ServerAddress(environment), environment.token_file);
}

bool MayReadStore(const Environment& environment, const absl::Status& status) {
  return environment.server_is_default && absl::IsUnavailable(status);
}

absl::StatusOr<std::string> StudyNameOf(const std::string& text) {
  if (!absl::EndsWith(text, ".yaml") && !absl::EndsWith(text, ".yml")) return text;
  ISOFLOP_ASSIGN_OR_RETURN(const std::string yaml, ReadWholeFile(text));
  ISOFLOP_ASSIGN_OR_RETURN(const StudySpec spec, ParseStudyYaml(yaml, text));
  return spec.name;
}

absl::StatusOr<StudyView> ReadStudyView(const Environment& environment, const std::string& name) {
  ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<ResultStore> store, OpenStore(environment));
  ISOFLOP_ASSIGN_OR_RETURN(const StudyRecord record, store->FindStudy(name));
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StoredTrial> trials, store->Trials(record.id));
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StoredLease> leases, store->LiveLeases());
  std::map<TrialId, const StoredLease*> by_trial;
  for (const StoredLease& lease : leases) by_trial[lease.trial] = &lease;
  StudyView view;
  view.study.set_id(record.id.value());
  view.study.set_name(record.name);
  view.study.set_state(record.state);
  view.study.set_state_reason(record.state_reason);
  *view.study.mutable_created_at() = ToWire(record.created_at);
  view.study.set_resolved_yaml(record.spec_yaml);
  for (const StoredTrial& stored : trials) {
    const auto lease = by_trial.find(stored.id);
    view.trials.push_back(
        TrialOf(stored, record.name, lease == by_trial.end() ? nullptr : lease->second));
    CountTrial(view.trials.back(), view.study);
  }
  return view;
}

absl::StatusOr<StudyView> FindStudyView(const Environment& environment, const std::string& name) {
  ISOFLOP_ASSIGN_OR_RETURN(const auto client, ConnectToServer(environment));
  StudyView view;
  wire::StudyRef ref;
  ref.set_name(name);
  ref.set_with_yaml(true);
  absl::StatusOr<wire::Study> study = client->GetStudy(ref);
  if (MayReadStore(environment, study.status())) return ReadStudyView(environment, name);
  ISOFLOP_RETURN_IF_ERROR(study.status());
  view.study = *std::move(study);
  wire::TrialFilter filter;
  filter.set_study_name(view.study.name());
  ISOFLOP_ASSIGN_OR_RETURN(view.trials, client->ListTrials(filter));
  view.is_live = true;
  return view;
}

absl::StatusOr<wire::Trial> FindTrialView(const Environment& environment, int64_t trial) {
  ISOFLOP_ASSIGN_OR_RETURN(const auto client, ConnectToServer(environment));
  wire::TrialFilter filter;
  filter.add_trial_ids(trial);
  const auto trials = client->ListTrials(filter);
  if (trials.ok()) return trials->front();
  if (!MayReadStore(environment, trials.status())) return trials.status();
  ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<ResultStore> store, OpenStore(environment));
  ISOFLOP_ASSIGN_OR_RETURN(const StoredTrial stored, store->FindTrial(TrialId(trial)));
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StudyRecord> studies, store->Studies());
  std::string name;
  for (const StudyRecord& study : studies) {
    if (study.id == stored.study) name = study.name;
  }
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StoredLease> leases, store->Leases(stored.id));
  const StoredLease* live = nullptr;
  for (const StoredLease& lease : leases) {
    if (!lease.ended_at) live = &lease;
  }
  return TrialOf(stored, name, live);
}

absl::StatusOr<std::vector<wire::Event>> ReadHistory(const Environment& environment,
                                                     const wire::WatchRequest& request) {
  std::vector<wire::Event> events;
  ISOFLOP_ASSIGN_OR_RETURN(const auto client, ConnectToServer(environment));
  wire::WatchRequest replay = request;
  replay.set_follow(false);
  const absl::Status status = client->Watch(replay, [&](const wire::Event& event) {
    events.push_back(event);
    return true;
  });
  if (status.ok()) return events;
  if (!MayReadStore(environment, status)) return status;
  events.clear();
  ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<ResultStore> store, OpenStore(environment));
  StudyId study;
  if (!request.study_name().empty()) {
    ISOFLOP_ASSIGN_OR_RETURN(const StudyRecord record, store->FindStudy(request.study_name()));
    study = record.id;
  }
  int64_t after = request.after_event_id();
  while (true) {
    ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StoredEvent> rows,
                             store->Events(study, TrialId(request.trial_id()), request.worker(),
                                           after, kEventsPerRead));
    for (const StoredEvent& row : rows) {
      wire::Event event;
      event.set_id(row.id);
      *event.mutable_at() = ToWire(row.at);
      event.set_study_id(row.study.value());
      event.set_trial_id(row.trial.value());
      event.set_worker(row.worker);
      event.set_kind(row.kind);
      event.set_detail(row.detail);
      events.push_back(std::move(event));
      after = row.id;
    }
    if (rows.size() < kEventsPerRead) return events;
  }
}

}  // namespace isoflop
