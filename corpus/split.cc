#include "corpus/split.h"

#include "absl/strings/str_cat.h"
#include "corpus/sha256.h"

namespace isoflop {

std::string ToString(SplitBy by) {
  switch (by) {
    case SplitBy::kDocument:
      return "document";
    case SplitBy::kDirectory:
      return "directory";
    case SplitBy::kChapter:
      return "chapter";
  }
  return "document";
}

absl::StatusOr<SplitBy> ParseSplitBy(const std::string& text) {
  for (const SplitBy by : {SplitBy::kDocument, SplitBy::kDirectory, SplitBy::kChapter}) {
    if (text == ToString(by)) return by;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "data.eval.by: '", text, "' is no way to split; cure: document, directory or chapter"));
}

std::uint64_t SplitHash(std::uint64_t seed, std::string_view key) {
  Sha256 hash;
  hash.Update(U64Bytes(seed));
  hash.Update(key);
  return FirstU64(hash.Finish());
}

std::vector<std::string_view> CutChapters(std::string_view text) {
  std::vector<std::string_view> chapters;
  std::size_t begin = 0;
  std::size_t line = 0;
  while (line < text.size()) {
    const std::string_view rest = text.substr(line);
    if (line > begin && (rest.starts_with("CHAPTER") || rest.starts_with("Chapter"))) {
      chapters.push_back(text.substr(begin, line - begin));
      begin = line;
    }
    const std::size_t newline = text.find('\n', line);
    line = newline == std::string_view::npos ? text.size() : newline + 1;
  }
  if (begin < text.size()) chapters.push_back(text.substr(begin));
  return chapters;
}

}  // namespace isoflop
