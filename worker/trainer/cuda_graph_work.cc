#include <ATen/cuda/CUDAContextLight.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <exception>

#include "worker/trainer/recorded_work.h"

namespace isoflop {
namespace {

class CudaGraphWork final : public RecordedWork {
 public:
  explicit CudaGraphWork(int warmups) : warmups_left_(warmups) {}

  void Run(const std::function<void()>& work) override {
    if (graph_) return graph_->replay();
    if (!why_not_.empty() || warmups_left_-- > 0) return work();
    Record(work);
    if (!graph_) return work();  // what was captured did not run
    graph_->replay();
  }

  std::string why_not() const override { return why_not_; }
  bool is_replayed() const override { return graph_ != nullptr; }

 private:
  void Record(const std::function<void()>& work) {
    // The record has memory of its own: what the calls before have left in the
    // allocator goes back first.
    c10::cuda::getCurrentCUDAStream().synchronize();
    c10::cuda::CUDACachingAllocator::emptyCache();
    auto graph = std::make_unique<at::cuda::CUDAGraph>();
    graph->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    try {
      work();
    } catch (const std::exception& error) {
      why_not_ = error.what();
    }
    try {
      graph->capture_end();
    } catch (const std::exception& error) {
      if (why_not_.empty()) why_not_ = error.what();
    }
    (void)cudaGetLastError();  // of a capture that was given up
    if (why_not_.empty()) graph_ = std::move(graph);
  }

  int warmups_left_;
  std::string why_not_;
  std::unique_ptr<at::cuda::CUDAGraph> graph_;
};

}  // namespace

std::unique_ptr<RecordedWork> MakeRecordedCudaWork(int warmups) { return std::make_unique<CudaGraphWork>(warmups); }

std::shared_ptr<void> UseOwnCudaStream(int device) {
  return std::make_shared<c10::cuda::CUDAStreamGuard>(
      c10::cuda::getStreamFromPool(/*isHighPriority=*/false, static_cast<c10::DeviceIndex>(device)));
}

}  // namespace isoflop
