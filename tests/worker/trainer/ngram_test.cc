// Baselines as whole trials: counted by the program, measured on the frozen set.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <map>

#include "absl/strings/str_cat.h"
#include "corpus/batch_order.h"
#include "corpus/dataset.h"
#include "corpus/eval_set.h"
#include "corpus/prepare.h"
#include "tests/worker/trainer/trial_harness.h"

namespace isoflop {
namespace {

using testing::HasSubstr;

class NgramRunTest : public TrialTest {
 protected:
  static TrialSpec Baseline(int64_t order, Smoothing smoothing, int64_t steps) {
    TrialSpec trial = SmallTrial();
    trial.model = ModelShape{};
    trial.model.family = Family::kNgram;
    trial.model.vocab_size = 61;
    trial.model.ngram_order = order;
    trial.model.ngram_smoothing = smoothing;
    if (smoothing == Smoothing::kAddK) trial.model.ngram_add_k = 1;
    trial.batch_sequences = 1;
    trial.steps = steps;
    trial.schedule = ScheduleSpec{};
    trial.schedule.kind = ScheduleKind::kConstant;
    trial.branch_steps.clear();
    return trial;
  }
};

// The same loss from a table of bigrams that is filled here.
TEST_F(NgramRunTest, TheLossIsThatOfATableOfItsWindows) {
  const TrialSpec trial = Baseline(2, Smoothing::kAddK, 500);
  Attempt attempt = Run(trial);
  const EventFields final = EventsOf(attempt.Output(), "final").at(0);
  EXPECT_EQ(final["tokens_trained"], absl::StrCat(500 * 32));
  EXPECT_EQ(final["eval_tokens"], absl::StrCat(eval_tokens_ - 1));
  EXPECT_EQ(final.Number("flops_exact"), 0);

  const auto dataset = Dataset::Open(dataset_path_);
  ASSERT_TRUE(dataset.ok());
  const BatchOrder order(WindowCount(dataset->train_tokens(), 32), dataset->dataset_sha256(), 1);
  std::map<std::pair<int64_t, int64_t>, double> pairs;
  std::map<int64_t, double> singles;
  for (int64_t sample = 0; sample < 500; ++sample) {
    std::vector<int64_t> window(33);
    dataset->FillWindow(order.WindowOfSample(sample), 32, std::span<int64_t>(window));
    for (size_t i = 1; i < window.size(); ++i) {
      ++pairs[{window[i - 1], window[i]}];
      ++singles[window[i - 1]];
    }
  }
  const EvalSet set(*dataset, 32);
  double sum = 0;
  for (int64_t at = 0; at < set.window_count(); ++at) {
    std::vector<int64_t> window(static_cast<size_t>(set.TargetsIn(at)) + 1);
    set.FillWindow(at, std::span<int64_t>(window));
    for (size_t i = 1; i < window.size(); ++i) {
      sum -= std::log((pairs[{window[i - 1], window[i]}] + 1) / (singles[window[i - 1]] + 61));
    }
  }
  EXPECT_NEAR(final.Number("final_loss_nats"), sum / static_cast<double>(set.target_count()), 1e-12);
}

// The source has one token of memory: bigrams come near its exact entropy, orders
// above have nothing to add.
TEST_F(NgramRunTest, OrdersComeDownToTheExactEntropyAndNotBelow) {
  const auto dataset = Dataset::Open(dataset_path_);
  ASSERT_TRUE(dataset.ok());
  const double exact = dataset->entropy_rate_nats().value();
  std::map<int64_t, double> loss;
  for (const int64_t order : {1, 2, 3, 5}) {
    const int64_t all = WindowCount(train_tokens_, 32);
    const EventFields final = EventsOf(Run(Baseline(order, Smoothing::kKneserNey, all)).Output(), "final").at(0);
    loss[order] = final.Number("final_loss_nats");
    EXPECT_GT(loss[order], exact - 4 * final.Number("final_loss_se")) << order;
  }
  EXPECT_GT(loss[1], loss[2] + 0.01);
  EXPECT_NEAR(loss[2], exact, 0.05);
}

TEST_F(NgramRunTest, MoreTokensLoseLess) {
  double before = INFINITY;
  for (const int64_t steps : {50, 500, 5000}) {
    const double loss =
        EventsOf(Run(Baseline(2, Smoothing::kAbsoluteDiscount, steps)).Output(), "final").at(0).Number("final_loss_nats");
    EXPECT_LT(loss, before);
    before = loss;
  }
}

TEST_F(NgramRunTest, SigtermGivesTheLeaseBack) {
  // A text that takes a while to count.
  const std::string folder = absl::StrCat(folder_, "/long");
  PrepareOptions prepare;
  prepare.synthetic = "zipf-markov:4096,1.01,0.9,1,20000000";
  const auto prepared = PrepareDataset(prepare, folder);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  TrialSpec trial = Baseline(5, Smoothing::kKneserNey, 500'000);
  trial.model.vocab_size = 4096;
  trial.data.dataset_sha256.clear();
  trial.data.eval_sha256.clear();
  RunOptions options;
  options.environment["ISOFLOP_DATA"] = prepared->path;
  Attempt attempt = Start(trial, options);
  ASSERT_TRUE(attempt.ranks[0].WaitForText("\"event\":\"started\"")) << attempt.Everything();
  attempt.ranks[0].Signal(SIGTERM);
  EXPECT_EQ(attempt.Wait().at(0), 85) << attempt.Everything();
  EXPECT_TRUE(EventsOf(attempt.Output(), "final").empty());
}

TEST_F(NgramRunTest, TwoRanksAreRefused) {
  RunOptions options;
  options.world = 2;
  Attempt attempt = Run(Baseline(2, Smoothing::kKneserNey, 10), options, 78);
  EXPECT_THAT(attempt.Everything(), HasSubstr("counted by one rank"));
}

}  // namespace
}  // namespace isoflop
