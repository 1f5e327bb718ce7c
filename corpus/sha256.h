// SHA-256, the name of everything that this room stores.
#ifndef ISOFLOP_CORPUS_SHA256_H_
#define ISOFLOP_CORPUS_SHA256_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace isoflop {

// A running hash. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  void Update(const void* data, std::size_t bytes);
  void Update(std::string_view data) { Update(data.data(), data.size()); }

  // 32 bytes; the hash is at its end afterwards.
  std::string Finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// 32 bytes.
std::string Sha256Bytes(std::string_view data);
// 64 lower-case hexadecimal digits.
std::string Sha256Hex(std::string_view data);

// Hexadecimal digits of bytes, and back; an odd or foreign digit gives "".
std::string ToHex(std::string_view bytes);
std::string FromHex(std::string_view digits);

// The first 8 bytes as a little-endian u64. `bytes` has 8 at least.
std::uint64_t FirstU64(std::string_view bytes);
// `value` as 8 little-endian bytes.
std::string U64Bytes(std::uint64_t value);

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_SHA256_H_
