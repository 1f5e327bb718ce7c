// A stretch of work that is the same at every step: called on the CPU, and on CUDA
// recorded as a graph after a few calls and then replayed, which costs one launch
// instead of hundreds.
//
// What is recorded reads and writes the same addresses for good: the tensors that
// the work takes in and gives out must stay alive and in place, and it may neither
// wait for the device nor depend on values that the host computes.
//
// Not thread-safe.
#ifndef ISOFLOP_WORKER_TRAINER_RECORDED_WORK_H_
#define ISOFLOP_WORKER_TRAINER_RECORDED_WORK_H_

#include <functional>
#include <memory>
#include <string>

namespace isoflop {

class RecordedWork {
 public:
  virtual ~RecordedWork() = default;

  // Does `work`, once: calls it, records it and plays the record, or plays the
  // record. Recording that fails (an operation that cannot be recorded) is told
  // once by `why_not`, and from then on the work is called. Errors are the work's.
  virtual void Run(const std::function<void()>& work) = 0;

  // Why this is called and not replayed; empty before the attempt and after success.
  virtual std::string why_not() const = 0;
  virtual bool is_replayed() const = 0;
};

// Calls the work each time.
std::unique_ptr<RecordedWork> MakeCalledWork();

// Records on the current stream of this thread, which must not be the default one
// (UseOwnCudaStream), after `warmups` calls. In a build without CUDA: MakeCalledWork.
std::unique_ptr<RecordedWork> MakeRecordedCudaWork(int warmups = 3);

// Makes a stream of its own the current one of this thread until the result is gone.
std::shared_ptr<void> UseOwnCudaStream(int device);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_RECORDED_WORK_H_
