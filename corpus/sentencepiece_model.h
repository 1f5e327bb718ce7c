// The seam to the SentencePiece library, in plain C++: its headers declare
// absl::string_view as the standard's, so no file may include both them and
// Abseil.
#ifndef ISOFLOP_CORPUS_SENTENCEPIECE_MODEL_H_
#define ISOFLOP_CORPUS_SENTENCEPIECE_MODEL_H_

#include <functional>
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

// Trains a BPE model of `vocab_size` pieces that gives back any bytes:
// identity normalisation, no prefix, blanks kept, byte fallback. `next` hands
// out one sentence (a line) a call and returns false at the end. Returns the
// content of a .model file, or "" with `error` set. Blocks: minutes on 100 MB.
std::string TrainSentencePieceModel(int vocab_size, const std::function<bool(std::string*)>& next,
                                    std::string* error);

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_SENTENCEPIECE_MODEL_H_
