// Weights and moments on their way between the device and a checkpoint.
//
// Not thread-safe. The buffers of Copy belong to the checkpoint's writer until it
// is done with them.
#ifndef ISOFLOP_WORKER_TRAINER_HOST_STATE_H_
#define ISOFLOP_WORKER_TRAINER_HOST_STATE_H_

#include <ATen/core/Tensor.h>

#include <string>

#include "absl/status/status.h"
#include "worker/trainer/checkpoint.h"
#include "worker/trainer/optimizer.h"
#include "worker/trainer/parameters.h"

namespace isoflop {

class HostState {
 public:
  // Keeps pointers to both.
  HostState(Parameters& parameters, Optimizer& optimizer) : parameters_(&parameters), optimizer_(&optimizer) {}

  // Copies weights and moments to host buffers, which are made once and used
  // again; waits for the copy.
  CheckpointTensors Copy();

  // Fills weights and moments from the verified checkpoint at `path`, which was
  // taken after `updates` updates.
  absl::Status Load(const std::string& path, int64_t updates);

 private:
  // The three buffers on the host, each (P) fp32.
  void Allocate();

  Parameters* const parameters_;
  Optimizer* const optimizer_;
  at::Tensor weights_, first_moments_, second_moments_;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_HOST_STATE_H_
