// When a trial has diverged: a true result, not an error (exit 87).
//
// Not thread-safe.
#ifndef ISOFLOP_WORKER_TRAINER_DIVERGENCE_H_
#define ISOFLOP_WORKER_TRAINER_DIVERGENCE_H_

#include <cstdint>

namespace isoflop {

// Follows the training loss of each step. A trial has diverged
//   - at once, when a loss or a gradient norm is not finite;
//   - when, after warm-up, the smoothed loss has been above ln V + 0.5 (worse
//     than a uniform guess) for 100 steps in a row.
// Smoothed: an exponential moving average of factor 0.98 that starts at the
// first loss.
class DivergenceWatch {
 public:
  static constexpr double kSmoothing = 0.98;
  static constexpr double kMargin = 0.5;  // nats
  static constexpr int64_t kPatience = 100;  // steps

  DivergenceWatch(int64_t vocab_size, int64_t warmup_steps);

  // Takes the mean loss and the gradient norm (before clipping) of update `step`
  // (counted from 1). True: the trial has diverged here.
  bool Observe(int64_t step, double loss_nats, double grad_norm);

  // NaN before the first loss.
  double smoothed_loss_nats() const { return smoothed_; }
  // Steps in a row that were too high.
  int64_t steps_above() const { return steps_above_; }

  // Takes up where another run stood.
  void Restore(double smoothed_loss_nats, int64_t steps_above);

 private:
  // Constant after construction.
  const double limit_nats_;
  const int64_t warmup_steps_;

  double smoothed_;
  int64_t steps_above_ = 0;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_DIVERGENCE_H_
