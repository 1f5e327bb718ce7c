#include "worker/trainer/schedule.h"

#include <cmath>
#include <numbers>

namespace isoflop {

double LearningRateFactor(const ScheduleSpec& schedule, int64_t steps, int64_t step) {
  const auto s = static_cast<double>(step);
  const auto last = static_cast<double>(steps);
  const auto w = static_cast<double>(schedule.warmup_steps);
  const auto c = static_cast<double>(schedule.decay_steps);
  const double f = schedule.final_fraction;
  const double warmup = s < w ? (s + 1) / w : 1;
  switch (schedule.kind) {
    case ScheduleKind::kConstant:
      return warmup;
    case ScheduleKind::kCosine:
      if (s < w) return warmup;
      return f + (1 - f) * (1 + std::cos(std::numbers::pi * (s - w) / (last - w))) / 2;
    case ScheduleKind::kWsd:
      break;
  }
  if (s < last - c) return warmup;
  const double x = (s - (last - c) + 1) / c;
  return warmup * (1 - (1 - f) * (schedule.decay_shape == DecayShape::kSqrt ? std::sqrt(x) : x));
}

}  // namespace isoflop
