#include "worker/trainer/step_log.h"

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "worker/trainer/stop_signals.h"

namespace isoflop {

StepLog::StepLog(at::Device device) : device_(device), delay_(device.is_cuda() ? kFlagDelaySteps : 0) {}

StepLog::~StepLog() = default;

void StepLog::Push(int64_t step, const at::Tensor& riders, const at::Tensor& grad_norm) {
  Entry entry{step, at::cat({riders, grad_norm.view(1)}), nullptr};
  if (device_.is_cuda()) {
    at::Tensor pinned = at::empty({4}, at::TensorOptions().dtype(at::kFloat).pinned_memory(true));
    pinned.copy_(entry.values, /*non_blocking=*/true);
    entry.values = pinned;
    entry.arrived = std::make_unique<c10::Event>(device_.type());
    entry.arrived->record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  }
  entries_.push_back(std::move(entry));
}

std::optional<StepResult> StepLog::Pop(bool flush) {
  if (entries_.empty() || (!flush && static_cast<int64_t>(entries_.size()) <= delay_)) return std::nullopt;
  Entry entry = std::move(entries_.front());
  entries_.pop_front();
  if (entry.arrived) entry.arrived->synchronize();
  const float* values = entry.values.data_ptr<float>();
  return StepResult{entry.step, values[0], values[3], values[1] > 0, values[2] > 0};
}

}  // namespace isoflop
