#include "store/result_store.h"

#include <SQLiteCpp/SQLiteCpp.h>

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "store/binder.h"
#include "store/columns.h"
#include "store/database.h"
#include "store/row_reader.h"
#include "store/sqlite_status.h"
#include "study/did_you_mean.h"
#include "study/status_macros.h"
#include "study/trial_text.h"

namespace isoflop {
namespace {

// Shape and D without the seed: what replicates share.
std::string ConfigId(TrialSpec spec) {
  spec.seed = 0;
  spec.parent_lineage.reset();
  spec.branch_step.reset();
  return Fingerprint(spec);
}

std::optional<double> AsDouble(const std::optional<int64_t>& value) {
  return value ? std::optional<double>(static_cast<double>(*value)) : std::nullopt;
}

TrialOutcome OutcomeOf(const TrialStanding& standing) {
  if (standing.state == TrialState::kCompleted) return TrialOutcome::kCompleted;
  return IsFinal(standing.state) ? standing.outcome : TrialOutcome::kNone;
}

Observation ToObservation(const StoredTrial& trial) {
  const PlannedTrial& p = trial.planned;
  Observation out;
  out.source = absl::StrCat("trial ", trial.id.value());
  out.trial_id = trial.id.ToString();
  out.config_id = ConfigId(p.spec);
  out.fingerprint = p.fingerprint;
  out.params_embedding = static_cast<double>(p.params.embedding);
  out.params_position = static_cast<double>(p.params.position);
  out.params_head = static_cast<double>(p.params.head);
  out.params_blocks = static_cast<double>(p.params.blocks);
  out.tokens_trained = static_cast<double>(p.spec.tokens_planned());
  out.unique_tokens = static_cast<double>(p.spec.data.unique_tokens);
  out.flops_exact = p.flops_exact;
  if (p.budget_flops > 0) out.budget_flops = p.budget_flops;
  out.seed = p.spec.seed;
  out.d_model = p.spec.model.d_model;
  out.n_layer = p.spec.model.n_layer;
  out.n_head = p.spec.model.n_head;
  out.d_ff = p.spec.model.d_ff;
  out.vocab_size = p.spec.model.vocab_size;
  out.sequence_length = p.spec.sequence_length;
  out.eval_sha256 = p.spec.data.eval_sha256;
  out.outcome = OutcomeOf(trial.standing);
  out.final_loss_nats = std::numeric_limits<double>::quiet_NaN();
  if (out.outcome == TrialOutcome::kCompleted && trial.result) {
    const TrialResult& r = *trial.result;
    if (r.final_loss_nats) out.final_loss_nats = *r.final_loss_nats;
    if (r.tokens_trained > 0) out.tokens_trained = static_cast<double>(r.tokens_trained);
    if (r.unique_tokens) out.unique_tokens = AsDouble(r.unique_tokens);
    out.bits_per_byte = r.bits_per_byte;
    out.final_loss_se = r.final_loss_se;
    if (!r.eval_sha256.empty()) out.eval_sha256 = r.eval_sha256;
    out.tokenizer_sha256 = r.tokenizer_sha256;
    out.wall_seconds = r.wall_seconds.value_or(0);
    out.tokens_per_second = r.tokens_per_second;
    out.schedule_ended = r.step >= p.spec.steps;
  }
  return out;
}

// The columns of imported_observation, by trial.
constexpr char kImportedSql[] =
    "SELECT i.trial_id, i.source, i.source_trial, i.config_id, i.params_embedding, i.params_position,"
    "  i.params_head, i.params_blocks, i.params_unnamed, i.tokens_trained, i.tokens_derived, i.unique_tokens,"
    "  i.budget_flops, i.flops_given, i.flops_exact, i.is_replicate, i.schedule_ended, i.n_head, i.d_ff,"
    "  i.vocab_size, i.sequence_length"
    " FROM imported_observation AS i JOIN trial ON trial.id = i.trial_id"
    " WHERE trial.study_id = ?1 OR trial.id = ?2 ORDER BY i.trial_id";

void ReadImported(SQLite::Statement& row, std::map<TrialId, Observation>& into) {
  Columns in(row);
  Observation& out = into[TrialId(in.Int())];
  out.source = in.Text();
  out.trial_id = in.Text();
  out.config_id = in.Text();
  out.params_embedding = in.MaybeDouble();
  out.params_position = in.MaybeDouble();
  out.params_head = in.MaybeDouble();
  out.params_blocks = in.MaybeDouble();
  out.params_unnamed = in.MaybeDouble();
  out.tokens_trained = in.MaybeDouble().value_or(std::numeric_limits<double>::quiet_NaN());
  out.tokens_derived = in.Int() != 0;
  out.unique_tokens = in.MaybeDouble();
  out.budget_flops = in.MaybeDouble();
  out.flops_given = in.MaybeDouble();
  out.flops_exact = in.MaybeDouble();
  out.is_replicate = in.Int() != 0;
  const std::optional<int64_t> ended = in.MaybeInt();
  out.schedule_ended = ended ? std::optional<bool>(*ended != 0) : std::nullopt;
  out.n_head = in.Int();
  out.d_ff = in.Int();
  out.vocab_size = in.Int();
  out.sequence_length = in.Int();
}

// What an imported row has in the columns of its trial.
void AddStored(const Observation& stored, Observation& side) {
  side.fingerprint = stored.fingerprint;
  side.final_loss_nats = stored.final_loss_nats;
  side.final_loss_se = stored.final_loss_se;
  side.bits_per_byte = stored.bits_per_byte;
  side.eval_sha256 = stored.eval_sha256;
  side.tokenizer_sha256 = stored.tokenizer_sha256;
  side.seed = stored.seed;
  side.d_model = stored.d_model;
  side.n_layer = stored.n_layer;
  side.wall_seconds = stored.wall_seconds;
  side.outcome = stored.outcome;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ResultStore>> ResultStore::Open(const std::string& db_path) {
  ISOFLOP_ASSIGN_OR_RETURN(std::unique_ptr<SQLite::Database> db, OpenSnapshot(db_path));
  return std::unique_ptr<ResultStore>(new ResultStore(std::move(db)));
}

ResultStore::ResultStore(std::unique_ptr<SQLite::Database> db) : db_(std::move(db)) {}
ResultStore::~ResultStore() = default;

absl::StatusOr<std::vector<StudyRecord>> ResultStore::Studies() {
  static constexpr char kSql[] =
      "SELECT id, name, spec_yaml, settings, created_at, state, state_reason FROM study ORDER BY id";
  std::vector<StudyRecord> out;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite("studies", [&] {
    SQLite::Statement select(*db_, kSql);
    while (select.executeStep()) {
      Columns in(select);
      StudyRecord& study = out.emplace_back();
      study.id = StudyId(in.Int());
      study.name = in.Text();
      study.spec_yaml = in.Text();
      study.settings = in.Text();
      study.created_at = in.MaybeTime().value_or(absl::UnixEpoch());
      study.state = in.Text();
      study.state_reason = in.Text();
    }
  }));
  return out;
}

absl::StatusOr<StudyRecord> ResultStore::FindStudy(const std::string& name) {
  ISOFLOP_ASSIGN_OR_RETURN(std::vector<StudyRecord> studies, Studies());
  if (studies.empty()) return absl::NotFoundError("the store has no study\ncure: isoflop run STUDY.yaml");
  if (name.empty()) return studies.back();
  std::vector<std::string> names;
  for (StudyRecord& study : studies) {
    if (study.name == name) return std::move(study);
    names.push_back(study.name);
  }
  const std::optional<std::string> better = DidYouMean(name, names);
  return absl::NotFoundError(absl::StrCat("no study '", name, "'",
                                          better ? absl::StrCat(", did you mean '", *better, "'?") : "",
                                          "\ncure: isoflop status"));
}

absl::StatusOr<std::vector<StoredTrial>> ResultStore::Trials(StudyId study) {
  std::vector<StoredTrial> out;
  absl::Status bad;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite("trials", [&] {
    SQLite::Statement select(*db_, absl::StrCat("SELECT ", kTrialColumns, " FROM trial WHERE study_id = ? ORDER BY id"));
    select.bind(1, study.value());
    while (bad.ok() && select.executeStep()) {
      absl::StatusOr<StoredTrial> trial = ReadTrial(select);
      if (trial.ok()) {
        out.push_back(*std::move(trial));
      } else {
        bad = trial.status();
      }
    }
  }));
  if (!bad.ok()) return bad;
  return out;
}

absl::StatusOr<StoredTrial> ResultStore::FindTrial(TrialId trial) {
  absl::StatusOr<StoredTrial> out =
      absl::NotFoundError(absl::StrCat("no trial ", trial.value(), "\ncure: isoflop status --trials"));
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite("trial", [&] {
    SQLite::Statement select(*db_, absl::StrCat("SELECT ", kTrialColumns, " FROM trial WHERE id = ?"));
    select.bind(1, trial.value());
    if (select.executeStep()) out = ReadTrial(select);
  }));
  return out;
}

absl::StatusOr<std::vector<StoredLease>> ResultStore::Leases(TrialId trial) {
  std::vector<StoredLease> out;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite("leases", [&] {
    SQLite::Statement select(*db_, absl::StrCat(kLeaseSelect, " WHERE lease.trial_id = ? ORDER BY lease.id"));
    select.bind(1, trial.value());
    while (select.executeStep()) out.push_back(ReadLease(select));
  }));
  return out;
}

absl::StatusOr<std::vector<StoredLease>> ResultStore::LiveLeases() {
  std::vector<StoredLease> out;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite("leases", [&] {
    SQLite::Statement select(*db_, absl::StrCat(kLeaseSelect, " WHERE lease.ended_at IS NULL ORDER BY lease.id"));
    while (select.executeStep()) out.push_back(ReadLease(select));
  }));
  return out;
}

absl::StatusOr<std::vector<StoredCheckpoint>> ResultStore::Checkpoints(TrialId trial) {
  static constexpr char kSql[] =
      "SELECT id, trial_id, lease_id, step, store_id, path, sha256, bytes, state FROM checkpoint"
      " WHERE state <> 'deleted' AND (?1 = 0 OR trial_id = ?1) ORDER BY id";
  std::vector<StoredCheckpoint> out;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite("checkpoints", [&] {
    SQLite::Statement select(*db_, kSql);
    select.bind(1, trial.value());
    while (select.executeStep()) {
      Columns in(select);
      StoredCheckpoint& c = out.emplace_back();
      c.id = CheckpointId(in.Int());
      c.trial = TrialId(in.Int());
      c.lease = LeaseId(in.Int());
      c.step = in.Int();
      c.store_id = in.Text();
      c.path = in.Text();
      c.sha256 = in.Text();
      c.bytes = in.Int();
      c.state = in.Text();
    }
  }));
  return out;
}

absl::StatusOr<std::vector<LossPoint>> ResultStore::LoadCurve(TrialId trial) {
  static constexpr char kSql[] =
      "SELECT step, tokens, loss_nats, kind, lr, grad_norm, tokens_per_second, eval_tokens FROM curve"
      " WHERE trial_id = ? ORDER BY step, lease_id, seq";
  std::vector<LossPoint> out;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite("curve", [&] {
    SQLite::Statement select(*db_, kSql);
    select.bind(1, trial.value());
    while (select.executeStep()) {
      Columns in(select);
      LossPoint& point = out.emplace_back();
      point.step = in.Int();
      point.tokens = in.Int();
      point.loss_nats = in.MaybeDouble();
      point.kind = in.Text() == "eval" ? LossKind::kEval : LossKind::kTrain;
      point.lr = in.MaybeDouble();
      point.grad_norm = in.MaybeDouble();
      point.tokens_per_second = in.MaybeDouble();
      point.eval_tokens = in.MaybeInt();
    }
  }));
  return out;
}

absl::StatusOr<std::vector<Observation>> ResultStore::LoadObservations(StudyId study,
                                                                       const ObservationOptions& options) {
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StoredTrial> trials, Trials(study));
  std::map<TrialId, Observation> imported;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite("imported observations", [&] {
    SQLite::Statement select(*db_, kImportedSql);
    select.bind(1, study.value());
    while (select.executeStep()) ReadImported(select, imported);
  }));
  std::map<TrialId, std::vector<LossPoint>> trunks;
  std::set<std::string> configs;
  std::vector<Observation> out;
  for (const StoredTrial& trial : trials) {
    if (!IsObservation(trial.planned.role)) continue;
    Observation observation = ToObservation(trial);
    if (const auto found = imported.find(trial.id); found != imported.end()) {
      Observation& side = found->second;
      AddStored(observation, side);
      observation = std::move(side);
    } else {
      observation.is_replicate = !configs.insert(observation.config_id).second;
    }
    if (options.with_curves) {
      if (trial.parent) {
        auto [trunk, is_new] = trunks.try_emplace(*trial.parent);
        if (is_new) {
          ISOFLOP_ASSIGN_OR_RETURN(trunk->second, LoadCurve(*trial.parent));
        }
        for (const LossPoint& point : trunk->second) {
          if (point.step <= trial.planned.spec.branch_step.value_or(0)) observation.curve.push_back(point);
        }
      }
      ISOFLOP_ASSIGN_OR_RETURN(const std::vector<LossPoint> own, LoadCurve(trial.id));
      observation.curve.insert(observation.curve.end(), own.begin(), own.end());
    }
    out.push_back(std::move(observation));
  }
  return out;
}

absl::StatusOr<Observation> ResultStore::ImportedObservation(TrialId trial) {
  ISOFLOP_ASSIGN_OR_RETURN(const StoredTrial stored, FindTrial(trial));
  std::map<TrialId, Observation> imported;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite("imported observation", [&] {
    SQLite::Statement select(*db_, kImportedSql);
    select.bind(1, 0);
    select.bind(2, trial.value());
    while (select.executeStep()) ReadImported(select, imported);
  }));
  if (imported.empty()) {
    return absl::NotFoundError(absl::StrCat("trial ", trial.value(), " was not imported\ncure: isoflop status --trials"));
  }
  AddStored(ToObservation(stored), imported.begin()->second);
  return std::move(imported.begin()->second);
}

absl::StatusOr<std::set<std::string>> ResultStore::CompletedFingerprints() {
  static constexpr char kSql[] =
      "SELECT DISTINCT fingerprint FROM trial WHERE state = 'completed' AND role <> 'imported' ORDER BY fingerprint";
  std::set<std::string> out;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite("fingerprints", [&] {
    SQLite::Statement select(*db_, kSql);
    while (select.executeStep()) out.insert(select.getColumn(0).getString());
  }));
  return out;
}

absl::StatusOr<std::vector<StoredSpeed>> ResultStore::Speeds() {
  static constexpr char kSql[] =
      "SELECT spec, tokens_per_second / slots, ifnull(device, '') FROM trial"
      " WHERE state = 'completed' AND role <> 'imported' AND tokens_per_second > 0 ORDER BY id DESC LIMIT 10000";
  std::vector<StoredSpeed> out;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite("speeds", [&] {
    SQLite::Statement select(*db_, kSql);
    while (select.executeStep()) {
      Columns in(select);
      absl::StatusOr<TrialSpec> spec = ParseTrialText(in.Text());
      const double speed = in.Double();
      if (spec.ok()) out.push_back({*std::move(spec), speed, in.Text()});
    }
  }));
  return out;
}

absl::StatusOr<std::vector<StoredEvent>> ResultStore::Events(StudyId study, TrialId trial, const std::string& worker,
                                                             int64_t after_event_id, int limit) {
  static constexpr char kSql[] =
      "SELECT id, at, study_id, trial_id, worker, kind, detail FROM event"
      " WHERE id > ?1 AND (?2 = 0 OR study_id = ?2) AND (?3 = 0 OR trial_id = ?3) AND (?4 = '' OR worker = ?4)"
      " ORDER BY id LIMIT ?5";
  std::vector<StoredEvent> out;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite("events", [&] {
    SQLite::Statement select(*db_, kSql);
    Binder(select) << after_event_id << study.value() << trial.value() << worker << limit;
    while (select.executeStep()) {
      Columns in(select);
      StoredEvent& event = out.emplace_back();
      event.id = in.Int();
      event.at = in.MaybeTime().value_or(absl::UnixEpoch());
      event.study = StudyId(in.Int());
      event.trial = TrialId(in.Int());
      event.worker = in.Text();
      event.kind = in.Text();
      event.detail = in.Text();
    }
  }));
  return out;
}

absl::StatusOr<std::string> ResultStore::LogTail(TrialId trial, int attempt) {
  static constexpr char kSql[] =
      "SELECT log_tail FROM lease WHERE trial_id = ?1 AND ended_at IS NOT NULL AND (?2 = 0 OR attempt = ?2)"
      " ORDER BY id DESC LIMIT 1";
  absl::StatusOr<std::string> out = absl::NotFoundError(
      absl::StrCat("trial ", trial.value(), ": no log of ", attempt == 0 ? "an" : absl::StrCat("attempt ", attempt, ", no"),
                   " attempt that has ended\ncure: isoflop explain ", trial.value()));
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite("log", [&] {
    SQLite::Statement select(*db_, kSql);
    Binder(select) << trial.value() << attempt;
    if (select.executeStep()) out = select.getColumn(0).getString();
  }));
  return out;
}

absl::StatusOr<std::string> ResultStore::Meta(const std::string& key) {
  std::string value;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite("meta", [&] {
    SQLite::Statement select(*db_, "SELECT value FROM meta WHERE key = ?");
    select.bind(1, key);
    if (select.executeStep()) value = select.getColumn(0).getString();
  }));
  return value;
}

absl::StatusOr<NextIds> ResultStore::FindNextIds() {
  NextIds out;
  ISOFLOP_RETURN_IF_ERROR(CatchSqlite("ids", [&] {
    const auto above = [this](const char* sql) {
      return db_->execAndGet(sql).getInt64() + 1;
    };
    out.study = StudyId(above("SELECT ifnull(max(id), 0) FROM study"));
    out.trial = TrialId(above("SELECT ifnull(max(id), 0) FROM trial"));
    // AUTOINCREMENT remembers ids of rows that are gone.
    out.lease = LeaseId(std::max(above("SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'lease'"),
                                 above("SELECT ifnull(max(id), 0) FROM lease")));
    out.checkpoint = CheckpointId(above("SELECT ifnull(max(id), 0) FROM checkpoint"));
    out.event = above("SELECT ifnull(max(id), 0) FROM event");
  }));
  return out;
}

}  // namespace isoflop
