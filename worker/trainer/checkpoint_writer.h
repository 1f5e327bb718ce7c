// Writes checkpoints beside the training: the training thread only copies, a
// thread hashes and writes. One is in flight.
//
// No Torch here. Calls come from one thread (the training's).
#ifndef ISOFLOP_WORKER_TRAINER_CHECKPOINT_WRITER_H_
#define ISOFLOP_WORKER_TRAINER_CHECKPOINT_WRITER_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "worker/trainer/checkpoint.h"
#include "worker/trainer/event_writer.h"

namespace isoflop {

enum class CheckpointReason { kPeriodic, kAsked, kBranch, kPreempted, kFinal };
std::string ToString(CheckpointReason reason);  // "periodic", "asked", "branch", "preempted", "final"

// What to write: host buffers that stay as they are until the job is done, and
// a call that returns once the copy into them has ended (CUDA; may be empty).
struct CheckpointJob {
  CheckpointState state;
  CheckpointReason reason = CheckpointReason::kPeriodic;
  CheckpointTensors tensors;
  std::function<void()> wait_for_copy;
};

class CheckpointWriter {
 public:
  // Writes into `folder` (of this lease). `layout` and `events` outlive it.
  CheckpointWriter(std::string folder, const ParameterLayout& layout, EventWriter& events);
  // Waits for the job in flight.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // True while a job is being written: its buffers must not be touched, and a
  // periodic checkpoint is better left out than waited for.
  bool busy() const;

  // Waits for the job in flight, then hands over `job`. When it is on the disk
  // the thread says `checkpoint`.
  //
  // A checkpoint that could not be written is told by a note and training goes on
  // if it was periodic, asked for or final: the one before is still there, and a
  // result does not wait for a disk. A trunk's
  // branch point or a preempted trial's last one is needed: the error (disk full
  // and so on) comes back from the next call of Submit, Poll or Wait, as often as
  // asked.
  absl::Status Submit(CheckpointJob job);
  absl::Status Poll() const;
  // Waits for the job in flight.
  absl::Status Wait();

  // The step of the last one that was written here; nullopt: none yet.
  std::optional<int64_t> last_step() const;

 private:
  void Run();
  absl::Status WriteOne(const CheckpointJob& job);

  // Constant after construction.
  const std::string folder_;
  const ParameterLayout& layout_;
  EventWriter& events_;

  mutable std::mutex mu_;
  std::condition_variable changed_;
  // Guarded by mu_.
  std::optional<CheckpointJob> job_;
  bool ending_ = false;
  absl::Status failure_;
  std::optional<int64_t> last_step_;

  std::thread thread_;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_CHECKPOINT_WRITER_H_
