// What a trial needs: memory a slot, time, slots; and how long all of them take.
//
// Pure; thread-safe.
#ifndef ISOFLOP_STUDY_PRICING_H_
#define ISOFLOP_STUDY_PRICING_H_

#include <cstdint>
#include <vector>

#include "study/plan.h"
#include "study/planner.h"

namespace isoflop {

// Seconds of one slot for `own_steps` updates of `spec` and the evaluations
// among them and at the end, as `evaluation_cost.h` prices them. 0: the facts
// tell no speed.
double SlotSeconds(const TrialSpec& spec, int64_t own_steps, const PlanFacts& facts);

// Sets `slots` of every trial by the study's rule. `auto` starts at 1 and
// doubles, as long as it divides the batch and the slots that there are, while
// the trial alone would take more than a quarter of all slot seconds spread
// evenly.
void AssignSlots(const StudySpec& spec, const PlanFacts& facts, std::vector<PlannedTrial>* trials);

// Seconds until the last trial ends when free slots always go to the longest
// trial that is ready and fits; a branch is ready when its trunk has passed
// its step. 0: no time is known.
double Makespan(const std::vector<PlannedTrial>& trials, int slots);

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_PRICING_H_
