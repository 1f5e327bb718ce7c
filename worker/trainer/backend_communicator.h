// A Communicator over one of Torch's process-group backends; what Gloo and NCCL
// have in common.
#ifndef ISOFLOP_WORKER_TRAINER_BACKEND_COMMUNICATOR_H_
#define ISOFLOP_WORKER_TRAINER_BACKEND_COMMUNICATOR_H_

#include <torch/csrc/distributed/c10d/Backend.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "worker/trainer/communicator.h"
#include "worker/trainer/group_store.h"

namespace isoflop {

class BackendCommunicator : public Communicator {
 public:
  // `name`: "gloo", "nccl", for messages. `abort` ends what is under way; it may
  // be called on any thread.
  BackendCommunicator(std::string name, std::unique_ptr<GroupStore> store, c10::intrusive_ptr<c10d::Backend> backend,
                      std::function<void()> abort);
  ~BackendCommunicator() override;

  int rank() const override { return backend_->getRank(); }
  int world_size() const override { return backend_->getSize(); }
  std::unique_ptr<Pending> AllReduceSum(at::Tensor slice) override;
  void Broadcast(at::Tensor tensor, int root) override;
  int64_t Min(int64_t value) override;
  void Abort() override;

 private:
  class BackendPending;

  // Runs `call`, an error of which is this group's end.
  template <class Call>
  auto Guarded(const char* doing, const Call& call);

  // Constant after construction.
  const std::string name_;
  const std::unique_ptr<GroupStore> store_;
  c10::intrusive_ptr<c10d::Backend> backend_;
  const std::function<void()> abort_;

  // Own synchronisation.
  std::atomic<bool> aborted_{false};
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_BACKEND_COMMUNICATOR_H_
