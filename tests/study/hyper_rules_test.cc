#include "study/hyper_rules.h"

#include <gtest/gtest.h>

namespace isoflop {
namespace {

using LrKind = LearningRateRule::Kind;

ModelShape Width(int64_t d_model) {
  ModelShape shape;
  shape.d_model = d_model;
  return shape;
}

OptimizerSpec Resolve(LearningRateRule rate, double params, double tokens, double batch_tokens, int64_t width = 64) {
  OptimizerRule rule;
  rule.lr_peak = rate;
  return ResolveOptimizer(rule, Width(width), params, tokens, batch_tokens);
}

TEST(HyperRulesTest, ByWidthIsAPower) {
  const LearningRateRule rate{.kind = LrKind::kByWidth, .value = 1e-2, .at_d_model = 24, .exponent = -0.52};
  EXPECT_DOUBLE_EQ(Resolve(rate, 1, 1, 1, 24).lr_peak, 1e-2);
  EXPECT_NEAR(Resolve(rate, 1, 1, 1, 96).lr_peak, 1e-2 * 0.48632747, 1e-9);  // 4^-0.52
}

TEST(HyperRulesTest, OlmoLadderAtItsReferenceAndBeyond) {
  const LearningRateRule rate{.kind = LrKind::kOlmoLadder};
  EXPECT_DOUBLE_EQ(Resolve(rate, 108e6, 1, 1).lr_peak, 0.0047);
  EXPECT_NEAR(Resolve(rate, 864e6, 1, 1).lr_peak, 0.0047 / 2, 1e-12) << "8 times N, half the rate";
  const BatchRule batch{BatchRule::Kind::kOlmoLadder, 0};
  EXPECT_EQ(BatchSequences(batch, 2048, 108e6, 1), 160);
  EXPECT_EQ(BatchSequences(batch, 4096, 864e6, 1), 320) << "8 times N, four times the tokens, twice as long";
}

TEST(HyperRulesTest, StepLawDependsOnBoth) {
  const LearningRateRule rate{.kind = LrKind::kStepLaw};
  EXPECT_TRUE(rate.depends_on_tokens());
  EXPECT_NEAR(Resolve(rate, 1e9, 100e9, 1).lr_peak, 1.6324994e-3, 1e-9);
  EXPECT_EQ(BatchSequences({BatchRule::Kind::kStepLaw, 0}, 1, 1, 1e9), 79878);  // 0.58 (1e9)^.571
}

TEST(HyperRulesTest, NanochatAtItsReference) {
  const LearningRateRule rate{.kind = LrKind::kNanochat, .value = 2e-3};
  const OptimizerSpec at_reference = Resolve(rate, 85e6, kNanochatReferenceTokens, kNanochatBatchTokens);
  EXPECT_DOUBLE_EQ(at_reference.lr_peak, 2e-3);
  EXPECT_DOUBLE_EQ(at_reference.weight_decay, 0.1);
  const OptimizerSpec longer = Resolve(rate, 85e6, 4 * kNanochatReferenceTokens, 4 * kNanochatBatchTokens);
  EXPECT_DOUBLE_EQ(longer.lr_peak, 4e-3);
  EXPECT_DOUBLE_EQ(longer.weight_decay, 0.1 * 2 / 4);
  const BatchRule batch{BatchRule::Kind::kNanochat, 0};
  EXPECT_EQ(BatchSequences(batch, 2048, 1, kNanochatReferenceTokens), 256);
  EXPECT_EQ(BatchSequences(batch, 2048, 1, 10 * kNanochatReferenceTokens), 512) << "10^0.383 = 2.4, to a power of two";
}

TEST(HyperRulesTest, MupScalesTheBlocksByWidth) {
  const LearningRateRule rate{.kind = LrKind::kMup, .value = 1e-2, .base_width = 128};
  const OptimizerSpec optimizer = Resolve(rate, 1, 1, 1, 512);
  EXPECT_DOUBLE_EQ(optimizer.lr_peak, 1e-2);
  EXPECT_DOUBLE_EQ(optimizer.lr_scale_blocks, 0.25);
  EXPECT_DOUBLE_EQ(optimizer.lr_scale_embedding, 1);
}

TEST(HyperRulesTest, StatedBatches) {
  EXPECT_EQ(BatchSequences({BatchRule::Kind::kTokens, 512}, 64, 1, 1), 8);
  EXPECT_EQ(BatchSequences({BatchRule::Kind::kSequences, 32}, 64, 1, 1), 32);
}

}  // namespace
}  // namespace isoflop
