#include "study/ladders.h"

#include <gtest/gtest.h>

#include <cmath>

#include "study/study_yaml.h"

namespace isoflop {
namespace {

ModelSpec ReadModel(const std::string& model) {
  const absl::StatusOr<StudySpec> spec = ParseStudyYaml(
      "name: s\ndata: {path: d}\nmodel: " + model +
          "\ngrid: {kind: isoflop, budgets: [1e17]}\noptimizer: {lr_peak: 1e-3}\nbatch: {sequences: 8}\n",
      "s.yaml");
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.ok() ? spec->model : ModelSpec{};
}

int64_t TotalParams(const ModelSpec& model, size_t rung, int64_t vocab_size) {
  return CountParams(MakeShape(model, model.ladder.shapes[rung], vocab_size), model.sequence_length).total();
}

TEST(LaddersTest, EveryShapeOfEveryPresetIsPossible) {
  for (const LadderPreset& preset : AllLadderPresets()) {
    for (const LadderShape& shape : preset.shapes) {
      EXPECT_EQ(shape.d_model % shape.n_head, 0) << preset.name;
      EXPECT_EQ(shape.d_model / shape.n_head % 2, 0) << preset.name << ": rope turns pairs";
    }
  }
}

TEST(LaddersTest, Olmo2NamesAreItsTotals) {
  const ModelSpec model = ReadModel("{ladder: olmo2-ladder}");
  EXPECT_EQ(model.sequence_length, 4096);
  EXPECT_EQ(model.activation, Activation::kSwiglu);
  EXPECT_TRUE(model.qk_norm);
  const double named[] = {190e6, 370e6, 600e6, 760e6, 1279e6};
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(static_cast<double>(TotalParams(model, i, 50304)) / named[i], 1, 0.01) << named[i];
  }
}

TEST(LaddersTest, ChinchillaTableA9RunsFrom44MTo489M) {
  const ModelSpec model = ReadModel("{ladder: chinchilla-a9, sequence_length: 2048, tied_head: true}");
  ASSERT_EQ(model.ladder.shapes.size(), 16u);
  EXPECT_NEAR(static_cast<double>(TotalParams(model, 0, 32000)), 44e6, 3e6);
  EXPECT_NEAR(static_cast<double>(TotalParams(model, 15, 32000)), 489e6, 40e6);
}

TEST(LaddersTest, NanochatDepthsAreMultiplesOfItsHead) {
  const ModelSpec model = ReadModel("{ladder: nanochat-depth}");
  EXPECT_EQ(model.sequence_length, 2048);
  EXPECT_EQ(model.activation, Activation::kRelu2);
  ASSERT_EQ(model.ladder.shapes.size(), 6u);
  EXPECT_EQ(model.ladder.shapes[0], (LadderShape{640, 10, 5}));
  EXPECT_EQ(model.ladder.shapes[1], (LadderShape{768, 12, 6}));
  EXPECT_EQ(model.ladder.shapes[5], (LadderShape{1280, 20, 10}));
  EXPECT_EQ(ShapeAtDepth(11, 64, 128), (LadderShape{768, 11, 6})) << "up to a multiple of the head";
}

TEST(LaddersTest, WhatThePresetStatesCanBeOverridden) {
  const ModelSpec model = ReadModel("{ladder: nanochat-depth, sequence_length: 512, activation: gelu, qk_norm: false}");
  EXPECT_EQ(model.sequence_length, 512);
  EXPECT_EQ(model.activation, Activation::kGelu);
  EXPECT_FALSE(model.qk_norm);
}

TEST(LaddersTest, FeedForwardWidths) {
  EXPECT_EQ(FeedForwardWidth({4, 0, 1}, 16), 64);
  EXPECT_EQ(FeedForwardWidth({0, 500, 1}, 16), 500);
  // swiglu: 8/3 of the width, up to a multiple of 64.
  const ModelSpec swiglu = ReadModel("{ladder: cpu-bytes, activation: swiglu}");
  EXPECT_EQ(FeedForwardWidth(swiglu.d_ff, 128), 384);
  EXPECT_EQ(FeedForwardWidth(swiglu.d_ff, 96), 256) << "8/3 of 96 is 256 exactly";
  EXPECT_EQ(FeedForwardWidth(ReadModel("{ladder: cpu-bytes, d_ff: 8/3x}").d_ff, 96), 256);
  EXPECT_EQ(FeedForwardWidth(ReadModel("{ladder: cpu-bytes, d_ff: 2.5x}").d_ff, 64), 160);
  EXPECT_EQ(FeedForwardWidth(ReadModel("{ladder: cpu-bytes, d_ff: 300}").d_ff, 64), 300);
}

TEST(LaddersTest, ARuleBySizeTakesTheNearestDepthInLogN) {
  const ModelSpec model =
      ReadModel("{ladder: {from: 10M, to: 1B, sizes: 9, width_per_layer: 64, head_size: 64}, sequence_length: 1024}");
  const auto shapes = ExpandLadder(model, 32768, CountConvention::kNonEmbeddingPlusHead);
  ASSERT_TRUE(shapes.ok()) << shapes.status();
  ASSERT_EQ(shapes->size(), 9u);
  const auto params_at = [&](int64_t depth) {
    const ModelShape shape = MakeShape(model, ShapeAtDepth(depth, 64, 64), 32768);
    return static_cast<double>(
        ParamsUnder(CountConvention::kNonEmbeddingPlusHead, CountParams(shape, 1024), shape));
  };
  for (size_t i = 0; i < 9; ++i) {
    const double target = 10e6 * std::pow(100, static_cast<double>(i) / 8);
    const double miss = std::fabs(std::log(params_at((*shapes)[i].n_layer) / target));
    for (int64_t depth = 1; depth < 60; ++depth) {  // brute force
      EXPECT_LE(miss, std::fabs(std::log(params_at(depth) / target)) + 1e-12) << "target " << target;
    }
  }
}

TEST(LaddersTest, ARuleThatReachesNoSizeIsRefused) {
  const ModelSpec model =
      ReadModel("{ladder: {from: 1K, to: 2K, sizes: 2, width_per_layer: 64, head_size: 64}, sequence_length: 64}");
  EXPECT_FALSE(ExpandLadder(model, 257, CountConvention::kTotal).ok());
}

TEST(LaddersTest, SizesRiseAndEqualOnesCountOnce) {
  const ModelSpec model = ReadModel("{ladder: [[64, 2, 2], [32, 1, 2], [64, 2, 2]], sequence_length: 64}");
  const auto shapes = ExpandLadder(model, 257, CountConvention::kTotal);
  ASSERT_TRUE(shapes.ok());
  ASSERT_EQ(shapes->size(), 2u);
  EXPECT_EQ((*shapes)[0].d_model, 32);
  EXPECT_EQ((*shapes)[1].d_model, 64);
}

}  // namespace
}  // namespace isoflop
