// The shape of UTF-8.
#ifndef ISOFLOP_CORPUS_UTF8_H_
#define ISOFLOP_CORPUS_UTF8_H_

#include <cstddef>
#include <string_view>

namespace isoflop {

// Bytes of the valid UTF-8 sequence at the head of `text`, 1 to 4; 0 if there
// is none (overlong forms, surrogates and what lies beyond U+10FFFF are none).
std::size_t Utf8Length(std::string_view text);

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_UTF8_H_
