#include "store/import_study.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "store/result_store.h"
#include "store/store_writer.h"
#include "study/status_macros.h"
#include "study/trial_text.h"

namespace isoflop {
namespace {

// 6 N D with the head, as the house counts; 0 when N or D is not known.
double Flops6nd(const Observation& o) {
  std::optional<double> params = o.params_unnamed;
  if (o.params_blocks) {
    const double head = o.params_head.value_or(0);
    params = *o.params_blocks + (head > 0 ? head : o.params_embedding.value_or(0));
  }
  const double flops = 6 * params.value_or(0) * o.tokens_trained;
  return std::isfinite(flops) ? flops : 0;
}

StoredTrial ToTrial(const Observation& o, TrialId id, StudyId study, absl::Time now) {
  StoredTrial out;
  out.id = id;
  out.study = study;
  PlannedTrial& p = out.planned;
  p.fingerprint = o.fingerprint;
  p.lineage = o.fingerprint;
  p.spec.seed = o.seed;
  p.spec.model.n_layer = o.n_layer;
  p.spec.model.d_model = o.d_model;
  if (o.budget_flops && std::isfinite(*o.budget_flops)) p.budget_flops = *o.budget_flops;
  p.flops_6nd = Flops6nd(o);
  out.standing.state = o.outcome == TrialOutcome::kDiverged   ? TrialState::kDiverged
                       : o.outcome == TrialOutcome::kCompleted ? TrialState::kCompleted
                                                               : TrialState::kFailed;
  out.standing.outcome = o.outcome;
  out.standing.retry_counts = "{}";
  TrialResult r;
  if (o.tokens_trained >= 0 && o.tokens_trained < 9e18) r.tokens_trained = std::llround(o.tokens_trained);
  if (std::isfinite(o.final_loss_nats)) r.final_loss_nats = o.final_loss_nats;
  r.final_loss_se = o.final_loss_se;
  r.bits_per_byte = o.bits_per_byte;
  r.eval_sha256 = o.eval_sha256;
  r.tokenizer_sha256 = o.tokenizer_sha256;
  if (o.wall_seconds > 0) r.wall_seconds = o.wall_seconds;
  out.result = std::move(r);
  out.finished_at = now;
  return out;
}

// The ids that a new study `name` may use. AlreadyExists: there is one.
absl::StatusOr<NextIds> IdsFor(const std::string& db_path, const std::string& name) {
  ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<ResultStore> reader, ResultStore::Open(db_path));
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StudyRecord> studies, reader->Studies());
  for (const StudyRecord& study : studies) {
    if (study.name == name) {
      return absl::AlreadyExistsError(
          absl::StrCat("the store has a study '", name, "' already\ncure: another --as NAME"));
    }
  }
  return reader->FindNextIds();
}

// One commit, or nothing.
absl::Status WriteAtOnce(StoreWriter& writer, StoreWriter::Operation operation) {
  const uint64_t number = writer.Append({std::move(operation)});
  bool durable = false;
  writer.WhenDurable(number, [&durable] { durable = true; });
  writer.Close();
  if (durable) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("import: ", writer.Health(), "\ncure: free space on the disk of ", writer.path()));
}

// A trial that has ended, under its new ids; its curve as that of one attempt.
absl::Status WriteEndedTrial(RowWriter& rows, const StoredTrial& from, StudyId study, TrialId trial,
                             std::optional<TrialId> parent, LeaseId lease, const std::vector<StoredLease>& attempts,
                             const std::vector<LossPoint>& curve) {
  const absl::Time at = from.finished_at.value_or(absl::UnixEpoch());
  StoredTrial to = from;
  to.id = trial;
  to.study = study;
  to.parent = parent;
  to.standing.lease = LeaseId();
  to.standing.cancel_wished = false;
  if (curve.empty()) return rows.PutTrial(to);

  // Points are taken under a lease only.
  const TrialStanding ended = to.standing;
  to.standing.state = TrialState::kLeased;
  to.standing.lease = lease;
  ISOFLOP_RETURN_IF_ERROR(rows.PutTrial(to));
  const StoredLease last = attempts.empty() ? StoredLease() : attempts.back();
  ISOFLOP_RETURN_IF_ERROR(rows.GrantLease({.id = lease,
                                           .trial = trial,
                                           .attempt = std::max(last.attempt, 1),
                                           .worker = last.worker,
                                           .host = last.host,
                                           .granted_at = from.started_at.value_or(at)}));
  ISOFLOP_RETURN_IF_ERROR(rows.AppendLossPoints(trial, lease, 1, curve, at).status());
  ISOFLOP_RETURN_IF_ERROR(rows.EndLease(lease, ended.outcome, "imported", "", at));
  return rows.UpdateTrial(trial, ended, to.planned.slots, at);
}

}  // namespace

absl::StatusOr<StudyId> ImportStudy(const std::string& db_path, const std::string& name,
                                    const std::string& description, const std::vector<Observation>& observations,
                                    absl::Time now) {
  ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<StoreWriter> writer, StoreWriter::Open(db_path));
  ISOFLOP_ASSIGN_OR_RETURN(const NextIds next, IdsFor(db_path, name));
  ISOFLOP_RETURN_IF_ERROR(WriteAtOnce(*writer, [&](RowWriter& rows) -> absl::Status {
    ISOFLOP_RETURN_IF_ERROR(rows.PutStudy({.id = next.study,
                                           .name = name,
                                           .spec_yaml = description,
                                           .settings = "{}",
                                           .created_at = now,
                                           .state = "done",
                                           .state_reason = "imported"}));
    int64_t id = next.trial.value();
    for (const Observation& observation : observations) {
      const TrialId trial(id++);
      ISOFLOP_RETURN_IF_ERROR(rows.PutTrial(ToTrial(observation, trial, next.study, now)));
      ISOFLOP_RETURN_IF_ERROR(rows.PutImported(trial, observation));
    }
    return absl::OkStatus();
  }));
  return next.study;
}

absl::StatusOr<ImportedStudy> ImportStudyFrom(const std::string& db_path, const std::string& name,
                                              const std::string& from_db_path, const std::string& from_name) {
  ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<ResultStore> from, ResultStore::Open(from_db_path));
  ISOFLOP_ASSIGN_OR_RETURN(StudyRecord study, from->FindStudy(from_name));
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StoredTrial> trials, from->Trials(study.id));

  ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<StoreWriter> writer, StoreWriter::Open(db_path));
  ISOFLOP_ASSIGN_OR_RETURN(const NextIds next, IdsFor(db_path, name));
  ImportedStudy out;
  out.study = next.study;
  ISOFLOP_RETURN_IF_ERROR(WriteAtOnce(*writer, [&](RowWriter& rows) -> absl::Status {
    study.id = next.study;
    study.name = name;
    study.state = "done";
    study.state_reason = "imported";
    ISOFLOP_RETURN_IF_ERROR(rows.PutStudy(study));
    out.trials = out.left_out = 0;
    std::map<TrialId, TrialId> ids;
    LeaseId lease = next.lease;
    for (const StoredTrial& trial : trials) {
      if (!IsFinal(trial.standing.state)) {
        ++out.left_out;
        continue;
      }
      const TrialId id(next.trial.value() + out.trials++);
      ids[trial.id] = id;
      std::optional<TrialId> parent;
      if (trial.parent && ids.count(*trial.parent) != 0) parent = ids[*trial.parent];
      ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StoredLease> attempts, from->Leases(trial.id));
      ISOFLOP_ASSIGN_OR_RETURN(const std::vector<LossPoint> curve, from->LoadCurve(trial.id));
      ISOFLOP_RETURN_IF_ERROR(WriteEndedTrial(rows, trial, next.study, id, parent, lease, attempts, curve));
      if (!curve.empty()) lease = LeaseId(lease.value() + 1);
      if (trial.planned.text.empty()) {
        ISOFLOP_ASSIGN_OR_RETURN(const Observation side, from->ImportedObservation(trial.id));
        ISOFLOP_RETURN_IF_ERROR(rows.PutImported(id, side));
      }
    }
    return absl::OkStatus();
  }));
  return out;
}

}  // namespace isoflop
