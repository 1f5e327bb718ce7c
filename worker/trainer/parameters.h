// The weights of a network and their gradients: two flat fp32 buffers on one
// device, and a named leaf tensor for each parameter that is a view into them.
//
// Autograd adds into the views of the gradient buffer in place, so the optimiser,
// the clip and the all-reduce work on a few long slices and never gather. The
// gradient buffer has kRiders more floats at its end, which ride along with the
// all-reduce: summed loss, stop flag, checkpoint flag.
//
// Not thread-safe.
#ifndef ISOFLOP_WORKER_TRAINER_PARAMETERS_H_
#define ISOFLOP_WORKER_TRAINER_PARAMETERS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "study/model_shape.h"
#include "worker/trainer/parameter_layout.h"

namespace isoflop {

class Parameters {
 public:
  static constexpr int64_t kRiders = 3;

  // Allocates both buffers on `device`, zero, and the leaves over them.
  Parameters(ParameterLayout layout, at::Device device);
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;

  const ParameterLayout& layout() const { return layout_; }
  int64_t size() const { return layout_.total; }

  // All P weights, fp32, no gradient recorded: (P).
  const at::Tensor& weights() const { return weights_; }
  // Their gradients: (P), a view of gradients_with_riders(): (P + kRiders).
  const at::Tensor& gradients() const { return gradients_; }
  const at::Tensor& gradients_with_riders() const { return gradients_with_riders_; }

  // The leaves, in flat order, one for each layout().entries[i]: requires_grad,
  // `grad` defined and a view of gradients().
  const std::vector<at::Tensor>& leaves() const { return leaves_; }
  // The leaf called `name`, which exists.
  const at::Tensor& Leaf(const std::string& name) const;

  // Zeroes the gradient buffer and its riders.
  void ZeroGradients();

 private:
  // Constant after construction (what the tensors hold is not).
  const ParameterLayout layout_;
  at::Tensor weights_;
  at::Tensor gradients_with_riders_;
  at::Tensor gradients_;
  std::vector<at::Tensor> leaves_;
  std::unordered_map<std::string, size_t> index_;
};

// Sets every weight to its start under `seed`: each tensor from its own CPU
// generator, seeded with hash(seed, name), so the numbers depend on neither rank
// nor device nor the other tensors.
//   gpt2      N(0, 0.02), matrices into the residual stream 0.02 / sqrt(2 L)
//             (Radford et al. 2019)
//   nanochat  matrices uniform +-sqrt(3 / fan_in), into the residual stream 0,
//             head N(0, 1e-3), embeddings N(0, 0.8), tied ones N(0, 0.02)
//   mup       matrices N(0, 1/fan_in), into the residual stream / sqrt(2 L), head
//             0 (Yang et al., arXiv 2203.03466, appendix D.2), embeddings
//             N(0, 0.02); logits and attention are scaled in transformer.h
// Gains are 1, biases 0. An LSTM starts in one way: gates uniform +-1/sqrt(D) as in
// torch.nn.LSTM, the forget gate's bias 1 (Jozefowicz et al. 2015), head N(0, 0.02),
// embedding N(0, 1) as in torch.nn.Embedding, tied ones N(0, 1/sqrt(D)): no norm stands
// behind it, and gates that are given N(0, 0.02) learn late.
void InitializeParameters(const ModelShape& shape, uint64_t seed, Parameters& parameters);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_PARAMETERS_H_
