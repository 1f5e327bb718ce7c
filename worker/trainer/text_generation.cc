#include "worker/trainer/text_generation.h"

#include <limits>

#include "corpus/utf8.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

// Could more bytes make `tail` (under 4 bytes) a sequence of UTF-8?
bool IsUnfinished(std::string_view tail) {
  if (tail.empty() || tail.size() > 3) return false;
  const auto lead = static_cast<unsigned char>(tail[0]);
  const size_t wanted = lead >= 0xC2 && lead <= 0xDF ? 2 : lead >= 0xE0 && lead <= 0xEF ? 3 : lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
  if (tail.size() >= wanted) return false;
  for (const char c : tail.substr(1)) {
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) return false;
  }
  return true;
}

// Bytes of `text` that can be handed out now.
size_t WholeBytes(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t length = Utf8Length(text.substr(at));
    if (length == 0 && IsUnfinished(text.substr(at))) break;
    at += length == 0 ? 1 : length;
  }
  return at;
}

}  // namespace

std::string ToString(GenerationEnd end) {
  switch (end) {
    case GenerationEnd::kTokens: return "tokens";
    case GenerationEnd::kEndOfText: return "end_of_text";
    case GenerationEnd::kStop: return "stop";
  }
  return "";
}

absl::StatusOr<GeneratedText> GenerateText(TextModel& model, const Tokenizer& tokenizer, std::optional<int64_t> eot_id,
                                           std::span<const int64_t> prompt, const GenerationOptions& options,
                                           const TextSink& sink) {
  ISOFLOP_RETURN_IF_ERROR(CheckSampling(options.sampling, model.vocab_size()));
  TextContext context(model);
  Sampler sampler(options.sampling);
  GeneratedText made;
  std::vector<uint32_t> ids;
  size_t handed = 0;
  const auto hand = [&](size_t upto) {
    if (sink && upto > handed) sink(std::string_view(made.text).substr(handed, upto - handed));
    handed = std::max(handed, upto);
  };
  std::vector<double> scores = context.Append(prompt);
  for (int64_t count = 0; count < options.tokens; ++count) {
    // A vocabulary that was padded has rows that no text can have.
    for (size_t id = static_cast<size_t>(tokenizer.facts().vocab_size); id < scores.size(); ++id) {
      scores[id] = -std::numeric_limits<double>::infinity();
    }
    ISOFLOP_ASSIGN_OR_RETURN(const int64_t token, sampler.Next(scores));
    if (token == eot_id) {
      made.end = GenerationEnd::kEndOfText;
      break;
    }
    made.tokens.push_back(token);
    ids.push_back(static_cast<uint32_t>(token));
    made.text = tokenizer.Decode(ids);
    if (!options.stop.empty()) {
      const size_t found = made.text.find(options.stop);
      if (found != std::string::npos) {
        made.text.resize(found);
        made.end = GenerationEnd::kStop;
        break;
      }
    }
    // What may yet become the stop, or a whole sequence, is kept back.
    const size_t kept = options.stop.empty() ? 0 : options.stop.size() - 1;
    hand(WholeBytes(std::string_view(made.text).substr(0, made.text.size() - std::min(made.text.size(), kept))));
    if (count + 1 < options.tokens) scores = context.Append(std::span<const int64_t>(&token, 1));
  }
  hand(made.text.size());
  return made;
}

}  // namespace isoflop
