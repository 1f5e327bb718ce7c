// Exact counts of the n-grams of a token stream, in one pass and bounded memory.
//
// Each target token is counted once, with the n - 1 tokens before it; places
// before the stream's first token hold a symbol of their own, V. Counts of lower
// orders follow from these (corpus/ngram_model.h).
//
// What does not fit into the table is written to a temporary file as a sorted run;
// Finish merges the runs. Not thread-safe; blocks on the disk when it spills.
#ifndef ISOFLOP_CORPUS_NGRAM_COUNTS_H_
#define ISOFLOP_CORPUS_NGRAM_COUNTS_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/numeric/int128.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "corpus/scratch_folder.h"

namespace isoflop {

inline constexpr int kMaxNgramOrder = 5;
inline constexpr std::int64_t kMaxNgramVocabulary = (std::int64_t{1} << 24) - 1;

// n symbols side by side, the oldest in the highest bits, each of
// NgramSymbolBits(V) bits.
using NgramKey = absl::uint128;
int NgramSymbolBits(std::int64_t vocab_size);

struct NgramCount {
  NgramKey key;
  std::uint64_t count = 0;
  friend bool operator==(const NgramCount&, const NgramCount&) = default;
};

struct NgramCountOptions {
  // Affects speed only: of the table in memory, about.
  std::int64_t memory_bytes = std::int64_t{1} << 30;
  // Where runs go when the table is full; empty: the system's temporary folder.
  std::string scratch_folder;
};

class NgramCounts {
 public:
  // InvalidArgument: an order outside [1, 5], a vocabulary outside [2, 2^24).
  static absl::StatusOr<NgramCounts> Make(std::int64_t vocab_size, int order, const NgramCountOptions& options = {});
  NgramCounts(NgramCounts&&) noexcept;
  NgramCounts& operator=(NgramCounts&&) noexcept;
  ~NgramCounts();

  // Counts the tokens behind the first `context` ones, which were or will be
  // counted elsewhere. Contexts reach back to the span's first token, no further.
  // InvalidArgument: an id that is not below V; ResourceExhausted and so on: a run
  // could not be written.
  absl::Status Add(std::span<const std::int64_t> tokens, std::size_t context);

  // All n-grams, by rising key, each once. Counts nothing afterwards.
  absl::StatusOr<std::vector<NgramCount>> Finish() &&;

  std::int64_t tokens() const { return tokens_; }
  std::int64_t runs_written() const { return static_cast<std::int64_t>(runs_.size()); }

 private:
  NgramCounts(std::int64_t vocab_size, int order, const NgramCountOptions& options);
  std::vector<NgramCount> SortedTable();
  absl::Status WriteRun();

  // Constant after construction.
  std::int64_t vocab_size_;
  int order_;
  int bits_;
  NgramCountOptions options_;
  std::size_t most_entries_;

  absl::flat_hash_map<NgramKey, std::uint64_t> table_;
  std::int64_t tokens_ = 0;
  std::unique_ptr<ScratchFolder> scratch_;
  std::vector<std::string> runs_;
};

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_NGRAM_COUNTS_H_
