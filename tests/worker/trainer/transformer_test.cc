#include "worker/trainer/transformer.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <cstdio>
#include <map>
#include <memory>

#include "tests/worker/trainer/golden_network.h"
#include "worker/trainer/optimizer.h"

namespace isoflop {
namespace {

// What tools/record_reference.py trains with.
OptimizerSpec GoldenOptimizer() {
  OptimizerSpec spec;
  spec.lr_peak = 1e-2;
  return spec;  // betas 0.9 0.95, eps 1e-8, clip 1, decay 0.1
}

std::unique_ptr<LayerOps> MakeOps(const std::string& name) {
  // Seven tokens at a time through the head: the last stretch is shorter.
  if (name == "stretches") return MakePlainLayerOps(/*most_logits=*/7 * GoldenCases()[0].shape.vocab_size);
  return name == "plain" ? MakePlainLayerOps() : MakeFusedCpuLayerOps();
}

struct Net {
  Net(const ModelShape& shape, const std::string& ops, Precision precision = Precision::kFp32, int64_t positions = kGoldenPositions)
      : parameters(LayOutParameters(shape, positions), at::kCPU) {
    FillByName(parameters);
    model = std::make_unique<Transformer>(shape, positions, parameters, precision, MakeOps(ops));
  }

  double MeanLossAndGradients(const GoldenTokens& tokens) {
    parameters.ZeroGradients();
    const at::Tensor loss = model->SummedLoss(tokens.inputs_BT, tokens.targets_BT, /*training=*/true);
    const double scale = 1 / static_cast<double>(tokens.targets_BT.numel());
    torch::autograd::backward({loss}, {at::scalar_tensor(scale, at::kFloat)});
    return loss.item<double>() * scale;
  }

  Parameters parameters;
  std::unique_ptr<Transformer> model;
};

// -- Against PyTorch: every norm x position x activation -------------------

class ParityTest : public testing::TestWithParam<std::string> {};

TEST_P(ParityTest, LogitsOfEveryShapeAreThoseOfPyTorch) {
  double worst = 0;
  for (const GoldenCase& golden : GoldenCases()) {
    const Net net(golden.shape, GetParam());
    const at::Tensor recorded_BTV = Recorded(golden.name + "/logits");
    const double distance = (net.model->Logits(TokensOfStep(0).inputs_BT) - recorded_BTV).abs().max().item<double>();
    EXPECT_LE(distance, 1e-5) << golden.name;
    worst = std::max(worst, distance);
  }
  PrintRow("parity with PyTorch, every norm x position x activation, " + GetParam() + ": logits", "1e-5", worst);
}

TEST_P(ParityTest, GradientsOfEveryShapeAreThoseOfPyTorch) {
  double worst = 0;
  for (const GoldenCase& golden : GoldenCases()) {
    Net net(golden.shape, GetParam());
    net.MeanLossAndGradients(TokensOfStep(0));
    for (const ParameterEntry& entry : net.parameters.layout().entries) {
      const at::Tensor recorded = Recorded(golden.name + "/grad/" + entry.name);
      if (entry.name.find("qkv.bias") != std::string::npos) {
        // The third of the keys has no true gradient, only noise.
        const int64_t width = golden.shape.d_model;
        const at::Tensor ours = net.parameters.Leaf(entry.name).grad();
        EXPECT_LE(RelativeDistance(ours.narrow(0, 0, width), recorded.narrow(0, 0, width)), 1e-5) << golden.name;
        EXPECT_LE(RelativeDistance(ours.narrow(0, 2 * width, width), recorded.narrow(0, 2 * width, width)), 1e-5) << golden.name;
        continue;
      }
      const double distance = RelativeDistance(net.parameters.Leaf(entry.name).grad(), recorded);
      EXPECT_LE(distance, 1e-5) << golden.name << " " << entry.name;
      worst = std::max(worst, distance);
    }
  }
  PrintRow("parity, " + GetParam() + ": gradients, relative", "1e-5", worst);
}

TEST_P(ParityTest, TwentyStepsOfTrainingLoseAsPyTorchDoes) {
  double worst = 0;
  for (const GoldenCase& golden : GoldenCases()) {
    Net net(golden.shape, GetParam());
    Optimizer optimizer(GoldenOptimizer(), net.parameters);
    const at::Tensor recorded = Recorded(golden.name + "/losses");
    for (int64_t step = 0; step < kGoldenSteps; ++step) {
      const double loss = net.MeanLossAndGradients(TokensOfStep(step));
      const double distance = std::fabs(loss - recorded[step].item<double>());
      EXPECT_LE(distance, 1e-4) << golden.name << " step " << step;
      worst = std::max(worst, distance);
      optimizer.SetLearningRate(1e-2);
      optimizer.Step();
    }
  }
  PrintRow("parity, " + GetParam() + ": 20-step loss trace, nats", "1e-4", worst);
}

INSTANTIATE_TEST_SUITE_P(Ops, ParityTest, testing::Values("plain", "stretches", "fused"),
                         [](const auto& param_info) { return param_info.param; });

TEST(TransformerTest, Bf16IsWithinItsRounding) {
  double worst = 0;
  for (const GoldenCase& golden : GoldenCases()) {
    Net net(golden.shape, "plain", Precision::kBf16);
    const at::Tensor recorded_BTV = Recorded(golden.name + "/logits");
    const double distance = RelativeDistance(net.model->Logits(TokensOfStep(0).inputs_BT), recorded_BTV);
    EXPECT_LE(distance, 2e-2) << golden.name;
    worst = std::max(worst, distance);
    net.MeanLossAndGradients(TokensOfStep(0));
    EXPECT_EQ(net.parameters.gradients().scalar_type(), at::kFloat);
    const at::Tensor recorded = Recorded(golden.name + "/grad/blocks.0.mlp.up.weight");
    EXPECT_LE(RelativeDistance(net.parameters.Leaf("blocks.0.mlp.up.weight").grad(), recorded), 6e-2) << golden.name;
  }
  PrintRow("parity, bf16: logits, relative", "2e-2", worst);
}

TEST(TransformerTest, Bf16SeesNewWeightsOnlyAfterARefresh) {
  Net net(GoldenCases()[0].shape, "plain", Precision::kBf16);
  const at::Tensor before = net.model->Logits(TokensOfStep(0).inputs_BT);
  {
    at::NoGradGuard no_grad;
    net.parameters.weights().mul_(1.5);
  }
  EXPECT_TRUE(at::equal(net.model->Logits(TokensOfStep(0).inputs_BT), before));
  net.model->RefreshWeights();
  EXPECT_FALSE(at::equal(net.model->Logits(TokensOfStep(0).inputs_BT), before));
}

// -- Structure -------------------------------------------------------------

TEST_P(ParityTest, ALaterTokenNeverMovesAnEarlierLogit) {
  for (const GoldenCase& golden : GoldenCases()) {
    const Net net(golden.shape, GetParam());
    const at::Tensor inputs_BT = TokensOfStep(0).inputs_BT;
    const at::Tensor logits_BTV = net.model->Logits(inputs_BT);
    for (int64_t t = 0; t + 1 < kGoldenPositions; ++t) {
      at::Tensor changed_BT = inputs_BT.clone();
      changed_BT.select(1, t + 1).add_(1).remainder_(golden.shape.vocab_size);
      const at::Tensor moved_BTV = net.model->Logits(changed_BT);
      ASSERT_TRUE(at::equal(moved_BTV.narrow(1, 0, t + 1), logits_BTV.narrow(1, 0, t + 1))) << golden.name << " " << t;
      ASSERT_FALSE(at::equal(moved_BTV.select(1, t + 1), logits_BTV.select(1, t + 1))) << golden.name << " " << t;
    }
  }
  PrintRow("causal: token t+1 never moves logit t, " + GetParam(), "exactly 0", 0);
}

TEST_P(ParityTest, OneBatchIsLearntByHeart) {
  ModelShape shape;
  shape.d_model = 64;
  shape.n_layer = 2;
  shape.n_head = 2;
  shape.d_ff = 256;
  shape.vocab_size = 257;
  Parameters parameters(LayOutParameters(shape, 64), at::kCPU);
  InitializeParameters(shape, 1, parameters);
  const Transformer model(shape, 64, parameters, Precision::kFp32, MakeOps(GetParam()));
  Optimizer optimizer(GoldenOptimizer(), parameters);
  const at::Tensor window = RandomTokens(shape.vocab_size, 4, 65);
  const at::Tensor inputs_BT = window.narrow(1, 0, 64).contiguous(), targets_BT = window.narrow(1, 1, 64).contiguous();
  double loss_nats = 0;
  for (int step = 0; step < 300; ++step) {
    parameters.ZeroGradients();
    const at::Tensor loss = model.SummedLoss(inputs_BT, targets_BT, true);
    loss_nats = loss.item<double>() / 256;
    torch::autograd::backward({loss}, {at::scalar_tensor(1.0 / 256, at::kFloat)});
    optimizer.SetLearningRate(3e-3);
    optimizer.Step();
  }
  EXPECT_LT(loss_nats, 0.1);
  PrintRow("overfit one batch (d 64, L 2, 4 x 64 tokens) in 300 steps, " + GetParam() + ": nats", "< 0.1", loss_nats);
}

TEST_P(ParityTest, OpenAttentionWeightsMixWhatTheFusedAttentionDoes) {
  double worst = 0;
  for (const GoldenCase& golden : GoldenCases()) {
    const Net net(golden.shape, GetParam());
    for (int64_t layer = 0; layer < golden.shape.n_layer; ++layer) {
      const at::Tensor inputs_BT = TokensOfStep(3).inputs_BT;
      const at::Tensor weights_BHTT = net.model->AttentionWeights(inputs_BT, layer);
      const Transformer::Mixed mixed = net.model->AttentionOutput(inputs_BT, layer);
      const double distance = (at::matmul(weights_BHTT, mixed.values_BHTK) - mixed.output_BHTK).abs().max().item<double>();
      EXPECT_LE(distance, 1e-5) << golden.name;
      worst = std::max(worst, distance);
      EXPECT_LE((weights_BHTT.sum(-1) - 1).abs().max().item<double>(), 1e-6);
      EXPECT_EQ(weights_BHTT.triu(1).abs().max().item<double>(), 0);
    }
  }
  PrintRow("AttentionWeights V = fused attention, " + GetParam(), "1e-5", worst);
}

TEST_P(ParityTest, LossesOfTokensAddUpToTheSummedLoss) {
  for (const GoldenCase& golden : GoldenCases()) {
    const Net net(golden.shape, GetParam());
    const GoldenTokens tokens = TokensOfStep(1);
    const at::Tensor losses_BT = net.model->TokenLosses(tokens.inputs_BT, tokens.targets_BT);
    EXPECT_EQ(losses_BT.sizes(), tokens.targets_BT.sizes());
    EXPECT_NEAR(losses_BT.sum().item<double>(),
                net.model->SummedLoss(tokens.inputs_BT, tokens.targets_BT, false).item<double>(), 1e-4);
  }
}

TEST_P(ParityTest, FourMicroBatchesGiveTheGradientOfOne) {
  ModelShape shape;
  shape.d_model = 64;
  shape.n_layer = 2;
  shape.n_head = 2;
  shape.d_ff = 256;
  shape.vocab_size = 257;
  Parameters parameters(LayOutParameters(shape, 64), at::kCPU);
  InitializeParameters(shape, 1, parameters);
  const Transformer model(shape, 64, parameters, Precision::kFp32, MakeOps(GetParam()));
  const at::Tensor window = RandomTokens(shape.vocab_size, 4, 65);
  const at::Tensor inputs_BT = window.narrow(1, 0, 64).contiguous(), targets_BT = window.narrow(1, 1, 64).contiguous();
  const auto add = [&](int64_t first, int64_t count) {
    const at::Tensor loss = model.SummedLoss(inputs_BT.narrow(0, first, count), targets_BT.narrow(0, first, count), true);
    torch::autograd::backward({loss}, {at::scalar_tensor(1.0 / 256, at::kFloat)});
  };
  add(0, 4);
  const at::Tensor whole = parameters.gradients().clone();
  parameters.ZeroGradients();
  for (int64_t row = 0; row < 4; ++row) add(row, 1);
  const double distance = RelativeDistance(parameters.gradients(), whole);
  EXPECT_LE(distance, 1e-6);
  PrintRow("accumulation 1 = 4, " + GetParam() + ": first gradient, relative", "1e-6", distance);
}

TEST(TransformerTest, DropoutIsOnInTrainingOnly) {
  ModelShape shape = GoldenCases()[0].shape;
  shape.dropout = 0.5;
  for (const std::string ops : {"plain", "fused"}) {
    const Net net(shape, ops);
    const GoldenTokens tokens = TokensOfStep(0);
    const auto loss = [&](bool training) { return net.model->SummedLoss(tokens.inputs_BT, tokens.targets_BT, training).item<double>(); };
    EXPECT_EQ(loss(false), loss(false));
    EXPECT_NE(loss(true), loss(true));
  }
}

}  // namespace
}  // namespace isoflop
