#include "corpus/sha256.h"

#include <openssl/evp.h>

#include <cstdio>
#include <cstdlib>

namespace isoflop {
namespace {

// OpenSSL's digest fails only without memory.
void CheckOpenSsl(int ok) {
  if (ok == 1) return;
  std::fprintf(stderr, "sha256: OpenSSL could not compute a digest: out of memory\n");
  std::abort();
}

int DigitValue(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

}  // namespace

struct Sha256::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  CheckOpenSsl(context_->evp != nullptr);
  CheckOpenSsl(EVP_DigestInit_ex(context_->evp, EVP_sha256(), nullptr));
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::Update(const void* data, std::size_t bytes) {
  CheckOpenSsl(EVP_DigestUpdate(context_->evp, data, bytes));
}

std::string Sha256::Finish() {
  std::string digest(32, '\0');
  unsigned int length = 0;
  CheckOpenSsl(EVP_DigestFinal_ex(context_->evp, reinterpret_cast<unsigned char*>(digest.data()),
                                  &length));
  return digest;
}

std::string Sha256Bytes(std::string_view data) {
  Sha256 hash;
  hash.Update(data);
  return hash.Finish();
}

std::string Sha256Hex(std::string_view data) { return ToHex(Sha256Bytes(data)); }

std::string ToHex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string digits;
  digits.reserve(2 * bytes.size());
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    digits.push_back(kDigits[value >> 4]);
    digits.push_back(kDigits[value & 15]);
  }
  return digits;
}

std::string FromHex(std::string_view digits) {
  if (digits.size() % 2 != 0) return "";
  std::string bytes;
  bytes.reserve(digits.size() / 2);
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    const int high = DigitValue(digits[i]);
    const int low = DigitValue(digits[i + 1]);
    if (high < 0 || low < 0) return "";
    bytes.push_back(static_cast<char>(high * 16 + low));
  }
  return bytes;
}

std::uint64_t FirstU64(std::string_view bytes) {
  std::uint64_t value = 0;
  for (int i = 7; i >= 0; --i) {
    value = value << 8 | static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
  }
  return value;
}

std::string U64Bytes(std::uint64_t value) {
  std::string bytes(8, '\0');
  for (char& byte : bytes) {
    byte = static_cast<char>(value & 255);
    value >>= 8;
  }
  return bytes;
}

}  // namespace isoflop
