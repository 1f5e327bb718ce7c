// Entropies of a corpus, to compare with the floor E of a fitted law: no model can
// lose less than the entropy rate of the text.
//
// Plug-in entropies of the text's own counts lie below the truth where contexts are
// rare; what a model loses on text that it has not seen, and what a packer needs,
// lie above. The entropy rate is between the two.
#ifndef ISOFLOP_CORPUS_CORPUS_ENTROPY_H_
#define ISOFLOP_CORPUS_CORPUS_ENTROPY_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace isoflop {

// Nats a token, all of them of the first kEntropyTokens of the text.
struct CorpusEntropy {
  std::int64_t tokens = 0;       // that were looked at
  double unigram_nats = 0;       // of the token, plug-in
  double bigram_nats = 0;        // given the one before, plug-in
  double trigram_nats = 0;       // given the two before, plug-in
  // Of a Kneser-Ney model of order kEntropyOrder, counted on `counted_tokens` and
  // measured on `held_out_tokens` others. nullopt: under 100 tokens.
  std::optional<double> kneser_ney_nats{};
  std::int64_t counted_tokens = 0;
  std::int64_t held_out_tokens = 0;
  // Of the text's bytes by xz at preset 6, as nats a token; nullopt: the bytes
  // behind the ids are not known.
  std::optional<double> xz_nats{};
  std::optional<double> bytes_per_token{};

  // "nats a token" as bits a byte; nullopt where bytes_per_token is.
  std::optional<double> BitsPerByte(double nats_per_token) const;
};

inline constexpr std::int64_t kEntropyTokens = std::int64_t{1} << 22;
inline constexpr int kEntropyOrder = 5;

// Collects the first tokens of a text and computes their entropies. Not
// thread-safe.
class CorpusEntropySample {
 public:
  // `bytes_are_ids`: ids below 256 are bytes (the bytes tokenizer).
  CorpusEntropySample(std::int64_t vocab_size, bool bytes_are_ids);

  // `held_out`: of the frozen evaluation set. Where no token is, the last tenth of
  // the text is held out.
  void Add(std::int64_t token, bool held_out);

  // The errors of NgramCounts. nullopt: fewer than two tokens, or a vocabulary of
  // 2^24 and more.
  absl::StatusOr<std::optional<CorpusEntropy>> Compute();

 private:
  const std::int64_t vocab_size_;
  const bool bytes_are_ids_;
  std::vector<std::int64_t> counted_;
  std::vector<std::int64_t> held_out_;
};

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_CORPUS_ENTROPY_H_
