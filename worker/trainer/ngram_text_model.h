// A counted model as a TextModel.
#ifndef ISOFLOP_WORKER_TRAINER_NGRAM_TEXT_MODEL_H_
#define ISOFLOP_WORKER_TRAINER_NGRAM_TEXT_MODEL_H_

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "corpus/ngram_model.h"
#include "worker/trainer/text_model.h"

namespace isoflop {

class NgramTextModel : public TextModel {
 public:
  // Keeps a pointer.
  explicit NgramTextModel(const NgramModel& model) : model_(&model) {}

  int64_t vocab_size() const override { return model_->vocab_size(); }
  // Beyond the order nothing is looked at: any number will do.
  int64_t context_tokens() const override { return 1024; }
  void Restart() override { seen_.clear(); }
  std::vector<double> Read(std::span<const int64_t> tokens) override;
  std::vector<double> LossesOf(std::span<const int64_t> tokens, int64_t windows) override;
  int64_t WindowsAtOnce(int64_t) const override { return 1; }

 private:
  const NgramModel* const model_;
  std::vector<int64_t> seen_;  // the newest order - 1 tokens
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_NGRAM_TEXT_MODEL_H_
