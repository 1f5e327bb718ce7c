#include "worker/trainer/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "absl/strings/str_cat.h"
#include "corpus/permutation.h"

namespace isoflop {

absl::Status CheckSampling(const SamplingOptions& options, int64_t vocab_size) {
  if (!(options.temperature >= 0) || std::isinf(options.temperature)) {
    return absl::InvalidArgumentError(
        absl::StrCat("temperature ", options.temperature, ": 0 or more\ncure: 0 for the likeliest text, 1 for the model's own"));
  }
  if (options.top_k < 0 || options.top_k > vocab_size) {
    return absl::InvalidArgumentError(absl::StrCat("top-k ", options.top_k, ": 1 to the ", vocab_size,
                                                   " tokens of the vocabulary\ncure: leave it out for all of them"));
  }
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    return absl::InvalidArgumentError(absl::StrCat("top-p ", options.top_p, ": within (0, 1]\ncure: 0.9, or 1 for all tokens"));
  }
  return absl::OkStatus();
}

Sampler::Sampler(const SamplingOptions& options) : options_(options), state_(SplitMix64(options.seed)) {}

double Sampler::NextUniform() {
  state_ = SplitMix64(state_);
  return static_cast<double>(state_ >> 11) * 0x1p-53;
}

absl::StatusOr<int64_t> Sampler::Next(std::span<const double> scores) {
  const auto best = std::max_element(scores.begin(), scores.end());
  for (const double score : scores) {
    if (std::isnan(score)) return absl::InvalidArgumentError("a score of the model is NaN\ncure: another checkpoint");
  }
  if (scores.empty() || !std::isfinite(*best)) {
    return absl::InvalidArgumentError("no score of the model is finite\ncure: another checkpoint");
  }
  if (options_.temperature == 0 || options_.top_k == 1) return best - scores.begin();

  std::vector<size_t> kept(scores.size());
  std::iota(kept.begin(), kept.end(), size_t{0});
  if (options_.top_k > 0 || options_.top_p < 1) {
    std::stable_sort(kept.begin(), kept.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  }
  if (options_.top_k > 0) kept.resize(static_cast<size_t>(options_.top_k));
  std::vector<double> weights(kept.size());
  double total = 0;
  for (size_t i = 0; i < kept.size(); ++i) total += weights[i] = std::exp((scores[kept[i]] - *best) / options_.temperature);
  if (options_.top_p < 1) {
    double sum = 0;
    size_t count = 0;
    while (count < kept.size() && sum < options_.top_p * total) sum += weights[count++];
    weights.resize(count);
    total = sum;
  }
  double left = NextUniform() * total;
  for (size_t i = 0; i < weights.size(); ++i) {
    left -= weights[i];
    if (left < 0) return static_cast<int64_t>(kept[i]);
  }
  // Rounding: the last token that has a weight.
  size_t last = weights.size() - 1;
  while (weights[last] == 0) --last;
  return static_cast<int64_t>(kept[last]);
}

}  // namespace isoflop
