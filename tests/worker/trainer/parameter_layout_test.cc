#include "worker/trainer/parameter_layout.h"

#include <gtest/gtest.h>

#include "study/ladders.h"
#include "study/param_counts.h"

namespace isoflop {
namespace {

ModelShape Shape(int64_t d_model, int64_t n_layer, int64_t n_head, int64_t d_ff, int64_t vocab_size) {
  ModelShape shape;
  shape.d_model = d_model;
  shape.n_layer = n_layer;
  shape.n_head = n_head;
  shape.d_ff = d_ff;
  shape.vocab_size = vocab_size;
  return shape;
}

TEST(ParameterLayoutTest, Gpt2HasItsParameters) {
  ModelShape shape = Shape(768, 12, 12, 3072, 50257);
  shape.norm = Norm::kLayerNorm;
  shape.position = Position::kLearned;
  shape.tied_head = true;
  shape.bias = true;
  const ParamCounts counts = LayOutParameters(shape, 1024).Count();
  EXPECT_EQ(counts.embedding, 38'597'376);
  EXPECT_EQ(counts.position, 786'432);
  EXPECT_EQ(counts.head, 0);
  EXPECT_EQ(counts.blocks, 85'056'000);
  EXPECT_EQ(counts.total(), 124'439'808);
}

TEST(ParameterLayoutTest, OtherGoldenShapes) {
  EXPECT_EQ(LayOutParameters(Shape(128, 4, 4, 512, 257), 128).Count().total(), 853'376);
  ModelShape llama = Shape(128, 4, 4, 384, 257);
  llama.activation = Activation::kSwiglu;
  llama.tied_head = true;
  EXPECT_EQ(LayOutParameters(llama, 128).Count().total(), 886'016);
  EXPECT_EQ(LayOutParameters(Shape(768, 12, 6, 3072, 32768), 2048).Count().blocks, 84'953'856);
}

TEST(ParameterLayoutTest, AnLstmCountsAsThePlannerDoes) {
  ModelShape shape = Shape(128, 2, 1, 0, 257);
  shape.family = Family::kLstm;
  const ParamCounts counts = LayOutParameters(shape, 128).Count();
  EXPECT_EQ(counts, (ParamCounts{32'896, 0, 33'153, 264'192}));
  for (const bool tied : {false, true}) {
    for (int64_t layers : {1, 3}) {
      shape.tied_head = tied;
      shape.n_layer = layers;
      EXPECT_EQ(LayOutParameters(shape, 128).Count(), CountParams(shape, 128));
    }
  }
}

// Show 5: the planner's count of every shape of every ladder, in each way in
// which its parameters may differ, without a byte of memory for them.
TEST(ParameterLayoutTest, CountsAsThePlannerForEveryShapeOfTheLadders) {
  int shapes = 0, variants = 0;
  for (const LadderPreset& preset : AllLadderPresets()) {
    for (const LadderShape& size : preset.shapes) {
      ++shapes;
      ModelSpec model;
      if (preset.activation) model.activation = *preset.activation;
      if (preset.qk_norm) model.qk_norm = *preset.qk_norm;
      if (preset.d_ff_multiple) model.d_ff.multiple = *preset.d_ff_multiple;
      const int64_t positions = preset.sequence_length.value_or(1024);
      for (int variant = 0; variant < 2 * 3 * 3 * 8; ++variant) {
        ModelShape shape = MakeShape(model, size, 32768);
        shape.norm = static_cast<Norm>(variant % 2);
        shape.position = static_cast<Position>(variant / 2 % 3);
        if (variant / 6 % 3 != 0) shape.activation = static_cast<Activation>(variant / 6 % 3);
        shape.bias = (variant / 18 & 1) != 0;
        shape.tied_head = (variant / 18 & 2) != 0;
        shape.qk_norm = (variant / 18 & 4) != 0;
        ASSERT_EQ(LayOutParameters(shape, positions).Count(), CountParams(shape, positions))
            << preset.name << " d_model " << shape.d_model << " n_layer " << shape.n_layer << " variant " << variant;
        ++variants;
      }
    }
  }
  std::printf("| counts of the trainer = counts of the planner, %d shapes of the ladders x 144 variants | equal | equal |\n", shapes);
  EXPECT_EQ(variants, 144 * shapes);
  EXPECT_GE(shapes, 32);
}

TEST(ParameterLayoutTest, GroupsAreSlicesOfTheFlatBufferInOrder) {
  ModelShape shape = Shape(8, 2, 2, 32, 17);
  shape.position = Position::kLearned;
  const ParameterLayout layout = LayOutParameters(shape, 16);
  int64_t end = 0;
  for (ParameterGroup group : {ParameterGroup::kHead, ParameterGroup::kMatrices, ParameterGroup::kVectors,
                               ParameterGroup::kEmbeddings}) {
    const ParameterLayout::Slice slice = layout.GroupSlice(group);
    EXPECT_EQ(slice.offset, end);
    EXPECT_GT(slice.count, 0);
    end += slice.count;
  }
  EXPECT_EQ(end, layout.total);
  EXPECT_EQ(layout.entries.front().name, "head.weight");
  EXPECT_EQ(layout.entries.back().name, "position.weight");
  EXPECT_EQ(layout.Find("blocks.1.mlp.down.weight")->shape, (std::vector<int64_t>{8, 32}));
  EXPECT_EQ(layout.Find("blocks.2.mlp.down.weight"), nullptr);
  EXPECT_EQ(layout.Find("blocks.0.mlp.down.bias"), nullptr);
}

TEST(ParameterLayoutTest, ATiedHeadHasNoSliceOfItsOwn) {
  ModelShape shape = Shape(8, 1, 2, 32, 17);
  shape.tied_head = true;
  EXPECT_EQ(LayOutParameters(shape, 16).GroupSlice(ParameterGroup::kHead).count, 0);
}

}  // namespace
}  // namespace isoflop
