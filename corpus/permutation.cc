#include "corpus/permutation.h"

namespace isoflop {

std::uint64_t Permute(std::uint64_t value, std::uint64_t size, std::uint64_t key) {
  int half_bits = 1;
  while ((std::uint64_t{1} << (2 * half_bits)) < size) ++half_bits;
  const std::uint64_t mask = (std::uint64_t{1} << half_bits) - 1;
  do {
    std::uint64_t left = value >> half_bits;
    std::uint64_t right = value & mask;
    for (std::uint64_t round = 0; round < 4; ++round) {
      const std::uint64_t mixed = left ^ (SplitMix64(SplitMix64(key + round) ^ right) & mask);
      left = right;
      right = mixed;
    }
    value = left << half_bits | right;
  } while (value >= size);
  return value;
}

}  // namespace isoflop
