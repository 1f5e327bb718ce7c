// Where the ranks of one lease meet: a TCPStore on rank 0, behind a prefix of the
// lease's number. Needs no device and no collective, so it also works after an
// out-of-memory.
//
// Throws CommunicationError. Not thread-safe.
#ifndef ISOFLOP_WORKER_TRAINER_GROUP_STORE_H_
#define ISOFLOP_WORKER_TRAINER_GROUP_STORE_H_

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>

#include "worker/trainer/communicator.h"

namespace isoflop {

class GroupStore {
 public:
  // Rank 0 listens, the others connect and are turned away at once if the store
  // is another lease's. Blocks until rank 0 is there, not until all are.
  explicit GroupStore(const Rendezvous& rendezvous);
  // Says goodbye; rank 0 keeps the store up for a moment until all have, unless
  // the group has failed.
  ~GroupStore();
  GroupStore(const GroupStore&) = delete;
  GroupStore& operator=(const GroupStore&) = delete;

  // As Communicator::Min.
  int64_t Min(int64_t value);

  // No goodbye: the group has failed.
  void SetFailed() { failed_ = true; }  // on any thread

  // For a process group to exchange its addresses in; this lease's own.
  const c10::intrusive_ptr<c10d::Store>& store() const { return store_; }

 private:
  // Constant after construction.
  const int rank_;
  const int world_size_;
  std::chrono::milliseconds timeout_;
  c10::intrusive_ptr<c10d::Store> store_;  // behind the prefix

  int64_t min_calls_ = 0;
  std::atomic<bool> failed_{false};
};

// `error` as one line, without the stack that Torch's errors carry, behind `doing`.
CommunicationError DescribeError(const std::string& doing, const std::exception& error);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_GROUP_STORE_H_
