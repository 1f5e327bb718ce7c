#include "coordinator/store_ledger.h"

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "store/query.h"
#include "store/result_store.h"
#include "store/store_writer.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

using Json = nlohmann::json;

constexpr absl::Duration kQueryLimit = absl::Seconds(10);

const char* StateText(StudyState state) {
  switch (state) {
    case StudyState::kActive: return "active";
    case StudyState::kPaused: return "paused";
    case StudyState::kDone: return "done";
    case StudyState::kCancelled: return "cancelled";
  }
  return "active";
}

StudyState ParseStudyState(const std::string& text) {
  if (text == "paused") return StudyState::kPaused;
  if (text == "done") return StudyState::kDone;
  if (text == "cancelled") return StudyState::kCancelled;
  return StudyState::kActive;
}

// ---- texts that only the coordinator reads ----

std::string SettingsText(const StudySettings& s) {
  Json out = {{"retry",
               {{"lost", s.retry.lost}, {"crashed", s.retry.crashed}, {"oom", s.retry.oom}, {"timeout", s.retry.timeout}}},
              {"trial_wall_seconds", absl::ToDoubleSeconds(s.trial_wall)},
              {"trainer_directory", s.trainer_directory},
              {"launch_once", s.launch_once},
              {"trainer_env", s.trainer_env}};
  if (s.slot_kind) out["slot"] = *s.slot_kind == SlotKind::kGpu ? "gpu" : "cpu";
  return out.dump();
}

StudySettings ParseSettings(const std::string& text) {
  StudySettings out;
  const Json in = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!in.is_object() || !in.contains("retry")) return out;
  out.retry = {.lost = in["retry"].value("lost", out.retry.lost),
               .crashed = in["retry"].value("crashed", out.retry.crashed),
               .oom = in["retry"].value("oom", out.retry.oom),
               .timeout = in["retry"].value("timeout", out.retry.timeout)};
  out.trial_wall = absl::Seconds(in.value("trial_wall_seconds", absl::ToDoubleSeconds(out.trial_wall)));
  out.trainer_directory = in.value("trainer_directory", "");
  out.launch_once = in.value("launch_once", false);
  out.trainer_env = in.value("trainer_env", std::map<std::string, std::string>());
  if (in.contains("slot")) out.slot_kind = in["slot"] == "gpu" ? SlotKind::kGpu : SlotKind::kCpu;
  return out;
}

std::string CountsText(const RetryCounts& c) {
  return Json({{"lost", c.lost},
               {"crashed", c.crashed},
               {"oom", c.oom},
               {"timeout", c.timeout},
               {"unacknowledged_in_row", c.unacknowledged_in_row},
               {"without_progress", c.without_progress}})
      .dump();
}

RetryCounts ParseCounts(const std::string& text) {
  const Json in = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!in.is_object()) return {};
  return {.lost = in.value("lost", 0),
          .crashed = in.value("crashed", 0),
          .oom = in.value("oom", 0),
          .timeout = in.value("timeout", 0),
          .unacknowledged_in_row = in.value("unacknowledged_in_row", 0),
          .without_progress = in.value("without_progress", 0)};
}

std::string SlotsText(const std::vector<SlotFacts>& slots) {
  Json out = Json::array();
  for (const SlotFacts& slot : slots) {
    out.push_back({{"index", slot.index},
                   {"kind", slot.kind == SlotKind::kGpu ? "gpu" : "cpu"},
                   {"memory_bytes", slot.memory_bytes},
                   {"device", slot.device}});
  }
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// ---- rows, there and back ----

StudyRecord ToStored(const StudyRow& row) {
  return {.id = row.id,
          .name = row.name,
          .spec_yaml = row.resolved_yaml,
          .settings = SettingsText(row.settings),
          .created_at = row.created_at,
          .state = StateText(row.state),
          .state_reason = row.state_reason};
}

StudyRow FromStored(const StudyRecord& row) {
  return {.id = row.id,
          .name = row.name,
          .resolved_yaml = row.spec_yaml,
          .settings = ParseSettings(row.settings),
          .state = ParseStudyState(row.state),
          .state_reason = row.state_reason,
          .created_at = row.created_at};
}

TrialStanding ToStanding(const TrialRecord& record) {
  return {.state = record.state,
          .outcome = record.outcome,
          .detail = record.detail,
          .lease = record.state == TrialState::kLeased ? record.lease : LeaseId(),
          .cancel_wished = record.state == TrialState::kLeased &&
                           (record.cancel_wished || record.outcome == TrialOutcome::kCancelled),
          .attempts = record.attempts,
          .micro_batch_limit = record.micro_batch_limit,
          .retry_counts = CountsText(record.counts)};
}

StoredTrial ToStored(const TrialRow& row) {
  return {.id = row.id,
          .study = row.study,
          .parent = row.parent,
          .planned = row.planned,
          .standing = ToStanding(row.record),
          .result = row.result,
          .started_at = row.started_at,
          .finished_at = row.ended_at};
}

TrialRow FromStored(const StoredTrial& row) {
  const TrialStanding& s = row.standing;
  TrialRow out{.id = row.id, .study = row.study, .parent = row.parent, .planned = row.planned};
  out.record = {.state = s.state,
                .outcome = s.outcome,
                .detail = s.detail,
                .attempts = s.attempts,
                .micro_batch_limit = s.micro_batch_limit,
                .counts = ParseCounts(s.retry_counts),
                .lease = s.lease,
                .cancel_wished = s.cancel_wished};
  out.result = row.result;
  out.started_at = row.started_at;
  out.ended_at = row.finished_at;
  return out;
}

StoredCheckpoint ToStored(const CheckpointRecord& c) {
  return {.id = c.id,
          .trial = c.trial,
          .lease = c.lease,
          .step = c.step,
          .store_id = c.store_id,
          .path = c.path,
          .sha256 = c.sha256,
          .bytes = c.bytes,
          .state = c.state == CheckpointState::kCommitted ? "committed"
                   : c.state == CheckpointState::kBad     ? "bad"
                                                          : "condemned"};
}

CheckpointRecord FromStored(const StoredCheckpoint& c) {
  return {.id = c.id,
          .trial = c.trial,
          .lease = c.lease,
          .step = c.step,
          .store_id = c.store_id,
          .path = c.path,
          .sha256 = c.sha256,
          .bytes = c.bytes,
          .state = c.state == "committed" ? CheckpointState::kCommitted
                   : c.state == "bad"     ? CheckpointState::kBad
                                          : CheckpointState::kCondemned};
}

const char* FateText(CheckpointFate fate) {
  switch (fate) {
    case CheckpointFate::kBad: return "bad";
    case CheckpointFate::kCondemned: return "condemned";
    case CheckpointFate::kDeleted: return "deleted";
  }
  return "bad";
}

// A stale row is an answer: the audit has it.
absl::Status Audited(const absl::StatusOr<Fenced>& fenced) { return fenced.status(); }

// One operation as statements; the wall clock names instants for people.
struct Applier {
  RowWriter& rows;
  absl::Time now;

  absl::Status operator()(const PutStudyOp& op) const { return rows.PutStudy(ToStored(op.study)); }
  absl::Status operator()(const SetStudyStateOp& op) const {
    return rows.SetStudyState(op.study, StateText(op.state), op.reason);
  }
  absl::Status operator()(const PutTrialOp& op) const { return rows.PutTrial(ToStored(op.trial)); }
  absl::Status operator()(const UpdateTrialOp& op) const {
    return rows.UpdateTrial(op.trial, ToStanding(op.record), op.slots, now);
  }
  absl::Status operator()(const FinishTrialOp& op) const {
    return Audited(rows.FinishTrial(op.trial, op.lease, op.result, now));
  }
  absl::Status operator()(const GrantLeaseOp& op) const {
    return rows.GrantLease({.id = op.lease.id,
                            .trial = op.lease.trial,
                            .attempt = op.lease.attempt,
                            .worker = op.lease.worker,
                            .host = op.worker_host,
                            .instance = op.lease.instance,
                            .start_step = op.lease.start_step,
                            .granted_at = op.at});
  }
  absl::Status operator()(const AcknowledgeLeaseOp& op) const { return rows.AcknowledgeLease(op.lease, op.at); }
  absl::Status operator()(const MoveLeaseOp& op) const { return rows.MoveLease(op.lease, op.instance); }
  absl::Status operator()(const EndLeaseOp& op) const {
    return rows.EndLease(op.lease, op.outcome, op.reason, op.log_tail, op.at);
  }
  absl::Status operator()(const AppendPointsOp& op) const {
    return Audited(rows.AppendLossPoints(op.trial, op.lease, op.first_seq, op.points, now));
  }
  absl::Status operator()(const AddCheckpointOp& op) const {
    return Audited(rows.AddCheckpoint(ToStored(op.checkpoint), now));
  }
  absl::Status operator()(const SetCheckpointsOp& op) const {
    for (const CheckpointId id : op.checkpoints) {
      ISOFLOP_RETURN_IF_ERROR(rows.SetCheckpointState(id, FateText(op.fate)));
    }
    return absl::OkStatus();
  }
  absl::Status operator()(const PutWorkerOp& op) const {
    return rows.PutWorker({.name = op.facts.name,
                           .host = op.facts.host,
                           .instance = op.instance,
                           .slots = SlotsText(op.facts.slots),
                           .checkpoint_store_id = op.facts.checkpoint_store_id,
                           .address = op.facts.address,
                           .trainer_version = op.facts.trainer_version,
                           .engine_ref = op.facts.engine_ref,
                           .introduced_at = op.at});
  }
  absl::Status operator()(const AddEventOp& op) const {
    return rows.AddEvent({.id = op.event.id,
                          .at = op.event.at,
                          .study = op.event.study,
                          .trial = op.event.trial,
                          .worker = op.event.worker,
                          .kind = op.event.kind,
                          .detail = op.event.detail});
  }
  absl::Status operator()(const StaleReportOp& op) const {
    return rows.AddStaleReport(op.trial, op.lease, op.what, op.at);
  }
};

class StoreLedger final : public Ledger {
 public:
  explicit StoreLedger(std::unique_ptr<StoreWriter> writer) : writer_(std::move(writer)) {}

  absl::StatusOr<LedgerSnapshot> Load() override {
    ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<ResultStore> reader, ResultStore::Open(writer_->path()));
    LedgerSnapshot out;
    out.store_id = writer_->store_id();
    out.epoch = writer_->epoch();
    ISOFLOP_ASSIGN_OR_RETURN(const NextIds next, reader->FindNextIds());
    out.next_study = next.study;
    out.next_trial = next.trial;
    out.next_lease = next.lease;
    out.next_checkpoint = next.checkpoint;
    out.next_event = next.event;
    std::map<TrialId, StudyId> study_of;
    ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StudyRecord> studies, reader->Studies());
    for (const StudyRecord& study : studies) {
      out.studies.push_back(FromStored(study));
      ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StoredTrial> trials, reader->Trials(study.id));
      for (const StoredTrial& trial : trials) {
        if (trial.planned.text.empty()) continue;  // imported: nothing to train
        study_of[trial.id] = trial.study;
        out.trials.push_back(FromStored(trial));
      }
    }
    ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StoredLease> leases, reader->LiveLeases());
    for (const StoredLease& lease : leases) {
      RecoveredLease& live = out.leases.emplace_back();
      live.lease = {.id = lease.id,
                    .trial = lease.trial,
                    .study = study_of[lease.trial],
                    .instance = lease.instance,
                    .worker = lease.worker,
                    .attempt = lease.attempt,
                    .start_step = lease.start_step,
                    .acknowledged = lease.acknowledged};
      live.host = lease.host;
      live.durable_seq = lease.durable_seq;
      live.last_step = lease.last_step;
      live.last_tokens = lease.last_tokens;
    }
    ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StoredCheckpoint> checkpoints, reader->Checkpoints());
    for (const StoredCheckpoint& checkpoint : checkpoints) out.checkpoints.push_back(FromStored(checkpoint));
    return out;
  }

  uint64_t Append(std::vector<LedgerOp> batch) override {
    std::vector<StoreWriter::Operation> operations;
    operations.reserve(batch.size());
    const absl::Time now = absl::Now();
    for (LedgerOp& op : batch) {
      operations.push_back([op = std::move(op), now](RowWriter& rows) { return std::visit(Applier{rows, now}, op); });
    }
    return writer_->Append(std::move(operations));
  }
  bool HasRoom(size_t operations) const override { return writer_->HasRoom(operations); }
  void WhenDurable(uint64_t number, std::function<void()> then) override {
    writer_->WhenDurable(number, std::move(then));
  }
  std::string Health() const override { return writer_->Health(); }
  void Close() override { writer_->Close(); }

  absl::StatusOr<std::vector<EventRow>> Events(const EventFilter& filter, int64_t after_event_id,
                                               int limit) override {
    ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<ResultStore> reader, ResultStore::Open(writer_->path()));
    ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StoredEvent> events,
                             reader->Events(filter.study, filter.trial, filter.worker, after_event_id, limit));
    std::vector<EventRow> out;
    for (const StoredEvent& event : events) {
      out.push_back({.id = event.id,
                     .at = event.at,
                     .study = event.study,
                     .trial = event.trial,
                     .worker = event.worker,
                     .kind = event.kind,
                     .detail = event.detail});
    }
    return out;
  }

  absl::StatusOr<std::string> LogTail(TrialId trial, int attempt) override {
    ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<ResultStore> reader, ResultStore::Open(writer_->path()));
    return reader->LogTail(trial, attempt);
  }

  absl::Status Query(const std::string& sql, const std::function<void(const QueryColumns&)>& columns,
                     const std::function<bool(std::vector<QueryCell>)>& row) override {
    return RunQuery(
        writer_->path(), sql, kQueryLimit,
        [&](const QueryHead& head) { columns({.names = head.names, .types = head.types}); },
        [&](std::vector<QueryValue> values) {
          std::vector<QueryCell> cells;
          cells.reserve(values.size());
          for (QueryValue& value : values) cells.push_back({.value = std::move(value.value), .is_blob = value.is_blob});
          return row(std::move(cells));
        });
  }

 private:
  const std::unique_ptr<StoreWriter> writer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Ledger>> OpenStoreLedger(const std::string& db_path, bool force_filesystem) {
  StoreWriterOptions options;
  options.force_filesystem = force_filesystem;
  const std::filesystem::path folder = std::filesystem::absolute(db_path).parent_path();
  if (!std::filesystem::exists(folder)) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) {
      return absl::PermissionDeniedError(
          absl::StrCat("store: ", folder.string(), ": cannot be made: ", error.message(), "\ncure: another ISOFLOP_HOME, or --db"));
    }
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  }
  ISOFLOP_ASSIGN_OR_RETURN(std::unique_ptr<StoreWriter> writer,
                           StoreWriter::Open(db_path, options));
  return std::make_unique<StoreLedger>(std::move(writer));
}

}  // namespace isoflop
