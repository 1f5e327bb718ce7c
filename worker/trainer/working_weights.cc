#include "worker/trainer/working_weights.h"

namespace isoflop {
namespace {

// The bf16 copy of an fp32 leaf: gives the copy, hands the gradient on to the
// leaf, where the engine casts it to fp32.
class CopyOfLeaf : public torch::autograd::Function<CopyOfLeaf> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& /*leaf*/, const at::Tensor& copy) {
    return copy.alias();
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 torch::autograd::variable_list gradients) {
    return {gradients[0], at::Tensor()};
  }
};

}  // namespace

WorkingWeights::WorkingWeights(const Parameters& parameters, Precision precision)
    : parameters_(&parameters), precision_(precision) {
  if (precision != Precision::kBf16) return;
  at::NoGradGuard no_grad;
  copies_ = at::empty({parameters.size()}, parameters.weights().options().dtype(at::kBFloat16));
  for (const ParameterEntry& entry : parameters.layout().entries) {
    copy_views_.push_back(copies_.narrow(0, entry.offset, entry.count).view(entry.shape));
  }
  Refresh();
}

void WorkingWeights::Refresh() {
  if (precision_ != Precision::kBf16) return;
  at::NoGradGuard no_grad;
  copies_.copy_(parameters_->weights());
}

at::Tensor WorkingWeights::Get(const std::string& name) const {
  const ParameterLayout& layout = parameters_->layout();
  const ParameterEntry* entry = layout.Find(name);
  if (entry == nullptr) return at::Tensor();
  const auto index = static_cast<size_t>(entry - layout.entries.data());
  const at::Tensor& leaf = parameters_->leaves()[index];
  return precision_ == Precision::kBf16 ? CopyOfLeaf::apply(leaf, copy_views_[index]) : leaf;
}

}  // namespace isoflop
