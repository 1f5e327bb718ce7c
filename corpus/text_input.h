// The bytes of a text file, unpacked as they are read.
#ifndef ISOFLOP_CORPUS_TEXT_INPUT_H_
#define ISOFLOP_CORPUS_TEXT_INPUT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "corpus/source_files.h"

namespace isoflop {

// Reads a file once from its beginning to its end and hashes the packed bytes
// on the way. Several gzip members or xz streams behind one another are one
// text. Blocks on the disk. Not thread-safe.
class TextInput {
 public:
  static absl::StatusOr<TextInput> Open(const std::string& path, Compression compression);
  TextInput(TextInput&&) noexcept;
  TextInput& operator=(TextInput&&) noexcept;
  ~TextInput();

  // Appends the next piece of the text, some 256 KiB, to `text`. false: the
  // text had ended. DataLoss, with the offset in the packed file: truncated,
  // or against its checksum.
  absl::StatusOr<bool> ReadMore(std::string* text);

  // Bytes of the file that were read so far.
  std::int64_t packed_bytes() const;
  // SHA-256 of the file in hexadecimal digits; once, after the end.
  std::string FileSha256();

 private:
  struct State;
  explicit TextInput(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_TEXT_INPUT_H_
