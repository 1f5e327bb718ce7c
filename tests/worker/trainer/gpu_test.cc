// The network on a GPU against PyTorch's numbers. Without a GPU this prints why it
// is skipped.
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdio>

#include "tests/worker/trainer/golden_network.h"
#include "worker/trainer/cuda_device.h"
#include "worker/trainer/device_facts.h"
#include "worker/trainer/communicator.h"
#include "worker/trainer/optimizer.h"
#include "worker/trainer/recorded_work.h"
#include "worker/trainer/step_log.h"
#include "worker/trainer/language_model.h"

namespace isoflop {
namespace {

class GpuTest : public testing::Test {
 protected:
  void SetUp() override {
    if (CudaDeviceCount() == 0) GTEST_SKIP() << "ISOFLOP_WHOLE_TEST_SKIPPED: no CUDA device on this machine";
    SetNumerics(device_, /*deterministic=*/true);
  }
  const at::Device device_ = at::Device(at::kCUDA, 0);
};

TEST_F(GpuTest, LogitsAndGradientsAreThoseOfPyTorch) {
  double worst_logits = 0, worst_gradients = 0;
  std::vector<GoldenCase> cases = GoldenCases();
  for (GoldenCase& lstm : GoldenLstmCases()) cases.push_back(std::move(lstm));
  for (const GoldenCase& golden : cases) {
    for (Precision precision : {Precision::kFp32, Precision::kBf16}) {
      const bool bf16 = precision == Precision::kBf16;
      Parameters parameters(LayOutParameters(golden.shape, kGoldenPositions), device_);
      FillByName(parameters);
      const auto network = MakeLanguageModel(golden.shape, kGoldenPositions, parameters, precision);
      const LanguageModel& model = *network;
      const GoldenTokens tokens = TokensOfStep(0);
      const at::Tensor inputs_BT = tokens.inputs_BT.to(device_), targets_BT = tokens.targets_BT.to(device_);
      const double logits = RelativeDistance(model.Logits(inputs_BT).cpu(), Recorded(golden.name + "/logits"));
      EXPECT_LE(logits, bf16 ? 2e-2 : 1e-5) << golden.name;
      torch::autograd::backward({model.SummedLoss(inputs_BT, targets_BT, true)},
                                {at::scalar_tensor(0.1, at::TensorOptions().dtype(at::kFloat).device(device_))});
      const std::string leaf = golden.shape.family == Family::kLstm ? "blocks.0.lstm.input.weight" : "blocks.0.mlp.up.weight";
      const double gradient = RelativeDistance(parameters.Leaf(leaf).grad().cpu(), Recorded(golden.name + "/grad/" + leaf));
      EXPECT_LE(gradient, bf16 ? 6e-2 : 1e-5) << golden.name;
      if (bf16) continue;
      worst_logits = std::max(worst_logits, logits);
      worst_gradients = std::max(worst_gradients, gradient);
    }
  }
  PrintRow("GPU, fp32 against PyTorch's CPU: logits, relative", "1e-5", worst_logits);
  PrintRow("GPU, fp32 against PyTorch's CPU: gradients, relative", "1e-5", worst_gradients);
}

TEST_F(GpuTest, ReadingWithACacheGivesTheLogitsOfTheWhole) {
  at::NoGradGuard no_grad;
  double worst = 0;
  std::vector<GoldenCase> cases = GoldenCases();
  for (GoldenCase& lstm : GoldenLstmCases()) cases.push_back(std::move(lstm));
  for (const GoldenCase& golden : cases) {
    Parameters parameters(LayOutParameters(golden.shape, kGoldenPositions), device_);
    FillByName(parameters);
    const auto model = MakeLanguageModel(golden.shape, kGoldenPositions, parameters, Precision::kFp32);
    const at::Tensor inputs_T = TokensOfStep(0).inputs_BT.select(0, 0).contiguous().to(device_);
    const at::Tensor whole_TV = model->Logits(inputs_T.unsqueeze(0)).squeeze(0);
    const auto reader = model->StartReading();
    int64_t at = 0;
    for (const int64_t count : {2, 1, 1, 1}) {
      const at::Tensor logits_V = reader->Read(inputs_T.narrow(0, at, count));
      at += count;
      const double apart = RelativeDistance(logits_V.cpu(), whole_TV.select(0, at - 1).cpu());
      worst = std::max(worst, apart);
      EXPECT_LE(apart, 1e-5) << golden.name << " position " << at;
    }
  }
  PrintRow("GPU, reading with a cache against the whole text, logits", "1e-5", worst);
}

TEST_F(GpuTest, NcclJoinsAGroupOfOne) {
  const std::unique_ptr<Communicator> group = MakeNcclCommunicator(Rendezvous(), 0);
  EXPECT_EQ(group->world_size(), 1);
  const auto options = at::TensorOptions().dtype(at::kFloat).device(device_);
  const at::Tensor flat = at::arange(1000, options), expected = flat.clone();
  group->AllReduceSum(flat.narrow(0, 100, 800))->Wait();
  group->Broadcast(flat, 0);
  EXPECT_TRUE(at::equal(flat, expected));
  const at::Tensor doubles = at::full({3}, 0.5, options.dtype(at::kDouble));
  group->AllReduceSum(doubles)->Wait();
  EXPECT_EQ(doubles.sum().item<double>(), 1.5);
  EXPECT_EQ(group->Min(7), 7);
  PrintRow("NCCL, world 1: all-reduce and broadcast, worst difference", "0", (flat - expected).abs().max().item<double>());
}

// Replays see new batches, rates and weights; the work itself is called four times.
TEST_F(GpuTest, RecordedWorkIsReplayedOnWhatIsThere) {
  const std::shared_ptr<void> stream = UseOwnCudaStream(0);
  at::NoGradGuard no_grad;
  const auto options = at::TensorOptions().dtype(at::kFloat).device(device_);
  const at::Tensor input = at::zeros({64}, options), sum = at::zeros({64}, options);
  const std::unique_ptr<RecordedWork> work = MakeRecordedCudaWork();
  int calls = 0;
  for (int i = 1; i <= 10; ++i) {
    input.fill_(i);
    work->Run([&] {
      ++calls;
      sum.add_(input * 2);
    });
  }
  EXPECT_TRUE(work->is_replayed());
  EXPECT_EQ(work->why_not(), "");
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(sum[0].item<double>(), 110);
}

// What waits for the device cannot be recorded: it is called, and says why.
TEST_F(GpuTest, WorkThatCannotBeRecordedIsCalled) {
  const std::shared_ptr<void> stream = UseOwnCudaStream(0);
  at::NoGradGuard no_grad;
  const at::Tensor one = at::ones({1}, at::TensorOptions().dtype(at::kFloat).device(device_));
  const std::unique_ptr<RecordedWork> work = MakeRecordedCudaWork();
  double sum = 0;
  for (int i = 0; i < 6; ++i) {
    work->Run([&] { sum += one.item<double>(); });
  }
  EXPECT_FALSE(work->is_replayed());
  EXPECT_NE(work->why_not(), "");
  EXPECT_EQ(sum, 6);
}

TEST_F(GpuTest, ResultsOfAStepComeTwoStepsLater) {
  StepLog log(device_);
  const auto options = at::TensorOptions().dtype(at::kFloat).device(device_);
  for (int64_t step = 1; step <= 3; ++step) {
    const at::Tensor riders = at::tensor({static_cast<float>(step), 0.0f, 0.0f}, options);
    log.Push(step, riders, at::scalar_tensor(0.5, options));
    const auto result = log.Pop(/*flush=*/false);
    EXPECT_EQ(result.has_value(), step == 3);
    if (result.has_value()) {
      EXPECT_EQ(result->loss_nats, 1);
    }
  }
  EXPECT_EQ(log.Pop(/*flush=*/true)->step, 2);
}

TEST_F(GpuTest, KnowsItsDevice) {
  EXPECT_EQ(DeviceName(device_).rfind("cuda: ", 0), 0u);
  EXPECT_GT(CudaTotalMemoryBytes(0), int64_t{1} << 30);
}

}  // namespace
}  // namespace isoflop
