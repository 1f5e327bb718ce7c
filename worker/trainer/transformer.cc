#include "worker/trainer/transformer.h"

#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/trainer/attention_parts.h"

namespace isoflop {
namespace {

// Angles (T, pairs): position times theta^(-2 i / width).
at::Tensor Angles(int64_t positions, int64_t pairs, int64_t width) {
  const at::Tensor exponents = at::arange(pairs, at::kDouble) * (-2.0 / static_cast<double>(width));
  const at::Tensor rates = at::pow(at::scalar_tensor(kRopeTheta, at::kDouble), exponents);
  return at::outer(at::arange(positions, at::kDouble), rates);
}

// sin at even, cos at odd places: (T, D).
at::Tensor Sinusoids(int64_t positions, int64_t width) {
  const at::Tensor angles = Angles(positions, (width + 1) / 2, width);
  return at::stack({angles.sin(), angles.cos()}, -1).reshape({positions, -1}).narrow(1, 0, width).to(at::kFloat).contiguous();
}

}  // namespace

Transformer::Transformer(const ModelShape& shape, int64_t longest_sequence, const Parameters& parameters,
                         Precision precision, std::unique_ptr<LayerOps> ops)
    : shape_(shape),
      longest_sequence_(longest_sequence),
      working_(parameters, precision),
      ops_(std::move(ops)),
      attention_scale_(shape.init == Init::kMup
                           ? static_cast<double>(shape.n_head) / static_cast<double>(shape.d_model)
                           : std::sqrt(static_cast<double>(shape.n_head) / static_cast<double>(shape.d_model))),
      logit_scale_(shape.init == Init::kMup && shape.mup_base_width > 0
                       ? static_cast<double>(shape.mup_base_width) / static_cast<double>(shape.d_model)
                       : 1) {
  at::NoGradGuard no_grad;
  const at::Device device = parameters.weights().device();
  if (shape.position == Position::kRope) {
    const int64_t head_size = shape.d_model / shape.n_head;
    const at::Tensor angles = Angles(longest_sequence, head_size / 2, head_size);
    cos_TR_ = angles.cos().to(at::kFloat).to(device);
    sin_TR_ = angles.sin().to(at::kFloat).to(device);
  }
  if (shape.position == Position::kSinusoidal) {
    sinusoids_TD_ = Sinusoids(longest_sequence, shape.d_model).to(device);
  }
  if (precision == Precision::kFp32) leaves_ = GatherWeights();
}

Transformer::Transformer(const ModelShape& shape, int64_t longest_sequence, const Parameters& parameters,
                         Precision precision)
    : Transformer(shape, longest_sequence, parameters, precision,
                  precision == Precision::kFp32 && parameters.weights().device().is_cpu() ? MakeFusedCpuLayerOps()
                                                                                          : MakePlainLayerOps()) {}

Transformer::Weights Transformer::GatherWeights() const {
  if (!leaves_.blocks.empty()) return leaves_;
  auto get = [&](const std::string& name) { return working_.Get(name); };
  auto norm = [&](const std::string& name) { return NormWeights{get(name + ".weight"), get(name + ".bias")}; };
  auto linear = [&](const std::string& name) { return Linear{get(name + ".weight"), get(name + ".bias")}; };
  Weights weights;
  weights.embedding = get("embedding.weight");
  weights.position = get("position.weight");
  weights.head = shape_.tied_head ? weights.embedding : get("head.weight");
  weights.final_norm = norm("final_norm");
  for (int64_t layer = 0; layer < shape_.n_layer; ++layer) {
    const std::string block = absl::StrCat("blocks.", layer);
    weights.blocks.push_back({norm(block + ".attention_norm"), norm(block + ".mlp_norm"), linear(block + ".attention.qkv"),
                              linear(block + ".attention.out"), linear(block + ".mlp.up"), linear(block + ".mlp.down")});
  }
  return weights;
}

AttentionSpec Transformer::AttentionFor(int64_t positions, bool training, int64_t first) const {
  AttentionSpec spec;
  spec.sequence_length = positions;
  spec.heads = shape_.n_head;
  spec.scale = attention_scale_;
  spec.qk_norm = shape_.qk_norm;
  spec.dropout = training ? shape_.dropout : 0;
  if (cos_TR_.defined()) {
    spec.cos_TR = cos_TR_.narrow(0, first, positions);
    spec.sin_TR = sin_TR_.narrow(0, first, positions);
  }
  return spec;
}

at::Tensor Transformer::Dropout(const at::Tensor& x, bool training) const {
  return training && shape_.dropout > 0 ? at::dropout(x, shape_.dropout, true) : x;
}

at::Tensor Transformer::Embed(const Weights& weights, const at::Tensor& inputs_BT, int64_t first) const {
  const int64_t positions = inputs_BT.size(1);
  at::Tensor x_ND = at::embedding(weights.embedding, inputs_BT.reshape({-1}));
  auto add = [&](const at::Tensor& table_TD) {
    const at::Tensor x_BTD = x_ND.view({inputs_BT.size(0), positions, shape_.d_model});
    x_ND = (x_BTD + table_TD.narrow(0, first, positions)).view({-1, shape_.d_model});
  };
  if (shape_.position == Position::kLearned) add(weights.position);
  if (shape_.position == Position::kSinusoidal) {
    x_ND = x_ND * std::sqrt(static_cast<double>(shape_.d_model));
    add(sinusoids_TD_.to(x_ND.scalar_type()));
  }
  return x_ND;
}

at::Tensor Transformer::Walk(const Weights& weights, const at::Tensor& inputs_BT, bool training) const {
  const AttentionSpec attention = AttentionFor(inputs_BT.size(1), training);
  return Walk(weights, Dropout(Embed(weights, inputs_BT), training), training,
              [&](size_t, const at::Tensor& qkv) { return ops_->Attention(qkv, attention); });
}

at::Tensor Transformer::Walk(const Weights& weights, const at::Tensor& embedded_ND, bool training, const Mix& mix) const {
  at::Tensor x_ND = embedded_ND;
  at::Tensor delta_ND, normed_ND;
  for (size_t layer = 0; layer < weights.blocks.size(); ++layer) {
    const Block& block = weights.blocks[layer];
    std::tie(x_ND, normed_ND) =
        ops_->AddNorm(x_ND, delta_ND, shape_.norm, block.attention_norm.gain, block.attention_norm.bias);
    const at::Tensor mixed_ND = mix(layer, ops_->Linear(normed_ND, block.qkv.weight, block.qkv.bias));
    if (!mixed_ND.defined()) return {};
    delta_ND = Dropout(ops_->Linear(mixed_ND, block.out.weight, block.out.bias), training);
    std::tie(x_ND, normed_ND) = ops_->AddNorm(x_ND, delta_ND, shape_.norm, block.mlp_norm.gain, block.mlp_norm.bias);
    const at::Tensor active_NF =
        ops_->Activate(ops_->Linear(normed_ND, block.up.weight, block.up.bias), shape_.activation);
    delta_ND = Dropout(ops_->Linear(active_NF, block.down.weight, block.down.bias), training);
  }
  return ops_->AddNorm(x_ND, delta_ND, shape_.norm, weights.final_norm.gain, weights.final_norm.bias).second;
}

at::Tensor Transformer::SummedLoss(const at::Tensor& inputs_BT, const at::Tensor& targets_BT, bool training) const {
  const Weights weights = GatherWeights();
  const at::Tensor hidden_ND = Walk(weights, inputs_BT, training);
  return ops_->HeadLoss(hidden_ND, weights.head, targets_BT.reshape({-1}), logit_scale_);
}

at::Tensor Transformer::Logits(const at::Tensor& inputs_BT) const {
  const Weights weights = GatherWeights();
  const at::Tensor logits_NV = at::linear(Walk(weights, inputs_BT, /*training=*/false), weights.head).to(at::kFloat);
  return (logit_scale_ == 1 ? logits_NV : logits_NV * logit_scale_)
      .view({inputs_BT.size(0), inputs_BT.size(1), shape_.vocab_size});
}

at::Tensor Transformer::TokenLosses(const at::Tensor& inputs_BT, const at::Tensor& targets_BT) const {
  at::NoGradGuard no_grad;
  const Weights weights = GatherWeights();
  const at::Tensor hidden_ND = Walk(weights, inputs_BT, /*training=*/false);
  return ops_->TokenLosses(hidden_ND, weights.head, targets_BT.reshape({-1}), logit_scale_).view(targets_BT.sizes());
}

at::Tensor Transformer::QkvOf(const at::Tensor& inputs_BT, int64_t layer) const {
  const Weights weights = GatherWeights();
  const AttentionSpec attention = AttentionFor(inputs_BT.size(1), /*training=*/false);
  at::Tensor found;
  Walk(weights, Embed(weights, inputs_BT), /*training=*/false, [&](size_t at, const at::Tensor& qkv) {
    if (static_cast<int64_t>(at) != layer) return ops_->Attention(qkv, attention);
    found = qkv;
    return at::Tensor();
  });
  return found;
}

at::Tensor Transformer::LogitsFrom(const at::Tensor& inputs_T, Cache* cache) const {
  at::NoGradGuard no_grad;
  const int64_t first = cache->length, count = inputs_T.size(0), length = first + count;
  TORCH_CHECK(length <= longest_sequence_, "position ", length, " of ", longest_sequence_);
  const Weights weights = GatherWeights();
  const AttentionSpec spec = AttentionFor(count, /*training=*/false, first);
  const int64_t head_size = shape_.d_model / shape_.n_head;
  // Query i of `count` sees the keys up to its own place.
  std::optional<at::Tensor> seen_TS;
  if (count > 1) seen_TS = at::ones({count, length}, inputs_T.options().dtype(at::kBool)).tril(first);
  const at::Tensor hidden_TD =
      Walk(weights, Embed(weights, inputs_T.unsqueeze(0), first), /*training=*/false, [&](size_t layer, const at::Tensor& qkv) {
        const AttentionParts parts = SplitHeads(qkv, spec);
        if (cache->keys_1HSK.size() <= layer) {
          for (auto* kept : {&cache->keys_1HSK, &cache->values_1HSK}) {
            kept->push_back(at::zeros({1, shape_.n_head, longest_sequence_, head_size}, qkv.options()));
          }
        }
        cache->keys_1HSK[layer].narrow(2, first, count).copy_(parts.keys_BHTK);
        cache->values_1HSK[layer].narrow(2, first, count).copy_(parts.values_BHTK);
        const at::Tensor mixed_1HTK = at::scaled_dot_product_attention(
            parts.queries_BHTK.to(qkv.scalar_type()), cache->keys_1HSK[layer].narrow(2, 0, length),
            cache->values_1HSK[layer].narrow(2, 0, length), seen_TS, /*dropout_p=*/0, /*is_causal=*/false, spec.scale);
        return mixed_1HTK.transpose(1, 2).reshape({count, shape_.d_model});
      });
  cache->length = length;
  const at::Tensor logits_V = at::linear(hidden_TD.select(0, count - 1), weights.head).to(at::kFloat);
  return logit_scale_ == 1 ? logits_V : logits_V * logit_scale_;
}

namespace {

class TransformerReader : public TokenReader {
 public:
  explicit TransformerReader(const Transformer& model) : model_(&model) {}
  at::Tensor Read(const at::Tensor& inputs_T) override { return model_->LogitsFrom(inputs_T, &cache_); }

 private:
  const Transformer* const model_;
  Transformer::Cache cache_;
};

}  // namespace

std::unique_ptr<TokenReader> Transformer::StartReading() const { return std::make_unique<TransformerReader>(*this); }

at::Tensor Transformer::AttentionWeights(const at::Tensor& inputs_BT, int64_t layer) const {
  at::NoGradGuard no_grad;
  const int64_t positions = inputs_BT.size(1);
  const AttentionParts parts = SplitHeads(QkvOf(inputs_BT, layer), AttentionFor(positions, /*training=*/false));
  const at::Tensor scores_BHTT =
      at::matmul(parts.queries_BHTK.to(at::kFloat), parts.keys_BHTK.to(at::kFloat).transpose(-1, -2)) * attention_scale_;
  const at::Tensor future_TT = at::ones({positions, positions}, scores_BHTT.options().dtype(at::kBool)).triu(1);
  return at::softmax(scores_BHTT.masked_fill(future_TT, -std::numeric_limits<double>::infinity()), -1);
}

Transformer::Mixed Transformer::AttentionOutput(const at::Tensor& inputs_BT, int64_t layer) const {
  at::NoGradGuard no_grad;
  const int64_t positions = inputs_BT.size(1);
  const AttentionSpec spec = AttentionFor(positions, /*training=*/false);
  const at::Tensor qkv = QkvOf(inputs_BT, layer);
  Mixed mixed;
  mixed.values_BHTK = SplitHeads(qkv, spec).values_BHTK.clone();
  mixed.output_BHTK = ops_->Attention(qkv, spec)
                          .view({inputs_BT.size(0), positions, shape_.n_head, shape_.d_model / shape_.n_head})
                          .transpose(1, 2);
  return mixed;
}

}  // namespace isoflop
