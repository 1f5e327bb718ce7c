// n-gram language models: the counts of order 1 to 5 under one of three
// smoothings. Formulas with the words h = context, h' = h without its oldest token,
// c = count, c(h) = sum over w of c(h w), t(h) = different w behind h:
//
//   add_k              p(w|h) = (c(h w) + k) / (c(h) + k V)             (Lidstone 1920)
//   absolute_discount  p(w|h) = (c(h w) - D) / c(h) where c(h w) > 0, else a(h) p(w|h'),
//                      a(h) so that the sum over w is 1  (Ney, Essen and Kneser 1994)
//   kneser_ney         p(w|h) = max(c(h w) - D, 0) / c(h) + D t(h) / c(h) p(w|h')
//                      with, below the highest order, the number of different
//                      tokens before h w in place of c  (Kneser and Ney 1995;
//                      interpolated as in Chen and Goodman 1999)
//
// D = n1 / (n1 + 2 n2) for each order, with n1 and n2 the n-grams of count 1 and 2;
// 0.75 where either is 0. Below order 1 stands 1/V. A context that was never seen
// leaves it to the lower order (add_k: 1/V). A context that is shorter than the
// order, at the start of a window, is met by the model of its length + 1.
//
// Immutable after construction; safe from any thread.
#ifndef ISOFLOP_CORPUS_NGRAM_MODEL_H_
#define ISOFLOP_CORPUS_NGRAM_MODEL_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "corpus/ngram_counts.h"

namespace isoflop {

enum class NgramSmoothing { kAddK, kAbsoluteDiscount, kKneserNey };

struct NgramOptions {
  NgramSmoothing smoothing = NgramSmoothing::kKneserNey;
  double add_k = 1;  // > 0
  // To compare with other programs only: one D in (0, 1) for all orders, and
  // kneser_ney's order 1 without the 1/V below it (unseen tokens get 0).
  std::optional<double> discount{};
  bool interpolate_uniform = true;
};

class NgramModel {
 public:
  // `counts` are those of NgramCounts::Finish for `vocab_size` and `order`.
  // InvalidArgument: nothing was counted; k or D out of range.
  static absl::StatusOr<NgramModel> Make(std::int64_t vocab_size, int order, const NgramOptions& options,
                                         std::vector<NgramCount> counts);

  std::int64_t vocab_size() const { return vocab_size_; }
  int order() const { return order_; }
  const NgramOptions& options() const { return options_; }

  // p(token | the last order - 1 tokens of `context`), ids in [0, V).
  double Probability(std::span<const std::int64_t> context, std::int64_t token) const;
  // All V of them.
  std::vector<double> Distribution(std::span<const std::int64_t> context) const;

  // Nats of tokens[1], tokens[2], ..., each given the tokens before it in the span,
  // order - 1 at most: `losses` has one place fewer than `tokens`.
  void LossesOf(std::span<const std::int64_t> tokens, std::span<double> losses) const;

  // Plug-in entropy of the counts, nats: of the token given the n - 1 before it,
  // 1 <= n <= order, - sum c(h w)/c ln(c(h w)/c(h)) over whole n-grams. What a table
  // of counts reaches on the text that it was counted on: below the truth where
  // contexts are rare.
  double ConditionalEntropyNats(int n) const;

  // One file, docs/ngrams.md; synced and renamed. The errors of WriteDataFile.
  absl::Status Save(const std::string& path) const;
  // NotFound; DataLoss: cut, changed or no such file, with offset and cure.
  static absl::StatusOr<NgramModel> Load(const std::string& path);

 private:
  struct Context {
    double total = 0;    // c(h)
    double types = 0;    // t(h)
    double backoff = 0;  // a(h), absolute_discount only
  };
  struct Level {
    absl::flat_hash_map<NgramKey, double> counts;     // of h w
    absl::flat_hash_map<NgramKey, Context> contexts;  // of h
    double discount = 0;
  };

  NgramModel(std::int64_t vocab_size, int order, const NgramOptions& options, std::vector<NgramCount> counts);
  NgramKey SuffixOf(NgramKey key, int symbols) const;
  bool IsWhole(NgramKey key, int symbols) const;  // no place before the stream
  std::vector<NgramCount> CountsOfOrder(int n) const;
  std::vector<NgramCount> ContinuationsOfOrder(int n) const;
  void BuildLevel(int n);
  void BuildBackoff(int n);
  double AtLevel(int n, NgramKey context, std::int64_t token) const;

  // Constant after construction.
  std::int64_t vocab_size_;
  int order_;
  int bits_;
  NgramOptions options_;
  std::vector<NgramCount> ngrams_;  // as counted
  std::vector<Level> levels_;       // [n - 1]
};

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_NGRAM_MODEL_H_
