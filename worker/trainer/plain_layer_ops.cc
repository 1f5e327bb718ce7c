#include <algorithm>
#include <cmath>
#include <utility>

#include "worker/trainer/attention_parts.h"
#include "worker/trainer/layer_ops.h"

namespace isoflop {

at::Tensor RotateHalf(const at::Tensor& x_BHTK, const at::Tensor& cos_TR, const at::Tensor& sin_TR) {
  const int64_t half = x_BHTK.size(-1) / 2;
  const at::Tensor first = x_BHTK.narrow(-1, 0, half);
  const at::Tensor second = x_BHTK.narrow(-1, half, half);
  return at::cat({first * cos_TR - second * sin_TR, second * cos_TR + first * sin_TR}, -1);
}

AttentionParts SplitHeads(const at::Tensor& qkv, const AttentionSpec& spec) {
  const int64_t width = qkv.size(-1) / 3;
  const int64_t batch = qkv.size(0) / spec.sequence_length;
  const at::Tensor all = qkv.view({batch, spec.sequence_length, 3, spec.heads, width / spec.heads}).permute({2, 0, 3, 1, 4});
  AttentionParts parts{all.select(0, 0), all.select(0, 1), all.select(0, 2)};
  if (spec.qk_norm) {
    parts.queries_BHTK = at::rms_norm(parts.queries_BHTK, {width / spec.heads}, {}, kRmsNormEps);
    parts.keys_BHTK = at::rms_norm(parts.keys_BHTK, {width / spec.heads}, {}, kRmsNormEps);
  }
  if (spec.cos_TR.defined()) {
    const at::Tensor cos_TR = spec.cos_TR.to(qkv.scalar_type()), sin_TR = spec.sin_TR.to(qkv.scalar_type());
    parts.queries_BHTK = RotateHalf(parts.queries_BHTK, cos_TR, sin_TR);
    parts.keys_BHTK = RotateHalf(parts.keys_BHTK, cos_TR, sin_TR);
  }
  return parts;
}

namespace {

class PlainLayerOps final : public LayerOps {
 public:
  at::Tensor Linear(const at::Tensor& x_NI, const at::Tensor& weight_OI, const at::Tensor& bias_O) const override {
    return at::linear(x_NI, weight_OI, bias_O);
  }

  std::pair<at::Tensor, at::Tensor> AddNorm(const at::Tensor& x_ND, const at::Tensor& delta_ND, Norm norm,
                                            const at::Tensor& gain_D, const at::Tensor& bias_D) const override {
    const at::Tensor sum_ND = delta_ND.defined() ? x_ND + delta_ND : x_ND;
    if (norm == Norm::kRmsNorm) return {sum_ND, at::rms_norm(sum_ND, gain_D.sizes(), gain_D, kRmsNormEps)};
    return {sum_ND, at::layer_norm(sum_ND, gain_D.sizes(), gain_D, bias_D, kLayerNormEps)};
  }

  at::Tensor Attention(const at::Tensor& qkv, const AttentionSpec& spec) const override {
    const AttentionParts parts = SplitHeads(qkv, spec);
    const at::Tensor mixed_BHTK = at::scaled_dot_product_attention(parts.queries_BHTK, parts.keys_BHTK, parts.values_BHTK,
                                                                   {}, spec.dropout, /*is_causal=*/true, spec.scale);
    return mixed_BHTK.transpose(1, 2).reshape({qkv.size(0), qkv.size(1) / 3});
  }

  at::Tensor Activate(const at::Tensor& u, Activation activation) const override {
    switch (activation) {
      case Activation::kGelu:
        return at::gelu(u, "tanh");
      case Activation::kRelu2:
        return at::relu(u).square();
      case Activation::kSwiglu:
        break;
    }
    const int64_t width = u.size(-1) / 2;
    return at::silu(u.narrow(-1, 0, width)) * u.narrow(-1, width, width);
  }

  at::Tensor HeadLoss(const at::Tensor& x_ND, const at::Tensor& weight_VD, const at::Tensor& targets_N,
                      double scale) const override {
    return at::nll_loss(LogProbabilities(x_ND, weight_VD, scale), targets_N, {}, at::Reduction::Sum);
  }

  at::Tensor TokenLosses(const at::Tensor& x_ND, const at::Tensor& weight_VD, const at::Tensor& targets_N,
                         double scale) const override {
    at::NoGradGuard no_grad;
    return at::nll_loss(LogProbabilities(x_ND, weight_VD, scale), targets_N, {}, at::Reduction::None);
  }

 private:
  static at::Tensor LogProbabilities(const at::Tensor& x_ND, const at::Tensor& weight_VD, double scale) {
    const at::Tensor logits_NV = at::linear(x_ND, weight_VD).to(at::kFloat);
    return at::log_softmax(scale == 1 ? logits_NV : logits_NV * scale, -1);
  }
};

}  // namespace

std::unique_ptr<LayerOps> MakePlainLayerOps() { return std::make_unique<PlainLayerOps>(); }

}  // namespace isoflop
