// Text from a model, token by token, handed out as it comes.
//
// No Torch here.
#ifndef ISOFLOP_WORKER_TRAINER_TEXT_GENERATION_H_
#define ISOFLOP_WORKER_TRAINER_TEXT_GENERATION_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "corpus/tokenizer.h"
#include "worker/trainer/sampler.h"
#include "worker/trainer/text_model.h"

namespace isoflop {

struct GenerationOptions {
  int64_t tokens = 256;     // most that are drawn
  SamplingOptions sampling;
  std::string stop;         // ends the text before it; empty: none
};

enum class GenerationEnd { kTokens, kEndOfText, kStop };
std::string ToString(GenerationEnd end);  // "tokens", "end_of_text", "stop"

struct GeneratedText {
  std::vector<int64_t> tokens;  // drawn; the end of text is not one of them
  std::string text;             // that they stand for, cut before the stop
  GenerationEnd end = GenerationEnd::kTokens;
};

// Takes the next piece of the text: whole UTF-8 sequences, but for bytes that belong to
// none.
using TextSink = std::function<void(std::string_view piece)>;

// Draws behind `prompt` (one token at least) until the options' end or `eot_id`. Ids
// that the tokenizer lacks are never drawn. InvalidArgument: CheckSampling's, or scores
// that are not finite.
absl::StatusOr<GeneratedText> GenerateText(TextModel& model, const Tokenizer& tokenizer, std::optional<int64_t> eot_id,
                                           std::span<const int64_t> prompt, const GenerationOptions& options,
                                           const TextSink& sink);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_TEXT_GENERATION_H_
