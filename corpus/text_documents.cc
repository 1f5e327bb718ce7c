#include "corpus/text_documents.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "corpus/early_return.h"
#include "corpus/file_access.h"
#include "corpus/text_input.h"

namespace isoflop {
namespace {

absl::Status VisitDocument(std::string_view document, SplitBy by, std::int64_t packed_bytes,
                           const DocumentVisitor& visit) {
  if (by != SplitBy::kChapter) {
    return document.empty() ? absl::OkStatus() : visit(document, packed_bytes);
  }
  for (const std::string_view chapter : CutChapters(document)) {
    ISOFLOP_CORPUS_RETURN_IF_ERROR(visit(chapter, packed_bytes));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> TextOfLine(std::string_view line, const SourceFile& file,
                                       std::int64_t line_number, std::int64_t offset) {
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (json.is_object()) {
    const auto text = json.find("text");
    if (text != json.end() && text->is_string()) return text->get<std::string>();
  }
  return BadDataError(absl::StatusCode::kInvalidArgument, file.path, offset,
                      absl::StrCat("line ", line_number,
                                   json.is_discarded() ? " is not JSON in UTF-8"
                                                       : " has no string \"text\""),
                      "one {\"text\": \"...\"} a line");
}

}  // namespace

absl::StatusOr<TextFileFacts> ForEachDocument(const SourceFile& file, SplitBy by,
                                              const DocumentVisitor& visit) {
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(TextInput input, TextInput::Open(file.path, file.compression));
  TextFileFacts facts;
  std::string buffer;  // a whole text, or the lines that were not visited yet
  std::int64_t line_number = 0;
  bool more = true;
  while (more) {
    const std::size_t old_size = buffer.size();
    ISOFLOP_CORPUS_ASSIGN_OR_RETURN(more, input.ReadMore(&buffer));
    facts.source_bytes += static_cast<std::int64_t>(buffer.size() - old_size);
    if (file.kind != SourceKind::kJsonl) continue;
    std::size_t begin = 0;
    while (begin < buffer.size()) {
      std::size_t end = buffer.find('\n', begin);
      if (end == std::string::npos && more) break;
      if (end == std::string::npos) end = buffer.size();
      const std::string_view line = std::string_view(buffer).substr(begin, end - begin);
      const std::int64_t offset =
          facts.source_bytes - static_cast<std::int64_t>(buffer.size() - begin);
      ++line_number;
      if (line.find_first_not_of(" \t\r") != std::string_view::npos) {
        ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const std::string text,
                                        TextOfLine(line, file, line_number, offset));
        ISOFLOP_CORPUS_RETURN_IF_ERROR(VisitDocument(text, by, input.packed_bytes(), visit));
      }
      begin = std::min(end + 1, buffer.size());
    }
    buffer.erase(0, begin);
  }
  if (file.kind != SourceKind::kJsonl) {
    ISOFLOP_CORPUS_RETURN_IF_ERROR(VisitDocument(buffer, by, input.packed_bytes(), visit));
  }
  facts.sha256 = input.FileSha256();
  return facts;
}

}  // namespace isoflop
