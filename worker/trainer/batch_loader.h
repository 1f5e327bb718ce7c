// The tokens of one rank's share of each step.
//
// A pure function of (data set, seed, step, rank): nothing to save, nothing to
// skip on a resume. No Torch. Thread-safe: immutable after construction; may
// block on the disk.
#ifndef ISOFLOP_WORKER_TRAINER_BATCH_LOADER_H_
#define ISOFLOP_WORKER_TRAINER_BATCH_LOADER_H_

#include <cstdint>
#include <span>

#include "corpus/batch_order.h"
#include "corpus/dataset.h"
#include "study/trial_spec.h"

namespace isoflop {

class BatchLoader {
 public:
  // Rank r of R takes samples r B/R ... (r + 1) B/R - 1 of each step; R divides B.
  // Keeps a pointer to `dataset`.
  BatchLoader(const Dataset& dataset, const TrialSpec& trial, int rank, int world_size);

  // Sequences of this rank in a step, B / R.
  int64_t share() const { return share_; }

  // Fills inputs and targets, each (count, T) row by row, with sequences
  // [first, first + count) of this rank's share of update `step` (from 0).
  void Fill(int64_t step, int64_t first, int64_t count, std::span<int64_t> inputs, std::span<int64_t> targets) const;

 private:
  // Constant after construction.
  const Dataset* dataset_;
  const BatchOrder order_;
  const int64_t batch_sequences_;
  const int64_t sequence_length_;
  const int64_t share_;
  const int64_t first_;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_BATCH_LOADER_H_
