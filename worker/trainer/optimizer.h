// AdamW over the flat buffers, with the gradient clipped by its global norm, all
// on the device: nothing here waits for it.
//
// Not thread-safe.
#ifndef ISOFLOP_WORKER_TRAINER_OPTIMIZER_H_
#define ISOFLOP_WORKER_TRAINER_OPTIMIZER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "study/trial_spec.h"
#include "worker/trainer/parameters.h"

namespace isoflop {

class Optimizer {
 public:
  // Keeps a pointer to `parameters`. Moments start at zero.
  Optimizer(const OptimizerSpec& spec, Parameters& parameters);

  // The rate of the Steps that follow: the peak times the schedule's factor.
  void SetLearningRate(double learning_rate);

  // One update from parameters.gradients():
  //   g /= max(|g| / clip_norm, 1)                     (clip_norm 0: no clip)
  //   m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2
  //   w -= lr (m' / (sqrt(v') + eps) + decay w),  m', v' without their bias
  // (Loshchilov and Hutter 2019). lr of each group times its lr_scale: head,
  // matrices ("blocks"), embeddings; vectors at 1, as muP wants. Decay on head and
  // matrices only. A norm that is not finite skips the update: weights and
  // moments stay. The gradient is spoilt. Can be recorded (recorded_work.h).
  void Step();

  // |g| before clipping of the last Step: fp32, 0-d, on the device, always there.
  const at::Tensor& grad_norm() const { return grad_norm_; }

  // m and v, each (P) fp32 in flat order.
  const at::Tensor& first_moments() const { return first_moments_; }
  const at::Tensor& second_moments() const { return second_moments_; }
  // After the moments were filled from a checkpoint of `updates` updates.
  void SetUpdates(int64_t updates);

 private:
  struct Group {
    at::Tensor weights, gradients, first_moments, second_moments;  // slices
    double scale = 1;
    double decay = 0;
    at::Tensor learning_rate;  // 0-d, on the device
  };

  // Constant after construction.
  const OptimizerSpec spec_;
  Parameters* const parameters_;

  // State.
  at::Tensor first_moments_, second_moments_;
  at::Tensor updates_;  // 0-d fp32, on the device
  at::Tensor grad_norm_;
  std::vector<Group> groups_;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_OPTIMIZER_H_
