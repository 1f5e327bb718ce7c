// Says what a data file, a folder of them or a prepared data set is, and
// whether it is sound. Reads every token once; writes nothing.
#ifndef ISOFLOP_CORPUS_INSPECT_H_
#define ISOFLOP_CORPUS_INSPECT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "corpus/corpus_entropy.h"

namespace isoflop {

struct InspectOptions {
  // Headerless token files only, as in PrepareOptions.
  std::string dtype;
  std::int64_t vocab_size = 0;
};

struct DataInspection {
  std::string format;  // "isoflop data set", "llm.c .bin", "raw tokens", "text", "text.xz", ...
  std::string dtype;   // "u16", "u32"; empty for text
  std::int64_t files = 0;
  std::int64_t bytes = 0;   // of text, unpacked; of token files, on the disk
  std::int64_t tokens = 0;  // train and eval; text: of the bytes tokenizer
  std::int64_t train_tokens = 0;
  std::int64_t eval_tokens = 0;
  std::optional<std::int64_t> documents;   // where the format tells
  std::optional<std::int64_t> vocab_size;  // where the format tells
  std::string tokenizer;                   // empty: not known
  std::optional<bool> hashes_ok;  // prepared data sets only; a wrong hash is an error
  std::string dataset_sha256;     // prepared data sets only
  std::optional<std::int64_t> min_id, max_id;  // tokens only
  // Entropies in nats a token, plug-in estimates over all tokens: what a table
  // of counts reaches. Of pairs: H(next | previous), where V^2 <= 2^24.
  double unigram_entropy_nats = 0;
  std::optional<double> bigram_entropy_nats;
  std::optional<double> entropy_rate_nats;  // synthetic: the exact one
  // Of the first tokens; nullopt where V is not known.
  std::optional<CorpusEntropy> entropy;

  // "llm.c .bin, u16, 100M tokens, ok"
  std::string Line() const;
};

// Sniffs and checks `path`. The errors are those of Dataset::Open and
// PrepareDataset: NotFound, InvalidArgument, DataLoss, each with file, offset,
// value and cure.
absl::StatusOr<DataInspection> InspectData(const std::string& path,
                                           const InspectOptions& options = {});

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_INSPECT_H_
