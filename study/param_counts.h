// One definition of N for planner, trainer and report.
//
// Pure functions; thread-safe. Goldens: docs/ARCHITECTURE.md names the tests.
#ifndef ISOFLOP_STUDY_PARAM_COUNTS_H_
#define ISOFLOP_STUDY_PARAM_COUNTS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "study/model_shape.h"

namespace isoflop {

// Which N. The convention moves the exponent of N*(C) more than any method.
enum class CountConvention { kNonEmbeddingPlusHead, kTotal, kNonEmbedding };
// Which C: 6 N D under the chosen N, or by architecture with full attention.
enum class FlopsConvention { k6nd, kExact };

std::string ToString(CountConvention convention);  // "non_embedding_plus_head", "total", "non_embedding"
std::string ToString(FlopsConvention convention);  // "6nd", "exact"
std::optional<CountConvention> ParseCountConvention(absl::string_view text);
std::optional<FlopsConvention> ParseFlopsConvention(absl::string_view text);

// The parameters of `shape` with positions for `sequence_length` tokens.
// Precondition: the shape is possible (heads divide d_model, all sizes > 0). An
// n-gram model has none, and costs no FLOPs: it is counted.
ParamCounts CountParams(const ModelShape& shape, int64_t sequence_length);

// N under `convention`. A tied head still multiplies: non_embedding_plus_head
// adds V d, tied or not, as exact FLOPs do; positions count in total only.
int64_t ParamsUnder(CountConvention convention, const ParamCounts& counts, const ModelShape& shape);

// The same from bare counts, for a row whose shape is not known: with
// head = 0 the head's V d is taken to be the embedding (tied).
int64_t ParamsUnder(CountConvention convention, const ParamCounts& counts);

// Training FLOPs a token, forward and backward.
struct FlopsPerToken {
  // 6 (matrices of blocks + V d) + 12 L d T: attention over the full square,
  // as papers count (Chowdhery et al. 2022, appendix B).
  double exact = 0;
  // The same with 6 L d (T + 1): what a causal mask leaves.
  double exact_causal = 0;
};
FlopsPerToken CountFlopsPerToken(const ModelShape& shape, int64_t sequence_length);

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_PARAM_COUNTS_H_
