// Is this trial one that this program can train on these data?
#ifndef ISOFLOP_WORKER_TRAINER_CHECK_TRIAL_H_
#define ISOFLOP_WORKER_TRAINER_CHECK_TRIAL_H_

#include "absl/status/status.h"
#include "corpus/dataset.h"
#include "study/trial_spec.h"

namespace isoflop {

// InvalidArgument, naming key, value and cure, when `trial` is of another family,
// has an impossible shape, does not divide among `world_size` ranks, was planned
// for other data than `dataset`, or wants more tokens than it has.
absl::Status CheckTrial(const TrialSpec& trial, const Dataset& dataset, int world_size);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_CHECK_TRIAL_H_
