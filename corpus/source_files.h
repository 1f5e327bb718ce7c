// Which files a user's paths name, and what each of them is.
#ifndef ISOFLOP_CORPUS_SOURCE_FILES_H_
#define ISOFLOP_CORPUS_SOURCE_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "corpus/token_shard.h"

namespace isoflop {

enum class SourceKind {
  kText,       // a document a file
  kJsonl,      // {"text": ...} a line
  kLlmC,       // llm.c .bin, and our own shards
  kRawTokens,  // headerless ids: nanoGPT .bin
};
enum class Compression { kNone, kGzip, kXz };

inline bool IsTokens(SourceKind kind) {
  return kind == SourceKind::kLlmC || kind == SourceKind::kRawTokens;
}

struct SourceFile {
  std::string path;
  // The path behind what the user named, that included: "web/a/b.txt" for the
  // folder /data/web. Says nothing of the machine.
  std::string name;
  SourceKind kind = SourceKind::kText;
  Compression compression = Compression::kNone;
  TokenType token_type = TokenType::kU16;  // tokens only
  std::int64_t bytes = 0;                  // of the file

  // "text", "text.gz", "jsonl.xz", "llm.c", "raw".
  std::string FormatName() const;
};

// All files that `paths` name, in their order; those below a folder by the
// bytes of their names, hidden ones and empty folders passed over. Sniffed in
// the order llm.c, formats that are not read (Megatron, NumPy, datatrove, zstd),
// headerless (`dtype` is given, or the name ends in .bin), text. NotFound: no
// such path. InvalidArgument: no file at all, an empty file, text and tokens side
// by side, tokens without `dtype`, a format that is not read, by its name.
absl::StatusOr<std::vector<SourceFile>> ListSources(const std::vector<std::string>& paths,
                                                    const std::string& dtype);

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_SOURCE_FILES_H_
