#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "worker/trainer/cpu_kernels.h"
#include "worker/trainer/layer_ops.h"

namespace isoflop {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// Elements that are worth a second thread.
constexpr int64_t kGrainElements = 16'384;
// Floats of logits that are in the cache at once.
constexpr int64_t kLogitsAtOnce = 262'144;

// Calls `rows(begin, end)` for parts of [0, count), on all threads if the work,
// `count` rows of `width`, is worth it.
template <class Rows>
void ParallelRows(int64_t count, int64_t width, const Rows& rows) {
  at::parallel_for(0, count, std::max<int64_t>(1, kGrainElements / std::max<int64_t>(1, width)), rows);
}

const float* Data(const at::Tensor& tensor) { return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr; }
float* MutableData(const at::Tensor& tensor) { return tensor.defined() ? tensor.mutable_data_ptr<float>() : nullptr; }

// Function::apply takes a tensor that may be undefined as an optional.
using MaybeTensor = std::optional<at::Tensor>;
at::Tensor OrUndefined(const MaybeTensor& tensor) { return tensor.value_or(at::Tensor()); }
MaybeTensor IfDefined(const at::Tensor& tensor) { return tensor.defined() ? MaybeTensor(tensor) : std::nullopt; }

class LinearFunction : public Function<LinearFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_NI, const at::Tensor& weight_OI,
                            const MaybeTensor& bias_O) {
    ctx->save_for_backward({x_NI, weight_OI});
    ctx->saved_data["bias"] = bias_O.has_value();
    return bias_O ? at::addmm(*bias_O, x_NI, weight_OI.t()) : at::mm(x_NI, weight_OI.t());
  }
  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& d_y_NO = gradients[0];
    return {at::mm(d_y_NO, saved[1]), at::mm(d_y_NO.t(), saved[0]),
            ctx->saved_data["bias"].toBool() ? d_y_NO.sum(0) : at::Tensor()};
  }
};

NormRows RowsOf(Norm norm, const at::Tensor& gain_D, const at::Tensor& bias_D) {
  const bool center = norm == Norm::kLayerNorm;
  return {gain_D.size(0), Data(gain_D), Data(bias_D), center ? kLayerNormEps : kRmsNormEps, center};
}

// (x, delta) -> (x + delta, norm(x + delta)); without delta, x -> norm(x).
class AddNormFunction : public Function<AddNormFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x_ND, const MaybeTensor& delta,
                               const at::Tensor& gain_D, const MaybeTensor& bias, int64_t norm) {
    const at::Tensor delta_ND = OrUndefined(delta), bias_D = OrUndefined(bias);
    const NormRows rows = RowsOf(static_cast<Norm>(norm), gain_D, bias_D);
    const int64_t count = x_ND.size(0);
    const at::Tensor sum_ND = delta_ND.defined() ? at::empty_like(x_ND) : x_ND;
    const at::Tensor y_ND = at::empty_like(x_ND);
    const at::Tensor mean_N = rows.center ? at::empty({count}, x_ND.options()) : at::Tensor();
    const at::Tensor scale_N = at::empty({count}, x_ND.options());
    float* const sum = delta_ND.defined() ? MutableData(sum_ND) : nullptr;
    ParallelRows(count, rows.width, [&](int64_t begin, int64_t end) {
      AddNormForward(rows, Data(x_ND), Data(delta_ND), sum, MutableData(y_ND), MutableData(mean_N), MutableData(scale_N),
                     begin, end);
    });
    ctx->save_for_backward({sum_ND, mean_N, scale_N, gain_D, bias_D});
    ctx->saved_data["norm"] = norm;
    ctx->saved_data["added"] = delta_ND.defined();
    ctx->set_materialize_grads(false);
    if (!delta_ND.defined()) return {y_ND};
    return {y_ND, sum_ND};
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &sum_ND = saved[0], &mean_N = saved[1], &scale_N = saved[2], &gain_D = saved[3], &bias_D = saved[4];
    const bool added = ctx->saved_data["added"].toBool();
    const at::Tensor d_residual_ND = added && gradients[1].defined() ? gradients[1].contiguous() : at::Tensor();
    if (!gradients[0].defined()) return {d_residual_ND, d_residual_ND, at::Tensor(), at::Tensor(), at::Tensor()};
    const at::Tensor d_y_ND = gradients[0].contiguous();
    const NormRows rows = RowsOf(static_cast<Norm>(ctx->saved_data["norm"].toInt()), gain_D, bias_D);
    const int64_t count = sum_ND.size(0), width = rows.width;
    const at::Tensor d_sum_ND = at::empty_like(sum_ND);
    // Each part sums the gradients of gain and bias for itself; then they are
    // added in order, which does not depend on which thread was first.
    const int64_t parts = count * width < 2 * kGrainElements ? 1 : at::get_num_threads();
    const at::Tensor partial = at::zeros({rows.bias != nullptr ? 2 : 1, parts, width}, sum_ND.options());
    at::parallel_for(0, parts, 1, [&](int64_t first, int64_t last) {
      for (int64_t part = first; part < last; ++part) {
        float* const d_gain = MutableData(partial) + part * width;
        float* const d_bias = rows.bias != nullptr ? d_gain + parts * width : nullptr;
        AddNormBackward(rows, Data(sum_ND), Data(mean_N), Data(scale_N), Data(d_y_ND), Data(d_residual_ND),
                        MutableData(d_sum_ND), d_gain, d_bias, count * part / parts, count * (part + 1) / parts);
      }
    });
    const at::Tensor sums = parts == 1 ? partial.select(1, 0) : partial.sum(1);
    return {d_sum_ND, added ? d_sum_ND : at::Tensor(), sums[0], rows.bias != nullptr ? sums[1] : at::Tensor(), at::Tensor()};
  }
};

HeadsView ViewOf(const at::Tensor& x_BHTK) {
  return {Data(x_BHTK), x_BHTK.stride(0), x_BHTK.stride(1), x_BHTK.stride(2)};
}

// qkv (N, 3 D) -> mixed (N, D): turns queries and keys in place, then attends.
class AttentionFunction : public Function<AttentionFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv, const MaybeTensor& cos, const MaybeTensor& sin,
                            int64_t positions, int64_t heads, double scale) {
    const at::Tensor cos_TR = OrUndefined(cos), sin_TR = OrUndefined(sin);
    const int64_t width = qkv.size(1) / 3;
    if (cos_TR.defined()) {
      ParallelRows(qkv.size(0), 3 * width, [&](int64_t begin, int64_t end) {
        RopeForward(MutableData(qkv), Data(cos_TR), Data(sin_TR), positions, heads, width / heads, begin, end);
      });
    }
    const auto [q, k, v] = Split(qkv, positions, heads);
    const auto [mixed_BHTK, log_sum_exp] =
        at::_scaled_dot_product_flash_attention_for_cpu(q, k, v, /*dropout_p=*/0, /*is_causal=*/true, {}, scale);
    ctx->save_for_backward({qkv, cos_TR, sin_TR, mixed_BHTK, log_sum_exp});
    ctx->saved_data["positions"] = positions;
    ctx->saved_data["heads"] = heads;
    ctx->saved_data["scale"] = scale;
    return mixed_BHTK.transpose(1, 2).reshape({qkv.size(0), width});
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &qkv = saved[0], &cos_TR = saved[1], &sin_TR = saved[2];
    const int64_t positions = ctx->saved_data["positions"].toInt(), heads = ctx->saved_data["heads"].toInt();
    const int64_t width = qkv.size(1) / 3;
    const auto [q, k, v] = Split(qkv, positions, heads);
    const at::Tensor d_mixed_BHTK =
        gradients[0].contiguous().view({qkv.size(0) / positions, positions, heads, width / heads}).transpose(1, 2);
    const auto [d_q, d_k, d_v] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        d_mixed_BHTK, q, k, v, saved[3], saved[4], /*dropout_p=*/0, /*is_causal=*/true, {}, ctx->saved_data["scale"].toDouble());
    const at::Tensor d_qkv = at::empty_like(qkv);
    ParallelRows(qkv.size(0), 3 * width, [&, dq = d_q, dk = d_k, dv = d_v](int64_t begin, int64_t end) {
      RopeBackward(ViewOf(dq), ViewOf(dk), ViewOf(dv), MutableData(d_qkv), Data(cos_TR), Data(sin_TR), positions, heads,
                   width / heads, begin, end);
    });
    return {d_qkv, {}, {}, {}, {}, {}};
  }

 private:
  struct Parts {
    at::Tensor q, k, v;  // (B, H, T, K), views
  };
  static Parts Split(const at::Tensor& qkv, int64_t positions, int64_t heads) {
    const int64_t width = qkv.size(1) / 3, batch = qkv.size(0) / positions, head_size = width / heads;
    const auto part = [&](int64_t index) {
      return qkv.as_strided({batch, heads, positions, head_size}, {positions * 3 * width, head_size, 3 * width, 1},
                            qkv.storage_offset() + index * width);
    };
    return {part(0), part(1), part(2)};
  }
};

class ActivateFunction : public Function<ActivateFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& u, int64_t activation) {
    ctx->save_for_backward({u});
    ctx->saved_data["activation"] = activation;
    const auto kind = static_cast<Activation>(activation);
    const int64_t width = kind == Activation::kSwiglu ? u.size(1) / 2 : u.size(1);
    const at::Tensor y_NF = at::empty({u.size(0), width}, u.options());
    ParallelRows(u.size(0), width, [&](int64_t begin, int64_t end) {
      if (kind == Activation::kSwiglu) return SwigluForward(Data(u), MutableData(y_NF), width, begin, end);
      const auto forward = kind == Activation::kGelu ? GeluForward : Relu2Forward;
      forward(Data(u), MutableData(y_NF), begin * width, end * width);
    });
    return y_NF;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const at::Tensor u = ctx->get_saved_variables()[0];
    const auto kind = static_cast<Activation>(ctx->saved_data["activation"].toInt());
    const at::Tensor d_y_NF = gradients[0].contiguous();
    const int64_t width = d_y_NF.size(1);
    const at::Tensor d_u = at::empty_like(u);
    ParallelRows(u.size(0), width, [&](int64_t begin, int64_t end) {
      if (kind == Activation::kSwiglu) return SwigluBackward(Data(u), Data(d_y_NF), MutableData(d_u), width, begin, end);
      const auto backward = kind == Activation::kGelu ? GeluBackward : Relu2Backward;
      backward(Data(u), Data(d_y_NF), MutableData(d_u), begin * width, end * width);
    });
    return {d_u, at::Tensor()};
  }
};

// Logits, losses and, if `gradient`, the gradients of their sum, some rows at a
// time: (N, V) never exists.
struct HeadResult {
  at::Tensor losses_N, d_x_ND, d_weight_VD;
};

HeadResult RunHead(const at::Tensor& x_ND, const at::Tensor& weight_VD, const at::Tensor& targets_N, double scale,
                   bool gradient) {
  const int64_t count = x_ND.size(0), vocab = weight_VD.size(0);
  const int64_t at_once = std::clamp<int64_t>(kLogitsAtOnce / vocab, 64, 2048);
  const at::Tensor room = at::empty({std::min(at_once, count), vocab}, x_ND.options());
  HeadResult result{at::empty({count}, x_ND.options()), {}, {}};
  if (gradient) {
    result.d_x_ND = at::empty_like(x_ND);
    result.d_weight_VD = at::empty_like(weight_VD);
  }
  for (int64_t first = 0; first < count; first += at_once) {
    const int64_t rows = std::min(at_once, count - first);
    const at::Tensor x_RD = x_ND.narrow(0, first, rows);
    at::Tensor logits_RV = room.narrow(0, 0, rows);
    at::mm_out(logits_RV, x_RD, weight_VD.t());
    ParallelRows(rows, vocab, [&](int64_t begin, int64_t end) {
      CrossEntropyRows(MutableData(logits_RV), targets_N.const_data_ptr<int64_t>() + first,
                       MutableData(result.losses_N) + first, vocab, static_cast<float>(scale), gradient, begin, end);
    });
    if (!gradient) continue;
    at::Tensor d_x_RD = result.d_x_ND.narrow(0, first, rows);
    at::mm_out(d_x_RD, logits_RV, weight_VD);
    if (first == 0) {
      at::mm_out(result.d_weight_VD, logits_RV.t(), x_RD);
    } else {
      result.d_weight_VD.addmm_(logits_RV.t(), x_RD);
    }
  }
  return result;
}

class HeadLossFunction : public Function<HeadLossFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_ND, const at::Tensor& weight_VD,
                            const at::Tensor& targets_N, double scale, bool gradient) {
    const HeadResult result = RunHead(x_ND, weight_VD, targets_N, scale, gradient);
    ctx->save_for_backward({result.d_x_ND, result.d_weight_VD});
    return result.losses_N.sum();
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list saved = ctx->get_saved_variables();
    // Nothing else reads the two: scaled where they lie.
    return {saved[0].mul_(gradients[0]), saved[1].mul_(gradients[0]), {}, {}, {}};
  }
};

class FusedCpuLayerOps final : public LayerOps {
 public:
  at::Tensor Linear(const at::Tensor& x_NI, const at::Tensor& weight_OI, const at::Tensor& bias_O) const override {
    return LinearFunction::apply(x_NI, weight_OI, IfDefined(bias_O));
  }

  std::pair<at::Tensor, at::Tensor> AddNorm(const at::Tensor& x_ND, const at::Tensor& delta_ND, Norm norm,
                                            const at::Tensor& gain_D, const at::Tensor& bias_D) const override {
    const variable_list out =
        AddNormFunction::apply(x_ND.contiguous(), IfDefined(delta_ND), gain_D, IfDefined(bias_D), static_cast<int64_t>(norm));
    return {delta_ND.defined() ? out[1] : x_ND, out[0]};
  }

  at::Tensor Attention(const at::Tensor& qkv, const AttentionSpec& spec) const override {
    if (spec.qk_norm || spec.dropout > 0) return plain_->Attention(qkv, spec);
    return AttentionFunction::apply(qkv, IfDefined(spec.cos_TR), IfDefined(spec.sin_TR), spec.sequence_length, spec.heads, spec.scale);
  }

  at::Tensor Activate(const at::Tensor& u, Activation activation) const override {
    return ActivateFunction::apply(u, static_cast<int64_t>(activation));
  }

  at::Tensor HeadLoss(const at::Tensor& x_ND, const at::Tensor& weight_VD, const at::Tensor& targets_N,
                      double scale) const override {
    const bool gradient = at::GradMode::is_enabled() && (x_ND.requires_grad() || weight_VD.requires_grad());
    return HeadLossFunction::apply(x_ND, weight_VD, targets_N, scale, gradient);
  }

  at::Tensor TokenLosses(const at::Tensor& x_ND, const at::Tensor& weight_VD, const at::Tensor& targets_N,
                         double scale) const override {
    at::NoGradGuard no_grad;
    return RunHead(x_ND, weight_VD, targets_N, scale, /*gradient=*/false).losses_N;
  }

 private:
  const std::unique_ptr<LayerOps> plain_ = MakePlainLayerOps();
};

}  // namespace

std::unique_ptr<LayerOps> MakeFusedCpuLayerOps() { return std::make_unique<FusedCpuLayerOps>(); }

}  // namespace isoflop
