#include "worker/trainer/network_text_model.h"

#include <algorithm>

namespace isoflop {
namespace {

// Tokens of a batch: many enough to fill the device, few enough for its memory.
constexpr int64_t kCpuBatchTokens = 4096, kCudaBatchTokens = 65536;

at::Tensor ToTensor(std::span<const int64_t> tokens) {
  return at::tensor(at::ArrayRef<int64_t>(tokens.data(), tokens.size()), at::kLong);
}

std::vector<double> ToVector(const at::Tensor& values) {
  const at::Tensor host = values.to(at::kDouble).cpu().contiguous();
  return std::vector<double>(host.const_data_ptr<double>(), host.const_data_ptr<double>() + host.numel());
}

}  // namespace

void NetworkTextModel::Restart() {
  reader_.reset();
  seen_.clear();
}

std::vector<double> NetworkTextModel::Read(std::span<const int64_t> tokens) {
  at::NoGradGuard no_grad;
  if (cached_) {
    if (reader_ == nullptr) reader_ = model_->StartReading();
    return ToVector(reader_->Read(ToTensor(tokens).to(device_)));
  }
  seen_.insert(seen_.end(), tokens.begin(), tokens.end());
  const auto length = static_cast<int64_t>(seen_.size());
  return ToVector(model_->Logits(ToTensor(seen_).view({1, length}).to(device_)).select(1, length - 1).view({-1}));
}

std::vector<double> NetworkTextModel::LossesOf(std::span<const int64_t> tokens, int64_t windows) {
  const at::Tensor all = ToTensor(tokens).view({windows, -1}).to(device_);
  const int64_t targets = all.size(1) - 1;
  return ToVector(model_->TokenLosses(all.narrow(1, 0, targets).contiguous(), all.narrow(1, 1, targets).contiguous()).view({-1}));
}

int64_t NetworkTextModel::WindowsAtOnce(int64_t targets) const {
  return std::max<int64_t>(1, (device_.is_cuda() ? kCudaBatchTokens : kCpuBatchTokens) / std::max<int64_t>(targets, 1));
}

}  // namespace isoflop
