#include "corpus/tokenizer.h"

#include <numeric>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "corpus/sha256.h"

namespace isoflop {
namespace {

constexpr std::uint32_t kBytesEot = 256;

class BytesTokenizer : public Tokenizer {
 public:
  BytesTokenizer() : token_bytes_(kBytesEot + 1, 1) {
    facts_.id = "bytes";
    facts_.sha256 = Sha256Hex(facts_.id);
    facts_.vocab_size = kBytesEot + 1;
    facts_.eot_id = kBytesEot;
    token_bytes_[kBytesEot] = 0;
  }

  const TokenizerFacts& facts() const override { return facts_; }
  const std::string& model() const override { return model_; }
  const std::vector<std::uint16_t>& token_bytes() const override { return token_bytes_; }

  void Encode(std::string_view text, std::vector<std::uint32_t>* tokens) const override {
    tokens->reserve(tokens->size() + text.size());
    for (const char byte : text) tokens->push_back(static_cast<unsigned char>(byte));
  }

  std::string Decode(std::span<const std::uint32_t> tokens) const override {
    std::string text;
    text.reserve(tokens.size());
    for (const std::uint32_t token : tokens) {
      if (token < kBytesEot) text.push_back(static_cast<char>(token));
    }
    return text;
  }

 private:
  TokenizerFacts facts_;
  std::string model_;
  std::vector<std::uint16_t> token_bytes_;
};

}  // namespace

std::unique_ptr<Tokenizer> MakeBytesTokenizer() { return std::make_unique<BytesTokenizer>(); }

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeTokenizer(const std::string& name) {
  if (name.empty() || name == "bytes") return MakeBytesTokenizer();
  if (absl::EndsWith(name, ".model")) return LoadSentencePieceTokenizer(name);
  return absl::InvalidArgumentError(absl::StrCat(
      "tokenizer '", name, "': not known; cure: bytes, or the path of a SentencePiece .model"));
}

std::string TokenBytesFile(const std::vector<std::uint16_t>& token_bytes) {
  std::string file;
  file.reserve(2 * token_bytes.size());
  for (const std::uint16_t bytes : token_bytes) {
    file.push_back(static_cast<char>(bytes & 255));
    file.push_back(static_cast<char>(bytes >> 8));
  }
  return file;
}

}  // namespace isoflop
