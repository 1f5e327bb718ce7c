// The loss of a model on a text: cross-entropy, perplexity, bits per byte.
//
// No Torch here.
#ifndef ISOFLOP_WORKER_TRAINER_TEXT_LOSS_H_
#define ISOFLOP_WORKER_TRAINER_TEXT_LOSS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "worker/trainer/text_model.h"

namespace isoflop {

struct TextLoss {
  double loss_nats = 0;              // mean over the targets
  std::optional<double> bits_per_byte;  // sum of nats / (ln 2 sum of bytes), specials out of both
  int64_t tokens = 0;                // targets: all tokens but the first
  int64_t bytes = 0;                 // that they stand for
  double perplexity() const;         // exp(loss_nats)
};

// Each token of `tokens` but the first is a target once, given T/2 tokens at least
// where so many stand before it (T: the model's context): the first window has T
// targets, each later one moves on by T/2 and counts these.
// `token_bytes`: of each id, V of them, 0 for specials; empty: not known. `progress`
// (may be empty) hears the targets done. Two tokens at least. A loss that is not finite
// makes the sums so.
TextLoss LossOfText(TextModel& model, std::span<const int64_t> tokens, std::span<const uint16_t> token_bytes,
                    const std::function<void(int64_t)>& progress);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_TEXT_LOSS_H_
