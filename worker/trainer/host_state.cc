#include "worker/trainer/host_state.h"

#include "study/status_macros.h"

namespace isoflop {

void HostState::Allocate() {
  if (weights_.defined()) return;
  const bool pinned = parameters_->weights().is_cuda();
  const at::TensorOptions options = at::TensorOptions().dtype(at::kFloat).pinned_memory(pinned);
  for (at::Tensor* buffer : {&weights_, &first_moments_, &second_moments_}) {
    *buffer = at::empty({parameters_->size()}, options);
  }
}

CheckpointTensors HostState::Copy() {
  at::NoGradGuard no_grad;
  Allocate();
  weights_.copy_(parameters_->weights());
  first_moments_.copy_(optimizer_->first_moments());
  second_moments_.copy_(optimizer_->second_moments());
  return {weights_.const_data_ptr<float>(), first_moments_.const_data_ptr<float>(), second_moments_.const_data_ptr<float>()};
}

absl::Status HostState::Load(const std::string& path, int64_t updates) {
  at::NoGradGuard no_grad;
  Allocate();
  ISOFLOP_RETURN_IF_ERROR(ReadCheckpointTensors(path, parameters_->layout(),
                                                {weights_.mutable_data_ptr<float>(), first_moments_.mutable_data_ptr<float>(),
                                                 second_moments_.mutable_data_ptr<float>()}));
  parameters_->weights().copy_(weights_);
  optimizer_->first_moments().copy_(first_moments_);
  optimizer_->second_moments().copy_(second_moments_);
  optimizer_->SetUpdates(updates);
  return absl::OkStatus();
}

}  // namespace isoflop
