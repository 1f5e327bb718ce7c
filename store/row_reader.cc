#include "store/row_reader.h"

#include <SQLiteCpp/SQLiteCpp.h>

#include "absl/strings/str_cat.h"
#include "store/columns.h"
#include "study/trial_text.h"

namespace isoflop {

const char kTrialColumns[] =
    "id, study_id, parent_trial_id, spec, fingerprint, lineage, role, budget_flops, params_embedding,"
    " params_position, params_head, params_blocks, flops_6nd, flops_exact, flops_exact_causal, flops_to_spend,"
    " slots, memory_bytes_per_slot, seconds_estimate, seed, n_layer, d_model, state, outcome, outcome_detail,"
    " current_lease_id, cancel_wished, attempts_used, micro_batch_limit, retry_counts, final_step, tokens_trained,"
    " final_loss_nats, final_loss_se, bits_per_byte, eval_tokens, eval_bytes, eval_sha256, unique_tokens,"
    " train_loss_nats, flops_exact_reported, wall_seconds, tokens_per_second, mfu, peak_memory_bytes,"
    " resumed_exact, params_total_reported, device, precision, code_version, tokenizer_sha256, started_at,"
    " finished_at, sample_text";

absl::StatusOr<StoredTrial> ReadTrial(SQLite::Statement& row) {
  Columns in(row);
  StoredTrial out;
  out.id = TrialId(in.Int());
  out.study = StudyId(in.Int());
  if (const std::optional<int64_t> parent = in.MaybeInt()) out.parent = TrialId(*parent);
  PlannedTrial& p = out.planned;
  const std::string text = in.Text();
  p.fingerprint = in.Text();
  p.lineage = in.Text();
  const std::string role = in.Text();
  if (role != "imported") {
    absl::StatusOr<TrialSpec> spec = ParseTrialText(text);
    if (!spec.ok()) {
      return absl::DataLossError(absl::StrCat("trial ", out.id.value(), ": ", spec.status().message()));
    }
    p.spec = *std::move(spec);
    p.text = text;
  }
  p.role = role == "trunk"      ? TrialRole::kTrunk
           : role == "branch"   ? TrialRole::kBranch
           : role == "baseline" ? TrialRole::kBaseline
                                : TrialRole::kSingle;
  p.budget_flops = in.Double();
  p.params.embedding = in.Int();
  p.params.position = in.Int();
  p.params.head = in.Int();
  p.params.blocks = in.Int();
  p.flops_6nd = in.Double();
  p.flops_exact = in.Double();
  p.flops_exact_causal = in.Double();
  p.flops_to_spend = in.Double();
  p.slots = static_cast<int>(in.Int());
  p.memory_bytes_per_slot = in.Double();
  p.seconds_estimate = in.Double();
  p.spec.seed = in.Int();
  p.spec.model.n_layer = in.Int();
  p.spec.model.d_model = in.Int();
  TrialStanding& s = out.standing;
  s.state = ParseTrialState(in.Text()).value_or(TrialState::kFailed);
  s.outcome = ParseTrialOutcome(in.Text()).value_or(TrialOutcome::kNone);
  s.detail = in.Text();
  s.lease = LeaseId(in.Int());
  s.cancel_wished = in.Int() != 0;
  s.attempts = static_cast<int>(in.Int());
  s.micro_batch_limit = static_cast<int>(in.Int());
  s.retry_counts = in.Text();
  TrialResult r;
  const std::optional<int64_t> final_step = in.MaybeInt();
  r.step = final_step.value_or(0);
  r.tokens_trained = in.Int();
  r.final_loss_nats = in.MaybeDouble();
  r.final_loss_se = in.MaybeDouble();
  r.bits_per_byte = in.MaybeDouble();
  r.eval_tokens = in.Int();
  r.eval_bytes = in.MaybeInt();
  r.eval_sha256 = in.Text();
  r.unique_tokens = in.MaybeInt();
  r.train_loss_nats = in.MaybeDouble();
  r.flops_exact = in.MaybeDouble();
  r.wall_seconds = in.MaybeDouble();
  r.tokens_per_second = in.MaybeDouble();
  r.mfu = in.MaybeDouble();
  r.peak_memory_bytes = in.MaybeInt();
  if (const std::optional<int64_t> exact = in.MaybeInt()) r.resumed_exact = *exact != 0;
  r.params_total = in.MaybeInt();
  r.device = in.Text();
  r.precision = in.Text();
  r.program = in.Text();
  r.tokenizer_sha256 = in.Text();
  out.started_at = in.MaybeTime();
  out.finished_at = in.MaybeTime();
  r.sample_text = in.Text();
  if (final_step) out.result = std::move(r);
  return out;
}

const char kLeaseSelect[] =
    "SELECT lease.id, lease.trial_id, lease.attempt, lease.worker, lease.host,"
    "  (SELECT instance_id FROM lease_part WHERE lease_part.lease_id = lease.id AND node_rank = 0),"
    "  lease.start_step, lease.granted_at, lease.acknowledged_at, lease.ended_at, lease.class, lease.end_reason,"
    "  last.seq, last.step, last.tokens"
    " FROM lease LEFT JOIN loss_point AS last ON last.lease_id = lease.id AND last.seq ="
    "  (SELECT max(seq) FROM loss_point WHERE loss_point.lease_id = lease.id)";

StoredLease ReadLease(SQLite::Statement& row) {
  Columns in(row);
  StoredLease out;
  out.id = LeaseId(in.Int());
  out.trial = TrialId(in.Int());
  out.attempt = static_cast<int>(in.Int());
  out.worker = in.Text();
  out.host = in.Text();
  out.instance = in.Text();
  out.start_step = in.Int();
  out.granted_at = in.MaybeTime().value_or(absl::UnixEpoch());
  out.acknowledged = in.MaybeTime().has_value();
  out.ended_at = in.MaybeTime();
  out.outcome = in.Text();
  out.end_reason = in.Text();
  out.durable_seq = static_cast<uint64_t>(in.Int());
  out.last_step = in.Int();
  out.last_tokens = in.Int();
  return out;
}

}  // namespace isoflop
