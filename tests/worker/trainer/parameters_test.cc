#include "worker/trainer/parameters.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "study/ladders.h"
#include "study/param_counts.h"
#include "tests/worker/trainer/golden_network.h"
#include "worker/trainer/optimizer.h"
#include "worker/trainer/transformer.h"

namespace isoflop {
namespace {

ModelShape SmallShape() {
  ModelShape shape;
  shape.d_model = 64;
  shape.n_layer = 2;
  shape.n_head = 2;
  shape.d_ff = 256;
  shape.vocab_size = 257;
  return shape;
}

constexpr int64_t kStartSequences = 64;  // of 64 tokens

double StartLoss(const ModelShape& shape) {
  Parameters parameters(LayOutParameters(shape, 64), at::kCPU);
  InitializeParameters(shape, 1, parameters);
  const Transformer model(shape, 64, parameters, Precision::kFp32);
  const at::Tensor window = RandomTokens(shape.vocab_size, kStartSequences, 65);
  return model.TokenLosses(window.narrow(1, 0, 64).contiguous(), window.narrow(1, 1, 64).contiguous()).mean().item<double>();
}

TEST(ParametersTest, LeavesAreViewsIntoTheFlatBuffers) {
  Parameters parameters(LayOutParameters(SmallShape(), 64), at::kCPU);
  int64_t real = 0;
  for (size_t i = 0; i < parameters.leaves().size(); ++i) {
    const at::Tensor& leaf = parameters.leaves()[i];
    const ParameterEntry& entry = parameters.layout().entries[i];
    EXPECT_TRUE(leaf.is_leaf() && leaf.requires_grad());
    EXPECT_EQ(leaf.data_ptr<float>(), parameters.weights().data_ptr<float>() + entry.offset);
    EXPECT_EQ(leaf.grad().data_ptr<float>(), parameters.gradients().data_ptr<float>() + entry.offset);
    EXPECT_EQ(leaf.sizes(), at::IntArrayRef(entry.shape));
    real += leaf.numel();
  }
  EXPECT_EQ(real, CountParams(SmallShape(), 64).total());
  EXPECT_EQ(parameters.gradients_with_riders().numel(), real + Parameters::kRiders);
}

TEST(ParametersTest, BackwardAddsIntoTheFlatGradientInPlace) {
  const ModelShape shape = SmallShape();
  Parameters parameters(LayOutParameters(shape, 64), at::kCPU);
  InitializeParameters(shape, 1, parameters);
  const Transformer model(shape, 64, parameters, Precision::kFp32);
  const at::Tensor inputs = at::ones({2, 8}, at::kLong);
  model.SummedLoss(inputs, inputs, true).backward();
  const at::Tensor once = parameters.gradients().clone();
  EXPECT_GT(once.norm().item<double>(), 0);
  model.SummedLoss(inputs, inputs, true).backward();
  EXPECT_LE((parameters.gradients() - 2 * once).norm().item<double>(), 1e-6 * once.norm().item<double>());
  const ParameterEntry& first = parameters.layout().entries[0];
  EXPECT_EQ(parameters.leaves()[0].grad().data_ptr<float>(), parameters.gradients().data_ptr<float>() + first.offset);
}

TEST(ParametersTest, ATensorStartsByItsNameAndTheSeedAlone) {
  ModelShape shallow = SmallShape(), deep = SmallShape();
  shallow.n_layer = 1;
  Parameters a(LayOutParameters(shallow, 64), at::kCPU), b(LayOutParameters(deep, 64), at::kCPU), c(LayOutParameters(deep, 64), at::kCPU);
  InitializeParameters(shallow, 1, a);
  InitializeParameters(deep, 1, b);
  InitializeParameters(deep, 2, c);
  EXPECT_TRUE(at::equal(a.Leaf("blocks.0.mlp.up.weight"), b.Leaf("blocks.0.mlp.up.weight")));
  EXPECT_FALSE(at::equal(b.Leaf("blocks.0.mlp.up.weight"), c.Leaf("blocks.0.mlp.up.weight")));
  EXPECT_FALSE(at::equal(b.Leaf("blocks.0.mlp.up.weight"), b.Leaf("blocks.1.mlp.up.weight")));
}

TEST(ParametersTest, TensorsStartWithTheSpreadOfTheirRole) {
  const auto spread = [](const ModelShape& shape, const std::string& name) {
    Parameters parameters(LayOutParameters(shape, 64), at::kCPU);
    InitializeParameters(shape, 3, parameters);
    return parameters.Leaf(name).std().item<double>();
  };
  ModelShape shape = SmallShape();
  EXPECT_NEAR(spread(shape, "blocks.0.attention.qkv.weight"), 0.02, 6e-4);
  EXPECT_NEAR(spread(shape, "blocks.0.mlp.down.weight"), 0.02 / 2, 3e-4);  // / sqrt(2 L)
  shape.init = Init::kNanochat;
  EXPECT_NEAR(spread(shape, "blocks.0.mlp.up.weight"), 1 / std::sqrt(64.0), 3e-3);
  EXPECT_EQ(spread(shape, "blocks.0.attention.out.weight"), 0);
  EXPECT_NEAR(spread(shape, "head.weight"), 1e-3, 3e-5);
  EXPECT_NEAR(spread(shape, "embedding.weight"), 0.8, 0.03);
  shape.init = Init::kMup;
  EXPECT_NEAR(spread(shape, "blocks.0.mlp.up.weight"), 1 / std::sqrt(64.0), 3e-3);
  EXPECT_NEAR(spread(shape, "blocks.0.mlp.down.weight"), 1 / std::sqrt(256.0) / 2, 1e-3);
  EXPECT_EQ(spread(shape, "head.weight"), 0);
  // No norm stands behind an LSTM's embedding: torch.nn.Embedding's start.
  ModelShape lstm = SmallShape();
  lstm.family = Family::kLstm;
  lstm.n_head = lstm.d_ff = 0;
  EXPECT_NEAR(spread(lstm, "embedding.weight"), 1, 0.03);
  EXPECT_NEAR(spread(lstm, "head.weight"), 0.02, 6e-4);
  EXPECT_NEAR(spread(lstm, "blocks.0.lstm.state.weight"), 1 / std::sqrt(3 * 64.0), 3e-3);
  lstm.tied_head = true;
  EXPECT_NEAR(spread(lstm, "embedding.weight"), 1 / std::sqrt(64.0), 4e-3);
}

// Show 5. A head of N(0, 0.02) on a normed width d spreads the logits by
// 0.02 sqrt(d), which adds d 0.0002 nats to ln V: above 1 % of ln 257 from
// d = 278 on, as in GPT-2 itself.
TEST(ParametersTest, TheUntrainedLossIsLnV) {
  const double ln_v = std::log(257.0);
  int within = 0;
  double worst = 0;
  for (const LadderPreset& preset : AllLadderPresets()) {
    for (const LadderShape& size : preset.shapes) {
      ModelSpec model;
      if (preset.activation) model.activation = *preset.activation;
      if (preset.qk_norm) model.qk_norm = *preset.qk_norm;
      const ModelShape shape = MakeShape(model, size, 257);
      if (CountParams(shape, 64).total() > 30'000'000) continue;
      const double loss = StartLoss(shape);
      // Within four standard errors of the sample.
      const double spread = 0.02 * std::sqrt(static_cast<double>(shape.d_model));
      const double sample_error = spread / std::sqrt(64.0 * kStartSequences);
      EXPECT_NEAR(loss, ln_v + spread * spread / 2, 4 * sample_error) << preset.name << " " << shape.d_model;
      std::printf("step 0: %s d %ld L %ld: %.4f, ln V %.4f (%+.2f %%)\n", preset.name, static_cast<long>(shape.d_model),
                  static_cast<long>(shape.n_layer), loss, ln_v, 100 * (loss / ln_v - 1));
      if (std::fabs(loss / ln_v - 1) <= 0.01) ++within;
      if (std::string(preset.name) == "cpu-bytes") {
        EXPECT_NEAR(loss, ln_v, 0.01 * ln_v);
        worst = std::max(worst, std::fabs(loss - ln_v));
      }
    }
  }
  EXPECT_GE(within, 5);
  for (int64_t width : {16, 24, 32, 40, 48, 56, 64, 80, 96}) {  // the quickstart's
    ModelShape shape = SmallShape();
    shape.d_model = width;
    shape.n_layer = 1;
    shape.n_head = 4;
    shape.d_ff = 4 * width;
    const double loss = StartLoss(shape);
    EXPECT_NEAR(loss, ln_v, 0.01 * ln_v) << width;
    worst = std::max(worst, std::fabs(loss - ln_v));
  }
  PrintRow("step-0 loss, cpu-bytes and quickstart shapes: from ln V, nats", "0.055 (1 %)", worst);
}

TEST(ParametersTest, AHeadOfZerosGuessesUniformly) {
  ModelShape shape = SmallShape();
  shape.init = Init::kMup;
  shape.mup_base_width = 32;
  const double loss = StartLoss(shape);
  EXPECT_NEAR(loss, std::log(257.0), 1e-6);
  PrintRow("step-0 loss, head of zeros: from ln V, nats", "1e-6", std::fabs(loss - std::log(257.0)));
  shape.init = Init::kNanochat;
  EXPECT_NEAR(StartLoss(shape), std::log(257.0), 1e-3);
}

// -- Optimiser ---------------------------------------------------------------

TEST(OptimizerTest, ANormThatIsNotFiniteSkipsTheUpdate) {
  const ModelShape shape = SmallShape();
  Parameters parameters(LayOutParameters(shape, 64), at::kCPU);
  InitializeParameters(shape, 1, parameters);
  Optimizer optimizer(OptimizerSpec{}, parameters);
  parameters.gradients().fill_(0.01);
  optimizer.SetLearningRate(1e-3);
  optimizer.Step();
  const at::Tensor weights = parameters.weights().clone(), first = optimizer.first_moments().clone();
  parameters.gradients().fill_(0.01);
  parameters.gradients()[7] = std::numeric_limits<float>::quiet_NaN();
  optimizer.SetLearningRate(1e-3);
  optimizer.Step();
  EXPECT_FALSE(std::isfinite(optimizer.grad_norm().item<double>()));
  EXPECT_TRUE(at::equal(parameters.weights(), weights));
  EXPECT_TRUE(at::equal(optimizer.first_moments(), first));
}

TEST(OptimizerTest, DecaysHeadAndMatricesOnlyAndScalesEachGroup) {
  const ModelShape shape = SmallShape();
  Parameters parameters(LayOutParameters(shape, 64), at::kCPU);
  parameters.weights().fill_(1);
  OptimizerSpec spec;
  spec.lr_scale_blocks = 0.5;
  spec.lr_scale_embedding = 3;
  Optimizer optimizer(spec, parameters);
  optimizer.SetLearningRate(0.1);
  optimizer.Step();  // no gradient: decay alone
  EXPECT_NEAR(parameters.Leaf("head.weight")[0][0].item<double>(), 1 - 0.1 * 0.1, 1e-6);
  EXPECT_NEAR(parameters.Leaf("blocks.0.mlp.up.weight")[0][0].item<double>(), 1 - 0.05 * 0.1, 1e-6);
  EXPECT_EQ(parameters.Leaf("blocks.0.mlp_norm.weight")[0].item<double>(), 1);
  EXPECT_EQ(parameters.Leaf("embedding.weight")[0][0].item<double>(), 1);

  parameters.gradients().fill_(1e-5);
  optimizer.SetUpdates(0);
  parameters.weights().fill_(0);
  optimizer.SetLearningRate(0.1);
  optimizer.Step();  // the first step of AdamW is lr times the sign
  EXPECT_NEAR(parameters.Leaf("head.weight")[0][0].item<double>(), -0.1, 1e-3);
  EXPECT_NEAR(parameters.Leaf("blocks.0.mlp.up.weight")[0][0].item<double>(), -0.05, 1e-3);
  EXPECT_NEAR(parameters.Leaf("blocks.0.mlp_norm.weight")[0].item<double>(), -0.1, 1e-3);
  EXPECT_NEAR(parameters.Leaf("embedding.weight")[0][0].item<double>(), -0.3, 1e-3);
}

TEST(OptimizerTest, ClipsByTheGlobalNorm) {
  const ModelShape shape = SmallShape();
  Parameters parameters(LayOutParameters(shape, 64), at::kCPU);
  OptimizerSpec spec;
  spec.clip_norm = 2;
  Optimizer optimizer(spec, parameters);
  parameters.gradients().fill_(0.5);
  const double norm = 0.5 * std::sqrt(static_cast<double>(parameters.size()));
  optimizer.SetLearningRate(1e-3);
  optimizer.Step();
  EXPECT_NEAR(optimizer.grad_norm().item<double>(), norm, 1e-4 * norm);
  EXPECT_NEAR(optimizer.first_moments()[0].item<double>(), 0.1 * 0.5 * 2 / norm, 1e-7);
}

}  // namespace
}  // namespace isoflop
