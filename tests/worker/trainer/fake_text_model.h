// A TextModel with a known answer to everything: the next token is a function of the
// tokens before it, and a target's loss is the number of tokens that it was given.
#ifndef ISOFLOP_TESTS_WORKER_TRAINER_FAKE_TEXT_MODEL_H_
#define ISOFLOP_TESTS_WORKER_TRAINER_FAKE_TEXT_MODEL_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "worker/trainer/text_model.h"

namespace isoflop {

class FakeTextModel : public TextModel {
 public:
  using Next = std::function<std::vector<double>(const std::vector<int64_t>& seen)>;
  FakeTextModel(int64_t vocab_size, int64_t context_tokens, Next next = nullptr)
      : vocab_size_(vocab_size), context_tokens_(context_tokens), next_(std::move(next)) {}

  int64_t vocab_size() const override { return vocab_size_; }
  int64_t context_tokens() const override { return context_tokens_; }
  void Restart() override {
    seen_.clear();
    ++restarts;
  }
  std::vector<double> Read(std::span<const int64_t> tokens) override {
    seen_.insert(seen_.end(), tokens.begin(), tokens.end());
    read += static_cast<int64_t>(tokens.size());
    longest = std::max(longest, static_cast<int64_t>(seen_.size()));
    return next_(seen_);
  }
  std::vector<double> LossesOf(std::span<const int64_t> tokens, int64_t windows) override {
    const auto targets = static_cast<int64_t>(tokens.size()) / windows - 1;
    longest = std::max(longest, targets);
    std::vector<double> losses;
    for (int64_t w = 0; w < windows; ++w) {
      for (int64_t i = 1; i <= targets; ++i) losses.push_back(static_cast<double>(i));
    }
    return losses;
  }
  int64_t WindowsAtOnce(int64_t) const override { return 3; }

  int64_t restarts = 0, read = 0, longest = 0;

 private:
  const int64_t vocab_size_, context_tokens_;
  const Next next_;
  std::vector<int64_t> seen_;
};

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_WORKER_TRAINER_FAKE_TEXT_MODEL_H_
