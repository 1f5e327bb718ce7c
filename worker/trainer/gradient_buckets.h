// The all-reduce of the gradient, overlapped with backward: the flat buffer is cut
// into buckets, and the last gradient of a bucket to arrive starts its all-reduce.
//
//   buckets.Arm();          before the backward of the last micro-step
//   loss.backward();
//   set the riders          loss and flags, behind the gradient
//   buckets.Finish();       gradients_with_riders() holds the sums
//
// Not thread-safe; the hooks run on autograd's thread inside backward.
#ifndef ISOFLOP_WORKER_TRAINER_GRADIENT_BUCKETS_H_
#define ISOFLOP_WORKER_TRAINER_GRADIENT_BUCKETS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "worker/trainer/communicator.h"
#include "worker/trainer/parameter_layout.h"
#include "worker/trainer/parameters.h"

namespace isoflop {

// One slice of the flat gradient, [offset, offset + count) floats, and the
// layout's entries in it.
struct Bucket {
  int64_t offset = 0;
  int64_t count = 0;
  std::vector<int> entries;
  friend bool operator==(const Bucket&, const Bucket&) = default;
};

inline constexpr int64_t kFirstBucketBytes = int64_t{1} << 20;
inline constexpr int64_t kBucketBytes = int64_t{25} << 20;

// The buckets of `layout` with `riders` floats behind it, in the order in which
// backward completes them: the head, the matrices from the last layer to the
// first, then vectors and embeddings with the riders. The first is closed at
// `first_bytes`, the others at `bucket_bytes`; a tensor is never cut. Pure.
std::vector<Bucket> CutBuckets(const ParameterLayout& layout, int64_t riders, int64_t first_bytes = kFirstBucketBytes,
                               int64_t bucket_bytes = kBucketBytes);

class GradientBuckets {
 public:
  // Sets a hook on each leaf of `parameters`, if world_size > 1. Both outlive it.
  GradientBuckets(Parameters& parameters, Communicator& communicator);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  // From here to Finish, gradients that are complete are sent. The bucket with
  // the riders waits for Finish.
  void Arm();

  // Sends what backward has not, in order, and waits for all. Throws
  // CommunicationError.
  void Finish();

  // Buckets that were on their way before Finish, at the last step: the overlap.
  int64_t sent_in_backward() const { return sent_in_backward_; }
  const std::vector<Bucket>& buckets() const { return buckets_; }

 private:
  void Ready(int entry);
  void Send(bool all);

  // Constant after construction.
  Parameters& parameters_;
  Communicator& communicator_;
  std::vector<Bucket> buckets_;
  std::vector<int> bucket_of_entry_;

  // State.
  bool armed_ = false;
  std::vector<int64_t> missing_;  // gradients each bucket still waits for
  size_t next_ = 0;               // the first bucket that was not sent
  std::vector<std::unique_ptr<Pending>> pending_;
  int64_t sent_in_backward_ = 0;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_GRADIENT_BUCKETS_H_
