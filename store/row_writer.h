// Every statement that changes a row. Each is idempotent, so a batch that was
// rolled back may be written again.
//
// What a worker causes is fenced: it changes nothing unless the trial is leased
// under that very lease, which is an answer (kStale) and not an error; a row in
// `stale_report` tells of it.
//
// Not thread-safe: StoreWriter calls it inside its transaction. Statuses are
// those of store/sqlite_status.h.
#ifndef ISOFLOP_STORE_ROW_WRITER_H_
#define ISOFLOP_STORE_ROW_WRITER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/rows.h"

namespace SQLite {
class Database;
class Statement;
}  // namespace SQLite

namespace isoflop {

enum class Fenced { kTaken, kStale };

class RowWriter {
 public:
  // `db` must outlive this.
  explicit RowWriter(SQLite::Database* db);
  ~RowWriter();

  absl::Status PutStudy(const StudyRecord& study);
  absl::Status SetStudyState(StudyId study, const std::string& state, const std::string& reason);
  // Inserts, or changes what a plan and a standing say of a row that is there;
  // its result stays.
  absl::Status PutTrial(const StoredTrial& trial);
  // `at`: becomes started_at with the first lease, and finished_at when the state
  // is final (none, when it is no longer).
  absl::Status UpdateTrial(TrialId trial, const TrialStanding& standing, int slots, absl::Time at);
  absl::Status GrantLease(const StoredLease& lease);
  absl::Status AcknowledgeLease(LeaseId lease, absl::Time at);
  absl::Status MoveLease(LeaseId lease, const std::string& instance);
  absl::Status EndLease(LeaseId lease, TrialOutcome outcome, const std::string& reason,
                        const std::string& log_tail, absl::Time at);
  // Points numbered first_seq, first_seq + 1, ...; those that are there already
  // are left as they are.
  absl::StatusOr<Fenced> AppendLossPoints(TrialId trial, LeaseId lease, uint64_t first_seq,
                                          const std::vector<LossPoint>& points, absl::Time at);
  absl::StatusOr<Fenced> FinishTrial(TrialId trial, LeaseId lease, const TrialResult& result, absl::Time at);
  absl::StatusOr<Fenced> AddCheckpoint(const StoredCheckpoint& checkpoint, absl::Time at);
  absl::Status SetCheckpointState(CheckpointId checkpoint, const std::string& state);
  absl::Status PutWorker(const StoredWorker& worker);
  absl::Status AddEvent(const StoredEvent& event);
  // Keeps the last 1,000 of a trial.
  absl::Status AddStaleReport(TrialId trial, LeaseId lease, const std::string& what, absl::Time at);
  // The side row of an imported trial (store/import_study.h).
  absl::Status PutImported(TrialId trial, const Observation& observation);

 private:
  SQLite::Statement& Prepared(const char* sql);
  absl::StatusOr<bool> Holds(TrialId trial, LeaseId lease);

  SQLite::Database* const db_;
  std::map<const char*, std::unique_ptr<SQLite::Statement>> statements_;
};

}  // namespace isoflop

#endif  // ISOFLOP_STORE_ROW_WRITER_H_
