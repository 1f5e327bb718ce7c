// A keyed permutation of [0, size) that needs no table: a Feistel network on
// 2h bits, the smallest h >= 1 with 4^h >= size, applied again until the value
// is below size ("cycle walking"; at most 4 rounds of it on average).
#ifndef ISOFLOP_CORPUS_PERMUTATION_H_
#define ISOFLOP_CORPUS_PERMUTATION_H_

#include <cstdint>

namespace isoflop {

// splitmix64 with its increment (Steele, Lea and Flood 2014): m(x).
constexpr std::uint64_t SplitMix64(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// Where `key` sends `value`, both in [0, size), size in [1, 2^62]. Rounds 0-3:
//   (l, r) <- (r, l ^ (m(m(key + round) ^ r) & (2^h - 1))), l the high half.
// Size 1000 under key 1 sends 0, 1, 2, 3, 4 to 982, 939, 296, 405, 814.
std::uint64_t Permute(std::uint64_t value, std::uint64_t size, std::uint64_t key);

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_PERMUTATION_H_
