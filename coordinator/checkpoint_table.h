// Which checkpoints of which trials may be resumed from, and which are
// expendable.
//
// A pure table: it knows of no files. A checkpoint enters when its row is
// handed to the store, and answers leave after that commit, so whoever hears
// of one hears of a committed one.
//
// Not thread-safe; Coordinator holds its mutex around every call.
#ifndef ISOFLOP_COORDINATOR_CHECKPOINT_TABLE_H_
#define ISOFLOP_COORDINATOR_CHECKPOINT_TABLE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "study/ids.h"

namespace isoflop {

enum class CheckpointState { kCommitted, kBad, kCondemned };

struct CheckpointRecord {
  CheckpointId id{};
  TrialId trial{};
  LeaseId lease{};
  int64_t step = 0;
  std::string store_id{};  // checkpoint_store_id of the worker that wrote it
  std::string path{};      // below that store's root
  std::string sha256{};    // of the manifest; may be empty
  int64_t bytes = 0;
  CheckpointState state = CheckpointState::kCommitted;
};

class CheckpointTable {
 public:
  // Whether a store can be reached by the place in question.
  using Reaches = std::function<bool(const std::string& store_id)>;

  void Add(CheckpointRecord record);

  // The newest committed checkpoint of `trial` at or below `at_most_step` that
  // `reaches`; nullopt: start at step 0.
  std::optional<CheckpointRecord> Newest(TrialId trial, int64_t at_most_step,
                                         const Reaches& reaches) const;
  // A committed checkpoint of `trial` exactly at `step`.
  std::optional<CheckpointRecord> At(TrialId trial, int64_t step, const Reaches& reaches) const;
  // The step of the newest committed checkpoint anywhere; 0: none.
  int64_t NewestStep(TrialId trial) const;

  // A row that a trainer refused by its checksum. Nullopt: no such path.
  std::optional<CheckpointId> MarkBad(TrialId trial, const std::string& path);

  // Condemns all of `trial` but the two newest and those at `keep_steps`, and
  // returns what is new. With `keep_one`, but the newest (a finished trial).
  std::vector<CheckpointId> Condemn(TrialId trial, const std::set<int64_t>& keep_steps,
                                    bool keep_one);

  // Condemned checkpoints of one store, oldest first, at most `limit`.
  std::vector<CheckpointRecord> Expendable(const std::string& store_id, size_t limit) const;
  // They were deleted: forgets those that are condemned and of that store, and
  // returns them. Anything else is ignored.
  std::vector<CheckpointId> Deleted(const std::string& store_id,
                                    const std::vector<CheckpointId>& ids);

 private:
  // By trial, then (step, id): a step may be written by several attempts.
  std::map<TrialId, std::map<std::pair<int64_t, CheckpointId>, CheckpointRecord>> live_;
  std::map<std::string, std::map<CheckpointId, CheckpointRecord>> condemned_;  // by store
};

}  // namespace isoflop

#endif  // ISOFLOP_COORDINATOR_CHECKPOINT_TABLE_H_
