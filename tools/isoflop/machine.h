// What a plan assumes of the slots it is timed on: this machine, or a named
// device.
#ifndef ISOFLOP_TOOLS_ISOFLOP_MACHINE_H_
#define ISOFLOP_TOOLS_ISOFLOP_MACHINE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace isoflop {

struct MachineSlots {
  int slots = 1;
  double memory_bytes = 0;         // of one slot; 0: not limited
  double flops_per_second = 0;     // of training on one slot; 0: not known
  double seconds_per_step = 0;     // on top, for every update
  std::string device;              // part of the name that a trainer tells of it
};

// A GPU by its name, "H100" in "NVIDIA H100 80GB HBM3": memory, and 35 % of its
// dense bf16 peak. NotFound with did-you-mean.
absl::StatusOr<MachineSlots> DeviceFacts(const std::string& device);

// CPU cores that this process may use.
int CountCores();

// The names of this machine's GPUs, as their driver tells them; empty without.
std::vector<std::string> GpuNames();

// One core: FLOPs a second of a plain matrix product that fits its cache, measured
// for 50 ms of CPU time, so that a busy machine does not look slow.
double MeasureCoreFlops();

// `slots` of 0: all there are. `use_gpus`: GPUs where there are any, else one
// slot of unknown speed.
MachineSlots MachineFacts(bool use_gpus, int slots);

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_MACHINE_H_
