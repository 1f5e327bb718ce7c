#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <torch/csrc/autograd/custom_function.h>

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

using torch::autograd::AutogradContext;

// The tensor cores want rows of 128 bytes: bf16 matrices on CUDA have their V
// padded to a multiple of this. Padded rows are 0 and are cut off before the
// softmax.
constexpr int64_t kVocabMultiple = 64;

bool IsPadded(const at::Tensor& weight_VD) {
  return weight_VD.is_cuda() && weight_VD.scalar_type() == at::kBFloat16 && weight_VD.size(0) % kVocabMultiple != 0;
}

at::Tensor PadRows(const at::Tensor& weight_VD) {
  if (!IsPadded(weight_VD)) return weight_VD;
  const int64_t vocab = weight_VD.size(0), padded = (vocab + kVocabMultiple - 1) / kVocabMultiple * kVocabMultiple;
  at::Tensor weight = at::empty({padded, weight_VD.size(1)}, weight_VD.options());
  weight.narrow(0, 0, vocab).copy_(weight_VD);
  weight.narrow(0, vocab, padded - vocab).zero_();
  return weight;
}

// ln softmax over the first `vocab` rows of the weight, fp32 (N, vocab).
at::Tensor LogProbabilities(const at::Tensor& x_ND, const at::Tensor& weight_VD, int64_t vocab, double scale) {
  const at::Tensor logits_NV = at::linear(x_ND, weight_VD).narrow(1, 0, vocab).to(at::kFloat).contiguous();
  return at::log_softmax(scale == 1 ? logits_NV : logits_NV * scale, -1);
}

// HeadLoss, `rows` tokens at a time. The gradients of x and the weight are made on
// the way there, for a sum that counts once, and scaled on the way back.
class HeadLossInStretches : public torch::autograd::Function<HeadLossInStretches> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_ND, const at::Tensor& weight_VD,
                            const at::Tensor& targets_N, double scale, int64_t rows) {
    const int64_t vocab = weight_VD.size(0);
    const at::Tensor weight = PadRows(weight_VD);
    const auto fp32 = x_ND.options().dtype(at::kFloat);
    at::Tensor loss = at::zeros({}, fp32), d_weight = at::zeros(weight.sizes(), fp32);
    at::Tensor d_x_ND = at::empty_like(x_ND);
    for (int64_t begin = 0; begin < x_ND.size(0); begin += rows) {
      const int64_t count = std::min(rows, x_ND.size(0) - begin);
      const at::Tensor x = x_ND.narrow(0, begin, count);
      at::Tensor p = LogProbabilities(x, weight, vocab, scale);
      const at::Tensor column = targets_N.narrow(0, begin, count).unsqueeze(1);
      const at::Tensor ln_p_target = p.gather(1, column);
      loss.sub_(ln_p_target.sum());
      // d loss / d logit = scale (p - 1{target}).
      p.exp_().scatter_(1, column, ln_p_target.exp().sub_(1));
      if (scale != 1) p.mul_(scale);
      at::Tensor d_logits = at::empty({count, weight.size(0)}, x.options());
      d_logits.narrow(1, 0, vocab).copy_(p);
      d_logits.narrow(1, vocab, weight.size(0) - vocab).zero_();
      d_x_ND.narrow(0, begin, count).copy_(at::mm(d_logits, weight));
      d_weight.add_(at::mm(d_logits.t(), x));
    }
    ctx->save_for_backward({d_x_ND, d_weight.narrow(0, 0, vocab)});
    return loss;
  }

  static torch::autograd::variable_list backward(AutogradContext* ctx, torch::autograd::variable_list gradients) {
    const torch::autograd::variable_list saved = ctx->get_saved_variables();
    return {saved[0] * gradients[0], saved[1] * gradients[0], at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

class PlainLayerOps final : public LayerOps {
 public:
  explicit PlainLayerOps(int64_t most_logits) : most_logits_(most_logits) {}

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
    const int64_t rows = RowsAtOnce(weight_VD);
    if (x_ND.size(0) > rows || IsPadded(weight_VD)) {
      return HeadLossInStretches::apply(x_ND, weight_VD, targets_N, scale, rows);
    }
    return at::nll_loss(LogProbabilities(x_ND, weight_VD, weight_VD.size(0), scale), targets_N, {}, at::Reduction::Sum);
  }

  at::Tensor TokenLosses(const at::Tensor& x_ND, const at::Tensor& weight_VD, const at::Tensor& targets_N,
                         double scale) const override {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> losses;
    const at::Tensor weight = PadRows(weight_VD);
    const int64_t rows = RowsAtOnce(weight_VD);
    for (int64_t begin = 0; begin < x_ND.size(0); begin += rows) {
      const int64_t count = std::min(rows, x_ND.size(0) - begin);
      losses.push_back(at::nll_loss(LogProbabilities(x_ND.narrow(0, begin, count), weight, weight_VD.size(0), scale),
                                    targets_N.narrow(0, begin, count), {}, at::Reduction::None));
    }
    return losses.size() == 1 ? losses[0] : at::cat(losses);
  }

 private:
  int64_t RowsAtOnce(const at::Tensor& weight_VD) const { return std::max<int64_t>(1, most_logits_ / weight_VD.size(0)); }

  const int64_t most_logits_;
};

}  // namespace

std::unique_ptr<LayerOps> MakePlainLayerOps(int64_t most_logits) { return std::make_unique<PlainLayerOps>(most_logits); }

}  // namespace isoflop
