// A network as a TextModel.
//
// Throws c10::Error where Torch does.
#ifndef ISOFLOP_WORKER_TRAINER_NETWORK_TEXT_MODEL_H_
#define ISOFLOP_WORKER_TRAINER_NETWORK_TEXT_MODEL_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "worker/trainer/language_model.h"
#include "worker/trainer/text_model.h"

namespace isoflop {

class NetworkTextModel : public TextModel {
 public:
  // Keeps a pointer. `cached`: what was read is remembered; without it each token
  // computes all before it again, to compare with.
  NetworkTextModel(const LanguageModel& model, int64_t vocab_size, int64_t context_tokens, at::Device device,
                   bool cached = true)
      : model_(&model), vocab_size_(vocab_size), context_tokens_(context_tokens), device_(device), cached_(cached) {}

  int64_t vocab_size() const override { return vocab_size_; }
  int64_t context_tokens() const override { return context_tokens_; }
  void Restart() override;
  std::vector<double> Read(std::span<const int64_t> tokens) override;
  std::vector<double> LossesOf(std::span<const int64_t> tokens, int64_t windows) override;
  int64_t WindowsAtOnce(int64_t targets) const override;

 private:
  const LanguageModel* const model_;
  const int64_t vocab_size_, context_tokens_;
  const at::Device device_;
  const bool cached_;

  std::unique_ptr<TokenReader> reader_;
  std::vector<int64_t> seen_;  // without the cache
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_NETWORK_TEXT_MODEL_H_
