// The shape of a network: what the parameter counts, the FLOPs and the trainer
// are functions of.
#ifndef ISOFLOP_STUDY_MODEL_SHAPE_H_
#define ISOFLOP_STUDY_MODEL_SHAPE_H_

#include <cstdint>
#include <map>
#include <string>
#include <variant>

namespace isoflop {

enum class Family { kTransformer, kLstm, kNgram, kCustom };
enum class Norm { kRmsNorm, kLayerNorm };
enum class Position { kRope, kLearned, kSinusoidal };
enum class Activation { kGelu, kSwiglu, kRelu2 };
enum class Init { kGpt2, kNanochat, kMup };
// Of n-gram counts (docs/ngrams.md).
enum class Smoothing { kAddK, kAbsoluteDiscount, kKneserNey };

// The text forms are those of the YAML and of the trial's JSON: "transformer",
// "rmsnorm", "rope", "gelu", "gpt2" and so on.
std::string ToString(Family family);
std::string ToString(Norm norm);
std::string ToString(Position position);
std::string ToString(Activation activation);
std::string ToString(Init init);
std::string ToString(Smoothing smoothing);  // "add_k", "absolute_discount", "kneser_ney"

// A scalar of `options:`, handed to a custom trainer as it stands.
using OptionValue = std::variant<bool, int64_t, double, std::string>;

// The parameters of a network by place. A tied head has head 0.
struct ParamCounts {
  int64_t embedding = 0;  // token embedding, V x d
  int64_t position = 0;   // learned positions, T x d, else 0
  int64_t head = 0;       // output projection, 0 if tied
  int64_t blocks = 0;     // all layers, the final norm with them

  int64_t total() const { return embedding + position + head + blocks; }
  // Kaplan's N: without embedding, position and head.
  int64_t non_embedding() const { return blocks; }
  friend bool operator==(const ParamCounts&, const ParamCounts&) = default;
};

// Of n-gram models: beyond it counts are too thin to say anything of text.
inline constexpr int64_t kMostNgramOrder = 5;

struct ModelShape {
  Family family = Family::kTransformer;
  int64_t d_model = 0;
  int64_t n_layer = 0;
  int64_t n_head = 0;
  int64_t d_ff = 0;
  int64_t vocab_size = 0;
  Norm norm = Norm::kRmsNorm;
  Position position = Position::kRope;
  Activation activation = Activation::kGelu;
  Init init = Init::kGpt2;
  bool tied_head = false;
  bool qk_norm = false;
  bool bias = false;
  double dropout = 0;
  // mup only: the width whose learning rate and logits are the reference.
  int64_t mup_base_width = 0;

  // Family kNgram only: a baseline, counted and not trained; it has no parameters
  // in the sense of a law.
  int64_t ngram_order = 0;  // 1 to 5
  Smoothing ngram_smoothing = Smoothing::kKneserNey;
  double ngram_add_k = 0;  // add_k only: added to each count

  // Family kCustom only: the counts that the study states (`started` must
  // confirm their total), the ladder's id and its options.
  std::string custom_id;
  ParamCounts custom_counts;
  std::map<std::string, OptionValue> custom_options;

  friend bool operator==(const ModelShape&, const ModelShape&) = default;
};

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_MODEL_SHAPE_H_
