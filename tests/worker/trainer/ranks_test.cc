// Trials on one rank, on two, in pieces: the same numbers; and one rank in
// trouble: the attempt ends in seconds with the right code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "study/trial_text.h"
#include "tests/worker/trainer/trial_harness.h"

namespace isoflop {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class RanksTest : public TrialTest {
 protected:
  // Ten steps with a checkpoint after the first, whose first moments are the first
  // gradient (times 1 - beta1), and one after the last.
  static TrialSpec TenSteps() {
    TrialSpec trial = SmallTrial(10);
    trial.branch_steps = {1, 10};
    trial.optimizer.clip_norm = 1e6;  // the gradient itself
    return trial;
  }

  struct Comparison {
    double gradient = 0;  // relative L2
    double loss = 0;      // nats, evaluated after the last step
  };
  static Comparison Compare(const Attempt& a, const Attempt& b) {
    const auto loss = [](const Attempt& attempt) { return EventsOf(attempt.Output(), "final").at(0).Number("final_loss_nats"); };
    return {RelativeDifference(FirstMoments(a.checkpoint_dir + "/step-00000001"), FirstMoments(b.checkpoint_dir + "/step-00000001")),
            std::abs(loss(a) - loss(b))};
  }
  void ExpectAlike(const std::string& what, const Attempt& a, const Attempt& b) {
    const Comparison comparison = Compare(a, b);
    EXPECT_LT(comparison.gradient, 1e-6) << what;
    EXPECT_LT(comparison.loss, 1e-5) << what;
    if (HasFailure()) return;
    ReportRow(what, "first gradient 1e-6 relative (L2), loss after 10 steps 1e-5",
              absl::StrCat("gradient ", comparison.gradient, ", loss ", comparison.loss));
  }

  // Kills the others as the agent does when `first` has ended; all must be gone 5 s
  // after it.
  void ExpectAllGone(Attempt& attempt, size_t first, ExitStatus status) {
    ASSERT_EQ(attempt.ranks[first].Wait(), status) << attempt.Everything();
    const absl::Time ended = absl::Now();
    for (ChildProcess& rank : attempt.ranks) rank.Signal(SIGKILL);
    for (ChildProcess& rank : attempt.ranks) EXPECT_TRUE(rank.Wait(absl::Seconds(5)).has_value());
    EXPECT_LT(absl::Now() - ended, absl::Seconds(5));
  }
};

TEST_F(RanksTest, TwoAndFourRanksAreOne) {
  const TrialSpec trial = TenSteps();
  Attempt one = Run(trial);
  RunOptions options;
  options.world = 2;
  Attempt two = Run(trial, options);
  ExpectAlike("world 2 (Gloo) = world 1", two, one);
  // The gradient is a sum: of a wrong one this test would not notice by itself.
  EXPECT_NE(EventsOf(one.Output(), "final").at(0)["final_loss_nats"], std::to_string(std::log(61.0)));
  options.world = 4;
  ExpectAlike("world 4 (Gloo) = world 1", Run(trial, options), one);
}

TEST_F(RanksTest, AccumulationInFourPiecesIsOne) {
  const TrialSpec trial = TenSteps();
  Attempt whole = Run(trial);
  EXPECT_EQ(EventsOf(whole.Output(), "probe").at(0)["accumulation_steps"], "1");
  RunOptions options;
  options.environment["ISOFLOP_MICRO_BATCH_LIMIT"] = "2";
  Attempt pieces = Run(trial, options);
  EXPECT_EQ(EventsOf(pieces.Output(), "probe").at(0)["accumulation_steps"], "4");
  ExpectAlike("accumulation 1 = 4", pieces, whole);
  options.world = 2;
  Attempt both = Run(trial, options);
  EXPECT_EQ(EventsOf(both.Output(), "probe").at(0)["accumulation_steps"], "2");
  ExpectAlike("accumulation 2 on world 2 = world 1", both, whole);
}

TEST_F(RanksTest, ADifferentSeedIsSeen) {
  // What the comparison above would say of another gradient.
  TrialSpec other = TenSteps();
  other.seed = 2;
  EXPECT_GT(Compare(Run(other), Run(TenSteps())).gradient, 0.1);
}

TEST_F(RanksTest, AnOomInTheProbeOfOneRankLowersAll) {
  RunOptions options;
  options.world = 2;
  options.environment["ISOFLOP_FAULT"] = "oom@probe,rank:1";
  Attempt attempt = Run(TenSteps(), options);
  const EventFields probe = EventsOf(attempt.Output(), "probe").at(0);
  EXPECT_EQ(probe["micro_batch_sequences"], "2");  // of a share of 4
  EXPECT_EQ(probe["accumulation_steps"], "2");
  Attempt one = Run(TenSteps());
  EXPECT_LT(Compare(attempt, one).gradient, 1e-6);
  if (!HasFailure()) ReportRow("one rank: OOM in the probe", "same micro-batch on all", "micro-batch 2 instead of 4 on both ranks, gradient as world 1");
}

TEST_F(RanksTest, AnOomOfOneRankLaterIs86) {
  RunOptions options;
  options.world = 2;
  options.environment["ISOFLOP_FAULT"] = "oom@step:5,rank:1";
  Attempt attempt = Start(TenSteps(), options);
  ASSERT_EQ(attempt.ranks[1].Wait(), 86) << attempt.Everything();
  const std::vector<EventFields> errors = EventsOf(attempt.ranks[1].Output(), "error");
  ASSERT_EQ(errors.size(), 1u) << attempt.Everything();
  EXPECT_EQ(errors[0]["kind"], "oom");
  EXPECT_EQ(errors[0]["rank"], "1");
  // Without an agent the other one ends by itself: the connection is lost.
  const absl::Time ended = absl::Now();
  EXPECT_EQ(attempt.ranks[0].Wait(absl::Seconds(30)), 75) << attempt.Everything();
  const absl::Duration took = absl::Now() - ended;
  if (!HasFailure()) {
    ReportRow("one rank: OOM later", "86; nothing of the trial alive after 5 s",
              absl::StrCat("86 of rank 1, rank 0 ended by itself with 75 after ", absl::FormatDuration(absl::Trunc(took, absl::Milliseconds(1)))));
  }
}

TEST_F(RanksTest, AKilledRankEndsTheAttempt) {
  RunOptions options;
  options.world = 2;
  options.environment["ISOFLOP_FAULT"] = "kill@step:5,rank:1";
  Attempt attempt = Start(TenSteps(), options);
  ASSERT_EQ(attempt.ranks[1].Wait(), -SIGKILL) << attempt.Everything();
  const absl::Time killed = absl::Now();
  EXPECT_EQ(attempt.ranks[0].Wait(absl::Seconds(30)), 75) << attempt.Everything();
  const absl::Duration took = absl::Now() - killed;
  EXPECT_THAT(attempt.Output(), HasSubstr("\"kind\":\"comm\""));
  if (!HasFailure()) {
    ReportRow("one rank: killed", "nothing of the trial alive after 5 s",
              absl::StrCat("rank 0 ended by itself with 75 after ", absl::FormatDuration(absl::Trunc(took, absl::Milliseconds(1)))));
  }

  options.environment["ISOFLOP_FAULT"] = "kill@step:5,rank:0";  // the one with the store
  Attempt root = Start(TenSteps(), options);
  ASSERT_EQ(root.ranks[0].Wait(), -SIGKILL);
  EXPECT_EQ(root.ranks[1].Wait(absl::Seconds(30)), 75) << root.Everything();
}

TEST_F(RanksTest, AStoppedRankEndsTheAttemptAfterTheTimeout) {
  RunOptions options;
  options.world = 2;
  options.environment["ISOFLOP_FAULT"] = "stop@step:5,rank:1";
  options.environment["ISOFLOP_COLLECTIVE_SECONDS"] = "3";
  Attempt attempt = Start(TenSteps(), options);
  ExpectAllGone(attempt, 0, 75);
  EXPECT_THAT(attempt.Output(), HasSubstr("\"kind\":\"comm\""));
  if (!HasFailure()) ReportRow("one rank: stopped (timeout 3 s)", "nothing of the trial alive after 5 s", "rank 0 ended with 75, rank 1 by SIGKILL");
}

TEST_F(RanksTest, RanksWithTwoTrialsAreRefused) {
  RunOptions options;
  options.world = 2;
  TrialSpec other = TenSteps();
  other.optimizer.lr_peak = 0.02;
  options.trial_of_rank = {TenSteps(), other};
  Attempt attempt = Run(TenSteps(), options, 78);
  EXPECT_THAT(attempt.Output(), AllOf(HasSubstr("the trial differs between the ranks"), HasSubstr("cure:")));
  if (!HasFailure()) ReportRow("ranks with two trials", "78", "78 on both, 'the trial differs between the ranks'");
}

TEST_F(RanksTest, ABatchThatRanksDoNotDivideIsRefused) {
  RunOptions options;
  options.world = 3;
  Attempt attempt = Start(TenSteps(), options);
  for (ExitStatus status : attempt.Wait()) EXPECT_EQ(status, 78) << attempt.Everything();
  EXPECT_THAT(attempt.Output(), AllOf(HasSubstr("batch_sequences 8 is not a multiple of the 3 ranks"), HasSubstr("cure:")));
}

// Once a rank that was refused after the join tore the join of the others, which
// then told of the network instead.
TEST_F(RanksTest, ABatchThatRanksDoNotDivideIsRefusedBeforeTheRanksMeet) {
  RunOptions options;
  options.environment = {{"WORLD_SIZE", "3"}, {"LOCAL_WORLD_SIZE", "3"}, {"MASTER_PORT", "29999"}};
  Attempt attempt = Start(TenSteps(), options);  // rank 0 alone: nobody to meet
  for (ExitStatus status : attempt.Wait()) EXPECT_EQ(status, 78) << attempt.Everything();
  EXPECT_THAT(attempt.Output(), HasSubstr("batch_sequences 8 is not a multiple of the 3 ranks"));
}

TEST_F(RanksTest, ANanIsDivergenceAndWritesNull) {
  RunOptions options;
  options.environment["ISOFLOP_FAULT"] = "nan@step:3";
  options.checkpoint_seconds = 0;
  TrialSpec trial = TenSteps();
  trial.branch_steps = {2, 10};
  Attempt attempt = Run(trial, options, 87);
  const std::vector<EventFields> steps = EventsOf(attempt.Output(), "step"), errors = EventsOf(attempt.Output(), "error");
  ASSERT_FALSE(steps.empty());
  EXPECT_EQ(steps.back()["step"], "3");
  EXPECT_EQ(steps.back()["loss_nats"], "null");
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0]["kind"], "diverged");
  EXPECT_EQ(errors[0]["step"], "3");
  EXPECT_EQ(Newest({attempt.checkpoint_dir}), attempt.checkpoint_dir + "/step-00000002");
  options.world = 2;
  options.environment["ISOFLOP_FAULT"] = "nan@step:3,rank:1";
  Attempt both = Run(trial, options, 87);  // the sum is not finite on either
  if (!HasFailure()) ReportRow("NaN at step 3", "87, weights of step 2 kept, loss_nats null", "87 on one rank and on both of two, step 3 null, newest checkpoint step 2");
}

}  // namespace
}  // namespace isoflop
