// Faults on request, for tests: ISOFLOP_FAULT=oom@step:5,rank:1 in a program that
// links tests/worker/trainer/faults_from_environment.cc. The product links
// no_faults.cc and has none.
#ifndef ISOFLOP_WORKER_TRAINER_FAULTS_H_
#define ISOFLOP_WORKER_TRAINER_FAULTS_H_

#include <cstdint>
#include <string>

namespace isoflop {

// The name of the fault that is due now on this rank ("oom", "nan", "kill",
// "stop", "bug"), or "" for none. `place` is "probe", "step" or "checkpoint";
// `step` counts updates done before this one, plus one.
std::string FaultDue(const std::string& place, int64_t step, int rank);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_FAULTS_H_
