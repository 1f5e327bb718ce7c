// Draws the next token from a model's scores: temperature, then top-k, then top-p.
//
// No Torch. Its own random numbers, so that one seed gives one text on every
// machine. Not thread-safe.
#ifndef ISOFLOP_WORKER_TRAINER_SAMPLER_H_
#define ISOFLOP_WORKER_TRAINER_SAMPLER_H_

#include <cstdint>
#include <span>

#include "absl/status/statusor.h"

namespace isoflop {

struct SamplingOptions {
  double temperature = 1;  // 0: the highest score, the lowest id among equals
  int64_t top_k = 0;       // the k highest scores alone; 0: all
  double top_p = 1;        // nucleus: the fewest tokens that have this probability
  uint64_t seed = 1;
};

// InvalidArgument, with the cure: a temperature below 0, k below 0 or above
// `vocab_size`, p outside (0, 1].
absl::Status CheckSampling(const SamplingOptions& options, int64_t vocab_size);

class Sampler {
 public:
  // `options` passed CheckSampling.
  explicit Sampler(const SamplingOptions& options);

  // The id of the next token. p(i) = exp(score_i / temperature) over those that top-k
  // and top-p leave, ties among the kept by the lower id. InvalidArgument: no score
  // is finite, or one is NaN.
  absl::StatusOr<int64_t> Next(std::span<const double> scores);

 private:
  double NextUniform();  // in [0, 1)

  const SamplingOptions options_;
  uint64_t state_;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_SAMPLER_H_
