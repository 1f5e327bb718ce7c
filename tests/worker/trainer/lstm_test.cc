#include "worker/trainer/lstm.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "corpus/permutation.h"
#include "tests/worker/trainer/golden_network.h"
#include "worker/trainer/optimizer.h"

namespace isoflop {
namespace {

struct Net {
  explicit Net(const ModelShape& shape, Precision precision = Precision::kFp32)
      : parameters(LayOutParameters(shape, kGoldenPositions), at::kCPU) {
    FillByName(parameters);
    model = std::make_unique<Lstm>(shape, parameters, precision);
  }

  double MeanLossAndGradients(const GoldenTokens& tokens) {
    parameters.ZeroGradients();
    const at::Tensor loss = model->SummedLoss(tokens.inputs_BT, tokens.targets_BT, /*training=*/true);
    const double scale = 1 / static_cast<double>(tokens.targets_BT.numel());
    torch::autograd::backward({loss}, {at::scalar_tensor(scale, at::kFloat)});
    return loss.item<double>() * scale;
  }

  Parameters parameters;
  std::unique_ptr<Lstm> model;
};

// (4, 65) ids that are no draw of the global generator, whose state other tests
// of this program begin with.
at::Tensor Window(int64_t vocab_size) {
  at::Tensor window_BT = at::empty({4, 65}, at::kLong);
  for (int64_t i = 0; i < window_BT.numel(); ++i) {
    window_BT.data_ptr<int64_t>()[i] = static_cast<int64_t>(SplitMix64(static_cast<uint64_t>(i)) % static_cast<uint64_t>(vocab_size));
  }
  return window_BT;
}

ModelShape GoldenShape(int64_t layers = 2) {
  ModelShape shape;
  shape.family = Family::kLstm;
  shape.d_model = 128;
  shape.n_layer = layers;
  shape.n_head = 1;
  shape.vocab_size = 257;
  return shape;
}

TEST(LstmTest, LogitsAreThoseOfTorchNnLstm) {
  double worst = 0;
  for (const GoldenCase& golden : GoldenLstmCases()) {
    const Net net(golden.shape);
    const at::Tensor logits_BTV = net.model->Logits(TokensOfStep(0).inputs_BT);
    const double distance = (logits_BTV - Recorded(golden.name + "/logits")).abs().max().item<double>();
    EXPECT_LE(distance, 1e-5) << golden.name;
    worst = std::max(worst, distance);
  }
  PrintRow("parity with torch.nn.LSTM, own and tied head: logits", "1e-5", worst);
}

TEST(LstmTest, GradientsAreThoseOfTorchNnLstm) {
  double worst = 0;
  for (const GoldenCase& golden : GoldenLstmCases()) {
    Net net(golden.shape);
    net.MeanLossAndGradients(TokensOfStep(0));
    for (const ParameterEntry& entry : net.parameters.layout().entries) {
      const double distance = RelativeDistance(net.parameters.Leaf(entry.name).grad(), Recorded(golden.name + "/grad/" + entry.name));
      EXPECT_LE(distance, 1e-5) << golden.name << " " << entry.name;
      worst = std::max(worst, distance);
    }
  }
  PrintRow("parity with torch.nn.LSTM: gradients, relative", "1e-5", worst);
}

TEST(LstmTest, TwentyStepsOfTrainingLoseAsTorchNnLstmDoes) {
  double worst = 0;
  for (const GoldenCase& golden : GoldenLstmCases()) {
    Net net(golden.shape);
    OptimizerSpec spec;
    spec.lr_peak = 1e-2;
    Optimizer optimizer(spec, net.parameters);
    const at::Tensor recorded = Recorded(golden.name + "/losses");
    for (int64_t step = 0; step < kGoldenSteps; ++step) {
      const double distance = std::fabs(net.MeanLossAndGradients(TokensOfStep(step)) - recorded[step].item<double>());
      EXPECT_LE(distance, 1e-4) << golden.name << " step " << step;
      worst = std::max(worst, distance);
      optimizer.SetLearningRate(1e-2);
      optimizer.Step();
    }
  }
  PrintRow("parity with torch.nn.LSTM: 20-step loss trace, nats", "1e-4", worst);
}

TEST(LstmTest, Bf16IsWithinItsRounding) {
  double worst = 0;
  for (const GoldenCase& golden : GoldenLstmCases()) {
    Net net(golden.shape, Precision::kBf16);
    const double distance = RelativeDistance(net.model->Logits(TokensOfStep(0).inputs_BT), Recorded(golden.name + "/logits"));
    EXPECT_LE(distance, 2e-2) << golden.name;
    worst = std::max(worst, distance);
    net.MeanLossAndGradients(TokensOfStep(0));
    EXPECT_EQ(net.parameters.gradients().scalar_type(), at::kFloat);
    EXPECT_GT(net.parameters.gradients().abs().sum().item<double>(), 0);
  }
  PrintRow("LSTM, bf16: logits, relative", "2e-2", worst);
}

TEST(LstmTest, StartsAtLnVWithTheForgetGateOpen) {
  const ModelShape shape = GoldenShape();
  Parameters parameters(LayOutParameters(shape, 64), at::kCPU);
  InitializeParameters(shape, 1, parameters);
  const at::Tensor bias = parameters.Leaf("blocks.1.lstm.input.bias");
  EXPECT_EQ(bias.narrow(0, 128, 128).min().item<float>(), 1);
  EXPECT_EQ(bias.sum().item<float>(), 128);
  const at::Tensor gates = parameters.Leaf("blocks.0.lstm.state.weight");
  EXPECT_LE(gates.abs().max().item<double>(), 1 / std::sqrt(128.0));
  EXPECT_GE(gates.abs().max().item<double>(), 0.99 / std::sqrt(128.0));
  const Lstm model(shape, parameters, Precision::kFp32);
  const at::Tensor window = Window(shape.vocab_size);
  const double loss_nats =
      model.SummedLoss(window.narrow(1, 0, 64).contiguous(), window.narrow(1, 1, 64).contiguous(), false).item<double>() / 256;
  EXPECT_NEAR(loss_nats, std::log(257.0), 0.1);
}

TEST(LstmTest, ALaterTokenNeverMovesAnEarlierLogit) {
  for (const GoldenCase& golden : GoldenLstmCases()) {
    const Net net(golden.shape);
    const at::Tensor inputs_BT = TokensOfStep(0).inputs_BT;
    const at::Tensor logits_BTV = net.model->Logits(inputs_BT);
    at::Tensor changed_BT = inputs_BT.clone();
    changed_BT.select(1, kGoldenPositions - 1).add_(1).remainder_(golden.shape.vocab_size);
    const at::Tensor moved_BTV = net.model->Logits(changed_BT);
    EXPECT_TRUE(at::equal(moved_BTV.narrow(1, 0, kGoldenPositions - 1), logits_BTV.narrow(1, 0, kGoldenPositions - 1)));
    EXPECT_FALSE(at::equal(moved_BTV.select(1, kGoldenPositions - 1), logits_BTV.select(1, kGoldenPositions - 1)));
  }
}

TEST(LstmTest, AStateThatIsHandedOnGivesTheLogitsOfTheWhole) {
  for (const GoldenCase& golden : GoldenLstmCases()) {
    const Net net(golden.shape);
    const at::Tensor inputs_BT = TokensOfStep(2).inputs_BT;
    Lstm::State state;
    std::vector<at::Tensor> pieces;
    for (int64_t begin : {0, 1, 2}) {
      const int64_t count = begin == 2 ? kGoldenPositions - 2 : 1;
      pieces.push_back(net.model->LogitsFrom(inputs_BT.narrow(1, begin, count).contiguous(), &state));
    }
    const double distance = (at::cat(pieces, 1) - net.model->Logits(inputs_BT)).abs().max().item<double>();
    EXPECT_LE(distance, 1e-6) << golden.name;
  }
}

TEST(LstmTest, LossesOfTokensAddUpToTheSummedLoss) {
  for (const GoldenCase& golden : GoldenLstmCases()) {
    const Net net(golden.shape);
    const GoldenTokens tokens = TokensOfStep(1);
    EXPECT_NEAR(net.model->TokenLosses(tokens.inputs_BT, tokens.targets_BT).sum().item<double>(),
                net.model->SummedLoss(tokens.inputs_BT, tokens.targets_BT, false).item<double>(), 1e-4);
  }
}

TEST(LstmTest, DropoutIsOnInTrainingOnly) {
  ModelShape shape = GoldenLstmCases()[0].shape;
  shape.dropout = 0.5;
  const Net net(shape);
  const GoldenTokens tokens = TokensOfStep(0);
  const auto loss = [&](bool training) { return net.model->SummedLoss(tokens.inputs_BT, tokens.targets_BT, training).item<double>(); };
  EXPECT_EQ(loss(false), loss(false));
  EXPECT_NE(loss(true), loss(true));
}

TEST(LstmTest, OneBatchIsLearntByHeart) {
  const ModelShape shape = GoldenShape(1);
  Parameters parameters(LayOutParameters(shape, 64), at::kCPU);
  InitializeParameters(shape, 1, parameters);
  const Lstm model(shape, parameters, Precision::kFp32);
  OptimizerSpec spec;
  spec.lr_peak = 1e-2;
  Optimizer optimizer(spec, parameters);
  const at::Tensor window = Window(shape.vocab_size);
  const at::Tensor inputs_BT = window.narrow(1, 0, 64).contiguous(), targets_BT = window.narrow(1, 1, 64).contiguous();
  double loss_nats = 0;
  for (int step = 0; step < 300; ++step) {
    parameters.ZeroGradients();
    const at::Tensor loss = model.SummedLoss(inputs_BT, targets_BT, true);
    loss_nats = loss.item<double>() / 256;
    torch::autograd::backward({loss}, {at::scalar_tensor(1.0 / 256, at::kFloat)});
    optimizer.SetLearningRate(1e-2);
    optimizer.Step();
  }
  EXPECT_LT(loss_nats, 0.1);
  PrintRow("LSTM: overfit one batch (d 128, L 1, 4 x 64 tokens) in 300 steps: nats", "< 0.1", loss_nats);
}

}  // namespace
}  // namespace isoflop
