// How many sequences a rank takes at once: part of what makes a run bitwise the
// same, so it is chosen once and kept in the checkpoint.
//
// No Torch.
#ifndef ISOFLOP_WORKER_TRAINER_MICRO_BATCH_H_
#define ISOFLOP_WORKER_TRAINER_MICRO_BATCH_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace isoflop {

inline constexpr int64_t kCpuMicroBatchTokens = 4096;
inline constexpr int64_t kProbeSequences = 64;

// The divisors of `share` (sequences of this rank in a step) that are at most
// `most`, falling; 1 is always the last.
std::vector<int64_t> MicroBatchChoices(int64_t share, int64_t most);

// The most sequences that are worth trying: on the CPU as many as hold
// kCpuMicroBatchTokens tokens (one at least), on CUDA kProbeSequences; never
// above `limit`.
int64_t MostSequences(bool is_cuda, int64_t sequence_length, std::optional<int64_t> limit);

// The first of `choices` (falling) that fits on every rank; nullopt if none does.
// `fits` tries one here; `everywhere` tells whether all ranks said true (a
// collective, called once a try).
std::optional<int64_t> LargestThatFits(const std::vector<int64_t>& choices, const std::function<bool(int64_t)>& fits,
                                       const std::function<bool(bool)>& everywhere);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_MICRO_BATCH_H_
