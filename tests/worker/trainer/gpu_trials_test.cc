// Whole trials on a GPU against the same trials on the CPU, and with recorded graphs
// against without.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "tests/worker/trainer/trial_harness.h"

namespace isoflop {
namespace {

class GpuTrialTest : public TrialTest {
 protected:
  static RunOptions With(const std::string& name, const std::string& value) {
    RunOptions options;
    options.environment[name] = value;
    return options;
  }
  static double WorstDifference(const Attempt& a, const Attempt& b) {
    double worst = 0;
    const std::map<int64_t, std::string> reference = LossTrace(b.Output());
    for (const auto& [step, loss] : LossTrace(a.Output())) {
      worst = std::max(worst, std::abs(std::stod(loss) - std::stod(reference.at(step))));
    }
    return worst;
  }
  // At a high rate rounding grows with the steps.
  static TrialSpec CalmTrial() {
    TrialSpec trial = SmallTrial(50);
    trial.optimizer.lr_peak = 0.003;
    return trial;
  }
};

TEST_F(GpuTrialTest, TheLossIsThatOfTheCpu) {
  const TrialSpec trial = CalmTrial();
  Attempt gpu = Run(trial), cpu = Run(trial, With("CUDA_VISIBLE_DEVICES", "-1"));
  EXPECT_EQ(EventsOf(gpu.Output(), "started").at(0)["device"].rfind("cuda: ", 0), 0u) << gpu.Output();
  const double first = std::abs(std::stod(LossTrace(gpu.Output()).at(1)) - std::stod(LossTrace(cpu.Output()).at(1)));
  const double worst = WorstDifference(gpu, cpu);
  const double final = std::abs(std::stod(FinalLoss(gpu.Output())) - std::stod(FinalLoss(cpu.Output())));
  EXPECT_LE(first, 1e-5);
  EXPECT_LE(worst, 1e-3);
  EXPECT_LE(final, 1e-3);
  if (!HasFailure()) {
    ReportRow("GPU = CPU, fp32, 50 steps", "step 1 1e-5, all steps 1e-3 nats",
              absl::StrCat("step 1 ", first, ", worst ", worst, ", final ", final));
  }
}

TEST_F(GpuTrialTest, GraphsChangeNoBit) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    TrialSpec trial = SmallTrial(50);
    trial.precision = precision;
    Attempt replayed = Run(trial), launched = Run(trial, With("ISOFLOP_CUDA_GRAPHS", "off"));
    EXPECT_EQ(replayed.Output().find("graphs are off"), std::string::npos) << replayed.Output();
    EXPECT_EQ(LossTrace(replayed.Output()), LossTrace(launched.Output()));
    EXPECT_EQ(FinalLoss(replayed.Output()), FinalLoss(launched.Output()));
    EXPECT_TRUE(TensorBytes(replayed.checkpoint_dir + "/step-00000050") ==
                TensorBytes(launched.checkpoint_dir + "/step-00000050"));
    if (!HasFailure()) {
      ReportRow(absl::StrCat("graph = eager, 50 steps, ", precision == Precision::kFp32 ? "fp32" : "bf16"), "bitwise",
                "losses, weights and moments bitwise");
    }
  }
}

// cuDNN's LSTM: on the CPU's loss within rounding, the same bits with graphs, resumed
// and again.
TEST_F(GpuTrialTest, AnLstmTrainsAsOnTheCpuAndResumesBitwise) {
  TrialSpec trial = CalmTrial();
  trial.model.family = Family::kLstm;
  trial.model.n_head = trial.model.d_ff = 0;
  trial.branch_steps = {25, 50};
  Attempt gpu = Run(trial), cpu = Run(trial, With("CUDA_VISIBLE_DEVICES", "-1"));
  const double worst = WorstDifference(gpu, cpu);
  EXPECT_LE(worst, 1e-3);
  Attempt launched = Run(trial, With("ISOFLOP_CUDA_GRAPHS", "off"));
  EXPECT_EQ(LossTrace(gpu.Output()), LossTrace(launched.Output()));
  EXPECT_TRUE(TensorBytes(gpu.checkpoint_dir + "/step-00000050") == TensorBytes(launched.checkpoint_dir + "/step-00000050"));
  RunOptions resume;
  resume.resume = gpu.checkpoint_dir + "/step-00000025";
  Attempt resumed = Run(trial, resume);
  ExpectOnTrace(resumed.Output(), LossTrace(gpu.Output()));
  EXPECT_EQ(FinalLoss(resumed.Output()), FinalLoss(gpu.Output()));
  EXPECT_TRUE(TensorBytes(resumed.checkpoint_dir + "/step-00000050") == TensorBytes(gpu.checkpoint_dir + "/step-00000050"));
  trial.precision = Precision::kBf16;
  const double bf16 = WorstDifference(Run(trial), gpu);
  EXPECT_LE(bf16, 2e-2);
  if (!HasFailure()) {
    ReportRow("GPU, LSTM: CPU, bf16 within; graphs, resume", "1e-3, 2e-2 nats; bitwise",
              absl::StrCat(worst, ", ", bf16, "; bitwise", gpu.Output().find("graphs are off") == std::string::npos ? "" : ", graphs off"));
  }
}

TEST_F(GpuTrialTest, Bf16LosesAsFp32DoesWithinItsRounding) {
  TrialSpec trial = CalmTrial();
  Attempt fp32 = Run(trial);
  trial.precision = Precision::kBf16;
  Attempt bf16 = Run(trial);
  const double worst = WorstDifference(bf16, fp32);
  EXPECT_LE(worst, 2e-2);
  EXPECT_NE(FinalLoss(bf16.Output()), FinalLoss(fp32.Output()));
  if (!HasFailure()) ReportRow("GPU, bf16 against fp32, 50 steps", "2e-2 nats", absl::StrCat("worst ", worst));
}

TEST_F(GpuTrialTest, AccumulationInPiecesIsReplayedToo) {
  TrialSpec trial = SmallTrial(10);
  trial.branch_steps = {1, 10};
  trial.optimizer.clip_norm = 1e6;
  Attempt whole = Run(trial), pieces = Run(trial, With("ISOFLOP_MICRO_BATCH_LIMIT", "2"));
  EXPECT_EQ(EventsOf(pieces.Output(), "probe").at(0)["accumulation_steps"], "4");
  const double gradient = RelativeDifference(FirstMoments(pieces.checkpoint_dir + "/step-00000001"),
                                             FirstMoments(whole.checkpoint_dir + "/step-00000001"));
  const double loss = std::abs(std::stod(FinalLoss(pieces.Output())) - std::stod(FinalLoss(whole.Output())));
  EXPECT_LE(gradient, 1e-6);
  EXPECT_LE(loss, 1e-5);
  if (!HasFailure()) {
    ReportRow("GPU, accumulation 4 = 1, replayed", "first gradient 1e-6, loss 1e-5",
              absl::StrCat("gradient ", gradient, ", loss ", loss));
  }
}

}  // namespace
}  // namespace isoflop
