// The learning rate of each step as a fraction of its peak.
//
// Pure; thread-safe.
#ifndef ISOFLOP_WORKER_TRAINER_SCHEDULE_H_
#define ISOFLOP_WORKER_TRAINER_SCHEDULE_H_

#include <cstdint>

#include "study/trial_spec.h"

namespace isoflop {

// The factor of lr_peak for update `step` = s in [0, S), S = `steps`; w =
// warm-up steps, c = decay steps, f = final fraction:
//   s < w      (s + 1) / w
//   constant   1
//   cosine     f + (1 - f) (1 + cos(pi (s - w) / (S - w))) / 2
//   wsd        1 before S - c, then with x = (s - (S - c) + 1) / c
//              linear 1 - (1 - f) x,  sqrt 1 - (1 - f) sqrt(x)
// Inside the decay of wsd the warm-up still multiplies: a trial so short that
// they overlap ends at f all the same.
double LearningRateFactor(const ScheduleSpec& schedule, int64_t steps, int64_t step);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_SCHEDULE_H_
