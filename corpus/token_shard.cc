#include "corpus/token_shard.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "corpus/early_return.h"
#include "corpus/sha256.h"

namespace isoflop {

static_assert(std::endian::native == std::endian::little, "shards are little-endian and mapped");

namespace {

struct Layout {
  TokenType type;
  std::int32_t magic;
  std::int32_t version;
};
constexpr Layout kLayouts[] = {{TokenType::kU16, 20240520, 1}, {TokenType::kU32, 20240801, 7}};

std::int32_t IntAt(std::string_view bytes, std::size_t index) {
  std::int32_t value = 0;
  std::memcpy(&value, bytes.data() + 4 * index, 4);
  return value;
}

absl::Status Invalid(const std::string& path, std::int64_t offset, const std::string& what,
                     const std::string& cure) {
  return BadDataError(absl::StatusCode::kInvalidArgument, path, offset, what, cure);
}

}  // namespace

std::string ToString(TokenType type) { return type == TokenType::kU16 ? "u16" : "u32"; }

absl::StatusOr<TokenType> ParseTokenType(const std::string& text) {
  if (text == "u16") return TokenType::kU16;
  if (text == "u32") return TokenType::kU32;
  return absl::InvalidArgumentError(
      absl::StrCat("--dtype: '", text, "' is no type of token ids; cure: u16 or u32"));
}

TokenType TokenTypeFor(std::int64_t vocab_size) {
  return vocab_size <= 65536 ? TokenType::kU16 : TokenType::kU32;
}

std::optional<TokenType> SniffLlmC(std::string_view head) {
  if (head.size() < 4) return std::nullopt;
  for (const Layout& layout : kLayouts) {
    if (IntAt(head, 0) == layout.magic) return layout.type;
  }
  return std::nullopt;
}

absl::StatusOr<TokenShard> TokenShard::OpenLlmC(const std::string& path) {
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  const std::string_view bytes = file.bytes();
  if (bytes.empty()) return Invalid(path, 0, "the file is empty", "prepare or copy it again");
  const std::optional<TokenType> type = SniffLlmC(bytes);
  if (bytes.size() >= 4 && !type.has_value()) {
    return Invalid(path, 0,
                   absl::StrCat("magic ", IntAt(bytes, 0), " is not 20240520 (u16) or 20240801 (u32)"),
                   "a headerless file needs --dtype and --vocab-size");
  }
  if (bytes.size() < kShardHeaderBytes) {
    return Invalid(path, static_cast<std::int64_t>(bytes.size()),
                   absl::StrCat("the header ends after ", bytes.size(), " of 1024 bytes"),
                   "prepare or copy the file again");
  }
  const Layout& layout = kLayouts[*type == TokenType::kU16 ? 0 : 1];
  if (IntAt(bytes, 1) != layout.version) {
    return Invalid(path, 4,
                   absl::StrCat("version ", IntAt(bytes, 1), ", but magic ", layout.magic,
                                " goes with version ", layout.version),
                   "write the file with the llm.c of that magic");
  }
  const std::int64_t count = IntAt(bytes, 2);
  if (count <= 0) {
    return Invalid(path, 8, absl::StrCat("the header counts ", count, " tokens"),
                   "prepare the file again, in shards below 2^31 tokens");
  }
  const std::int64_t wanted = kShardHeaderBytes + count * BytesOf(*type);
  const auto size = static_cast<std::int64_t>(bytes.size());
  if (size != wanted) {
    return BadDataError(absl::StatusCode::kDataLoss, path, std::min(size, wanted),
                        absl::StrCat("the header counts ", count, " tokens (", wanted,
                                     " bytes), the file has ", size, " bytes"),
                        "copy or prepare the file again");
  }
  return TokenShard(std::move(file), *type, kShardHeaderBytes, count);
}

absl::StatusOr<TokenShard> TokenShard::OpenRaw(const std::string& path, TokenType type) {
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  const auto size = static_cast<std::int64_t>(file.bytes().size());
  if (size == 0) return Invalid(path, 0, "the file is empty", "copy it again, or leave it out");
  const std::int64_t left_over = size % BytesOf(type);
  if (left_over != 0) {
    return Invalid(path, size - left_over,
                   absl::StrCat(size, " bytes are no whole number of ",
                                ToString(type), " ids"),
                   "copy the file again, or name the right --dtype");
  }
  const std::int64_t count = size / BytesOf(type);
  return TokenShard(std::move(file), type, /*header_bytes=*/0, count);
}

template <typename Id>
void TokenShard::FillAs(std::int64_t begin, std::span<Id> tokens) const {
  const char* from = file_.bytes().data() + OffsetOf(begin);
  if (type_ == TokenType::kU16) {
    for (Id& token : tokens) {
      std::uint16_t id = 0;
      std::memcpy(&id, from, sizeof(id));
      token = static_cast<Id>(id);
      from += sizeof(id);
    }
  } else {
    for (Id& token : tokens) {
      std::uint32_t id = 0;
      std::memcpy(&id, from, sizeof(id));
      token = static_cast<Id>(id);
      from += sizeof(id);
    }
  }
}

void TokenShard::Fill(std::int64_t begin, std::span<std::int32_t> tokens) const {
  FillAs(begin, tokens);
}
void TokenShard::Fill(std::int64_t begin, std::span<std::int64_t> tokens) const {
  FillAs(begin, tokens);
}
void TokenShard::Fill(std::int64_t begin, std::span<std::uint32_t> tokens) const {
  FillAs(begin, tokens);
}

absl::Status TokenShard::CheckIds(std::int64_t vocab_size) const {
  std::vector<std::uint32_t> tokens;
  for (std::int64_t begin = 0; begin < size_;) {
    tokens.resize(static_cast<std::size_t>(std::min<std::int64_t>(size_ - begin, 1 << 16)));
    Fill(begin, std::span<std::uint32_t>(tokens));
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] < vocab_size) continue;
      return Invalid(path(), OffsetOf(begin + static_cast<std::int64_t>(i)),
                     absl::StrCat("token id ", tokens[i], " is not below the vocabulary of ",
                                  vocab_size),
                     "name the right --vocab-size and --dtype, or tokenise again");
    }
    begin += static_cast<std::int64_t>(tokens.size());
  }
  return absl::OkStatus();
}

absl::StatusOr<TokenShardWriter> TokenShardWriter::Create(const std::string& path,
                                                          TokenType type) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return ErrnoError(path, "cannot be written", errno);
  TokenShardWriter writer(path, file, type);
  const std::array<char, kShardHeaderBytes> header{};
  if (std::fwrite(header.data(), 1, header.size(), file) != header.size()) {
    return ErrnoError(path, "cannot be written", errno);
  }
  return writer;
}

TokenShardWriter::TokenShardWriter(TokenShardWriter&& other) noexcept
    : path_(std::move(other.path_)),
      file_(other.file_),
      type_(other.type_),
      size_(other.size_),
      narrow_(std::move(other.narrow_)) {
  other.file_ = nullptr;
}

TokenShardWriter::~TokenShardWriter() {
  if (file_ != nullptr) std::fclose(file_);
}

absl::Status TokenShardWriter::Append(std::span<const std::uint32_t> tokens) {
  std::size_t written = 0;
  if (type_ == TokenType::kU16) {
    narrow_.resize(tokens.size());
    std::transform(tokens.begin(), tokens.end(), narrow_.begin(),
                   [](std::uint32_t token) { return static_cast<std::uint16_t>(token); });
    written = std::fwrite(narrow_.data(), 2, narrow_.size(), file_);
  } else {
    written = std::fwrite(tokens.data(), 4, tokens.size(), file_);
  }
  if (written != tokens.size()) return ErrnoError(path_, "cannot be written", errno);
  size_ += static_cast<std::int64_t>(tokens.size());
  return absl::OkStatus();
}

absl::StatusOr<ShardFacts> TokenShardWriter::Finish() {
  const Layout& layout = kLayouts[type_ == TokenType::kU16 ? 0 : 1];
  const std::int32_t head[3] = {layout.magic, layout.version, static_cast<std::int32_t>(size_)};
  const bool ok = std::fseek(file_, 0, SEEK_SET) == 0 &&
                  std::fwrite(head, sizeof(head), 1, file_) == 1 && std::fflush(file_) == 0 &&
                  fsync(fileno(file_)) == 0;
  int error_number = errno;
  const bool closed = std::fclose(file_) == 0;
  if (ok && !closed) error_number = errno;
  file_ = nullptr;
  if (!ok || !closed) return ErrnoError(path_, "cannot be written", error_number);
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const MappedFile written, MappedFile::Open(path_));
  ShardFacts facts;
  facts.tokens = size_;
  facts.sha256 = Sha256Hex(written.bytes());
  return facts;
}

}  // namespace isoflop
