// The attention of one layer as a picture and as numbers: a grid a head, rows queries,
// columns keys, tokens as labels.
//
// Pure: the same weights give the same bytes. No Torch here.
#ifndef ISOFLOP_WORKER_TRAINER_ATTENTION_PICTURE_H_
#define ISOFLOP_WORKER_TRAINER_ATTENTION_PICTURE_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace isoflop {

struct AttentionGrid {
  std::string title;                // "trial 17, layer 0"
  int64_t layer = 0;
  std::vector<int64_t> heads;       // which of the layer's
  std::vector<int64_t> ids;         // of the T tokens
  std::vector<std::string> labels;  // of the T tokens, printable
  std::vector<float> weights;       // (heads, T, T), row after row
};

// What a token is called in a picture: its text with blanks and breaks shown, other
// bytes as "\x8f", `<eot>` for the end of text, "#17" for an id without text.
std::string TokenLabel(int64_t id, bool is_eot, const std::string& text);

// As SVG: white is 0, dark is 1, one scale for all heads.
std::string AttentionSvg(const AttentionGrid& grid);
// {"schema": "isoflop.attention/1", ...}: weights[head][query][key], nine digits.
std::string AttentionJson(const AttentionGrid& grid);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_ATTENTION_PICTURE_H_
