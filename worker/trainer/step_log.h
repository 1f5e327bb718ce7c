// What each update said - summed loss, flags, gradient norm - on its way from the
// device to the host without making the host wait: read at once on the CPU, two
// updates later on CUDA.
//
// Not thread-safe.
#ifndef ISOFLOP_WORKER_TRAINER_STEP_LOG_H_
#define ISOFLOP_WORKER_TRAINER_STEP_LOG_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

namespace c10 {
struct Event;
}

namespace isoflop {

struct StepResult {
  int64_t step = 0;  // counted from 1
  double loss_nats = 0;
  double grad_norm = 0;
  bool stop = false;
  bool checkpoint = false;
};

class StepLog {
 public:
  explicit StepLog(at::Device device);
  ~StepLog();

  // Updates by which results come late.
  int64_t delay() const { return delay_; }

  // `riders` (3) fp32: mean loss, stop flags, checkpoint flags, summed over the
  // ranks; `grad_norm` 0-d. Both may change once the call is back.
  void Push(int64_t step, const at::Tensor& riders, const at::Tensor& grad_norm);

  // The oldest result, if it is old enough to be there; with `flush` it is waited
  // for. nullopt: none. The same steps come out at the same step on all ranks.
  std::optional<StepResult> Pop(bool flush);

 private:
  struct Entry {
    int64_t step;
    at::Tensor values;  // (4) on the host
    std::unique_ptr<c10::Event> arrived;
  };

  // Constant after construction.
  const at::Device device_;
  const int64_t delay_;

  std::deque<Entry> entries_;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_STEP_LOG_H_
