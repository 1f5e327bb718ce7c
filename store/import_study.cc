#include "store/import_study.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "store/result_store.h"
#include "store/store_writer.h"
#include "study/status_macros.h"
#include "study/trial_text.h"

namespace isoflop {
namespace {

// 6 N D with the head, as the house counts; 0 when N is not known.
double Flops6nd(const Observation& o) {
  std::optional<double> params = o.params_unnamed;
  if (o.params_blocks) {
    const double head = o.params_head.value_or(0);
    params = *o.params_blocks + (head > 0 ? head : o.params_embedding.value_or(0));
  }
  return 6 * params.value_or(0) * o.tokens_trained;
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
  p.budget_flops = o.budget_flops.value_or(0);
  p.flops_6nd = Flops6nd(o);
  out.standing.state = o.outcome == TrialOutcome::kDiverged   ? TrialState::kDiverged
                       : o.outcome == TrialOutcome::kCompleted ? TrialState::kCompleted
                                                               : TrialState::kFailed;
  out.standing.outcome = o.outcome;
  out.standing.retry_counts = "{}";
  TrialResult r;
  r.tokens_trained = std::llround(o.tokens_trained);
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

}  // namespace

absl::StatusOr<StudyId> ImportStudy(const std::string& db_path, const std::string& name,
                                    const std::string& description, const std::vector<Observation>& observations,
                                    absl::Time now) {
  ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<StoreWriter> writer, StoreWriter::Open(db_path));
  NextIds next;
  {
    ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<ResultStore> reader, ResultStore::Open(db_path));
    ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StudyRecord> studies, reader->Studies());
    for (const StudyRecord& study : studies) {
      if (study.name == name) {
        return absl::AlreadyExistsError(
            absl::StrCat("the store has a study '", name, "' already\ncure: another --as NAME"));
      }
    }
    ISOFLOP_ASSIGN_OR_RETURN(next, reader->FindNextIds());
  }
  const uint64_t number = writer->Append({[&](RowWriter& rows) -> absl::Status {
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
  }});
  bool durable = false;
  writer->WhenDurable(number, [&durable] { durable = true; });
  writer->Close();
  if (!durable) {
    return absl::ResourceExhaustedError(absl::StrCat("import: ", writer->Health(), "\ncure: free space on the disk of ", db_path));
  }
  return next.study;
}

}  // namespace isoflop
