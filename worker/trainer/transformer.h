// The decoder-only transformer: pre-norm blocks over a residual stream.
//
//   x = E[token] (+ positions);  x += Wo attention(norm(x));  x += Wd act(Wu norm(x));
//   logits = W norm(x)
//
// The choices of a ModelShape: rmsnorm or layernorm; rope (theta 10000), learned
// or sinusoidal positions (Vaswani et al. 2017, section 3.5, embedding times
// sqrt(D) as in 3.4); gelu (tanh form), swiglu, relu2; tied head, QK-norm, bias,
// dropout. muP (arXiv 2203.03466): scores times 1/K, logits times base width / D.
//
// No module and no state but the tables below: parameters are leaves of a
// Parameters, read by name. Legend of shapes: layer_ops.h.
//
// Not thread-safe. Everything throws c10::Error where Torch does.
#ifndef ISOFLOP_WORKER_TRAINER_TRANSFORMER_H_
#define ISOFLOP_WORKER_TRAINER_TRANSFORMER_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "study/model_shape.h"
#include "study/trial_spec.h"
#include "worker/trainer/language_model.h"
#include "worker/trainer/layer_ops.h"
#include "worker/trainer/parameters.h"
#include "worker/trainer/working_weights.h"

namespace isoflop {

class Transformer : public LanguageModel {
 public:
  // As MakeLanguageModel; norms stay fp32 too.
  Transformer(const ModelShape& shape, int64_t longest_sequence, const Parameters& parameters,
              Precision precision, std::unique_ptr<LayerOps> ops);
  // With the fastest operations for the device and precision.
  Transformer(const ModelShape& shape, int64_t longest_sequence, const Parameters& parameters, Precision precision);

  void RefreshWeights() override { working_.Refresh(); }
  at::Tensor SummedLoss(const at::Tensor& inputs_BT, const at::Tensor& targets_BT, bool training) const override;
  at::Tensor TokenLosses(const at::Tensor& inputs_BT, const at::Tensor& targets_BT) const override;
  at::Tensor Logits(const at::Tensor& inputs_BT) const override;
  std::unique_ptr<TokenReader> StartReading() const override;

  // Keys and values of the tokens that were read, a tensor a layer, (1, H, room, K);
  // undefined before the first.
  struct Cache {
    std::vector<at::Tensor> keys_1HSK, values_1HSK;
    int64_t length = 0;  // tokens in it
  };
  // fp32 (V): logits behind inputs (T), which follow the `cache->length` tokens in the
  // cache and are put into it. longest_sequence in all at most. No graph.
  at::Tensor LogitsFrom(const at::Tensor& inputs_T, Cache* cache) const;

  // softmax(scale Q K^T) of `layer` in [0, n_layer), computed openly, for
  // pictures: fp32 (B, H, T, T), rows queries, columns keys. No graph.
  at::Tensor AttentionWeights(const at::Tensor& inputs_BT, int64_t layer) const;

  // What the fused attention of `layer` gives and the values that it mixes, both
  // (B, H, T, K): output = AttentionWeights * values. No graph.
  struct Mixed {
    at::Tensor output_BHTK, values_BHTK;
  };
  Mixed AttentionOutput(const at::Tensor& inputs_BT, int64_t layer) const;

 private:
  struct Linear {
    at::Tensor weight, bias;  // bias undefined without one
  };
  struct NormWeights {
    at::Tensor gain, bias;
  };
  struct Block {
    NormWeights attention_norm, mlp_norm;
    Linear qkv, out, up, down;
  };
  // The parameters as one pass multiplies with them: the leaves themselves, or
  // their bf16 copies with the leaf behind each.
  struct Weights {
    at::Tensor embedding, position, head;
    NormWeights final_norm;
    std::vector<Block> blocks;
  };

  Weights GatherWeights() const;
  // What mixes the tokens of one layer: qkv (N, 3 D) to (N, D). An undefined result
  // ends the walk.
  using Mix = std::function<at::Tensor(size_t layer, const at::Tensor& qkv)>;

  // Of `positions` tokens, the first of them at place `first` of its sequence.
  AttentionSpec AttentionFor(int64_t positions, bool training, int64_t first = 0) const;
  at::Tensor Embed(const Weights& weights, const at::Tensor& inputs_BT, int64_t first = 0) const;
  at::Tensor Dropout(const at::Tensor& x, bool training) const;
  // The normed residual stream (N, D) behind all blocks; undefined where `mix` ended it.
  at::Tensor Walk(const Weights& weights, const at::Tensor& embedded_ND, bool training, const Mix& mix) const;
  // The same over whole sequences with the fastest attention.
  at::Tensor Walk(const Weights& weights, const at::Tensor& inputs_BT, bool training) const;
  // qkv (N, 3 D) of `layer`, no graph.
  at::Tensor QkvOf(const at::Tensor& inputs_BT, int64_t layer) const;

  // Constant after construction.
  const ModelShape shape_;
  const int64_t longest_sequence_;
  WorkingWeights working_;
  const std::unique_ptr<LayerOps> ops_;
  const double attention_scale_;
  const double logit_scale_;
  at::Tensor cos_TR_, sin_TR_;     // rope only
  at::Tensor sinusoids_TD_;        // sinusoidal only
  Weights leaves_;                 // fp32 only
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_TRANSFORMER_H_
