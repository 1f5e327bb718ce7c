// The event lines of a trial's way: what the loop knows, as the contract names it
// (docs/trainer_contract.md).
//
// Pure; no Torch.
#ifndef ISOFLOP_WORKER_TRAINER_TRAIN_EVENTS_H_
#define ISOFLOP_WORKER_TRAINER_TRAIN_EVENTS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "corpus/dataset.h"
#include "corpus/eval_set.h"
#include "study/trial_spec.h"
#include "worker/trainer/event_writer.h"

namespace isoflop {

// What a running sum over updates says about loss and speed.
struct Meter {
  int64_t tokens = 0;  // of all ranks
  absl::Duration busy, waiting;  // in updates; of that, for data
  double loss_sum_nats = 0;
  int64_t steps = 0;

  double MeanLoss() const { return loss_sum_nats / static_cast<double>(steps); }
  double TokensPerSecond() const;
  double DataWaitFraction() const;
};

TrainerEvent StartedEvent(const TrialSpec& trial, const ParamCounts& counts, const Dataset& dataset,
                          const std::string& device, const std::string& code_version, int64_t resumed_step);

// A loss point after update `step`: the mean of `point`, the rate of that update.
TrainerEvent PointEvent(const TrialSpec& trial, int64_t step, double grad_norm, const Meter& point);

struct FinalFacts {
  int64_t step = 0;
  double train_loss_nats = 0;  // smoothed
  absl::Duration wall;         // of this attempt
  double tokens_per_second = 0;
  int64_t peak_memory_bytes = 0;
  bool resumed_exact = true;
  // FLOP/s of all devices by their data sheet; nullopt: not known, no mfu.
  std::optional<double> peak_flops_per_second;
};
// Tokens and FLOPs count the whole path from step 0, a trunk's part included.
TrainerEvent FinalEvent(const TrialSpec& trial, const Dataset& dataset, const EvalLoss& loss, const FinalFacts& facts);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_TRAIN_EVENTS_H_
