#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "corpus/early_return.h"
#include "corpus/file_access.h"
#include "corpus/sentencepiece_model.h"
#include "corpus/sha256.h"
#include "corpus/tokenizer.h"
#include "corpus/utf8.h"

namespace isoflop {
namespace {

class SentencePieceTokenizer : public Tokenizer {
 public:
  SentencePieceTokenizer(SentencePieceModel pieces, std::string model)
      : pieces_(std::move(pieces)), model_(std::move(model)) {
    byte_ids_.fill(-1);
    for (std::size_t id = 0; id < pieces_.pieces().size(); ++id) {
      const SentencePieceModel::Piece& piece = pieces_.pieces()[id];
      token_bytes_.push_back(static_cast<std::uint16_t>(piece.bytes.size()));
      if (piece.kind == SentencePieceModel::Kind::kByte) {
        byte_ids_[static_cast<unsigned char>(piece.bytes[0])] = static_cast<int>(id);
      }
    }
    facts_.id = "sentencepiece";
    facts_.sha256 = Sha256Hex(model_);
    facts_.vocab_size = static_cast<std::int64_t>(pieces_.pieces().size());
    facts_.file = "tokenizer.model";
    const int eot = pieces_.eos_id() >= 0 ? pieces_.eos_id() : pieces_.bos_id();
    if (eot >= 0) facts_.eot_id = eot;
  }

  const TokenizerFacts& facts() const override { return facts_; }
  const std::string& model() const override { return model_; }
  const std::vector<std::uint16_t>& token_bytes() const override { return token_bytes_; }

  bool HasAllBytes() const {
    for (const int id : byte_ids_) {
      if (id < 0) return false;
    }
    return true;
  }

  // Runs of valid UTF-8, a line at a time, are merged into pieces; other bytes
  // and characters that are no piece become byte pieces.
  void Encode(std::string_view text, std::vector<std::uint32_t>* tokens) const override {
    std::size_t begin = 0;
    std::size_t at = 0;
    const auto flush = [&](std::size_t end) {
      EncodeRun(text.substr(begin, end - begin), tokens);
      begin = end;
    };
    while (at < text.size()) {
      const std::size_t length = Utf8Length(text.substr(at));
      if (length == 0) {
        flush(at);
        EncodeBytes(text.substr(at, 1), tokens);
        begin = ++at;
        continue;
      }
      at += length;
      if (text[at - 1] == '\n') flush(at);
    }
    flush(text.size());
  }

  std::string Decode(std::span<const std::uint32_t> tokens) const override {
    std::string text;
    for (const std::uint32_t token : tokens) text += pieces_.pieces()[token].bytes;
    return text;
  }

 private:
  void EncodeBytes(std::string_view bytes, std::vector<std::uint32_t>* tokens) const {
    for (const char byte : bytes) {
      tokens->push_back(static_cast<std::uint32_t>(byte_ids_[static_cast<unsigned char>(byte)]));
    }
  }

  // `text` is valid UTF-8.
  void EncodeRun(std::string_view text, std::vector<std::uint32_t>* tokens) const {
    for (const int id : pieces_.Encode(text)) {
      if (id >= 0) {
        tokens->push_back(static_cast<std::uint32_t>(id));
        text.remove_prefix(pieces_.pieces()[static_cast<std::size_t>(id)].bytes.size());
      } else {
        const std::size_t length = Utf8Length(text);
        EncodeBytes(text.substr(0, length), tokens);
        text.remove_prefix(length);
      }
    }
  }

  // Constant after construction.
  SentencePieceModel pieces_;
  std::string model_;
  TokenizerFacts facts_;
  std::vector<std::uint16_t> token_bytes_;
  std::array<int, 256> byte_ids_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadSentencePieceTokenizer(const std::string& path) {
  std::string model;
  ISOFLOP_CORPUS_RETURN_IF_ERROR(ReadWholeFile(path, &model));
  absl::StatusOr<SentencePieceModel> pieces = SentencePieceModel::Parse(model);
  if (!pieces.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", pieces.status().message()));
  }
  auto tokenizer = std::make_unique<SentencePieceTokenizer>(*std::move(pieces), std::move(model));
  if (!tokenizer->facts().eot_id.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": the model has neither </s> nor <s>, nothing would part documents; "
                           "cure: train it with --eos_id or --bos_id"));
  }
  if (!tokenizer->HasAllBytes()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": the model lacks byte pieces, so it cannot give back any bytes; cure: train it with "
              "--byte_fallback=true"));
  }
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace isoflop
