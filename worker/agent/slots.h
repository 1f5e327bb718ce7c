// What runs one rank on this worker: a core, or a GPU.
//
// Pure functions but for OwnCores; thread-safe.
#ifndef ISOFLOP_WORKER_AGENT_SLOTS_H_
#define ISOFLOP_WORKER_AGENT_SLOTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace isoflop {

enum class AgentSlotKind { kCpu, kGpu };

struct AgentSlot {
  uint32_t index = 0;  // within the worker
  AgentSlotKind kind = AgentSlotKind::kCpu;
  int device_index = 0;      // a GPU's number
  std::vector<int> cores{};  // its ranks are pinned to these; empty: to none
  int64_t memory_bytes = 0;  // 0: not known
  std::string device{};
};

// "cpu", "cpu:N", "gpu:0,1". `cores` are those that the process may use, dealt
// out in their order; CPU slots are pinned only when they take all cores.
// InvalidArgument: another text.
absl::StatusOr<std::vector<AgentSlot>> ParseSlots(const std::string& text,
                                                  const std::vector<int>& cores);

// The cores that this process may run on, rising.
std::vector<int> OwnCores();

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_AGENT_SLOTS_H_
