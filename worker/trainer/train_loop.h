// One trial, from its first step or a checkpoint to its final loss.
#ifndef ISOFLOP_WORKER_TRAINER_TRAIN_LOOP_H_
#define ISOFLOP_WORKER_TRAINER_TRAIN_LOOP_H_

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>

#include "absl/time/time.h"
#include "corpus/dataset.h"
#include "study/trial_spec.h"
#include "worker/trainer/communicator.h"
#include "worker/trainer/event_writer.h"
#include "worker/trainer/trainer_environment.h"

namespace isoflop {

// What a rank trains with. Everything outlives the call.
struct TrainSetup {
  const TrainerEnvironment& environment;
  const Dataset& dataset;
  Communicator& communicator;
  at::Device device;
  std::string code_version;
  std::function<absl::Time()> now;  // affects the period of checkpoints and the speeds told
};

// Trains `trial` and says what happens to `events`: started, probe, step, eval,
// checkpoint, final. Gives the exit code: kExitDone, or kExitPreempted after
// SIGTERM once the checkpoint is on the disk.
//
// Throws TrialFailure (its exit code: 78 trial or data wrong, 75 transient, 86 out
// of memory, 87 diverged), CommunicationError, and what Torch throws.
//
// Call from the main thread of every rank, StopSignals installed, with a trial that
// CheckTrial() let pass.
int Train(const TrialSpec& trial, const TrainSetup& setup, EventWriter& events);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_TRAIN_LOOP_H_
