#include "worker/trainer/evaluation.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>

#include "corpus/prepare.h"

namespace isoflop {
namespace {

class EvaluationTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = testing::TempDir() + "/isoflop-evaluation-" + std::to_string(getpid());
    PrepareOptions options;
    options.synthetic = "zipf-markov:17,1.1,0.3,7,8192";
    const auto prepared = PrepareDataset(options, folder_);
    ASSERT_TRUE(prepared.ok()) << prepared.status();
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }

  void SetUp() override {
    absl::StatusOr<Dataset> dataset = Dataset::Open(folder_);
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    dataset_ = std::make_unique<Dataset>(*std::move(dataset));
    ModelShape shape;
    shape.d_model = 16;
    shape.n_layer = 1;
    shape.n_head = 2;
    shape.d_ff = 32;
    shape.vocab_size = dataset_->vocab_size();
    parameters_ = std::make_unique<Parameters>(LayOutParameters(shape, 16), at::kCPU);
    InitializeParameters(shape, 1, *parameters_);
    model_ = MakeLanguageModel(shape, 16, *parameters_, Precision::kFp32);
    solo_ = MakeSoloCommunicator();
  }

  static std::string folder_;
  std::unique_ptr<Dataset> dataset_;
  std::unique_ptr<Parameters> parameters_;
  std::unique_ptr<LanguageModel> model_;
  std::unique_ptr<Communicator> solo_;
};
std::string EvaluationTest::folder_;

TEST_F(EvaluationTest, CountsEachTargetOnceWhateverTheBatch) {
  const EvalSet set(*dataset_, 16);
  double sum = 0;
  int64_t targets = 0;
  for (int64_t window = 0; window < set.window_count(); ++window) {
    std::vector<int64_t> tokens(static_cast<size_t>(set.TargetsIn(window) + 1));
    set.FillWindow(window, std::span<int64_t>(tokens));
    const at::Tensor all = at::tensor(tokens, at::kLong).unsqueeze(0);
    const int64_t count = set.TargetsIn(window);
    sum += model_->TokenLosses(all.narrow(1, 0, count), all.narrow(1, 1, count)).sum(at::kDouble).item<double>();
    targets += count;
  }
  for (int64_t batch : {1, 7, 64}) {
    const EvalLoss loss = Evaluation(*model_, set, batch, at::kCPU, *solo_).Whole();
    EXPECT_EQ(loss.eval_tokens, targets);
    EXPECT_EQ(loss.eval_tokens, dataset_->eval_tokens() - 1);
    EXPECT_NEAR(loss.loss_nats, sum / static_cast<double>(targets), 1e-6) << batch;
    ASSERT_TRUE(loss.loss_se.has_value());
    EXPECT_GT(*loss.loss_se, 0);
  }
}

TEST_F(EvaluationTest, ALookAtAllWindowsIsTheWholeSet) {
  const EvalSet set(*dataset_, 16);
  const Evaluation evaluation(*model_, set, 32, at::kCPU, *solo_);
  const Evaluation::Glance all = evaluation.Spread(1'000'000);
  EXPECT_EQ(all.eval_tokens, set.target_count());
  EXPECT_NEAR(all.loss_nats, evaluation.Whole().loss_nats, 1e-9);
  const Evaluation::Glance some = evaluation.Spread(5);
  EXPECT_EQ(some.eval_tokens, 5 * 16);
  EXPECT_EQ(some.loss_nats, evaluation.Spread(5).loss_nats);
  EXPECT_EQ(evaluation.Spread(1).eval_tokens, 16);
}

TEST_F(EvaluationTest, ANetworkOfNansHasNoFiniteLoss) {
  const EvalSet set(*dataset_, 16);
  parameters_->weights().fill_(std::numeric_limits<float>::quiet_NaN());
  EXPECT_FALSE(std::isfinite(Evaluation(*model_, set, 32, at::kCPU, *solo_).Whole().loss_nats));
}

TEST_F(EvaluationTest, GivesASignOfLifeAfterEachBatch) {
  const EvalSet set(*dataset_, 16);
  int signs = 0;
  Evaluation(*model_, set, 8, at::kCPU, *solo_, [&] { ++signs; }).Whole();
  EXPECT_GE(signs, set.window_count() / 8);
}

}  // namespace
}  // namespace isoflop
