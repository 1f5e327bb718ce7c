#include "study/schedule.h"

#include <cmath>

namespace isoflop {

double ScheduleFactor(const ScheduleSpec& schedule, int64_t steps, int64_t step) {
  const int64_t warmup = schedule.warmup_steps;
  const double final_fraction = schedule.final_fraction;
  if (step < warmup) return static_cast<double>(step + 1) / static_cast<double>(warmup);
  switch (schedule.kind) {
    case ScheduleKind::kConstant:
      return 1;
    case ScheduleKind::kCosine: {
      const double way = static_cast<double>(step - warmup) / static_cast<double>(steps - warmup);
      return final_fraction + (1 - final_fraction) * (1 + std::cos(M_PI * way)) / 2;
    }
    case ScheduleKind::kWsd: {
      const int64_t decay_begin = steps - schedule.decay_steps;
      if (schedule.decay_steps == 0 || step < decay_begin) return 1;
      const double x = static_cast<double>(step - decay_begin + 1) / static_cast<double>(schedule.decay_steps);
      const double done = schedule.decay_shape == DecayShape::kLinear ? x : std::sqrt(x);
      return 1 - (1 - final_fraction) * done;
    }
  }
  return 1;
}

}  // namespace isoflop
