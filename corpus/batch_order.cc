#include "corpus/batch_order.h"

#include "corpus/permutation.h"
#include "corpus/sha256.h"

namespace isoflop {

std::int64_t WindowCount(std::int64_t tokens, std::int64_t sequence_length) {
  return tokens < 1 ? 0 : (tokens - 1) / sequence_length;
}

BatchOrder::BatchOrder(std::int64_t windows, const std::string& dataset_sha256, std::uint64_t seed)
    : windows_(windows),
      base_key_(FirstU64(Sha256Bytes(FromHex(dataset_sha256) + U64Bytes(seed)))) {}

std::int64_t BatchOrder::WindowOfSample(std::int64_t sample) const {
  const auto epoch = static_cast<std::uint64_t>(sample / windows_);
  return static_cast<std::int64_t>(Permute(static_cast<std::uint64_t>(sample % windows_),
                                           static_cast<std::uint64_t>(windows_),
                                           SplitMix64(base_key_ + epoch)));
}

std::vector<std::int64_t> BatchOrder::WindowsOfStep(std::int64_t step,
                                                    std::int64_t batch_sequences) const {
  std::vector<std::int64_t> windows(static_cast<std::size_t>(batch_sequences));
  for (std::int64_t b = 0; b < batch_sequences; ++b) {
    windows[static_cast<std::size_t>(b)] = WindowOfSample(step * batch_sequences + b);
  }
  return windows;
}

}  // namespace isoflop
