// The store as readers see it: one moment of it, read-only, while a coordinator
// may go on writing.
//
// Not thread-safe; as many as you like at once, in any process. Statuses are
// those of store/sqlite_status.h unless said.
#ifndef ISOFLOP_STORE_RESULT_STORE_H_
#define ISOFLOP_STORE_RESULT_STORE_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "store/rows.h"
#include "study/observation.h"

namespace SQLite {
class Database;
}

namespace isoflop {

// A speed that was measured in a completed trial.
struct StoredSpeed {
  TrialSpec spec;
  double tokens_per_second = 0;  // of one slot
  std::string device;
};

// Where a study's numbering goes on: above everything that was ever used.
struct NextIds {
  StudyId study{1};
  TrialId trial{1};
  LeaseId lease{1};
  CheckpointId checkpoint{1};
  int64_t event = 1;
};

struct ObservationOptions {
  // Fills Observation::curve: train and evaluation points, a branch's trunk
  // part first.
  bool with_curves = false;
};

class ResultStore {
 public:
  // NotFound: no store there. FailedPrecondition: its schema is newer, or older
  // (only a writer migrates).
  static absl::StatusOr<std::unique_ptr<ResultStore>> Open(const std::string& db_path);
  ~ResultStore();

  // Oldest first.
  absl::StatusOr<std::vector<StudyRecord>> Studies();
  // The study of that name; empty: the newest. NotFound with did-you-mean.
  absl::StatusOr<StudyRecord> FindStudy(const std::string& name);

  // By id, trunks before their branches. An imported trial has an empty
  // `planned.text`.
  absl::StatusOr<std::vector<StoredTrial>> Trials(StudyId study);
  // NotFound: no such trial.
  absl::StatusOr<StoredTrial> FindTrial(TrialId trial);
  // All attempts at a trial, oldest first.
  absl::StatusOr<std::vector<StoredLease>> Leases(TrialId trial);
  absl::StatusOr<std::vector<StoredLease>> LiveLeases();
  // Not the deleted ones; of a trial, or of all (0).
  absl::StatusOr<std::vector<StoredCheckpoint>> Checkpoints(TrialId trial = TrialId());

  // Every trial of the study that could be an observation (trunks cannot), by
  // id, finished or not: `outcome` says which, and a loss that is not there is
  // NaN.
  absl::StatusOr<std::vector<Observation>> LoadObservations(StudyId study, const ObservationOptions& options = {});
  // One imported row as it came. NotFound: the trial was not imported.
  absl::StatusOr<Observation> ImportedObservation(TrialId trial);
  // The points of a trial by step, of the attempts that led to its end; a
  // branch's trunk part is not among them.
  absl::StatusOr<std::vector<LossPoint>> LoadCurve(TrialId trial);

  // Of completed trials, in all studies: they are not trained again.
  absl::StatusOr<std::set<std::string>> CompletedFingerprints();
  absl::StatusOr<std::vector<StoredSpeed>> Speeds();

  // History after `after_event_id`, oldest first; study, trial 0 and worker
  // empty: any.
  absl::StatusOr<std::vector<StoredEvent>> Events(StudyId study, TrialId trial, const std::string& worker,
                                                  int64_t after_event_id, int limit);
  // The kept end of an attempt's log (attempt 0: the newest that ended).
  // NotFound: no such attempt has ended.
  absl::StatusOr<std::string> LogTail(TrialId trial, int attempt);

  // The store itself.
  absl::StatusOr<std::string> Meta(const std::string& key);
  absl::StatusOr<NextIds> FindNextIds();

 private:
  explicit ResultStore(std::unique_ptr<SQLite::Database> db);
  const std::unique_ptr<SQLite::Database> db_;
};

}  // namespace isoflop

#endif  // ISOFLOP_STORE_RESULT_STORE_H_
