// A Communicator over one of Torch's process-group backends; what Gloo and NCCL
// have in common.
#ifndef ISOFLOP_WORKER_TRAINER_BACKEND_COMMUNICATOR_H_
#define ISOFLOP_WORKER_TRAINER_BACKEND_COMMUNICATOR_H_

#include <torch/csrc/distributed/c10d/Backend.hpp>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "worker/trainer/communicator.h"
#include "worker/trainer/group_store.h"

namespace isoflop {

class BackendCommunicator : public Communicator {
 public:
  // `name`: "gloo", "nccl", for messages. `waits_on_host`: a wait blocks the thread
  // until the sum is there, and Abort wakes it. `abort` leaves the peers; it may be
  // called on any thread.
  BackendCommunicator(std::string name, std::unique_ptr<GroupStore> store, c10::intrusive_ptr<c10d::Backend> backend,
                      bool waits_on_host, std::function<void()> abort);
  ~BackendCommunicator() override;

  int rank() const override { return backend_->getRank(); }
  int world_size() const override { return backend_->getSize(); }
  std::unique_ptr<Pending> AllReduceSum(at::Tensor slice) override;
  void Broadcast(at::Tensor tensor, int root) override;
  int64_t Min(int64_t value) override;
  void Abort() override;

 private:
  class BackendPending;

  // What wakes a waiting thread; the backend's threads hold it too.
  struct Gate {
    std::mutex mu;
    std::condition_variable changed;
    bool aborted = false;  // guarded by mu
  };

  // Runs `call`, an error of which is this group's end.
  template <class Call>
  auto Guarded(const char* doing, const Call& call);
  void WaitFor(c10d::Work& work);
  bool aborted() const;

  // Constant after construction.
  const std::string name_;
  const std::unique_ptr<GroupStore> store_;
  c10::intrusive_ptr<c10d::Backend> backend_;
  const bool waits_on_host_;
  const std::function<void()> abort_;
  const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_BACKEND_COMMUNICATOR_H_
