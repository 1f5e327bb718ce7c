#include "worker/trainer/sample_text.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "worker/trainer/text_generation.h"

namespace isoflop {

absl::StatusOr<std::unique_ptr<Tokenizer>> TokenizerOf(const Dataset& dataset) {
  if (dataset.tokenizer_id() == "bytes") return MakeBytesTokenizer();
  const std::string& file = dataset.manifest().tokenizer.file;
  if (dataset.tokenizer_id() != "sentencepiece" || file.empty()) {
    return absl::NotFoundError(absl::StrCat(dataset.path(), ": the tokens came without their tokenizer (", dataset.tokenizer_id(),
                                            ")\ncure: prepare the data from text to read and write text"));
  }
  return LoadSentencePieceTokenizer((std::filesystem::path(dataset.path()).parent_path() / file).string());
}

std::optional<std::string> SampleText(const Dataset& dataset, int64_t seed, TextModel& model) {
  const absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = TokenizerOf(dataset);
  const std::optional<int64_t> eot = dataset.eot_id();
  if (!tokenizer.ok() || !eot.has_value()) return std::nullopt;
  GenerationOptions options;
  options.tokens = kSampleTokens;
  options.sampling.seed = static_cast<uint64_t>(seed);
  const int64_t prompt[] = {*eot};
  absl::StatusOr<GeneratedText> made = GenerateText(model, **tokenizer, eot, prompt, options, nullptr);
  if (!made.ok()) return std::nullopt;
  if (made->text.size() > kMostSampleBytes) made->text.resize(kMostSampleBytes);
  return std::move(made->text);
}

}  // namespace isoflop
