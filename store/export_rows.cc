#include "store/export_rows.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <unistd.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "store/database.h"
#include "store/query_value.h"
#include "store/sqlite_status.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

absl::Status ReadRows(const std::string& db_path, const std::string& sql, StudyId study, const RowSink& row) {
  ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<SQLite::Database> db, OpenSnapshot(db_path));
  absl::Status refused;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite("export", [&] {
    SQLite::Statement select(*db, sql);
    select.bind(1, study.value());
    while (refused.ok() && select.executeStep()) refused = row(RowValues(select));
  }));
  return refused;
}

}  // namespace

const std::vector<std::string>& TrialExportColumns() {
  static const std::vector<std::string>* const kColumns = new std::vector<std::string>{
      "study", "trial_id", "fingerprint", "parent_trial_id", "branch_step", "state", "outcome", "outcome_detail",
      "seed", "family", "n_layer", "d_model", "n_head", "d_ff", "sequence_length", "vocab_size", "params_embedding",
      "params_position", "params_head", "params_blocks", "params_total", "params_non_embedding",
      "params_non_embedding_plus_head", "tokens_planned", "tokens_trained", "unique_tokens", "epochs",
      "budget_flops", "flops_6nd", "flops_exact", "flops_exact_causal", "batch_tokens", "steps", "lr_peak",
      "schedule", "warmup_steps", "decay_steps", "decay_shape", "final_fraction", "weight_decay", "beta1", "beta2",
      "eps", "clip_norm", "precision", "final_loss_nats", "final_loss_se", "bits_per_byte", "eval_tokens",
      "eval_bytes", "train_loss_nats", "attempts_used", "wall_seconds", "slot_seconds", "tokens_per_second", "mfu",
      "peak_memory_bytes", "worker", "device", "slots", "code_version", "dataset_sha256", "tokenizer_sha256",
      "eval_sha256", "started_at", "finished_at", "params_unnamed", "flops_given", "source"};
  return *kColumns;
}

absl::Status ExportTrials(const std::string& db_path, StudyId study, const RowSink& row) {
  return ReadRows(db_path,
                  absl::StrCat("SELECT ", absl::StrJoin(TrialExportColumns(), ", "),
                               " FROM trial_detail WHERE study = (SELECT name FROM study WHERE id = ?)"
                               " ORDER BY trial_id"),
                  study, row);
}

const std::vector<std::string>& CurveExportColumns() {
  static const std::vector<std::string>* const kColumns = new std::vector<std::string>{
      "trial_id", "attempt", "step", "tokens", "flops", "kind", "loss_nats", "lr", "grad_norm", "tokens_per_second"};
  return *kColumns;
}

absl::Status ExportCurves(const std::string& db_path, StudyId study, const RowSink& row) {
  return ReadRows(db_path,
                  absl::StrCat("SELECT ", absl::StrJoin(CurveExportColumns(), ", "),
                               " FROM curve WHERE study = (SELECT name FROM study WHERE id = ?)"
                               " ORDER BY trial_id, step, lease_id, seq"),
                  study, row);
}

absl::Status CopyStore(const std::string& db_path, const std::string& to) {
  if (access(to.c_str(), F_OK) == 0) {
    return absl::AlreadyExistsError(absl::StrCat(to, ": there is a file already\ncure: another -o, or remove it"));
  }
  ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<SQLite::Database> db, OpenForReading(db_path));
  // Seen under its name only when it is whole.
  const std::string half = absl::StrCat(to, ".tmp.", getpid());
  const absl::Status status = CatchSqlite(to, [&] {
    SQLite::Statement vacuum(*db, "VACUUM INTO ?");
    vacuum.bind(1, half);
    vacuum.exec();
  });
  if (status.ok() && std::rename(half.c_str(), to.c_str()) == 0) return absl::OkStatus();
  std::remove(half.c_str());
  return status.ok() ? absl::UnavailableError(absl::StrCat(to, ": cannot be renamed")) : status;
}

}  // namespace isoflop
