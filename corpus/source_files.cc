#include "corpus/source_files.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "corpus/early_return.h"
#include "corpus/file_access.h"

namespace isoflop {
namespace {

namespace fs = std::filesystem;

// The first bytes of a file, at most 64.
absl::StatusOr<std::string> ReadHead(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return ErrnoError(path, "cannot be opened", errno);
  std::string head(64, '\0');
  head.resize(std::fread(head.data(), 1, head.size(), file));
  const bool failed = std::ferror(file) != 0;
  const int error_number = errno;
  std::fclose(file);
  if (failed) return ErrnoError(path, "cannot be read", error_number);
  return head;
}

bool StartsWith(const std::string& head, std::string_view magic) {
  return std::string_view(head).starts_with(magic);
}

absl::Status Refuse(const std::string& path, const std::string& what, const std::string& cure) {
  return BadDataError(absl::StatusCode::kInvalidArgument, path, 0, what, cure);
}

// The name of a format of tokens that is not read, or "".
std::string UnreadFormat(const std::string& name, const std::string& head) {
  if (StartsWith(head, std::string_view("MMIDIDX\0\0", 9)) || absl::EndsWith(name, ".idx")) {
    return "Megatron's .idx and .bin";
  }
  if (StartsWith(head, "\x93NUMPY") || absl::EndsWith(name, ".npy")) return "OLMo's and NumPy's .npy";
  if (absl::EndsWith(name, ".ds") || absl::EndsWith(name, ".ds.index")) return "datatrove's .ds";
  return "";
}

absl::Status Sniff(const std::string& dtype, SourceFile* file) {
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const std::string head, ReadHead(file->path));
  if (head.empty()) return Refuse(file->path, "the file is empty", "leave it out");
  if (const auto type = SniffLlmC(head); type.has_value()) {
    file->kind = SourceKind::kLlmC;
    file->token_type = *type;
    return absl::OkStatus();
  }
  if (const std::string format = UnreadFormat(file->name, head); !format.empty()) {
    return Refuse(file->path, absl::StrCat(format, " files are not read"),
                  "write the ids as llm.c .bin, or as headerless u16 or u32 .bin (--dtype)");
  }
  if (!dtype.empty() || absl::EndsWith(file->name, ".bin")) {
    if (dtype.empty()) {
      std::int32_t magic = 0;
      std::memcpy(&magic, head.data(), std::min<std::size_t>(4, head.size()));
      return Refuse(file->path,
                    absl::StrCat("magic ", magic, " is not llm.c's 20240520 (u16) or 20240801 (u32)"),
                    "headerless token ids need --dtype u16 (or u32) and --vocab-size V");
    }
    file->kind = SourceKind::kRawTokens;
    ISOFLOP_CORPUS_ASSIGN_OR_RETURN(file->token_type, ParseTokenType(dtype));
    return absl::OkStatus();
  }
  std::string stem = file->name;
  if (StartsWith(head, "\x1f\x8b")) {
    file->compression = Compression::kGzip;
    if (absl::EndsWith(stem, ".gz")) stem.resize(stem.size() - 3);
  } else if (StartsWith(head, std::string_view("\xfd" "7zXZ\0", 6))) {
    file->compression = Compression::kXz;
    if (absl::EndsWith(stem, ".xz")) stem.resize(stem.size() - 3);
  }
  if (StartsWith(head, "\x28\xb5\x2f\xfd")) {
    return Refuse(file->path, "zstd is not read", "pack it with gzip or xz, or unpack it");
  }
  file->kind = absl::EndsWith(stem, ".jsonl") ? SourceKind::kJsonl : SourceKind::kText;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FilesBelow(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (entry->path().filename().string().starts_with(".")) {
      entry.disable_recursion_pending();
    } else if (entry->is_regular_file()) {
      names.push_back(entry->path().lexically_relative(folder).generic_string());
    }
  }
  if (error) return ErrnoError(folder, "cannot be listed", error.value());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::string SourceFile::FormatName() const {
  if (kind == SourceKind::kLlmC) return "llm.c";
  if (kind == SourceKind::kRawTokens) return "raw";
  const char* ending = compression == Compression::kGzip ? ".gz"
                       : compression == Compression::kXz ? ".xz"
                                                         : "";
  return absl::StrCat(kind == SourceKind::kJsonl ? "jsonl" : "text", ending);
}

absl::StatusOr<std::vector<SourceFile>> ListSources(const std::vector<std::string>& paths,
                                                    const std::string& dtype) {
  std::vector<SourceFile> files;
  for (const std::string& path : paths) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) {
      return absl::NotFoundError(
          absl::StrCat(path, ": no such file or folder; cure: the path of text, of token files or "
                             "of a prepared data set"));
    }
    fs::path named = fs::absolute(path).lexically_normal();
    if (!named.has_filename()) named = named.parent_path();
    const std::string head = named.filename().generic_string();
    const bool is_folder = fs::is_directory(status);
    std::vector<std::string> names = {head};
    if (is_folder) {
      ISOFLOP_CORPUS_ASSIGN_OR_RETURN(names, FilesBelow(path));
    }
    for (const std::string& name : names) {
      SourceFile file;
      file.path = is_folder ? (fs::path(path) / name).string() : path;
      file.name = is_folder ? absl::StrCat(head, "/", name) : name;
      ISOFLOP_CORPUS_RETURN_IF_ERROR(Sniff(dtype, &file));
      file.bytes = static_cast<std::int64_t>(fs::file_size(file.path, error));
      files.push_back(std::move(file));
    }
  }
  if (files.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(paths.empty() ? "data" : paths.front(),
                     ": no file to read; cure: name files, or a folder with files in it"));
  }
  for (const SourceFile& file : files) {
    if (IsTokens(file.kind) != IsTokens(files.front().kind)) {
      return Refuse(file.path,
                    absl::StrCat("is ", file.FormatName(), ", ", files.front().path, " is ",
                                 files.front().FormatName()),
                    "prepare text and token files apart");
    }
    if (IsTokens(file.kind) && file.token_type != files.front().token_type) {
      return Refuse(file.path,
                    absl::StrCat("ids are ", ToString(file.token_type), ", those of ",
                                 files.front().path, " ", ToString(files.front().token_type)),
                    "prepare them apart: they come from two tokenizers");
    }
  }
  return files;
}

}  // namespace isoflop
