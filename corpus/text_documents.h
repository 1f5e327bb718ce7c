// The documents of a text file, in order.
#ifndef ISOFLOP_CORPUS_TEXT_DOCUMENTS_H_
#define ISOFLOP_CORPUS_TEXT_DOCUMENTS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "corpus/source_files.h"
#include "corpus/split.h"

namespace isoflop {

// What a file turned out to be once it was read to its end.
struct TextFileFacts {
  std::string sha256;             // of the file as it lies there
  std::int64_t source_bytes = 0;  // unpacked
};

// Called for each document, never an empty one, with the packed bytes of the
// file that were read so far. A bad status ends the reading.
using DocumentVisitor =
    std::function<absl::Status(std::string_view document, std::int64_t packed_bytes)>;

// A text file is one document, or one a chapter; JSONL has one a line, in the
// member "text". Bytes that are not UTF-8 are kept in text; JSON has no such
// bytes. InvalidArgument, with the line: JSONL that is no object with a "text".
// DataLoss: truncated or corrupt.
absl::StatusOr<TextFileFacts> ForEachDocument(const SourceFile& file, SplitBy by,
                                              const DocumentVisitor& visit);

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_TEXT_DOCUMENTS_H_
