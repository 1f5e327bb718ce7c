// A baseline's trial: n-gram counts of the first D tokens of the training order,
// and their loss on the frozen evaluation set. No Torch, one rank.
#ifndef ISOFLOP_WORKER_TRAINER_NGRAM_TRIAL_H_
#define ISOFLOP_WORKER_TRAINER_NGRAM_TRIAL_H_

#include <functional>
#include <string>

#include "absl/time/time.h"
#include "corpus/dataset.h"
#include "study/trial_spec.h"
#include "worker/trainer/event_writer.h"

namespace isoflop {

// Counts and measures, and says `started`, `final` and a note a minute; with a
// `checkpoint_dir` the counts are left there for the text tools. Target
// tokens are counted each with the order - 1 tokens before it in the text; on the
// evaluation set a target sees its window only, as it does for a network.
//
// Gives kExitDone, or after SIGTERM kExitPreempted: there is no checkpoint in the
// middle, the next attempt counts again. Throws TrialFailure. `trial` passed CheckTrial.
int CountNgramTrial(const TrialSpec& trial, const Dataset& dataset, const std::string& checkpoint_dir, EventWriter& events,
                    const std::string& code_version, const std::function<absl::Time()>& now);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_NGRAM_TRIAL_H_
