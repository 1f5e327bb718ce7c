// What the device of this rank is and how much it used.
#ifndef ISOFLOP_WORKER_TRAINER_DEVICE_FACTS_H_
#define ISOFLOP_WORKER_TRAINER_DEVICE_FACTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>

#include "study/trial_spec.h"

namespace isoflop {

// CUDA device `local_rank` where the machine has one, else the CPU.
at::Device ChooseDevice(int local_rank);

// "cpu: <model name>", "cuda: <device name>".
std::string DeviceName(at::Device device);

// Dense peak of `device_name` in FLOP/s at `precision` by its data sheet;
// nullopt where we know none (every CPU).
std::optional<double> PeakFlopsPerSecond(const std::string& device_name, Precision precision);

// Most memory that this process held: of the allocator on CUDA, resident on the
// CPU.
int64_t PeakMemoryBytes(at::Device device);

// Deterministic algorithms on CUDA (the CPU's are so already), TF32 off in fp32.
void SetNumerics(at::Device device, bool deterministic);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_DEVICE_FACTS_H_
