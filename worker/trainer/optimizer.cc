#include "worker/trainer/optimizer.h"

namespace isoflop {

Optimizer::Optimizer(const OptimizerSpec& spec, Parameters& parameters) : spec_(spec), parameters_(&parameters) {
  at::NoGradGuard no_grad;
  first_moments_ = at::zeros_like(parameters.weights());
  second_moments_ = at::zeros_like(parameters.weights());
  updates_ = at::zeros({}, parameters.weights().options());
  grad_norm_ = at::zeros({}, parameters.weights().options());
  auto add = [&](ParameterGroup group, double scale, double decay) {
    const ParameterLayout::Slice slice = parameters.layout().GroupSlice(group);
    if (slice.count == 0) return;
    auto cut = [&](const at::Tensor& flat) { return flat.narrow(0, slice.offset, slice.count); };
    groups_.push_back({cut(parameters.weights()), cut(parameters.gradients()), cut(first_moments_), cut(second_moments_),
                       scale, decay, at::zeros({}, parameters.weights().options())});
  };
  add(ParameterGroup::kHead, spec.lr_scale_head, spec.weight_decay);
  add(ParameterGroup::kMatrices, spec.lr_scale_blocks, spec.weight_decay);
  add(ParameterGroup::kVectors, 1, 0);
  add(ParameterGroup::kEmbeddings, spec.lr_scale_embedding, 0);
}

void Optimizer::SetLearningRate(double learning_rate) {
  at::NoGradGuard no_grad;
  for (Group& group : groups_) group.learning_rate.fill_(learning_rate * group.scale);
}

void Optimizer::Step() {
  at::NoGradGuard no_grad;
  at::linalg_vector_norm_out(grad_norm_, parameters_->gradients());
  const at::Tensor found_inf = at::isfinite(grad_norm_).logical_not().to(at::kFloat);
  std::optional<at::Tensor> grad_scale;
  if (spec_.clip_norm > 0) grad_scale = (grad_norm_ / spec_.clip_norm).clamp_min(1);
  updates_.add_(1).sub_(found_inf);
  for (Group& group : groups_) {
    at::_fused_adamw_({group.weights}, {group.gradients}, {group.first_moments}, {group.second_moments}, {}, {updates_},
                      group.learning_rate, spec_.beta1, spec_.beta2, group.decay, spec_.eps, /*amsgrad=*/false,
                      /*maximize=*/false, grad_scale, found_inf);
  }
}

void Optimizer::SetUpdates(int64_t updates) { updates_.fill_(static_cast<double>(updates)); }

}  // namespace isoflop
