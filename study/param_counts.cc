#include "study/param_counts.h"

namespace isoflop {
namespace {

// The matrices of one block: what multiplies each token.
int64_t MatricesOfBlock(const ModelShape& shape) {
  const int64_t d = shape.d_model;
  switch (shape.family) {
    case Family::kTransformer: {
      const int64_t feed_forward = (shape.activation == Activation::kSwiglu ? 3 : 2) * d * shape.d_ff;
      return 4 * d * d + feed_forward;
    }
    case Family::kLstm:
      return 4 * (d * d + d * d);  // four gates, from the input and from the state
    case Family::kNgram:
    case Family::kCustom:
      return 0;
  }
  return 0;
}

// Gains and biases of one block.
int64_t VectorsOfBlock(const ModelShape& shape) {
  const int64_t d = shape.d_model;
  if (shape.family == Family::kLstm) return 4 * (d + d);
  const int64_t norm = shape.norm == Norm::kLayerNorm && shape.bias ? 2 * d : d;
  // RMSNorm of queries and keys (qk_norm) has no gain.
  if (!shape.bias) return 2 * norm;
  const int64_t feed_forward = (shape.activation == Activation::kSwiglu ? 2 : 1) * shape.d_ff + d;
  return 2 * norm + 4 * d + feed_forward;
}

}  // namespace

std::string ToString(CountConvention convention) {
  switch (convention) {
    case CountConvention::kNonEmbeddingPlusHead: return "non_embedding_plus_head";
    case CountConvention::kTotal: return "total";
    case CountConvention::kNonEmbedding: return "non_embedding";
  }
  return "?";
}

std::string ToString(FlopsConvention convention) {
  switch (convention) {
    case FlopsConvention::k6nd: return "6nd";
    case FlopsConvention::kExact: return "exact";
  }
  return "?";
}

std::optional<CountConvention> ParseCountConvention(absl::string_view text) {
  for (const CountConvention convention :
       {CountConvention::kNonEmbeddingPlusHead, CountConvention::kTotal, CountConvention::kNonEmbedding}) {
    if (text == ToString(convention)) return convention;
  }
  return std::nullopt;
}

std::optional<FlopsConvention> ParseFlopsConvention(absl::string_view text) {
  for (const FlopsConvention convention : {FlopsConvention::k6nd, FlopsConvention::kExact}) {
    if (text == ToString(convention)) return convention;
  }
  return std::nullopt;
}

ParamCounts CountParams(const ModelShape& shape, int64_t sequence_length) {
  if (shape.family == Family::kCustom) return shape.custom_counts;
  if (shape.family == Family::kNgram) return ParamCounts{};
  const int64_t d = shape.d_model;
  ParamCounts counts;
  counts.embedding = shape.vocab_size * d;
  counts.blocks = shape.n_layer * (MatricesOfBlock(shape) + VectorsOfBlock(shape));
  if (shape.family == Family::kLstm) {
    counts.head = shape.tied_head ? 0 : shape.vocab_size * d + shape.vocab_size;  // its head has a bias
    return counts;
  }
  counts.blocks += shape.norm == Norm::kLayerNorm && shape.bias ? 2 * d : d;  // the final norm
  counts.position = shape.position == Position::kLearned ? sequence_length * d : 0;
  counts.head = shape.tied_head ? 0 : shape.vocab_size * d;
  return counts;
}

int64_t ParamsUnder(CountConvention convention, const ParamCounts& counts) {
  switch (convention) {
    case CountConvention::kNonEmbeddingPlusHead:
      return counts.blocks + (counts.head > 0 ? counts.head : counts.embedding);
    case CountConvention::kTotal:
      return counts.total();
    case CountConvention::kNonEmbedding:
      return counts.non_embedding();
  }
  return 0;
}

int64_t ParamsUnder(CountConvention convention, const ParamCounts& counts, const ModelShape& shape) {
  if (convention == CountConvention::kNonEmbeddingPlusHead && counts.head == 0 && shape.family != Family::kCustom &&
      shape.family != Family::kNgram) {
    return counts.blocks + shape.vocab_size * shape.d_model;
  }
  return ParamsUnder(convention, counts);
}

FlopsPerToken CountFlopsPerToken(const ModelShape& shape, int64_t sequence_length) {
  FlopsPerToken flops;
  if (shape.family == Family::kNgram) return flops;
  if (shape.family == Family::kCustom) {
    // Its architecture is not known: 6 for each parameter that multiplies.
    const auto multiplying = ParamsUnder(CountConvention::kNonEmbeddingPlusHead, shape.custom_counts);
    flops.exact = flops.exact_causal = 6.0 * static_cast<double>(multiplying);
    return flops;
  }
  const auto width = static_cast<double>(shape.d_model);
  const auto layers = static_cast<double>(shape.n_layer);
  const auto positions = static_cast<double>(sequence_length);
  const double matrices = layers * static_cast<double>(MatricesOfBlock(shape)) +
                          static_cast<double>(shape.vocab_size) * width;
  flops.exact = flops.exact_causal = 6 * matrices;
  if (shape.family == Family::kTransformer) {
    flops.exact += 12 * layers * width * positions;
    flops.exact_causal += 6 * layers * width * (positions + 1);
  }
  return flops;
}

}  // namespace isoflop
