// A plan as the table that `plan`, `run` and `submit` show.
#ifndef ISOFLOP_STUDY_PLAN_TABLE_H_
#define ISOFLOP_STUDY_PLAN_TABLE_H_

#include <string>

#include "study/plan.h"

namespace isoflop {

// The head line, a row a budget (or a row a D in a product or list), the
// trunks, what was left out, and the totals; ends with a newline. Warnings are
// not in it.
std::string PlanTable(const Plan& plan);

// A row a trial: number, role, shape, N, D, FLOPs, parent, slots, ~time.
std::string PlanTrialsTable(const Plan& plan);

// The same rows as RFC 4180 CSV with a header, numbers exact.
std::string PlanCsv(const Plan& plan);

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_PLAN_TABLE_H_
