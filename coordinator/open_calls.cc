#include "coordinator/open_calls.h"

#include <string>
#include <utility>

namespace isoflop {

grpc::Status ToGrpc(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

OpenCalls::Finish OpenCalls::Add(std::function<void(grpc::Status)> finish) {
  absl::MutexLock lock(&mu_);
  const uint64_t number = next_++;
  open_.emplace(number, std::move(finish));
  return [this, number](const absl::Status& status, std::function<void()> fill) {
    std::function<void(grpc::Status)> finish;
    {
      absl::MutexLock lock(&mu_);
      const auto found = open_.find(number);
      if (found == open_.end()) return;
      finish = std::move(found->second);
      open_.erase(found);
    }
    if (status.ok() && fill) fill();
    finish(ToGrpc(status));
  };
}

void OpenCalls::EndAll(const absl::Status& status) {
  std::map<uint64_t, std::function<void(grpc::Status)>> open;
  {
    absl::MutexLock lock(&mu_);
    open.swap(open_);
  }
  for (auto& [number, finish] : open) finish(ToGrpc(status));
}

}  // namespace isoflop
