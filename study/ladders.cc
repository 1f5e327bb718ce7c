#include "study/ladders.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace isoflop {
namespace {

std::vector<LadderShape> NanochatShapes() {
  std::vector<LadderShape> shapes;
  for (int64_t depth = 10; depth <= 20; depth += 2) shapes.push_back(ShapeAtDepth(depth, 64, 128));
  return shapes;
}

double ParamsAsDouble(const ModelSpec& model, const ModelShape& shape, CountConvention count) {
  return static_cast<double>(ParamsUnder(count, CountParams(shape, model.sequence_length), shape));
}

// For each log-spaced target the depth nearest in ln N: N rises with depth, so
// the neighbours of the first depth beyond the target are enough.
absl::StatusOr<std::vector<LadderShape>> ShapesBySize(const ModelSpec& model, int64_t vocab_size,
                                                      CountConvention count) {
  const LadderSpec& ladder = model.ladder;
  constexpr int64_t kMaxDepth = 1000;
  const auto params_at = [&](int64_t depth) {
    const LadderShape shape = ShapeAtDepth(depth, ladder.width_per_layer, ladder.head_size);
    return ParamsAsDouble(model, MakeShape(model, shape, vocab_size), count);
  };
  std::vector<LadderShape> shapes;
  int64_t depth = 1;
  for (int i = 0; i < ladder.sizes; ++i) {
    const double at = ladder.sizes == 1 ? 0 : static_cast<double>(i) / (ladder.sizes - 1);
    const double target = ladder.from_params * std::pow(ladder.to_params / ladder.from_params, at);
    while (depth < kMaxDepth && params_at(depth) < target) ++depth;
    int64_t nearest = depth;
    if (depth > 1 && std::log(target / params_at(depth - 1)) < std::fabs(std::log(params_at(depth) / target))) {
      nearest = depth - 1;
    }
    const double miss = std::fabs(std::log(params_at(nearest) / target));
    if (miss > std::log(2.0)) {
      return absl::InvalidArgumentError(
          absl::StrCat("no depth of the rule comes within a factor 2 of ", target, " parameters"));
    }
    shapes.push_back(ShapeAtDepth(nearest, ladder.width_per_layer, ladder.head_size));
  }
  return shapes;
}

}  // namespace

const std::vector<LadderPreset>& AllLadderPresets() {
  static const std::vector<LadderPreset>* const kPresets = new std::vector<LadderPreset>{
      {.name = "cpu-bytes",
       .source = "own: minutes a trial on CPU cores",
       .shapes = {{64, 2, 2}, {96, 3, 3}, {128, 4, 4}, {192, 6, 6}, {256, 8, 8}},
       .sequence_length = 128},
      {.name = "nanochat-depth",
       .source = "nanochat base_train.py, shapes only",
       .shapes = NanochatShapes(),
       .sequence_length = 2048,
       .activation = Activation::kRelu2,
       .qk_norm = true},
      {.name = "chinchilla-a9",
       .source = "Hoffmann et al. 2022, table A9, 44M to 489M",
       .shapes = {{512, 8, 8},    {576, 9, 9},    {640, 10, 10},  {640, 13, 10},  {640, 16, 10},  {768, 12, 12},
                  {768, 15, 12},  {768, 18, 12},  {896, 14, 14},  {896, 16, 14},  {896, 18, 14},  {1024, 16, 16},
                  {1024, 18, 16}, {1024, 20, 16}, {1280, 18, 10}, {1280, 21, 10}},
       .d_ff_multiple = 4},
      {.name = "olmo2-ladder",
       .source = "OLMo ladder.py: 190M, 370M, 600M, 760M, 1B",
       .shapes = {{768, 12, 12}, {1024, 16, 16}, {1344, 16, 16}, {1536, 16, 16}, {2048, 16, 16}},
       .sequence_length = 4096,
       .activation = Activation::kSwiglu,
       .qk_norm = true,
       .d_ff_multiple = 4},
  };
  return *kPresets;
}

const LadderPreset* FindLadderPreset(const std::string& name) {
  for (const LadderPreset& preset : AllLadderPresets()) {
    if (name == preset.name) return &preset;
  }
  return nullptr;
}

LadderShape ShapeAtDepth(int64_t depth, int64_t width_per_layer, int64_t head_size) {
  const int64_t heads = (depth * width_per_layer + head_size - 1) / head_size;
  return LadderShape{heads * head_size, depth, heads};
}

int64_t FeedForwardWidth(const FeedForward& d_ff, int64_t d_model) {
  if (d_ff.width > 0) return d_ff.width;
  const auto exact = d_ff.multiple * static_cast<double>(d_model);
  const auto step = static_cast<double>(d_ff.round_up_to);
  // 8/3 of 96 is 256 and not a whisker more.
  const double steps = std::ceil(exact / step - 1e-9);
  return std::max<int64_t>(1, static_cast<int64_t>(steps) * d_ff.round_up_to);
}

ModelShape MakeShape(const ModelSpec& model, const LadderShape& shape, int64_t vocab_size) {
  ModelShape made;
  made.family = model.family;
  made.d_model = shape.d_model;
  made.n_layer = shape.n_layer;
  made.vocab_size = vocab_size;
  made.tied_head = model.tied_head;
  made.dropout = model.dropout;
  if (model.family == Family::kLstm) {
    made.n_head = 1;
    return made;
  }
  made.n_head = shape.n_head;
  made.d_ff = FeedForwardWidth(model.d_ff, shape.d_model);
  made.norm = model.norm;
  made.position = model.position;
  made.activation = model.activation;
  made.init = model.init;
  made.qk_norm = model.qk_norm;
  made.bias = model.bias;
  return made;
}

absl::StatusOr<std::vector<ModelShape>> ExpandLadder(const ModelSpec& model, int64_t vocab_size,
                                                     CountConvention count) {
  std::vector<ModelShape> sizes;
  if (model.family == Family::kCustom) {
    for (const CustomSize& custom : model.ladder.custom) {
      ModelShape shape;
      shape.family = Family::kCustom;
      shape.vocab_size = vocab_size;
      shape.custom_id = custom.id;
      shape.custom_counts = custom.counts;
      shape.custom_options = custom.options;
      sizes.push_back(shape);
    }
  } else {
    std::vector<LadderShape> shapes = model.ladder.shapes;
    for (const int64_t depth : model.ladder.depths) {
      shapes.push_back(ShapeAtDepth(depth, model.ladder.width_per_layer, model.ladder.head_size));
    }
    if (model.ladder.sizes > 0) {
      absl::StatusOr<std::vector<LadderShape>> by_size = ShapesBySize(model, vocab_size, count);
      if (!by_size.ok()) return by_size.status();
      shapes = *std::move(by_size);
    }
    for (const LadderShape& shape : shapes) sizes.push_back(MakeShape(model, shape, vocab_size));
  }
  std::stable_sort(sizes.begin(), sizes.end(), [&](const ModelShape& a, const ModelShape& b) {
    return ParamsAsDouble(model, a, count) < ParamsAsDouble(model, b, count);
  });
  std::vector<ModelShape> unique;
  for (ModelShape& size : sizes) {
    if (std::find(unique.begin(), unique.end(), size) == unique.end()) unique.push_back(std::move(size));
  }
  if (unique.empty()) return absl::InvalidArgumentError("the ladder has no shape");
  return unique;
}

}  // namespace isoflop
