// What `dataset.json` says: one struct, its canonical text and its parser.
//
// The text has sorted keys, a fixed layout and no path, time or name of a
// machine: preparing the same sources with the same tokenizer and split gives
// the same bytes anywhere, and their SHA-256 is the name of the data set.
#ifndef ISOFLOP_CORPUS_DATASET_MANIFEST_H_
#define ISOFLOP_CORPUS_DATASET_MANIFEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace isoflop {

// The version that this program writes, and the newest that it reads.
inline constexpr int kDatasetFormatVersion = 1;

struct TokenizerFacts {
  std::string id;      // "bytes", "sentencepiece", "gpt2" (llm.c), "unknown"
  std::string sha256;  // of the model file; of the id where there is none
  std::int64_t vocab_size = 0;
  std::optional<std::int64_t> eot_id;
  std::string file;  // its model, beside dataset.json; empty when it has none

  friend bool operator==(const TokenizerFacts&, const TokenizerFacts&) = default;
};

struct ShardFacts {
  std::string file;  // beside dataset.json, no folder
  std::int64_t tokens = 0;
  std::int64_t bytes = 0;  // UTF-8 bytes that the tokens stand for
  std::string sha256;      // of the whole file, header included

  friend bool operator==(const ShardFacts&, const ShardFacts&) = default;
};

struct StreamFacts {
  std::int64_t tokens = 0;
  std::int64_t bytes = 0;
  std::int64_t documents = 0;
  std::vector<ShardFacts> shards;

  friend bool operator==(const StreamFacts&, const StreamFacts&) = default;
};

struct SplitFacts {
  std::string by;  // "document", "directory", "chapter"; "files": train and val came apart
  int permille = 0;
  std::int64_t max_tokens = 0;
  std::uint64_t seed = 0;
  std::int64_t held_out_documents = 0;  // those beyond max_tokens too
  std::int64_t duplicates_dropped = 0;

  friend bool operator==(const SplitFacts&, const SplitFacts&) = default;
};

struct SourceFacts {
  std::string name;    // relative to what was named, never absolute
  std::string format;  // "text", "text.xz", "llm.c", ...
  std::int64_t bytes = 0;  // of the file
  std::string sha256;      // of the file

  friend bool operator==(const SourceFacts&, const SourceFacts&) = default;
};

struct SyntheticFacts {
  std::string spec;  // "zipf-markov:256,1.1,0.3,7,20000000"
  double entropy_rate_nats = 0;

  friend bool operator==(const SyntheticFacts&, const SyntheticFacts&) = default;
};

struct DatasetManifest {
  std::string dtype;  // "u16" or "u32"
  TokenizerFacts tokenizer;
  StreamFacts train;
  StreamFacts eval;  // one shard
  // Documents of the streams begin at eot_id; where that is absent or 0 tokens
  // long, a "document" is a block of this many tokens. 0: EOT tells.
  std::int64_t block_tokens = 0;
  SplitFacts split;
  std::vector<SourceFacts> sources;
  std::int64_t source_bytes = 0;  // unpacked
  std::string token_bytes_file;   // empty: tokenizer not known
  std::string token_bytes_sha256;
  std::optional<SyntheticFacts> synthetic;

  friend bool operator==(const DatasetManifest&, const DatasetManifest&) = default;
};

// The canonical text, ending in a newline.
std::string ManifestText(const DatasetManifest& manifest);

// Reads what ManifestText wrote. InvalidArgument, headed by `source_name`: not
// JSON, a field that is missing or of the wrong kind, file names with a folder
// in them, sums that do not add up, a newer format version.
absl::StatusOr<DatasetManifest> ParseManifest(const std::string& text,
                                              const std::string& source_name);

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_DATASET_MANIFEST_H_
