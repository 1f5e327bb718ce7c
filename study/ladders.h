// Ladders of sizes: the named presets with their sources, and the rule that
// turns depths into shapes.
//
// Pure; thread-safe.
#ifndef ISOFLOP_STUDY_LADDERS_H_
#define ISOFLOP_STUDY_LADDERS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "study/model_shape.h"
#include "study/param_counts.h"
#include "study/study_spec.h"

namespace isoflop {

// A preset's shapes, and what it states of the model besides; what is nullopt
// keeps the study's default.
struct LadderPreset {
  const char* name;
  const char* source;
  std::vector<LadderShape> shapes;
  std::optional<int64_t> sequence_length{};
  std::optional<Activation> activation{};
  std::optional<bool> qk_norm{};
  std::optional<double> d_ff_multiple{};
};

const std::vector<LadderPreset>& AllLadderPresets();
const LadderPreset* FindLadderPreset(const std::string& name);

// The shape at `depth` of a rule: width = depth x width_per_layer, up to a
// multiple of head_size, one head a head_size.
LadderShape ShapeAtDepth(int64_t depth, int64_t width_per_layer, int64_t head_size);

// The width of the feed-forward layer: d_ff times d_model, up to the multiple
// that the rule states.
int64_t FeedForwardWidth(const FeedForward& d_ff, int64_t d_model);

// A ladder shape with everything else that the study says of the model.
ModelShape MakeShape(const ModelSpec& model, const LadderShape& shape, int64_t vocab_size);

// Every size of the study's ladder, rising in N under `count`, equal shapes
// once. A rule {from, to, sizes} takes for each log-spaced target the depth
// nearest in ln N. InvalidArgument: the rule gives no shape.
absl::StatusOr<std::vector<ModelShape>> ExpandLadder(const ModelSpec& model, int64_t vocab_size,
                                                     CountConvention count);

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_LADDERS_H_
