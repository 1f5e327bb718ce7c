// The sample of text that a finished trial leaves in the store: so that people see
// what a loss means, long after the weights are gone.
//
// No Torch.
#ifndef ISOFLOP_WORKER_TRAINER_SAMPLE_TEXT_H_
#define ISOFLOP_WORKER_TRAINER_SAMPLE_TEXT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "corpus/dataset.h"
#include "corpus/tokenizer.h"
#include "worker/trainer/text_model.h"

namespace isoflop {

inline constexpr int kSampleTokens = 256;
inline constexpr size_t kMostSampleBytes = 1000;

// The tokenizer of a data set. NotFound: its tokens came without one (their ids are
// all that is known), or its model is gone.
absl::StatusOr<std::unique_ptr<Tokenizer>> TokenizerOf(const Dataset& dataset);

// What the model writes after an end-of-text token: temperature 1, seeded with
// `seed`, until kSampleTokens, the next end of text, or kMostSampleBytes. nullopt
// where the data set's tokenizer is not here or has no end of text, or the model's
// scores are not finite.
std::optional<std::string> SampleText(const Dataset& dataset, int64_t seed, TextModel& model);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_SAMPLE_TEXT_H_
