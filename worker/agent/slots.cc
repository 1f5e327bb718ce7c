#include "worker/agent/slots.h"

#include <sched.h>

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace isoflop {
namespace {

constexpr int kMaxSlots = 1024;

absl::Status Refuse(const std::string& text) {
  return absl::InvalidArgumentError(
      absl::StrCat("--slots ", text, ": is none of auto, cpu, cpu:4, gpu:0,1"));
}

}  // namespace

absl::StatusOr<std::vector<AgentSlot>> ParseSlots(const std::string& text,
                                                  const std::vector<int>& cores) {
  std::vector<AgentSlot> out;
  if (text == "cpu" || absl::StartsWith(text, "cpu:")) {
    int count = static_cast<int>(cores.size());
    if (text != "cpu" &&
        (!absl::SimpleAtoi(text.substr(4), &count) || count < 1 || count > kMaxSlots)) {
      return Refuse(text);
    }
    for (int i = 0; i < count; ++i) {
      AgentSlot slot;
      slot.index = static_cast<uint32_t>(i);
      slot.device = "cpu";
      // Two workers of one machine would pin to the same cores: only a worker
      // that takes them all does.
      if (count == static_cast<int>(cores.size())) slot.cores = {cores[i]};
      out.push_back(std::move(slot));
    }
    return out;
  }
  if (!absl::StartsWith(text, "gpu:")) return Refuse(text);
  std::set<int> seen;
  const std::vector<std::string> words = absl::StrSplit(text.substr(4), ',');
  for (size_t i = 0; i < words.size(); ++i) {
    AgentSlot slot;
    slot.index = static_cast<uint32_t>(i);
    slot.kind = AgentSlotKind::kGpu;
    if (!absl::SimpleAtoi(words[i], &slot.device_index) || slot.device_index < 0 ||
        !seen.insert(slot.device_index).second) {
      return Refuse(text);
    }
    slot.device = absl::StrCat("gpu:", slot.device_index);
    // Its share of the cores, for the threads that feed it.
    for (size_t core = i; core < cores.size(); core += words.size()) {
      slot.cores.push_back(cores[core]);
    }
    out.push_back(std::move(slot));
  }
  return out;
}

std::vector<int> OwnCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> out;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return out;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) out.push_back(core);
  }
  return out;
}

}  // namespace isoflop
