// Which window of the training stream each sample of each step sees.
//
// A pure function of (data set, seed, step): independent of the number of
// ranks, of the batch size and of what was asked before, so a resumed, a wider
// or a longer run sees the same samples in the same order, and a smaller D is
// a prefix of a larger one.
//
// Sample j = step * batch_sequences + b takes window P(j mod W) under the key
// m(h + floor(j / W)), where m is splitmix64 with its increment and h the first
// 8 bytes, as a little-endian u64, of SHA-256(32 bytes of the data set's
// SHA-256, then the seed as a little-endian u64). Each pass over the data is
// thus a new permutation of the same W windows.
//
// Thread-safe: immutable after construction. Nothing here blocks.
#ifndef ISOFLOP_CORPUS_BATCH_ORDER_H_
#define ISOFLOP_CORPUS_BATCH_ORDER_H_

#include <cstdint>
#include <string>
#include <vector>

namespace isoflop {

// The windows of T target tokens in a stream: floor((tokens - 1) / T), for the
// last target needs a token of its own. 0 when the stream is too short.
std::int64_t WindowCount(std::int64_t tokens, std::int64_t sequence_length);

class BatchOrder {
 public:
  // `windows` >= 1. `dataset_sha256`: 64 hexadecimal digits, as
  // Dataset::dataset_sha256() gives them.
  BatchOrder(std::int64_t windows, const std::string& dataset_sha256, std::uint64_t seed);

  // The window, in [0, windows), that sample `sample` >= 0 reads.
  std::int64_t WindowOfSample(std::int64_t sample) const;

  // The windows of a whole step (counted from 0), in the order of its batch. A
  // rank takes its slice of them.
  std::vector<std::int64_t> WindowsOfStep(std::int64_t step, std::int64_t batch_sequences) const;

  std::int64_t windows() const { return windows_; }

 private:
  // Constant after construction.
  const std::int64_t windows_;
  const std::uint64_t base_key_;
};

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_BATCH_ORDER_H_
