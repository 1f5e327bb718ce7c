// A plan as JSON: "isoflop.plan/1".
#ifndef ISOFLOP_TOOLS_ISOFLOP_PLAN_JSON_H_
#define ISOFLOP_TOOLS_ISOFLOP_PLAN_JSON_H_

#include <string>

#include "study/plan.h"

namespace isoflop {

// One object on one line, plain numbers, null for unknown; no newline at the
// end. Trials are numbered from 1, `parent` is such a number.
std::string PlanJson(const Plan& plan);

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_PLAN_JSON_H_
