// The frozen evaluation set: the same target tokens for every trial of a study.
//
// The evaluation stream of a Dataset (held-out documents by rising hash, each
// behind its EOT) of E tokens has E - 1 target tokens, the tokens 1 ... E-1.
// With windows of T, window k holds the targets 1 + k*T ... min((k+1)*T, E-1)
// and as inputs the tokens just before them; the last window may be shorter.
// So each target counts exactly once, whatever T is, and the first target of a
// window sees one token of context.
//
// A target's document is the one that it lies in; an EOT belongs to the
// document that it opens. Losses are over all targets. Bits per byte leave
// specials (tokens of 0 bytes) out of both sums.
//
// EvalSet is immutable and thread-safe; it holds a pointer to the Dataset,
// which must outlive it. EvalLossSums is not thread-safe.
#ifndef ISOFLOP_CORPUS_EVAL_SET_H_
#define ISOFLOP_CORPUS_EVAL_SET_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "corpus/dataset.h"

namespace isoflop {

class EvalSet {
 public:
  // Scans the stream once for its documents. `sequence_length` >= 1.
  EvalSet(const Dataset& dataset, std::int64_t sequence_length);

  std::int64_t sequence_length() const { return sequence_length_; }
  std::int64_t window_count() const;
  // Target tokens of all windows, E - 1: the `eval_tokens` of a trial.
  std::int64_t target_count() const { return target_count_; }
  // UTF-8 bytes of all targets: the `eval_bytes` of a trial. 0 where the
  // tokenizer is not known.
  std::int64_t target_bytes() const { return target_bytes_; }
  // Documents, empty of targets or not.
  std::int64_t document_count() const { return static_cast<std::int64_t>(document_begins_.size()); }

  // Target tokens of `window`: T, or fewer in the last one.
  std::int64_t TargetsIn(std::int64_t window) const;

  // Inputs and targets of `window`: `tokens` has TargetsIn(window) + 1 places,
  // input i is tokens[i], its target tokens[i + 1].
  void FillWindow(std::int64_t window, std::span<std::int32_t> tokens) const;
  void FillWindow(std::int64_t window, std::span<std::int64_t> tokens) const;

  // For each target of `window`: the index of its document in [0,
  // document_count()), and the UTF-8 bytes that it stands for (0: special).
  // Both spans have TargetsIn(window) places.
  void FillDocuments(std::int64_t window, std::span<std::int64_t> documents) const;
  void FillBytes(std::int64_t window, std::span<std::int64_t> bytes) const;

  // Target tokens n_d of each document.
  const std::vector<std::int64_t>& document_targets() const { return document_targets_; }

 private:
  // Constant after construction.
  const Dataset* dataset_;
  std::int64_t sequence_length_;
  std::int64_t target_count_;
  std::int64_t target_bytes_ = 0;
  std::vector<std::int64_t> document_begins_;  // first token of each document
  std::vector<std::int64_t> document_targets_;
};

// What a pass over an EvalSet says.
struct EvalLoss {
  double loss_nats = 0;  // mean over the targets that were added
  // Standard error of loss_nats by documents:
  //   sqrt(K/(K-1) * sum_d (L_d - r n_d)^2) / sum_d n_d,  r = sum L_d / sum n_d
  // over the K documents with targets. nullopt: K < 2.
  std::optional<double> loss_se;
  // sum of nats / (ln 2 * sum of bytes), specials out of both. nullopt: no bytes.
  std::optional<double> bits_per_byte;
  std::int64_t eval_tokens = 0;
  std::int64_t eval_bytes = 0;
};

// Sums of losses in fp64, by document. Each rank adds its own windows; `values`
// are then summed over ranks, element by element.
class EvalLossSums {
 public:
  // Keeps a pointer to `set`.
  explicit EvalLossSums(const EvalSet& set);

  // Adds the losses in nats of the TargetsIn(window) targets of `window`. A
  // window is added once, by one rank.
  void Add(std::int64_t window, std::span<const float> losses_nats);
  void Add(std::int64_t window, std::span<const double> losses_nats);

  // document_count() + 1 sums: L_d of each document, then the nats of all
  // targets that are not special. All-reduce them in place.
  std::span<double> values() { return values_; }

  // The result once every window was added, here or on another rank. A loss
  // that is not finite makes loss_nats so: a diverged trial, not an error.
  EvalLoss Result() const;

 private:
  const EvalSet* set_;
  std::vector<double> values_;
};

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_EVAL_SET_H_
