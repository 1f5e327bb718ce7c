// Writes the files of a data set into a folder: train-00000.bin ..., eval.bin,
// token_bytes.bin, the tokenizer's model, and dataset.json last.
//
// Decides each document's side by its hash: training, held out, or a
// duplicate of one that was seen. Held-out documents wait in memory, those of
// the smallest hashes up to `max_tokens`; training tokens go to the disk.
//
// Not thread-safe. Blocks on the disk.
#ifndef ISOFLOP_CORPUS_DATASET_WRITER_H_
#define ISOFLOP_CORPUS_DATASET_WRITER_H_

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "corpus/split.h"
#include "corpus/token_shard.h"

namespace isoflop {

class DatasetWriter {
 public:
  // `token_bytes` has V entries or is empty (not known). `folder` exists.
  DatasetWriter(std::string folder, const SplitRule& split, TokenType type,
                std::int64_t shard_tokens, std::vector<std::uint16_t> token_bytes);

  enum class Side { kTrain, kHeldOut, kDuplicate };
  struct Place {
    Side side = Side::kTrain;
    std::uint64_t hash = 0;  // h(seed || key)
  };
  // Where the document of this SHA-256 (32 bytes) goes. `group` is its key if
  // not empty, else the SHA-256 is.
  Place Choose(std::string_view document_sha256, std::string_view group);

  // The next document's tokens, EOT included.
  absl::Status AppendTrain(std::span<const std::uint32_t> tokens);
  void HoldOut(std::uint64_t hash, std::vector<std::uint32_t> tokens);

  std::int64_t documents() const {
    return train_.documents + held_out_documents_ + duplicates_dropped_;
  }
  std::int64_t train_tokens() const { return train_.tokens; }

  // Writes what is left and the manifest: `manifest` with what the writer
  // knows filled in (streams, split but its `by`, token bytes). `model`: the
  // bytes of the tokenizer's file if manifest.tokenizer.file names one.
  // InvalidArgument: nothing was held out, or nothing is left to train on.
  absl::StatusOr<DatasetManifest> Finish(DatasetManifest manifest, const std::string& model);

 private:
  struct HeldOutDocument {
    std::uint64_t hash;
    std::int64_t arrival;
    std::vector<std::uint32_t> tokens;
    bool operator<(const HeldOutDocument& other) const {
      return hash != other.hash ? hash < other.hash : arrival < other.arrival;
    }
  };
  std::int64_t BytesOfTokens(std::span<const std::uint32_t> tokens) const;
  absl::Status CloseShard();
  absl::StatusOr<StreamFacts> WriteEval();

  // Constant after construction.
  const std::string folder_;
  const SplitRule split_;
  const TokenType type_;
  const std::int64_t shard_tokens_;
  const std::vector<std::uint16_t> token_bytes_;

  // State.
  absl::flat_hash_set<std::string> seen_;  // the first 16 bytes of each SHA-256
  std::set<HeldOutDocument> held_out_;
  std::optional<std::pair<std::uint64_t, std::int64_t>> cut_from_;  // hash, arrival
  std::int64_t held_out_tokens_ = 0;
  std::int64_t held_out_documents_ = 0;
  std::int64_t duplicates_dropped_ = 0;
  StreamFacts train_;
  std::optional<TokenShardWriter> shard_;
  std::int64_t shard_bytes_ = 0;
};

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_DATASET_WRITER_H_
