// What training, evaluation and the text tools ask of a network of any family.
//
// Parameters are leaves of a Parameters, read by name; a model has no state beside
// them. Legend of shapes: B sequences, T positions, V vocabulary.
//
// Not thread-safe. Everything throws c10::Error where Torch does.
#ifndef ISOFLOP_WORKER_TRAINER_LANGUAGE_MODEL_H_
#define ISOFLOP_WORKER_TRAINER_LANGUAGE_MODEL_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "study/model_shape.h"
#include "study/trial_spec.h"
#include "worker/trainer/parameters.h"

namespace isoflop {

// One text on its way through a network, a few tokens at a time: what was read before
// is remembered and not computed again, so a text costs what its length costs.
class TokenReader {
 public:
  virtual ~TokenReader() = default;

  // fp32 (V): logits of the token behind inputs (T) int64, T >= 1, which follow all
  // that were read before. No more than `longest_sequence` of them in all.
  virtual at::Tensor Read(const at::Tensor& inputs_T) = 0;
};

class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  // Must follow each change of the weights; does nothing in fp32.
  virtual void RefreshWeights() = 0;

  // Nats summed over the micro-batch, fp32, 0-d, with its graph. inputs and
  // targets int64 (B, T), ids below V. `training` turns dropout on.
  virtual at::Tensor SummedLoss(const at::Tensor& inputs_BT, const at::Tensor& targets_BT, bool training) const = 0;

  // Nats of each target, fp32 (B, T). No graph, no dropout.
  virtual at::Tensor TokenLosses(const at::Tensor& inputs_BT, const at::Tensor& targets_BT) const = 0;

  // fp32 (B, T, V), with its graph, no dropout.
  virtual at::Tensor Logits(const at::Tensor& inputs_BT) const = 0;

  // A reader that has read nothing yet; the model outlives it and keeps its weights.
  virtual std::unique_ptr<TokenReader> StartReading() const = 0;
};

// The network of `shape`'s family (transformer or LSTM) with the fastest
// operations for the device and precision. `longest_sequence`: the most positions
// of any call. Keeps a pointer to `parameters`, which was laid out for `shape`.
// kBf16 multiplies with a bf16 copy of the fp32 leaves, which RefreshWeights
// renews; softmax and loss stay fp32.
std::unique_ptr<LanguageModel> MakeLanguageModel(const ModelShape& shape, int64_t longest_sequence,
                                                 const Parameters& parameters, Precision precision);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_LANGUAGE_MODEL_H_
