// The seam to the SentencePiece library, in plain C++: its headers declare
// absl::string_view as the standard's, so no file may include both them and
// Abseil.
#ifndef ISOFLOP_CORPUS_SENTENCEPIECE_MODEL_H_
#define ISOFLOP_CORPUS_SENTENCEPIECE_MODEL_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace isoflop {

// A loaded model. Immutable; safe from any thread.
class SentencePieceModel {
 public:
  enum class Kind { kText, kByte, kSpecial };
  struct Piece {
    Kind kind = Kind::kSpecial;
    std::string bytes;  // what it stands for; specials: empty
  };

  // `serialized` is the content of a .model file. nullptr, with `error` set:
  // it is none.
  static std::unique_ptr<SentencePieceModel> Parse(const std::string& serialized,
                                                   std::string* error);
  ~SentencePieceModel();

  const std::vector<Piece>& pieces() const { return pieces_; }
  int eos_id() const;  // -1: none
  int bos_id() const;

  // Ids of `text`, valid UTF-8.
  std::vector<int> Encode(std::string_view text) const;

 private:
  SentencePieceModel();
  struct Processor;
  std::unique_ptr<Processor> processor_;
  std::vector<Piece> pieces_;
};

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_SENTENCEPIECE_MODEL_H_
