// The operations of a transformer block, one for each place where a device has
// something faster than the plain sum of ATen calls.
//
// Two implementations: plain (any device, any dtype; the reference) and fused
// (fp32 on the CPU). A test holds the second to the first.
//
// Legend: N = B T tokens of the micro-batch, B sequences, T positions, D width,
// H heads, K = D / H head size, F width of the MLP, V vocabulary.
//
// Stateless: one object may serve many threads.
#ifndef ISOFLOP_WORKER_TRAINER_LAYER_OPS_H_
#define ISOFLOP_WORKER_TRAINER_LAYER_OPS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <utility>

#include "study/model_shape.h"
#include "worker/trainer/network_constants.h"

namespace isoflop {

struct AttentionSpec {
  int64_t sequence_length = 0;  // T
  int64_t heads = 0;            // H
  double scale = 0;             // of the scores: 1/sqrt(K), muP 1/K
  bool qk_norm = false;         // RMSNorm without gain, per head, before RoPE
  double dropout = 0;           // of the weights; 0 outside training
  // RoPE: (T, K/2) each, undefined without it. Element i turns with i + K/2.
  at::Tensor cos_TR, sin_TR;
};

class LayerOps {
 public:
  virtual ~LayerOps() = default;

  // x W^T (+ b). x_NI (N, inputs), weight_OI (outputs, inputs), bias_O may be
  // undefined. Gives (N, outputs).
  virtual at::Tensor Linear(const at::Tensor& x_NI, const at::Tensor& weight_OI, const at::Tensor& bias_O) const = 0;

  // s = x + delta and norm(s): the residual stream goes on as s. An undefined
  // `delta` is zero. Both (N, D).
  //   rmsnorm    s / sqrt(mean(s^2) + eps) * gain      (Zhang and Sennrich 2019)
  //   layernorm  (s - mean) / sqrt(var + eps) * gain + bias   (bias may be undefined)
  virtual std::pair<at::Tensor, at::Tensor> AddNorm(const at::Tensor& x_ND, const at::Tensor& delta_ND, Norm norm,
                                                    const at::Tensor& gain_D, const at::Tensor& bias_D) const = 0;

  // Causal self-attention. qkv (N, 3 D): queries, keys, values side by side,
  // each H heads of K. Gives (N, D). `qkv` belongs to the call: it may be written
  // over and must have no other reader.
  virtual at::Tensor Attention(const at::Tensor& qkv, const AttentionSpec& spec) const = 0;

  // The MLP's activation, (N, F) from (N, F), or from (N, 2 F) for swiglu:
  //   gelu    u/2 (1 + tanh(sqrt(2/pi) (u + 0.044715 u^3)))
  //   relu2   max(u, 0)^2
  //   swiglu  g sigmoid(g) * u, the first F columns g, the last F u
  virtual at::Tensor Activate(const at::Tensor& u, Activation activation) const = 0;

  // Sum over tokens of -ln softmax(scale * x W^T)[target], nats, fp32, 0-d.
  virtual at::Tensor HeadLoss(const at::Tensor& x_ND, const at::Tensor& weight_VD, const at::Tensor& targets_N,
                              double scale) const = 0;

  // The same for each token, (N) fp32, without a graph.
  virtual at::Tensor TokenLosses(const at::Tensor& x_ND, const at::Tensor& weight_VD, const at::Tensor& targets_N,
                                 double scale) const = 0;
};

// Logits that are there at once at most: more tokens than that go through the head
// a stretch at a time, so that B T V numbers never exist (2^27: 0.5 GiB of fp32).
inline constexpr int64_t kMostLogits = int64_t{1} << 27;
std::unique_ptr<LayerOps> MakePlainLayerOps(int64_t most_logits = kMostLogits);
// fp32 on the CPU only; attention dropout goes the plain way.
std::unique_ptr<LayerOps> MakeFusedCpuLayerOps();

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_LAYER_OPS_H_
