// How the ranks of one trial talk: four calls, made in one order on every rank.
//
// Every call throws CommunicationError (exit 75, kind `comm`) when a peer has
// died, has been silent for the timeout, or the group was aborted. A group that
// failed once is of no more use: the first dead rank ends the attempt.
//
// Not thread-safe, but for Abort. AllReduceSum may come from autograd's thread
// while the training thread is inside backward.
#ifndef ISOFLOP_WORKER_TRAINER_COMMUNICATOR_H_
#define ISOFLOP_WORKER_TRAINER_COMMUNICATOR_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "absl/time/time.h"

namespace isoflop {

class CommunicationError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// An all-reduce under way.
class Pending {
 public:
  virtual ~Pending() = default;
  // Returns when the tensor holds the sum: on the CPU when it does, on CUDA when
  // whatever the current stream is given next will see it (no host sync).
  virtual void Wait() = 0;
};

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int world_size() const = 0;

  // Starts at once to sum `slice` (contiguous, fp32 or fp64; the same size on
  // all ranks) over the ranks, in place, with the same bits on each. The slice must
  // not be touched before Wait.
  virtual std::unique_ptr<Pending> AllReduceSum(at::Tensor slice) = 0;

  // `tensor` (contiguous) of rank `root` on every rank. Blocks.
  virtual void Broadcast(at::Tensor tensor, int root) = 0;

  // The smallest `value` of all ranks. Through the store, not the devices, so it
  // works after an out-of-memory. Blocks.
  virtual int64_t Min(int64_t value) = 0;

  // Ends what is under way on this rank: its waits throw, its peers see it go.
  virtual void Abort() = 0;
};

// Where the ranks meet.
struct Rendezvous {
  int rank = 0;
  int world_size = 1;
  std::string master_addr = "127.0.0.1";
  int master_port = 0;
  // A rank of another lease is turned away.
  int64_t lease = 0;
  // Of the meeting and of every call after it.
  absl::Duration timeout = absl::Seconds(120);
};

// World 1: every call is a no-op.
std::unique_ptr<Communicator> MakeSoloCommunicator();

// Over sockets; CPU tensors, or CUDA tensors staged through the host. Blocks until
// all ranks have come.
std::unique_ptr<Communicator> MakeGlooCommunicator(const Rendezvous& rendezvous);

// Over NCCL on CUDA device `device`. Throws CommunicationError with "no GPUs
// found" where there is none, and with NCCL's reason where two ranks share one.
// In a build without CUDA: says so.
std::unique_ptr<Communicator> MakeNcclCommunicator(const Rendezvous& rendezvous, int device);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_COMMUNICATOR_H_
