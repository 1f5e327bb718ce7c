#include "corpus/corpus_entropy.h"

#include <lzma.h>

#include <cmath>
#include <numbers>
#include <utility>

#include "corpus/early_return.h"
#include "corpus/ngram_counts.h"
#include "corpus/ngram_model.h"

namespace isoflop {
namespace {

constexpr std::size_t kLeastTokens = 100;
constexpr std::int64_t kHeldOutTokens = kEntropyTokens / 10;

absl::StatusOr<NgramModel> Count(std::int64_t vocab_size, int order, std::span<const std::int64_t> tokens,
                                 std::size_t context) {
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(NgramCounts counts, NgramCounts::Make(vocab_size, order));
  ISOFLOP_CORPUS_RETURN_IF_ERROR(counts.Add(tokens, context));
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(std::vector<NgramCount> ngrams, std::move(counts).Finish());
  return NgramModel::Make(vocab_size, order, {}, std::move(ngrams));
}

// Bytes that `text` packs to, the container's few dozen among them; 0 on an error.
std::size_t PackedBytes(const std::string& text) {
  std::string packed(lzma_stream_buffer_bound(text.size()), '\0');
  std::size_t used = 0;
  const lzma_ret done = lzma_easy_buffer_encode(
      LZMA_PRESET_DEFAULT, LZMA_CHECK_CRC32, nullptr, reinterpret_cast<const std::uint8_t*>(text.data()), text.size(),
      reinterpret_cast<std::uint8_t*>(packed.data()), &used, packed.size());
  return done == LZMA_OK ? used : 0;
}

}  // namespace

std::optional<double> CorpusEntropy::BitsPerByte(double nats_per_token) const {
  if (!bytes_per_token.has_value()) return std::nullopt;
  return nats_per_token / std::numbers::ln2 / *bytes_per_token;
}

CorpusEntropySample::CorpusEntropySample(std::int64_t vocab_size, bool bytes_are_ids)
    : vocab_size_(vocab_size), bytes_are_ids_(bytes_are_ids) {}

void CorpusEntropySample::Add(std::int64_t token, bool held_out) {
  std::vector<std::int64_t>& tokens = held_out ? held_out_ : counted_;
  if (static_cast<std::int64_t>(tokens.size()) < (held_out ? kHeldOutTokens : kEntropyTokens)) tokens.push_back(token);
}

absl::StatusOr<std::optional<CorpusEntropy>> CorpusEntropySample::Compute() {
  std::vector<std::int64_t> all = counted_;
  all.insert(all.end(), held_out_.begin(), held_out_.end());
  if (all.size() < 2 || vocab_size_ < 2 || vocab_size_ > kMaxNgramVocabulary) return std::nullopt;
  CorpusEntropy entropy;
  entropy.tokens = static_cast<std::int64_t>(all.size());
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const NgramModel trigrams, Count(vocab_size_, 3, all, 0));
  entropy.unigram_nats = trigrams.ConditionalEntropyNats(1);
  entropy.bigram_nats = trigrams.ConditionalEntropyNats(2);
  entropy.trigram_nats = trigrams.ConditionalEntropyNats(3);

  std::span<const std::int64_t> counted = counted_, held_out = held_out_;
  if (held_out.empty()) {
    held_out = counted.last(counted.size() / 10);
    counted = counted.first(counted.size() - held_out.size());
  }
  if (all.size() >= kLeastTokens && held_out.size() >= 2) {
    ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const NgramModel model, Count(vocab_size_, kEntropyOrder, counted, 0));
    std::vector<double> losses(held_out.size() - 1);
    model.LossesOf(held_out, losses);
    double sum = 0;
    for (const double loss : losses) sum += loss;
    entropy.kneser_ney_nats = sum / static_cast<double>(losses.size());
    entropy.counted_tokens = static_cast<std::int64_t>(counted.size());
    entropy.held_out_tokens = static_cast<std::int64_t>(losses.size());
  }
  if (bytes_are_ids_) {
    std::string text;
    for (const std::int64_t token : all) {
      if (token < 256) text.push_back(static_cast<char>(token));
    }
    const std::size_t packed = PackedBytes(text);
    entropy.bytes_per_token = static_cast<double>(text.size()) / static_cast<double>(all.size());
    if (packed > 0) entropy.xz_nats = static_cast<double>(packed) * 8 * std::numbers::ln2 / static_cast<double>(all.size());
  }
  return entropy;
}

}  // namespace isoflop
