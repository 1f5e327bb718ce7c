#include "worker/trainer/ngram_text_model.h"

#include <cmath>

namespace isoflop {

std::vector<double> NgramTextModel::Read(std::span<const int64_t> tokens) {
  seen_.insert(seen_.end(), tokens.begin(), tokens.end());
  const auto kept = static_cast<size_t>(model_->order() - 1);
  if (seen_.size() > kept) seen_.erase(seen_.begin(), seen_.end() - static_cast<std::ptrdiff_t>(kept));
  std::vector<double> scores = model_->Distribution(seen_);
  for (double& score : scores) score = std::log(score);
  return scores;
}

std::vector<double> NgramTextModel::LossesOf(std::span<const int64_t> tokens, int64_t windows) {
  const size_t length = tokens.size() / static_cast<size_t>(windows);
  std::vector<double> losses(static_cast<size_t>(windows) * (length - 1));
  for (size_t w = 0; w < static_cast<size_t>(windows); ++w) {
    model_->LossesOf(tokens.subspan(w * length, length), std::span<double>(losses).subspan(w * (length - 1), length - 1));
  }
  return losses;
}

}  // namespace isoflop
