// SentencePiece BPE models, read and applied.
//
// Not the SentencePiece library: its shared object brings a protobuf of its own,
// which cannot live in one process with gRPC's. A .model is a small protobuf
// message, read here by hand; the tests compare every id with the library's.
//
// Immutable; safe from any thread.
#ifndef ISOFLOP_CORPUS_SENTENCEPIECE_MODEL_H_
#define ISOFLOP_CORPUS_SENTENCEPIECE_MODEL_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"

namespace isoflop {

class SentencePieceModel {
 public:
  enum class Kind { kText, kByte, kSpecial };
  struct Piece {
    Kind kind = Kind::kSpecial;
    std::string bytes;  // what it stands for; specials: empty
    float score = 0;    // the highest is merged first
  };

  // `serialized` is the content of a .model file. InvalidArgument: it is none,
  // or a kind that is not read (unigram, words, pieces that a user defined), or
  // one that changes the text (normalises, drops blanks, adds a prefix).
  static absl::StatusOr<SentencePieceModel> Parse(std::string_view serialized);

  // The index below holds views into pieces_, which a move leaves in place.
  SentencePieceModel(SentencePieceModel&&) = default;
  SentencePieceModel& operator=(SentencePieceModel&&) = default;

  const std::vector<Piece>& pieces() const { return pieces_; }
  // Of the control pieces </s> and <s>; -1: none.
  int eos_id() const { return eos_id_; }
  int bos_id() const { return bos_id_; }

  // Ids of `text`, valid UTF-8, by byte-pair merges: of all neighbours whose
  // union is a piece, the pair of the highest score is merged, the leftmost of
  // equals, until none is left. -1 stands for a character that is no piece.
  std::vector<int> Encode(std::string_view text) const;

 private:
  SentencePieceModel() = default;

  // Constant after Parse.
  std::vector<Piece> pieces_;
  std::unordered_map<std::string_view, int> id_of_text_;  // views into pieces_
  int eos_id_ = -1;
  int bos_id_ = -1;
};

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_SENTENCEPIECE_MODEL_H_
