// Which documents are held out for evaluation: by their hash, before they are
// tokenised, so that adding a document moves no other.
//
// A document is held out when h(seed || key) mod 1000 < permille, where h is
// the first 8 bytes of SHA-256 as a little-endian u64, the seed goes in as a
// little-endian u64, and the key is the document's SHA-256 (32 bytes, so that
// duplicates cannot leak), or the name of its directory.
#ifndef ISOFLOP_CORPUS_SPLIT_H_
#define ISOFLOP_CORPUS_SPLIT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace isoflop {

enum class SplitBy {
  kDocument,   // a file, or a line of JSONL
  kDirectory,  // all documents of a directory together, for code
  kChapter,    // a line that starts with CHAPTER or Chapter opens a document
};
std::string ToString(SplitBy by);  // "document", "directory", "chapter"
absl::StatusOr<SplitBy> ParseSplitBy(const std::string& text);

struct SplitRule {
  SplitBy by = SplitBy::kDocument;
  int permille = 50;                      // [1, 999]; data.eval.share of 5 % is 50
  std::int64_t max_tokens = 10'000'000;   // of the frozen evaluation set
  std::uint64_t seed = 1;

  friend bool operator==(const SplitRule&, const SplitRule&) = default;
};

// h(seed || key): also the order of the frozen evaluation set, rising.
std::uint64_t SplitHash(std::uint64_t seed, std::string_view key);

inline bool IsHeldOut(const SplitRule& rule, std::uint64_t split_hash) {
  return split_hash % 1000 < static_cast<std::uint64_t>(rule.permille);
}

// Cuts `text` before each line that starts with CHAPTER or Chapter. What
// stands before the first is a piece of its own; the pieces together are
// `text`, none of them empty. Views into `text`.
std::vector<std::string_view> CutChapters(std::string_view text);

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_SPLIT_H_
