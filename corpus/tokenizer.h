// Bytes to token ids and back, exactly: Decode(Encode(bytes)) == bytes for any
// bytes, valid UTF-8 or not.
#ifndef ISOFLOP_CORPUS_TOKENIZER_H_
#define ISOFLOP_CORPUS_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "corpus/dataset_manifest.h"

namespace isoflop {

// Immutable; safe from any thread.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Id, hash, V and EOT id. `file` is the name that a copy of the model gets
  // beside dataset.json, or empty.
  virtual const TokenizerFacts& facts() const = 0;
  // The bytes of the model file; empty where there is none.
  virtual const std::string& model() const = 0;
  // UTF-8 bytes that each id stands for, V entries; specials 0.
  virtual const std::vector<std::uint16_t>& token_bytes() const = 0;

  // Appends the ids of `text`, which begin no document: EOT is the caller's.
  virtual void Encode(std::string_view text, std::vector<std::uint32_t>* tokens) const = 0;
  // The bytes that ids in [0, V) stand for; specials give none.
  virtual std::string Decode(std::span<const std::uint32_t> tokens) const = 0;
};

// V 257: a byte is its own id, 256 is EOT.
std::unique_ptr<Tokenizer> MakeBytesTokenizer();

// A SentencePiece model with byte fallback. EOT is its </s>, else its <s>.
// NotFound, InvalidArgument: no such file; not a model; no EOT; a model that
// cannot give back any bytes (it normalises, drops blanks, adds a prefix, or
// lacks byte pieces), with the training flags that would.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadSentencePieceTokenizer(const std::string& path);

// "bytes", or the path of a .model.
absl::StatusOr<std::unique_ptr<Tokenizer>> MakeTokenizer(const std::string& name);

// `token_bytes` as token_bytes.bin holds it: V little-endian u16.
std::string TokenBytesFile(const std::vector<std::uint16_t>& token_bytes);

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_TOKENIZER_H_
