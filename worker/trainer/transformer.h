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
#include <memory>
#include <optional>
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
  AttentionSpec AttentionFor(int64_t positions, bool training) const;
  at::Tensor Embed(const Weights& weights, const at::Tensor& inputs_BT) const;
  at::Tensor Dropout(const at::Tensor& x, bool training) const;
  // The normed residual stream (N, D) behind all blocks, or with `qkv_of` the
  // qkv (N, 3 D) of that layer.
  at::Tensor Walk(const Weights& weights, const at::Tensor& inputs_BT, bool training,
                  std::optional<int64_t> qkv_of = std::nullopt) const;
  // qkv (N, 3 D) of `layer`, no graph.
  at::Tensor QkvOf(const at::Tensor& inputs_BT, int64_t layer) const;

  // Constant after construction.
  const ModelShape shape_;
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
