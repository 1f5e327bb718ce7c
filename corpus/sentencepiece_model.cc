#include "corpus/sentencepiece_model.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <queue>
#include <utility>

#include "absl/strings/str_cat.h"
#include "corpus/early_return.h"
#include "corpus/utf8.h"

namespace isoflop {
namespace {

// SentencePiece writes a blank as U+2581.
constexpr std::string_view kBlank = "\xe2\x96\x81";

constexpr char kCure[] =
    "cure: train it with --model_type=bpe --normalization_rule_name=identity "
    "--remove_extra_whitespaces=false --add_dummy_prefix=false --byte_fallback=true";

// One field of a protobuf message: a number, or bytes.
struct Field {
  std::uint32_t number = 0;
  std::uint64_t value = 0;  // varint, or the bits of a fixed32
  std::string_view bytes;
};

// Reads the fields of a message one after the other.
class FieldReader {
 public:
  explicit FieldReader(std::string_view message) : rest_(message) {}

  // false: the end, or, with `broken()`, no such message.
  bool Next(Field* field) {
    if (rest_.empty() || broken_) return false;
    std::uint64_t tag = 0;
    *field = {};
    if (!Varint(&tag)) return false;
    field->number = static_cast<std::uint32_t>(tag >> 3);
    switch (tag & 7) {
      case 0: return Varint(&field->value);
      case 1: return Skip(8);
      case 2: {
        std::uint64_t size = 0;
        if (!Varint(&size)) return false;
        if (size > rest_.size()) return Break();
        field->bytes = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return true;
      }
      case 5: {
        std::uint32_t bits = 0;
        if (rest_.size() < 4) return Break();
        std::memcpy(&bits, rest_.data(), 4);
        field->value = bits;
        return Skip(4);
      }
      default: return Break();
    }
  }
  bool broken() const { return broken_; }

 private:
  bool Break() {
    broken_ = true;
    return false;
  }
  bool Skip(std::size_t bytes) {
    if (bytes > rest_.size()) return Break();
    rest_.remove_prefix(bytes);
    return true;
  }
  bool Varint(std::uint64_t* value) {
    *value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      *value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return true;
    }
    return Break();
  }

  std::string_view rest_;
  bool broken_ = false;
};

// SentencePiece.Type of sentencepiece_model.proto.
enum PieceType { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByteType = 6 };

std::string TextOfPiece(std::string_view piece) {
  std::string text;
  while (!piece.empty()) {
    if (piece.starts_with(kBlank)) {
      text.push_back(' ');
      piece.remove_prefix(kBlank.size());
    } else {
      text.push_back(piece.front());
      piece.remove_prefix(1);
    }
  }
  return text;
}

absl::Status Bad(const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(what, "; ", kCure));
}

absl::Status CheckTrainerSpec(std::string_view message) {
  constexpr std::uint64_t kUnigram = 1, kBpe = 2;
  std::uint64_t model_type = kUnigram;  // its default
  bool blank_is_suffix = false;
  Field field;
  for (FieldReader reader(message); reader.Next(&field);) {
    if (field.number == 3) model_type = field.value;
    if (field.number == 24) blank_is_suffix = field.value != 0;
  }
  if (model_type != kBpe) return Bad("the model is not of the type BPE");
  if (blank_is_suffix) return Bad("the model takes blanks for suffixes");
  return absl::OkStatus();
}

absl::Status CheckNormalizerSpec(std::string_view message) {
  bool normalises = false;
  bool adds_prefix = true, drops_blanks = true;  // the defaults
  Field field;
  for (FieldReader reader(message); reader.Next(&field);) {
    if (field.number == 2) normalises = !field.bytes.empty();
    if (field.number == 3) adds_prefix = field.value != 0;
    if (field.number == 4) drops_blanks = field.value != 0;
  }
  if (!normalises && !adds_prefix && !drops_blanks) return absl::OkStatus();
  return Bad("the model changes the text (normalises, drops blanks or adds a prefix)");
}

}  // namespace

absl::StatusOr<SentencePieceModel> SentencePieceModel::Parse(std::string_view serialized) {
  SentencePieceModel model;
  std::string_view trainer_spec;
  std::string_view normalizer_spec;
  FieldReader reader(serialized);
  Field field;
  while (reader.Next(&field)) {
    if (field.number == 2) trainer_spec = field.bytes;
    if (field.number == 3) normalizer_spec = field.bytes;
    if (field.number != 1) continue;
    std::string_view text;
    std::uint64_t type = kNormal;
    Piece piece;
    Field part;
    for (FieldReader parts(field.bytes); parts.Next(&part);) {
      if (part.number == 1) text = part.bytes;
      if (part.number == 2) {
        const auto bits = static_cast<std::uint32_t>(part.value);
        std::memcpy(&piece.score, &bits, sizeof(piece.score));
      }
      if (part.number == 3) type = part.value;
    }
    const int id = static_cast<int>(model.pieces_.size());
    if (type == kUserDefined || type == kUnused) {
      return Bad(absl::StrCat("piece ", id, " is one that a user defined or took out, which is not read"));
    }
    if (type == kByteType) {  // "<0x0A>"
      piece.kind = Kind::kByte;
      const std::string digits(text.size() == 6 ? text.substr(3, 2) : "");
      piece.bytes = std::string(1, static_cast<char>(std::strtol(digits.c_str(), nullptr, 16)));
    } else if (type == kNormal) {
      piece.kind = Kind::kText;
      piece.bytes = TextOfPiece(text);
    } else if (type == kControl && text == "</s>") {
      model.eos_id_ = id;
    } else if (type == kControl && text == "<s>") {
      model.bos_id_ = id;
    }
    model.pieces_.push_back(std::move(piece));
  }
  if (reader.broken() || model.pieces_.empty()) {
    return absl::InvalidArgumentError("not a SentencePiece model; cure: a .model of spm_train");
  }
  ISOFLOP_CORPUS_RETURN_IF_ERROR(CheckTrainerSpec(trainer_spec));
  ISOFLOP_CORPUS_RETURN_IF_ERROR(CheckNormalizerSpec(normalizer_spec));
  for (std::size_t id = 0; id < model.pieces_.size(); ++id) {
    const Piece& piece = model.pieces_[id];
    if (piece.kind == Kind::kText) model.id_of_text_.emplace(piece.bytes, static_cast<int>(id));
  }
  return model;
}

std::vector<int> SentencePieceModel::Encode(std::string_view text) const {
  // Symbols in a doubly linked list; a merged one grows, its right one is empty.
  struct Symbol {
    std::string_view text;
    int previous = -1;
    int next = -1;
  };
  struct Pair {
    float score = 0;
    int left = 0;
    int right = 0;
    std::size_t size = 0;  // of both when it was found: else it is out of date
  };
  const auto is_later = [](const Pair& a, const Pair& b) {
    return a.score != b.score ? a.score < b.score : a.left > b.left;
  };
  std::vector<Symbol> symbols;
  std::priority_queue<Pair, std::vector<Pair>, decltype(is_later)> pairs(is_later);
  const auto consider = [&](int left, int right) {
    if (left < 0 || right < 0) return;
    const std::string_view a = symbols[static_cast<std::size_t>(left)].text;
    const std::string_view b = symbols[static_cast<std::size_t>(right)].text;
    const auto found = id_of_text_.find(std::string_view(a.data(), a.size() + b.size()));
    if (found == id_of_text_.end()) return;
    pairs.push({pieces_[static_cast<std::size_t>(found->second)].score, left, right,
                a.size() + b.size()});
  };
  while (!text.empty()) {
    const std::size_t length = std::max<std::size_t>(1, Utf8Length(text));
    const int index = static_cast<int>(symbols.size());
    symbols.push_back({text.substr(0, length), index - 1, index + 1});
    text.remove_prefix(length);
  }
  if (symbols.empty()) return {};
  symbols.back().next = -1;
  for (int i = 1; i < static_cast<int>(symbols.size()); ++i) consider(i - 1, i);

  while (!pairs.empty()) {
    const Pair pair = pairs.top();
    pairs.pop();
    Symbol& left = symbols[static_cast<std::size_t>(pair.left)];
    Symbol& right = symbols[static_cast<std::size_t>(pair.right)];
    if (left.text.empty() || right.text.empty() ||
        left.text.size() + right.text.size() != pair.size) {
      continue;
    }
    left.text = std::string_view(left.text.data(), pair.size);
    left.next = right.next;
    if (right.next >= 0) symbols[static_cast<std::size_t>(right.next)].previous = pair.left;
    right.text = {};
    consider(left.previous, pair.left);
    consider(pair.left, left.next);
  }
  std::vector<int> ids;
  for (int i = 0; i >= 0; i = symbols[static_cast<std::size_t>(i)].next) {
    const auto found = id_of_text_.find(symbols[static_cast<std::size_t>(i)].text);
    ids.push_back(found == id_of_text_.end() ? -1 : found->second);
  }
  return ids;
}

}  // namespace isoflop
