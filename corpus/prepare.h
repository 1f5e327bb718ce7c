// Turns text or token files into a data set: split, tokenised, sharded, with
// the `dataset.json` that names it.
//
// One pass: each document is hashed, exact duplicates are dropped, a document
// is held out by its own hash (corpus/split.h), the rest is tokenised in order
// into shards of 100 M tokens. Memory: one document and the evaluation set.
//
// Files appear under temporary names and are renamed when whole, dataset.json
// last, so a folder with a dataset.json is complete. Blocking: reads, hashes
// and tokenises all sources. Any thread; two processes that prepare the same
// cache entry at once both succeed.
#ifndef ISOFLOP_CORPUS_PREPARE_H_
#define ISOFLOP_CORPUS_PREPARE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "corpus/split.h"

namespace isoflop {

struct PrepareOptions {
  // Affect the result. ---------------------------------------------------

  // Files or folders (all files below them by name; hidden ones are passed
  // over): text, JSONL (plain, .gz, .xz), or token shards. One kind at a time.
  std::vector<std::string> sources;
  // In place of sources: "zipf-markov:V,s,q,seed[,tokens]" (corpus/zipf_markov.h).
  std::string synthetic;
  // Text only: "bytes", or the path of a SentencePiece .model.
  std::string tokenizer = "bytes";
  // What is held out for evaluation.
  SplitRule split;
  // Headerless token files only: "u16" or "u32", and V. Empty and 0: not said.
  std::string dtype;
  std::int64_t vocab_size = 0;
  // Tokens a shard: at most 2^31 - 1, the count of llm.c's header.
  std::int64_t shard_tokens = 100'000'000;

  // Affects the folder only: true replaces another data set that is there.
  bool replace = false;
};

struct PrepareProgress {
  std::int64_t bytes_done = 0;   // of source files, packed; tokens if synthetic
  std::int64_t bytes_total = 0;
  std::int64_t documents = 0;
  std::int64_t tokens = 0;
};
// Called now and then from the calling thread; may be empty.
using PrepareCallback = std::function<void(const PrepareProgress&)>;

struct PreparedSummary {
  std::string path;  // of dataset.json
  std::string dataset_sha256;
  std::int64_t documents = 0;  // train, held out and duplicates
  std::int64_t train_tokens = 0;
  std::int64_t eval_tokens = 0;
  std::int64_t source_bytes = 0;  // unpacked
  bool was_there = false;         // nothing was written: prepared before

  // "6 documents, 4.03M tokens"
  std::string DebugString() const;
};

// Prepares into `output_dir`, made if missing. A data set that is there already
// and was made of the same sources, tokenizer and split is left as it is.
// InvalidArgument: sources of two kinds, an unreadable format, an id >= V, a
// split that holds out nothing or everything. NotFound: no such source.
// FailedPrecondition: the folder holds another data set and `replace` is false.
// ResourceExhausted: the disk is full. DataLoss: a truncated source.
absl::StatusOr<PreparedSummary> PrepareDataset(const PrepareOptions& options,
                                               const std::string& output_dir,
                                               const PrepareCallback& progress = {});

// What a study's `data:` names, prepared where needed: a folder with a
// dataset.json, or that file, is opened where it lies (`sources` has one
// entry); anything else is prepared once into
// <cache_root>/<dataset_sha256>/dataset.json. An index under
// <cache_root>/index/ by path, size and times of the sources and the options
// makes the second call quick: no source is read.
absl::StatusOr<PreparedSummary> PrepareCached(const PrepareOptions& options,
                                              const std::string& cache_root,
                                              const PrepareCallback& progress = {});

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_PREPARE_H_
