#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "corpus/early_return.h"
#include "corpus/file_access.h"
#include "corpus/sentencepiece_model.h"
#include "corpus/sha256.h"
#include "corpus/tokenizer.h"

namespace isoflop {
namespace {

constexpr char kCure[] =
    "train it with --normalization_rule_name=identity --remove_extra_whitespaces=false "
    "--add_dummy_prefix=false --byte_fallback=true";

// Bytes of the valid UTF-8 sequence at the head of `text`, 0 if it is none.
std::size_t Utf8Length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  std::size_t length = 0;
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) length = 2;
  if (first >= 0xe0 && first <= 0xef) length = 3;
  if (first >= 0xf0 && first <= 0xf4) length = 4;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  }
  // Overlong forms, surrogates, beyond U+10FFFF.
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) ||
      (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)) {
    return 0;
  }
  return length;
}

// What SentencePiece itself would not give back: the sign that it writes for a
// blank, and the byte 0.
bool NeedsBytes(std::string_view character) {
  return character == "\xe2\x96\x81" || character == std::string_view("\0", 1);
}

class SentencePieceTokenizer : public Tokenizer {
 public:
  SentencePieceTokenizer(std::unique_ptr<SentencePieceModel> pieces, std::string model)
      : pieces_(std::move(pieces)), model_(std::move(model)) {
    byte_ids_.fill(-1);
    for (std::size_t id = 0; id < pieces_->pieces().size(); ++id) {
      const SentencePieceModel::Piece& piece = pieces_->pieces()[id];
      token_bytes_.push_back(static_cast<std::uint16_t>(piece.bytes.size()));
      if (piece.kind == SentencePieceModel::Kind::kByte) {
        byte_ids_[static_cast<unsigned char>(piece.bytes[0])] = static_cast<int>(id);
      }
    }
    facts_.id = "sentencepiece";
    facts_.sha256 = Sha256Hex(model_);
    facts_.vocab_size = static_cast<std::int64_t>(pieces_->pieces().size());
    facts_.file = "tokenizer.model";
    const int eot = pieces_->eos_id() >= 0 ? pieces_->eos_id() : pieces_->bos_id();
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

  // Whether the library gives back text with odd blanks by itself.
  bool KeepsBlanks() const {
    for (const std::string_view probe : {"  a  b ", "a\n\nb", "\t a", "\xef\xac\x81 A"}) {
      std::vector<std::uint32_t> tokens;
      if (!EncodePieces(probe, &tokens)) return false;
    }
    return true;
  }

  // Runs of valid UTF-8, a line or so at a time, go through the library; all
  // other bytes, and a run that it would not give back, become byte pieces.
  void Encode(std::string_view text, std::vector<std::uint32_t>* tokens) const override {
    std::size_t begin = 0;
    std::size_t at = 0;
    const auto flush = [&](std::size_t end) {
      const std::string_view run = text.substr(begin, end - begin);
      if (!run.empty() && !EncodePieces(run, tokens)) EncodeBytes(run, tokens);
      begin = end;
    };
    while (at < text.size()) {
      const std::size_t length = Utf8Length(text.substr(at));
      if (length == 0 || NeedsBytes(text.substr(at, length))) {
        flush(at);
        const std::size_t odd = length == 0 ? 1 : length;
        EncodeBytes(text.substr(at, odd), tokens);
        begin = at += odd;
        continue;
      }
      at += length;
      if (text[at - 1] == '\n') flush(at);
    }
    flush(text.size());
  }

  std::string Decode(std::span<const std::uint32_t> tokens) const override {
    std::string text;
    for (const std::uint32_t token : tokens) text += pieces_->pieces()[token].bytes;
    return text;
  }

 private:
  void EncodeBytes(std::string_view bytes, std::vector<std::uint32_t>* tokens) const {
    for (const char byte : bytes) {
      tokens->push_back(static_cast<std::uint32_t>(byte_ids_[static_cast<unsigned char>(byte)]));
    }
  }

  // false, and nothing appended, when the pieces do not spell `text`.
  bool EncodePieces(std::string_view text, std::vector<std::uint32_t>* tokens) const {
    const std::size_t old_size = tokens->size();
    std::size_t spelled = 0;
    for (const int id : pieces_->Encode(text)) {
      const std::string& bytes = pieces_->pieces()[static_cast<std::size_t>(id)].bytes;
      if (bytes.empty() || !text.substr(spelled).starts_with(bytes)) {
        tokens->resize(old_size);
        return false;
      }
      spelled += bytes.size();
      tokens->push_back(static_cast<std::uint32_t>(id));
    }
    if (spelled == text.size()) return true;
    tokens->resize(old_size);
    return false;
  }

  // Constant after construction.
  std::unique_ptr<SentencePieceModel> pieces_;
  std::string model_;
  TokenizerFacts facts_;
  std::vector<std::uint16_t> token_bytes_;
  std::array<int, 256> byte_ids_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadSentencePieceTokenizer(const std::string& path) {
  std::string model;
  ISOFLOP_CORPUS_RETURN_IF_ERROR(ReadWholeFile(path, &model));
  std::string error;
  std::unique_ptr<SentencePieceModel> pieces = SentencePieceModel::Parse(model, &error);
  if (pieces == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a SentencePiece model: ", error,
                                                   "; cure: a .model of spm_train"));
  }
  auto tokenizer = std::make_unique<SentencePieceTokenizer>(std::move(pieces), std::move(model));
  if (!tokenizer->facts().eot_id.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": the model has neither </s> nor <s>, nothing would part documents; "
                           "cure: train it with --eos_id or --bos_id"));
  }
  if (!tokenizer->HasAllBytes()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": the model lacks byte pieces, so it cannot give back any bytes; cure: ", kCure));
  }
  if (!tokenizer->KeepsBlanks()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": the model changes the text (normalises, drops blanks or adds a prefix); cure: ",
        kCure));
  }
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace isoflop
