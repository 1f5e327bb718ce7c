#include "store/row_writer.h"

#include <SQLiteCpp/SQLiteCpp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "store/binder.h"
#include "store/sqlite_status.h"
#include "study/status_macros.h"
#include "study/trial_text.h"

namespace isoflop {
namespace {

template <class T>
std::optional<int64_t> NullIfUnset(Id<T> id) {
  return id.is_set() ? std::optional<int64_t>(id.value()) : std::nullopt;
}

std::optional<int64_t> NullIfZero(int64_t value) {
  return value != 0 ? std::optional<int64_t>(value) : std::nullopt;
}

const char* KindText(LossKind kind) { return kind == LossKind::kTrain ? "train" : "eval"; }

}  // namespace

RowWriter::RowWriter(SQLite::Database* db) : db_(db) {}
RowWriter::~RowWriter() = default;

SQLite::Statement& RowWriter::Prepared(const char* sql) {
  std::unique_ptr<SQLite::Statement>& statement = statements_[sql];
  if (statement == nullptr) statement = std::make_unique<SQLite::Statement>(*db_, sql);
  return *statement;
}

absl::StatusOr<bool> RowWriter::Holds(TrialId trial, LeaseId lease) {
  static constexpr char kSql[] =
      "SELECT count(*) FROM trial WHERE id = ? AND current_lease_id = ? AND state = 'leased'";
  bool holds = false;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite("fence", [&] {
    SQLite::Statement& select = Prepared(kSql);
    Binder(select) << trial.value() << lease.value();
    holds = select.executeStep() && select.getColumn(0).getInt() == 1;
    select.reset();
  }));
  return holds;
}

absl::Status RowWriter::PutStudy(const StudyRecord& study) {
  static constexpr char kSql[] =
      "INSERT INTO study (id, name, spec_yaml, spec_sha256, settings, created_at, state, state_reason)"
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
      " ON CONFLICT (id) DO UPDATE SET spec_yaml = excluded.spec_yaml, spec_sha256 = excluded.spec_sha256,"
      "  settings = excluded.settings, state = excluded.state, state_reason = excluded.state_reason";
  return CatchSqlite(absl::StrCat("study ", study.name), [&] {
    (Binder(Prepared(kSql)) << study.id.value() << study.name << study.spec_yaml << Sha256Hex(study.spec_yaml)
                            << study.settings << study.created_at << study.state << study.state_reason)
        .Run();
  });
}

absl::Status RowWriter::SetStudyState(StudyId study, const std::string& state, const std::string& reason) {
  static constexpr char kSql[] = "UPDATE study SET state = ?, state_reason = ? WHERE id = ?";
  return CatchSqlite(absl::StrCat("study ", study.value()),
                     [&] { (Binder(Prepared(kSql)) << state << reason << study.value()).Run(); });
}

absl::Status RowWriter::PutTrial(const StoredTrial& trial) {
  static constexpr char kSql[] =
      "INSERT INTO trial (id, study_id, fingerprint, lineage, spec, role, parent_trial_id, branch_step, seed,"
      "  n_layer, d_model, params_embedding, params_position, params_head, params_blocks, tokens_planned,"
      "  budget_flops, flops_6nd, flops_exact, flops_exact_causal, flops_to_spend, slots,"
      "  memory_bytes_per_slot, seconds_estimate, state, outcome, outcome_detail, current_lease_id,"
      "  cancel_wished, attempts_used, micro_batch_limit, retry_counts, final_step, tokens_trained,"
      "  final_loss_nats, final_loss_se, bits_per_byte, eval_tokens, eval_bytes, eval_sha256, unique_tokens,"
      "  train_loss_nats, flops_exact_reported, wall_seconds, tokens_per_second, mfu, peak_memory_bytes,"
      "  resumed_exact, params_total_reported, device, precision, code_version, tokenizer_sha256, started_at,"
      "  finished_at, sample_text)"
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,"
      "  ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40,"
      "  ?41, ?42, ?43, ?44, ?45, ?46, ?47, ?48, ?49, ?50, ?51, ?52, ?53, ?54, ?55, ?56)"
      " ON CONFLICT (id) DO UPDATE SET state = excluded.state, outcome = excluded.outcome,"
      "  outcome_detail = excluded.outcome_detail, slots = excluded.slots,"
      "  budget_flops = excluded.budget_flops, role = excluded.role, spec = excluded.spec,"
      "  fingerprint = excluded.fingerprint, lineage = excluded.lineage,"
      "  tokens_planned = excluded.tokens_planned, flops_6nd = excluded.flops_6nd,"
      "  flops_exact = excluded.flops_exact, flops_exact_causal = excluded.flops_exact_causal,"
      "  flops_to_spend = excluded.flops_to_spend, parent_trial_id = excluded.parent_trial_id,"
      "  branch_step = excluded.branch_step, cancel_wished = excluded.cancel_wished,"
      "  attempts_used = excluded.attempts_used, micro_batch_limit = excluded.micro_batch_limit,"
      "  retry_counts = excluded.retry_counts, current_lease_id = excluded.current_lease_id";
  const PlannedTrial& p = trial.planned;
  const TrialStanding& s = trial.standing;
  // What an imported trial has stands in its side row.
  const bool imported = p.text.empty();
  const auto count = [imported](int64_t value) -> std::optional<int64_t> {
    if (imported) return std::nullopt;
    return value;
  };
  const auto flops = [imported](double value) -> std::optional<double> {
    if (imported) return std::nullopt;
    return value;
  };
  const TrialResult none;
  const TrialResult& r = trial.result ? *trial.result : none;
  const auto reported = [&](int64_t value) -> std::optional<int64_t> {
    if (!trial.result) return std::nullopt;
    return value;
  };
  return CatchSqlite(absl::StrCat("trial ", trial.id.value()), [&] {
    (Binder(Prepared(kSql))
     << trial.id.value() << trial.study.value() << p.fingerprint << p.lineage << (imported ? "{}" : p.text)
     << (imported ? "imported" : ToString(p.role))
     << (trial.parent ? NullIfUnset(*trial.parent) : std::nullopt) << p.spec.branch_step << p.spec.seed
     << NullIfZero(p.spec.model.n_layer) << NullIfZero(p.spec.model.d_model) << count(p.params.embedding)
     << count(p.params.position) << count(p.params.head) << count(p.params.blocks)
     << p.spec.tokens_planned() << p.budget_flops << p.flops_6nd << flops(p.flops_exact)
     << flops(p.flops_exact_causal) << p.flops_to_spend << p.slots << p.memory_bytes_per_slot
     << p.seconds_estimate << ToString(s.state) << ToString(s.outcome) << s.detail << NullIfUnset(s.lease)
     << s.cancel_wished << s.attempts << s.micro_batch_limit << s.retry_counts << reported(r.step)
     << reported(r.tokens_trained) << r.final_loss_nats << r.final_loss_se << r.bits_per_byte
     << reported(r.eval_tokens) << r.eval_bytes << NullIfEmpty(r.eval_sha256) << r.unique_tokens
     << r.train_loss_nats << r.flops_exact << r.wall_seconds << r.tokens_per_second << r.mfu
     << r.peak_memory_bytes << r.resumed_exact << r.params_total << NullIfEmpty(r.device)
     << NullIfEmpty(r.precision) << NullIfEmpty(r.program) << NullIfEmpty(r.tokenizer_sha256)
     << trial.started_at << trial.finished_at << NullIfEmpty(r.sample_text))
        .Run();
  });
}

absl::Status RowWriter::UpdateTrial(TrialId trial, const TrialStanding& standing, int slots, absl::Time at) {
  static constexpr char kSql[] =
      "UPDATE trial SET state = ?1, outcome = ?2, outcome_detail = ?3, current_lease_id = ?4,"
      "  cancel_wished = ?5, attempts_used = ?6, micro_batch_limit = ?7, retry_counts = ?8, slots = ?9,"
      "  started_at = CASE WHEN ?1 = 'leased' THEN ifnull(started_at, ?10) ELSE started_at END,"
      "  finished_at = CASE WHEN ?1 IN ('completed', 'diverged', 'failed', 'cancelled')"
      "                     THEN ifnull(finished_at, ?10) END"
      " WHERE id = ?11";
  return CatchSqlite(absl::StrCat("trial ", trial.value()), [&] {
    (Binder(Prepared(kSql)) << ToString(standing.state) << ToString(standing.outcome) << standing.detail
                            << NullIfUnset(standing.lease) << standing.cancel_wished << standing.attempts
                            << standing.micro_batch_limit << standing.retry_counts << slots << at
                            << trial.value())
        .Run();
  });
}

absl::Status RowWriter::GrantLease(const StoredLease& lease) {
  static constexpr char kLeaseSql[] =
      "INSERT INTO lease (id, trial_id, attempt, worker, host, start_step, granted_at, acknowledged_at,"
      "  ended_at, class, end_reason, log_tail) VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL, NULL)";
  static constexpr char kPartSql[] =
      "INSERT INTO lease_part (lease_id, node_rank, worker, instance_id) VALUES (?, 0, ?, ?)";
  return CatchSqlite(absl::StrCat("lease ", lease.id.value()), [&] {
    (Binder(Prepared(kLeaseSql)) << lease.id.value() << lease.trial.value() << lease.attempt << lease.worker
                                 << lease.host << lease.start_step << lease.granted_at)
        .Run();
    (Binder(Prepared(kPartSql)) << lease.id.value() << lease.worker << lease.instance).Run();
  });
}

absl::Status RowWriter::AcknowledgeLease(LeaseId lease, absl::Time at) {
  static constexpr char kSql[] = "UPDATE lease SET acknowledged_at = ifnull(acknowledged_at, ?) WHERE id = ?";
  return CatchSqlite(absl::StrCat("lease ", lease.value()),
                     [&] { (Binder(Prepared(kSql)) << at << lease.value()).Run(); });
}

absl::Status RowWriter::MoveLease(LeaseId lease, const std::string& instance) {
  static constexpr char kSql[] = "UPDATE lease_part SET instance_id = ? WHERE lease_id = ? AND node_rank = 0";
  return CatchSqlite(absl::StrCat("lease ", lease.value()),
                     [&] { (Binder(Prepared(kSql)) << instance << lease.value()).Run(); });
}

absl::Status RowWriter::EndLease(LeaseId lease, TrialOutcome outcome, const std::string& reason,
                                 const std::string& log_tail, absl::Time at) {
  static constexpr char kSql[] =
      "UPDATE lease SET ended_at = ?, class = ?, end_reason = ?, log_tail = ? WHERE id = ? AND ended_at IS NULL";
  return CatchSqlite(absl::StrCat("lease ", lease.value()), [&] {
    (Binder(Prepared(kSql)) << at << ToString(outcome) << reason << log_tail << lease.value()).Run();
  });
}

absl::StatusOr<Fenced> RowWriter::AppendLossPoints(TrialId trial, LeaseId lease, uint64_t first_seq,
                                                   const std::vector<LossPoint>& points, absl::Time at) {
  static constexpr char kSql[] =
      "INSERT INTO loss_point (lease_id, seq, step, tokens, loss_nats, kind, lr, grad_norm, tokens_per_second,"
      "  eval_tokens) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (lease_id, seq) DO NOTHING";
  ISOFLOP_ASSIGN_OR_RETURN(const bool holds, Holds(trial, lease));
  if (!holds) {
    ISOFLOP_RETURN_IF_ERROR(AddStaleReport(
        trial, lease, absl::StrCat(points.size(), " points from seq ", first_seq), at));
    return Fenced::kStale;
  }
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite(absl::StrCat("points of lease ", lease.value()), [&] {
    SQLite::Statement& insert = Prepared(kSql);
    uint64_t seq = first_seq;
    for (const LossPoint& point : points) {
      (Binder(insert) << lease.value() << seq++ << point.step << point.tokens << point.loss_nats
                      << KindText(point.kind) << point.lr << point.grad_norm << point.tokens_per_second
                      << point.eval_tokens)
          .Run();
    }
  }));
  return Fenced::kTaken;
}

absl::StatusOr<Fenced> RowWriter::FinishTrial(TrialId trial, LeaseId lease, const TrialResult& r, absl::Time at) {
  static constexpr char kSql[] =
      "UPDATE trial SET final_step = ?, tokens_trained = ?, final_loss_nats = ?, final_loss_se = ?,"
      "  bits_per_byte = ?, eval_tokens = ?, eval_bytes = ?, eval_sha256 = ?, unique_tokens = ?,"
      "  train_loss_nats = ?, flops_exact_reported = ?, wall_seconds = ?, tokens_per_second = ?, mfu = ?,"
      "  peak_memory_bytes = ?, resumed_exact = ?, params_total_reported = ?, device = ?, precision = ?,"
      "  code_version = ?, tokenizer_sha256 = ?, sample_text = ?"
      " WHERE id = ? AND current_lease_id = ? AND state = 'leased'";
  int changed = 0;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite(absl::StrCat("result of trial ", trial.value()), [&] {
    changed = (Binder(Prepared(kSql))
               << r.step << r.tokens_trained << r.final_loss_nats << r.final_loss_se << r.bits_per_byte
               << r.eval_tokens << r.eval_bytes << NullIfEmpty(r.eval_sha256) << r.unique_tokens
               << r.train_loss_nats << r.flops_exact << r.wall_seconds << r.tokens_per_second << r.mfu
               << r.peak_memory_bytes << r.resumed_exact << r.params_total << NullIfEmpty(r.device)
               << NullIfEmpty(r.precision) << NullIfEmpty(r.program) << NullIfEmpty(r.tokenizer_sha256)
               << NullIfEmpty(r.sample_text) << trial.value() << lease.value())
                  .Run();
  }));
  if (changed == 1) return Fenced::kTaken;
  ISOFLOP_RETURN_IF_ERROR(AddStaleReport(trial, lease, "final", at));
  return Fenced::kStale;
}

absl::StatusOr<Fenced> RowWriter::AddCheckpoint(const StoredCheckpoint& c, absl::Time at) {
  static constexpr char kSql[] =
      "INSERT INTO checkpoint (id, trial_id, lease_id, step, store_id, path, sha256, bytes, state)"
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING";
  ISOFLOP_ASSIGN_OR_RETURN(const bool holds, Holds(c.trial, c.lease));
  if (!holds) {
    ISOFLOP_RETURN_IF_ERROR(AddStaleReport(c.trial, c.lease, absl::StrCat("checkpoint ", c.path), at));
    return Fenced::kStale;
  }
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite(absl::StrCat("checkpoint ", c.path), [&] {
    (Binder(Prepared(kSql)) << c.id.value() << c.trial.value() << c.lease.value() << c.step << c.store_id
                            << c.path << c.sha256 << c.bytes << c.state)
        .Run();
  }));
  return Fenced::kTaken;
}

absl::Status RowWriter::SetCheckpointState(CheckpointId checkpoint, const std::string& state) {
  static constexpr char kSql[] = "UPDATE checkpoint SET state = ? WHERE id = ?";
  return CatchSqlite(absl::StrCat("checkpoint ", checkpoint.value()),
                     [&] { (Binder(Prepared(kSql)) << state << checkpoint.value()).Run(); });
}

absl::Status RowWriter::PutWorker(const StoredWorker& w) {
  static constexpr char kSql[] =
      "INSERT INTO worker (name, host, instance_id, slots, checkpoint_store_id, address, trainer_version,"
      "  engine_ref, introduced_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
      " ON CONFLICT (name) DO UPDATE SET host = excluded.host, instance_id = excluded.instance_id,"
      "  slots = excluded.slots, checkpoint_store_id = excluded.checkpoint_store_id,"
      "  address = excluded.address, trainer_version = excluded.trainer_version,"
      "  engine_ref = excluded.engine_ref, introduced_at = excluded.introduced_at";
  return CatchSqlite(absl::StrCat("worker ", w.name), [&] {
    (Binder(Prepared(kSql)) << w.name << w.host << w.instance << w.slots << w.checkpoint_store_id << w.address
                            << w.trainer_version << w.engine_ref << w.introduced_at)
        .Run();
  });
}

absl::Status RowWriter::AddEvent(const StoredEvent& event) {
  static constexpr char kSql[] =
      "INSERT INTO event (id, at, study_id, trial_id, worker, kind, detail) VALUES (?, ?, ?, ?, ?, ?, ?)";
  return CatchSqlite(absl::StrCat("event ", event.id), [&] {
    (Binder(Prepared(kSql)) << event.id << event.at << NullIfUnset(event.study) << NullIfUnset(event.trial)
                            << event.worker << event.kind << event.detail)
        .Run();
  });
}

absl::Status RowWriter::AddStaleReport(TrialId trial, LeaseId lease, const std::string& what, absl::Time at) {
  static constexpr char kInsertSql[] =
      "INSERT INTO stale_report (trial_id, lease_id, what, at) VALUES (?, ?, ?, ?)";
  static constexpr char kTrimSql[] =
      "DELETE FROM stale_report WHERE trial_id = ?1 AND id <= ("
      "  SELECT id FROM stale_report WHERE trial_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET 1000)";
  return CatchSqlite("stale report", [&] {
    (Binder(Prepared(kInsertSql)) << trial.value() << lease.value() << what << at).Run();
    (Binder(Prepared(kTrimSql)) << trial.value()).Run();
  });
}

absl::Status RowWriter::PutImported(TrialId trial, const Observation& o) {
  static constexpr char kSql[] =
      "INSERT INTO imported_observation (trial_id, source, source_trial, config_id, params_embedding,"
      "  params_position, params_head, params_blocks, params_unnamed, tokens_trained, tokens_derived,"
      "  unique_tokens, budget_flops, flops_given, flops_exact, is_replicate, schedule_ended, n_head, d_ff,"
      "  vocab_size, sequence_length)"
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
  return CatchSqlite(o.source, [&] {
    (Binder(Prepared(kSql)) << trial.value() << o.source << o.trial_id << o.config_id << o.params_embedding
                            << o.params_position << o.params_head << o.params_blocks << o.params_unnamed
                            << o.tokens_trained << o.tokens_derived << o.unique_tokens << o.budget_flops
                            << o.flops_given << o.flops_exact << o.is_replicate << o.schedule_ended << o.n_head
                            << o.d_ff << o.vocab_size << o.sequence_length)
        .Run();
  });
}

}  // namespace isoflop
