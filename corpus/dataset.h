// A prepared data set, opened for training: memory-mapped token shards, a frozen
// evaluation stream and what `dataset.json` says about them.
//
// Not a tokenizer and not a text reader: `corpus/prepare.h` makes what this
// opens. The folder of a `dataset.json` holds every file that it names.
//
// Opening reads the manifest, maps the shards, checks header, length and (by
// default) SHA-256 of each, which reads every byte once: about a second a GB.
// Every id was checked to be below V when the data were prepared, and the hash
// says that they are still those ids.
//
// Thread-safe after Open: everything is const. Pages are read on first touch,
// so FillWindow may block on the disk.
#ifndef ISOFLOP_CORPUS_DATASET_H_
#define ISOFLOP_CORPUS_DATASET_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "corpus/dataset_manifest.h"

namespace isoflop {

class TokenShard;

struct DatasetOptions {
  // Affects speed only: false skips the SHA-256 of shards (of the second rank
  // of a node, say); header and length are checked all the same.
  bool verify_hashes = true;
};

class Dataset {
 public:
  // Opens the data set whose `dataset.json` is `path`, or lies in the folder
  // `path`. NotFound: no such file. InvalidArgument: a wrong manifest, magic,
  // vocabulary, or evaluation data that are also training data. DataLoss: a
  // file that is truncated, too long, or against its hash. Each message names
  // file, offset, value and cure.
  static absl::StatusOr<Dataset> Open(const std::string& path, const DatasetOptions& options = {});

  Dataset(Dataset&&) noexcept;
  Dataset& operator=(Dataset&&) noexcept;
  ~Dataset();

  // SHA-256 of the bytes of dataset.json, 64 hexadecimal digits. These bytes
  // are a function of the data, the tokenizer and the split alone, and state
  // the hash of every shard, so this one hash names all of it.
  const std::string& dataset_sha256() const { return dataset_sha256_; }
  const std::string& eval_sha256() const { return manifest_.eval.shards.front().sha256; }
  const std::string& tokenizer_sha256() const { return manifest_.tokenizer.sha256; }
  // "bytes", "sentencepiece", "gpt2" or "unknown".
  const std::string& tokenizer_id() const { return manifest_.tokenizer.id; }

  // V: every id is in [0, V).
  std::int64_t vocab_size() const { return manifest_.tokenizer.vocab_size; }
  // The id that stands before each document; nullopt where there is none.
  std::optional<std::int64_t> eot_id() const { return manifest_.tokenizer.eot_id; }

  // Unique training tokens, specials included: the longest D without repeats
  // is windows times sequence length, up to T less than this.
  std::int64_t train_tokens() const { return manifest_.train.tokens; }
  // Tokens of the evaluation stream (one more than its target tokens), and the
  // UTF-8 bytes they stand for.
  std::int64_t eval_tokens() const { return manifest_.eval.tokens; }
  std::int64_t eval_bytes() const { return manifest_.eval.bytes; }
  // Bytes of the sources as read (unpacked); 0 for synthetic data.
  std::int64_t source_bytes() const { return manifest_.source_bytes; }
  // The exact entropy rate of a synthetic source in nats a token, the loss
  // floor E that no model can pass; nullopt for real data.
  std::optional<double> entropy_rate_nats() const;

  // UTF-8 bytes that each id stands for, V entries, specials 0. Empty where
  // the tokenizer is not known: no bits per byte then.
  std::span<const std::uint16_t> token_bytes() const { return token_bytes_; }

  const DatasetManifest& manifest() const { return manifest_; }
  // The path of the dataset.json that was opened.
  const std::string& path() const { return path_; }

  // Window i of the training stream: tokens i*T ... i*T+T over the shards in
  // order, T inputs and, one later, T targets. `tokens` has T + 1 places and
  // `window` is below WindowCount(train_tokens(), T); anything else ends the
  // process.
  void FillWindow(std::int64_t window, std::int64_t sequence_length,
                  std::span<std::int32_t> tokens) const;
  void FillWindow(std::int64_t window, std::int64_t sequence_length,
                  std::span<std::int64_t> tokens) const;

  // `tokens.size()` tokens of the training or the evaluation stream from
  // `begin` on, all of them inside the stream.
  void FillTrain(std::int64_t begin, std::span<std::int64_t> tokens) const;
  void FillEval(std::int64_t begin, std::span<std::int64_t> tokens) const;

  std::string DebugString() const;

 private:
  Dataset();

  // Constant after Open.
  std::string path_;
  std::string dataset_sha256_;
  DatasetManifest manifest_;
  std::vector<std::uint16_t> token_bytes_;
  std::vector<TokenShard> train_shards_;
  std::vector<std::int64_t> train_begins_;  // first token of each shard, then the total
  std::vector<TokenShard> eval_shards_;     // exactly one
};

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_DATASET_H_
