#include "worker/trainer/divergence.h"

#include <cmath>
#include <limits>

namespace isoflop {

DivergenceWatch::DivergenceWatch(int64_t vocab_size, int64_t warmup_steps)
    : limit_nats_(std::log(static_cast<double>(vocab_size)) + kMargin),
      warmup_steps_(warmup_steps),
      smoothed_(std::numeric_limits<double>::quiet_NaN()) {}

bool DivergenceWatch::Observe(int64_t step, double loss_nats, double grad_norm) {
  if (!std::isfinite(loss_nats) || !std::isfinite(grad_norm)) return true;
  smoothed_ = std::isnan(smoothed_) ? loss_nats : kSmoothing * smoothed_ + (1 - kSmoothing) * loss_nats;
  const bool above = step > warmup_steps_ && smoothed_ > limit_nats_;
  steps_above_ = above ? steps_above_ + 1 : 0;
  return steps_above_ >= kPatience;
}

void DivergenceWatch::Restore(double smoothed_loss_nats, int64_t steps_above) {
  smoothed_ = smoothed_loss_nats;
  steps_above_ = steps_above;
}

}  // namespace isoflop
