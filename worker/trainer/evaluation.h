// The loss on the frozen evaluation set, shared among the ranks.
//
// Not thread-safe: every rank calls in one order. Blocks on the communicator;
// throws CommunicationError.
#ifndef ISOFLOP_WORKER_TRAINER_EVALUATION_H_
#define ISOFLOP_WORKER_TRAINER_EVALUATION_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "corpus/eval_set.h"
#include "worker/trainer/communicator.h"
#include "worker/trainer/language_model.h"

namespace isoflop {

class Evaluation {
 public:
  // Keeps pointers to all. `batch_sequences`: windows at once, affects speed and
  // memory only. `sign_of_life` is called after each batch of windows; may be
  // empty.
  Evaluation(const LanguageModel& model, const EvalSet& set, int64_t batch_sequences, at::Device device,
             Communicator& communicator, std::function<void()> sign_of_life = {});

  // The loss over the whole set, with its standard error and bits per byte; sums
  // in fp64, the same on every rank.
  EvalLoss Whole() const;

  // A look in between that need not cost what the whole does: the mean loss over
  // `count` windows that lie evenly in the set (all, if it has fewer), a fixed
  // choice.
  struct Glance {
    double loss_nats = 0;
    int64_t eval_tokens = 0;
  };
  Glance Spread(int64_t count) const;

 private:
  // Gives `add` the window and the losses of its targets, for every R-th window.
  void ForMyWindows(const std::vector<int64_t>& windows,
                    const std::function<void(int64_t window, std::span<const float> losses)>& add) const;
  void SumOverRanks(std::span<double> values) const;

  // Constant after construction.
  const LanguageModel* const model_;
  const EvalSet* const set_;
  const int64_t batch_sequences_;
  const at::Device device_;
  Communicator* const communicator_;
  const std::function<void()> sign_of_life_;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_EVALUATION_H_
