#include "worker/trainer/lstm.h"

#include <string>
#include <tuple>

#include "absl/strings/str_cat.h"

namespace isoflop {

Lstm::Lstm(const ModelShape& shape, const Parameters& parameters, Precision precision)
    : shape_(shape),
      weights_(parameters, precision),
      ops_(precision == Precision::kFp32 && parameters.weights().device().is_cpu() ? MakeFusedCpuLayerOps()
                                                                                   : MakePlainLayerOps()) {}

Lstm::Head Lstm::GatherHead(const at::Tensor& embedding_VD) const {
  if (shape_.tied_head) return {embedding_VD, false};
  return {at::cat({weights_.Get("head.weight"), weights_.Get("head.bias").unsqueeze(1)}, 1), true};
}

at::Tensor Lstm::WithOnes(const at::Tensor& hidden_ND, const Head& head) {
  if (!head.has_bias) return hidden_ND;
  return at::cat({hidden_ND, at::ones({hidden_ND.size(0), 1}, hidden_ND.options())}, 1);
}

at::Tensor Lstm::Walk(const at::Tensor& embedding_VD, const at::Tensor& inputs_BT, bool training, State* state) const {
  std::vector<at::Tensor> gates;
  for (int64_t layer = 0; layer < shape_.n_layer; ++layer) {
    const std::string name = absl::StrCat("blocks.", layer, ".lstm.");
    for (const char* part : {"input.weight", "state.weight", "input.bias", "state.bias"}) {
      gates.push_back(weights_.Get(name + part));
    }
  }
  const at::Tensor x_BTD = at::embedding(embedding_VD, inputs_BT);
  const auto zero = [&] { return at::zeros({shape_.n_layer, inputs_BT.size(0), shape_.d_model}, x_BTD.options()); };
  const bool begun = state != nullptr && state->hidden_LBD.defined();
  const auto [hidden_BTD, last_hidden, last_cell] =
      at::lstm(x_BTD, {begun ? state->hidden_LBD : zero(), begun ? state->cell_LBD : zero()}, gates, /*has_biases=*/true,
               shape_.n_layer, shape_.dropout, training && shape_.dropout > 0, /*bidirectional=*/false,
               /*batch_first=*/true);
  if (state != nullptr) *state = {last_hidden, last_cell};
  return hidden_BTD.reshape({-1, shape_.d_model});
}

at::Tensor Lstm::SummedLoss(const at::Tensor& inputs_BT, const at::Tensor& targets_BT, bool training) const {
  const at::Tensor embedding_VD = weights_.Get("embedding.weight");
  const Head head = GatherHead(embedding_VD);
  const at::Tensor hidden_ND = Walk(embedding_VD, inputs_BT, training, nullptr);
  return ops_->HeadLoss(WithOnes(hidden_ND, head), head.weight_VE, targets_BT.reshape({-1}), /*scale=*/1);
}

at::Tensor Lstm::TokenLosses(const at::Tensor& inputs_BT, const at::Tensor& targets_BT) const {
  at::NoGradGuard no_grad;
  const at::Tensor embedding_VD = weights_.Get("embedding.weight");
  const Head head = GatherHead(embedding_VD);
  const at::Tensor hidden_ND = Walk(embedding_VD, inputs_BT, /*training=*/false, nullptr);
  return ops_->TokenLosses(WithOnes(hidden_ND, head), head.weight_VE, targets_BT.reshape({-1}), /*scale=*/1)
      .view(targets_BT.sizes());
}

at::Tensor Lstm::Logits(const at::Tensor& inputs_BT) const {
  const at::Tensor embedding_VD = weights_.Get("embedding.weight");
  const Head head = GatherHead(embedding_VD);
  return at::linear(WithOnes(Walk(embedding_VD, inputs_BT, /*training=*/false, nullptr), head), head.weight_VE)
      .to(at::kFloat)
      .view({inputs_BT.size(0), inputs_BT.size(1), shape_.vocab_size});
}

at::Tensor Lstm::LogitsFrom(const at::Tensor& inputs_BT, State* state) const {
  at::NoGradGuard no_grad;
  const at::Tensor embedding_VD = weights_.Get("embedding.weight");
  const Head head = GatherHead(embedding_VD);
  return at::linear(WithOnes(Walk(embedding_VD, inputs_BT, /*training=*/false, state), head), head.weight_VE)
      .to(at::kFloat)
      .view({inputs_BT.size(0), inputs_BT.size(1), shape_.vocab_size});
}

namespace {

// The state is all that an LSTM remembers.
class LstmReader : public TokenReader {
 public:
  explicit LstmReader(const Lstm& model) : model_(&model) {}
  at::Tensor Read(const at::Tensor& inputs_T) override {
    return model_->LogitsFrom(inputs_T.unsqueeze(0), &state_).select(1, inputs_T.size(0) - 1).view({-1});
  }

 private:
  const Lstm* const model_;
  Lstm::State state_;
};

}  // namespace

std::unique_ptr<TokenReader> Lstm::StartReading() const { return std::make_unique<LstmReader>(*this); }

}  // namespace isoflop
