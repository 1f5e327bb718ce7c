// One file of token ids: mapped for reading, or being written.
//
// Our own shards have the layout of llm.c's: 256 little-endian int32, the first
// three magic, version and count, then `count` ids of 2 bytes (20240520,
// version 1) or 4 bytes (20240801, version 7). Headerless files
// (nanoGPT) are ids alone. All little-endian.
#ifndef ISOFLOP_CORPUS_TOKEN_SHARD_H_
#define ISOFLOP_CORPUS_TOKEN_SHARD_H_

#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "corpus/dataset_manifest.h"
#include "corpus/file_access.h"

namespace isoflop {

enum class TokenType { kU16, kU32 };
std::string ToString(TokenType type);  // "u16", "u32"
absl::StatusOr<TokenType> ParseTokenType(const std::string& text);
inline std::int64_t BytesOf(TokenType type) { return type == TokenType::kU16 ? 2 : 4; }
// The narrower one that holds ids below `vocab_size`.
TokenType TokenTypeFor(std::int64_t vocab_size);

inline constexpr std::int64_t kShardHeaderBytes = 1024;
// The count of the header is an int32.
inline constexpr std::int64_t kMaxShardTokens = 2'147'483'647;

// Whether `head`, the first bytes of a file, begins with one of llm.c's magics.
std::optional<TokenType> SniffLlmC(std::string_view head);

// Immutable; safe from any thread. Pages are read on first touch.
class TokenShard {
 public:
  // A file in llm.c's layout. InvalidArgument: empty, a short header, another
  // magic or version. DataLoss: the file is shorter or longer than its count.
  static absl::StatusOr<TokenShard> OpenLlmC(const std::string& path);
  // A headerless file. InvalidArgument: empty, or not a whole number of ids.
  static absl::StatusOr<TokenShard> OpenRaw(const std::string& path, TokenType type);

  const std::string& path() const { return file_.path(); }
  TokenType type() const { return type_; }
  std::int64_t size() const { return size_; }
  // The whole file, header included.
  std::string_view file_bytes() const { return file_.bytes(); }
  std::int64_t OffsetOf(std::int64_t index) const { return header_bytes_ + index * BytesOf(type_); }

  // tokens.size() ids from `begin` on, all inside.
  void Fill(std::int64_t begin, std::span<std::int32_t> tokens) const;
  void Fill(std::int64_t begin, std::span<std::int64_t> tokens) const;
  void Fill(std::int64_t begin, std::span<std::uint32_t> tokens) const;

  // Reads every id. InvalidArgument, with offset and value of the first one
  // that is not below `vocab_size`.
  absl::Status CheckIds(std::int64_t vocab_size) const;

 private:
  TokenShard(MappedFile file, TokenType type, std::int64_t header_bytes, std::int64_t size)
      : file_(std::move(file)), type_(type), header_bytes_(header_bytes), size_(size) {}
  template <typename Id>
  void FillAs(std::int64_t begin, std::span<Id> tokens) const;

  // Constant after construction.
  MappedFile file_;
  TokenType type_;
  std::int64_t header_bytes_;
  std::int64_t size_;
};

// Writes one shard in llm.c's layout. The file is whole only after Finish.
class TokenShardWriter {
 public:
  static absl::StatusOr<TokenShardWriter> Create(const std::string& path, TokenType type);
  TokenShardWriter(TokenShardWriter&& other) noexcept;
  TokenShardWriter& operator=(TokenShardWriter&&) = delete;
  ~TokenShardWriter();

  // ResourceExhausted: the disk is full.
  absl::Status Append(std::span<const std::uint32_t> tokens);
  std::int64_t size() const { return size_; }

  // Writes the header, syncs, closes and hashes the file. `file` and `bytes`
  // of the answer are left to the caller.
  absl::StatusOr<ShardFacts> Finish();

 private:
  TokenShardWriter(std::string path, std::FILE* file, TokenType type)
      : path_(std::move(path)), file_(file), type_(type) {}

  std::string path_;
  std::FILE* file_;
  TokenType type_;
  std::int64_t size_ = 0;
  std::vector<std::uint16_t> narrow_;  // reused by Append
};

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_TOKEN_SHARD_H_
