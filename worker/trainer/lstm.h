// The LSTM language model: embedding, L layers, a linear head with bias.
//
//   x = E[token];  for each layer  i, f, g, o = Wx x_t + bx + Wh h_(t-1) + bh
//   c_t = sigmoid(f) c_(t-1) + sigmoid(i) tanh(g);  h_t = sigmoid(o) tanh(c_t)
//   logits = W h + b, or with a tied head E h
//
// Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000, as in
// torch.nn.LSTM (gates in that order). Width of embedding and state are one d_model
// D. Dropout stands between layers (Zaremba et al. 2014).
//
// Truncated back-propagation: every window of T tokens starts from a zero state and
// its gradient goes back to its first token. The state is not carried from window
// to window, because the order of windows is a permutation, the same for every
// batch size and world: a carried state would make the loss a function of both.
//
// Not thread-safe. Throws c10::Error where Torch does.
#ifndef ISOFLOP_WORKER_TRAINER_LSTM_H_
#define ISOFLOP_WORKER_TRAINER_LSTM_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "study/model_shape.h"
#include "worker/trainer/language_model.h"
#include "worker/trainer/layer_ops.h"
#include "worker/trainer/parameters.h"
#include "worker/trainer/working_weights.h"

namespace isoflop {

class Lstm : public LanguageModel {
 public:
  // As MakeLanguageModel.
  Lstm(const ModelShape& shape, const Parameters& parameters, Precision precision);

  void RefreshWeights() override { weights_.Refresh(); }
  at::Tensor SummedLoss(const at::Tensor& inputs_BT, const at::Tensor& targets_BT, bool training) const override;
  at::Tensor TokenLosses(const at::Tensor& inputs_BT, const at::Tensor& targets_BT) const override;
  at::Tensor Logits(const at::Tensor& inputs_BT) const override;
  std::unique_ptr<TokenReader> StartReading() const override;

  // Hidden state and cell of every layer, each (L, B, D).
  struct State {
    at::Tensor hidden_LBD, cell_LBD;
  };
  // fp32 (B, T, V) of tokens that follow those that led to `state`, which becomes
  // that behind the last; undefined tensors stand for the zero state. No graph.
  at::Tensor LogitsFrom(const at::Tensor& inputs_BT, State* state) const;

 private:
  // Head with its bias as one more column, which a column of ones multiplies.
  struct Head {
    at::Tensor weight_VE;
    bool has_bias = false;
  };
  Head GatherHead(const at::Tensor& embedding_VD) const;
  // The top layer's state at each token, (N, D).
  at::Tensor Walk(const at::Tensor& embedding_VD, const at::Tensor& inputs_BT, bool training, State* state) const;
  static at::Tensor WithOnes(const at::Tensor& hidden_ND, const Head& head);

  // Constant after construction.
  const ModelShape shape_;
  WorkingWeights weights_;
  const std::unique_ptr<LayerOps> ops_;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_LSTM_H_
