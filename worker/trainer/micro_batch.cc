#include "worker/trainer/micro_batch.h"

#include <algorithm>

namespace isoflop {

std::vector<int64_t> MicroBatchChoices(int64_t share, int64_t most) {
  std::vector<int64_t> choices;
  for (int64_t count = std::min(share, std::max<int64_t>(most, 1)); count >= 1; --count) {
    if (share % count == 0) choices.push_back(count);
  }
  return choices;
}

int64_t MostSequences(bool is_cuda, int64_t sequence_length, std::optional<int64_t> limit) {
  const int64_t most = is_cuda ? kProbeSequences : std::max<int64_t>(1, kCpuMicroBatchTokens / sequence_length);
  return limit ? std::min(most, *limit) : most;
}

std::optional<int64_t> LargestThatFits(const std::vector<int64_t>& choices, const std::function<bool(int64_t)>& fits,
                                       const std::function<bool(bool)>& everywhere) {
  for (int64_t choice : choices) {
    if (everywhere(fits(choice))) return choice;
  }
  return std::nullopt;
}

}  // namespace isoflop
