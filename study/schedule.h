// The learning rate as a function of the step: one definition for the planner,
// the trainer and the report.
#ifndef ISOFLOP_STUDY_SCHEDULE_H_
#define ISOFLOP_STUDY_SCHEDULE_H_

#include <cstdint>

#include "study/trial_spec.h"

namespace isoflop {

// The factor of lr_peak for the update that ends step s = `step` (0 ... S-1) of
// a trial of S = `steps`; w warm-up steps, c decay steps, f final_fraction.
//   s < w        (s+1)/w
//   constant     1
//   cosine       f + (1-f) (1 + cos(pi (s-w)/(S-w))) / 2
//   wsd          1, then with x = (s-(S-c)+1)/c:
//                linear 1-(1-f) x, sqrt 1-(1-f) sqrt(x)
double ScheduleFactor(const ScheduleSpec& schedule, int64_t steps, int64_t step);

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_SCHEDULE_H_
