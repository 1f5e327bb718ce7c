// Makes others' results a study of the store: rows that were trained elsewhere
// and are fitted like our own.
#ifndef ISOFLOP_STORE_IMPORT_STUDY_H_
#define ISOFLOP_STORE_IMPORT_STUDY_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "study/ids.h"
#include "study/observation.h"

namespace isoflop {

// Writes a study `name`, done, with one completed trial an observation; curves
// are not kept. `description` (YAML comment lines) stands as its text. All or
// nothing. LoadObservations gives the same observations back, but for `curve`.
// AlreadyExists: the store has a study of that name. FailedPrecondition: a
// coordinator holds the store (names its pid).
absl::StatusOr<StudyId> ImportStudy(const std::string& db_path, const std::string& name,
                                    const std::string& description, const std::vector<Observation>& observations,
                                    absl::Time now);

struct ImportedStudy {
  StudyId study{};
  int trials = 0;
  int left_out = 0;  // that had not ended
};

// The study `from_name` (empty: the newest) of another store as study `name` of
// this one: its trials that have ended, with their specifications, parents,
// results and curves; logs, events and checkpoints stay there. All or nothing.
// Errors as above, and those of ResultStore::Open and FindStudy.
absl::StatusOr<ImportedStudy> ImportStudyFrom(const std::string& db_path, const std::string& name,
                                              const std::string& from_db_path, const std::string& from_name);

}  // namespace isoflop

#endif  // ISOFLOP_STORE_IMPORT_STUDY_H_
