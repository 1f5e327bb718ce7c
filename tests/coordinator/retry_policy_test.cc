#include "coordinator/retry_policy.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace isoflop {
namespace {

using ::testing::HasSubstr;

class RetryPolicyTest : public ::testing::Test {
 protected:
  RetryDecision End(TrialOutcome outcome, AttemptEnd end = {}) {
    end.outcome = outcome;
    end.lease_number = ++lease_;
    RetryDecision decision = DecideRetry(end, budgets_, limit_, options_, counts_);
    if (decision.micro_batch_limit > 0) limit_ = decision.micro_batch_limit;
    return decision;
  }

  RetryBudgets budgets_;
  RetryCounts counts_;
  QueueOptions options_;
  int limit_ = 0;
  int64_t lease_ = 0;
};

TEST_F(RetryPolicyTest, LostIsTriedFiveTimesMoreWithDoubledWaits) {
  const absl::Duration waits[] = {absl::Seconds(10), absl::Seconds(20), absl::Seconds(40),
                                  absl::Seconds(80), absl::Seconds(160)};
  for (const absl::Duration wait : waits) {
    const RetryDecision decision = End(TrialOutcome::kLost);
    EXPECT_EQ(decision.next, TrialState::kQueued);
    EXPECT_EQ(decision.wait, wait);
    EXPECT_TRUE(decision.prefer_other_host);
  }
  const RetryDecision last = End(TrialOutcome::kLost);
  EXPECT_EQ(last.next, TrialState::kFailed);
  EXPECT_EQ(last.outcome, TrialOutcome::kLost);
  EXPECT_THAT(last.detail, HasSubstr("lost 6 times, may kill its node"));
}

TEST_F(RetryPolicyTest, WaitsEndAtTheirMost) {
  budgets_.lost = 100;
  options_.max_attempts_without_progress = 1000;
  RetryDecision decision;
  for (int i = 0; i < 30; ++i) decision = End(TrialOutcome::kLost);
  EXPECT_EQ(decision.wait, absl::Minutes(6));
}

TEST_F(RetryPolicyTest, CrashIsTriedTwiceMore) {
  EXPECT_EQ(End(TrialOutcome::kCrashed).wait, absl::Seconds(30));
  EXPECT_EQ(End(TrialOutcome::kCrashed).wait, absl::Seconds(60));
  EXPECT_EQ(End(TrialOutcome::kCrashed).next, TrialState::kFailed);
}

TEST_F(RetryPolicyTest, NoClassSpendsTheBudgetOfAnother) {
  for (int i = 0; i < 5; ++i) End(TrialOutcome::kNodeFault);
  End(TrialOutcome::kCrashed);
  End(TrialOutcome::kCrashed);
  End(TrialOutcome::kOom, {.micro_batch_sequences = 8});
  EXPECT_EQ(End(TrialOutcome::kOom, {.micro_batch_sequences = 4}).next, TrialState::kQueued);
  EXPECT_EQ(counts_.lost, 5);
  EXPECT_EQ(counts_.crashed, 2);
  EXPECT_EQ(counts_.oom, 2);
}

TEST_F(RetryPolicyTest, OutOfMemoryHalvesTheMicroBatchAndFailsAtOne) {
  EXPECT_EQ(End(TrialOutcome::kOom, {.micro_batch_sequences = 4}).micro_batch_limit, 2);
  EXPECT_EQ(End(TrialOutcome::kOom, {.micro_batch_sequences = 2}).micro_batch_limit, 1);
  const RetryDecision last = End(TrialOutcome::kOom, {.micro_batch_sequences = 1});
  EXPECT_EQ(last.next, TrialState::kFailed);
  EXPECT_THAT(last.detail, HasSubstr("micro-batch 1"));
  EXPECT_THAT(last.detail, HasSubstr("isoflop retry --slots"));
}

TEST_F(RetryPolicyTest, PreemptionIsFree) {
  for (int i = 0; i < 200; ++i) {
    const RetryDecision decision = End(TrialOutcome::kPreempted, {.got_further = true});
    ASSERT_EQ(decision.next, TrialState::kQueued);
    ASSERT_LT(decision.wait, absl::Seconds(5));
  }
  EXPECT_EQ(counts_, RetryCounts());
}

TEST_F(RetryPolicyTest, TwentyAttemptsWithoutAStepForwardAreTheEnd) {
  for (int i = 0; i < 19; ++i) ASSERT_EQ(End(TrialOutcome::kPreempted).next, TrialState::kQueued);
  EXPECT_EQ(End(TrialOutcome::kPreempted).next, TrialState::kFailed);
}

TEST_F(RetryPolicyTest, AnUnacknowledgedLeaseCostsNothingButFiveInARowStopTheTrial) {
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(End(TrialOutcome::kLost, {.was_acknowledged = false}).next, TrialState::kQueued);
  }
  EXPECT_EQ(counts_.lost, 0);
  RetryCounts acknowledged = counts_;
  std::swap(counts_, acknowledged);
  End(TrialOutcome::kPreempted);
  EXPECT_EQ(counts_.unacknowledged_in_row, 0);
  std::swap(counts_, acknowledged);
  const RetryDecision last = End(TrialOutcome::kLost, {.was_acknowledged = false});
  EXPECT_EQ(last.next, TrialState::kFailed);
  EXPECT_THAT(last.detail, HasSubstr("kill agents"));
}

TEST_F(RetryPolicyTest, ConfigFailsAtOnce) {
  EXPECT_EQ(End(TrialOutcome::kConfig).next, TrialState::kFailed);
}

TEST_F(RetryPolicyTest, DivergedIsAResult) {
  EXPECT_EQ(End(TrialOutcome::kDiverged).next, TrialState::kDiverged);
}

TEST_F(RetryPolicyTest, AResultThatComesFirstWinsOverTheWishToCancel) {
  EXPECT_EQ(End(TrialOutcome::kCompleted, {.cancel_wished = true}).next, TrialState::kCompleted);
  EXPECT_EQ(End(TrialOutcome::kPreempted, {.cancel_wished = true}).next, TrialState::kCancelled);
}

TEST_F(RetryPolicyTest, TimeoutResumesOnlyWhenItGotFurther) {
  EXPECT_EQ(End(TrialOutcome::kTimeout, {.got_further = true}).next, TrialState::kQueued);
  EXPECT_EQ(End(TrialOutcome::kTimeout, {.got_further = true}).next, TrialState::kFailed);
  counts_ = {};
  EXPECT_EQ(End(TrialOutcome::kTimeout).next, TrialState::kFailed);
}

}  // namespace
}  // namespace isoflop
