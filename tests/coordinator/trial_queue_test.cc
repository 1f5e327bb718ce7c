#include "coordinator/trial_queue.h"

#include <algorithm>
#include <cstdlib>
#include <random>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace isoflop {
namespace {

using ::testing::HasSubstr;

const StudyId kStudy(1);

class TrialQueueTest : public ::testing::Test {
 protected:
  TrialQueueTest() : queue_(QueueOptions(), LeaseId(100)) { queue_.PutStudy(kStudy, {}, now_); }

  void Add(int64_t id, double flops, int slots = 1) {
    queue_.AddTrial({.id = TrialId(id), .study = kStudy, .steps = 100, .flops_to_spend = flops,
                     .slots = slots},
                    {}, now_);
  }
  void AddTrunk(int64_t id, double flops, std::vector<int64_t> branch_steps) {
    queue_.AddTrial({.id = TrialId(id), .study = kStudy, .branch_steps = branch_steps,
                     .steps = 100, .flops_to_spend = flops},
                    {}, now_);
  }
  void AddBranch(int64_t id, int64_t trunk, int64_t step, double flops) {
    queue_.AddTrial({.id = TrialId(id), .study = kStudy, .parent = TrialId(trunk),
                     .branch_step = step, .steps = step + 50, .flops_to_spend = flops},
                    {}, now_);
  }
  static WorkerFacts Facts(const std::string& name, int slots, std::string store = "s") {
    WorkerFacts facts;
    facts.name = name;
    facts.host = "host-" + name;
    facts.checkpoint_store_id = std::move(store);
    for (int i = 0; i < slots; ++i) facts.slots.push_back({.index = static_cast<uint32_t>(i)});
    return facts;
  }
  // A worker `name` with instance id "i-name" says that all its slots but those
  // of its leases are free.
  absl::Status Speak(const std::string& name, int slots = 1, std::string store = "s") {
    const WorkerFacts facts = Facts(name, slots, std::move(store));
    std::set<uint32_t> free;
    for (int i = 0; i < slots; ++i) free.insert(static_cast<uint32_t>(i));
    return queue_.Renew("i-" + name, &facts, "", {}, false, free, now_);
  }
  LeaseId Lease(const std::string& name) {
    const auto lease = queue_.LeaseNext("i-" + name, now_);
    if (!lease) return LeaseId();
    queue_.Acknowledge(lease->id);
    return lease->id;
  }
  TrialId TrialOf(LeaseId lease) { return queue_.lease(lease)->trial; }
  TrialState State(int64_t trial) { return queue_.record(TrialId(trial)).state; }
  void Checkpoint(int64_t trial, int64_t step, std::string store = "s") {
    queue_.checkpoints().Add({.id = CheckpointId(++checkpoint_), .trial = TrialId(trial),
                              .step = step, .store_id = std::move(store),
                              .path = absl::StrCat("step-", step)});
    queue_.NoteCheckpoint(TrialId(trial), now_);
  }
  // Time passes in ticks of a second.
  void Pass(absl::Duration duration) {
    const absl::Time end = now_ + duration;
    while (now_ < end) {
      now_ = std::min(end, now_ + absl::Seconds(1));
      queue_.Expire(now_);
    }
  }

  absl::Time now_ = absl::UnixEpoch();
  TrialQueue queue_;
  int64_t checkpoint_ = 0;
};

TEST_F(TrialQueueTest, LeasesTheLargestTrialFirst) {
  Add(1, 10);
  Add(2, 30);
  Add(3, 20);
  ASSERT_TRUE(Speak("a", 3).ok());
  EXPECT_EQ(TrialOf(Lease("a")), TrialId(2));
  EXPECT_EQ(TrialOf(Lease("a")), TrialId(3));
  EXPECT_EQ(TrialOf(Lease("a")), TrialId(1));
  EXPECT_FALSE(Lease("a").is_set());
}

TEST_F(TrialQueueTest, ATrunkWithALongBranchStartsBeforeALargerSingle) {
  Add(1, 25);
  AddTrunk(2, 20, {50});
  AddBranch(3, 2, 50, 10);
  ASSERT_TRUE(Speak("a", 2).ok());
  EXPECT_EQ(TrialOf(Lease("a")), TrialId(2));
  EXPECT_EQ(TrialOf(Lease("a")), TrialId(1));
}

TEST_F(TrialQueueTest, ABranchWaitsForItsTrunksCheckpointAtItsVeryStep) {
  AddTrunk(1, 20, {40, 80});
  AddBranch(2, 1, 40, 5);
  AddBranch(3, 1, 80, 5);
  EXPECT_EQ(State(2), TrialState::kBlocked);
  EXPECT_THAT(queue_.WhyWaits(TrialId(2), now_), HasSubstr("trunk 1, its step 40"));
  ASSERT_TRUE(Speak("a", 3).ok());
  Lease("a");
  Checkpoint(1, 30);
  EXPECT_EQ(State(2), TrialState::kBlocked);
  Checkpoint(1, 40);
  EXPECT_EQ(State(2), TrialState::kQueued);
  EXPECT_EQ(State(3), TrialState::kBlocked);
  const auto lease = queue_.LeaseNext("i-a", now_);
  ASSERT_TRUE(lease.has_value());
  EXPECT_EQ(lease->trial, TrialId(2));
  EXPECT_EQ(lease->resume->trial, TrialId(1));
  EXPECT_EQ(lease->resume->step, 40);
}

TEST_F(TrialQueueTest, ATrunkThatEndedForGoodFailsOnlyBranchesWithoutTheirPoint) {
  AddTrunk(1, 20, {40, 80});
  AddBranch(2, 1, 40, 5);
  AddBranch(3, 1, 80, 5);
  ASSERT_TRUE(Speak("a").ok());
  const LeaseId lease = Lease("a");
  Checkpoint(1, 40);
  ASSERT_TRUE(queue_.Finish(lease, {.outcome = TrialOutcome::kConfig, .detail = "bad"}, now_).ok());
  EXPECT_EQ(State(1), TrialState::kFailed);
  EXPECT_EQ(State(2), TrialState::kQueued);
  EXPECT_EQ(State(3), TrialState::kFailed);
  EXPECT_EQ(queue_.record(TrialId(3)).detail, "trunk 1 failed");
  // A retry of the trunk takes with it those that suffered from its end.
  EXPECT_TRUE(queue_.Retry(TrialId(1), 0, now_));
  EXPECT_EQ(State(1), TrialState::kQueued);
  EXPECT_EQ(State(3), TrialState::kBlocked);
  queue_.CheckInvariantsForTesting();
}

TEST_F(TrialQueueTest, ATrunkThatEndsWithoutABranchPointHasCrashed) {
  AddTrunk(1, 20, {40});
  AddBranch(2, 1, 40, 5);
  ASSERT_TRUE(Speak("a").ok());
  ASSERT_TRUE(queue_.Finish(Lease("a"), {.outcome = TrialOutcome::kCompleted}, now_).ok());
  EXPECT_EQ(State(1), TrialState::kQueued);
  EXPECT_EQ(queue_.record(TrialId(1)).counts.crashed, 1);
}

TEST_F(TrialQueueTest, ABranchPointThatIsGoneQueuesItsTrunkAgainFromBelowIt) {
  AddTrunk(1, 20, {40});
  AddBranch(2, 1, 40, 5);
  ASSERT_TRUE(Speak("a").ok());
  const LeaseId trunk = Lease("a");
  for (int64_t step : {20, 40, 60, 80}) Checkpoint(1, step);
  ASSERT_TRUE(queue_.Finish(trunk, {.outcome = TrialOutcome::kCompleted}, now_).ok());
  queue_.Cancel(TrialId(2), "cancelled", now_);  // so its point is expendable
  EXPECT_TRUE(queue_.Retry(TrialId(2), 0, now_));
  EXPECT_EQ(State(1), TrialState::kQueued);
  EXPECT_EQ(State(2), TrialState::kBlocked);
  ASSERT_TRUE(Speak("a").ok());
  const auto lease = queue_.LeaseNext("i-a", now_);
  ASSERT_TRUE(lease.has_value());
  EXPECT_FALSE(lease->resume.has_value()) << "step 80 is beyond the point that is owed";
}

TEST_F(TrialQueueTest, FinishIsTakenOnceAndASecondOneIsStale) {
  Add(1, 10);
  ASSERT_TRUE(Speak("a").ok());
  const LeaseId lease = Lease("a");
  EXPECT_TRUE(queue_.Finish(lease, {.outcome = TrialOutcome::kCompleted}, now_).ok());
  EXPECT_EQ(queue_.Finish(lease, {.outcome = TrialOutcome::kDiverged}, now_).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(State(1), TrialState::kCompleted);
}

TEST_F(TrialQueueTest, ASuspectWorkerGetsNothingNewAndKeepsWhatItHas) {
  Add(1, 10);
  Add(2, 5);
  ASSERT_TRUE(Speak("a", 2).ok());
  const LeaseId lease = Lease("a");
  Pass(absl::Seconds(46));
  EXPECT_TRUE(queue_.IsSuspect("i-a", now_));
  EXPECT_FALSE(Lease("a").is_set());
  EXPECT_NE(queue_.lease(lease), nullptr);
}

TEST_F(TrialQueueTest, ALostWorkersTrialIsGrantableAndItsLeaseEndsWithTheNextGrant) {
  Add(1, 10);
  ASSERT_TRUE(Speak("a").ok());
  const LeaseId old = Lease("a");
  Pass(absl::Seconds(301));
  EXPECT_NE(queue_.lease(old), nullptr);
  ASSERT_TRUE(Speak("b").ok());
  const LeaseId next = Lease("b");
  ASSERT_TRUE(next.is_set());
  EXPECT_GT(next, old);
  EXPECT_EQ(queue_.lease(old), nullptr);
  EXPECT_EQ(queue_.record(TrialId(1)).counts.lost, 1);
  EXPECT_EQ(queue_.Finish(old, {.outcome = TrialOutcome::kCompleted}, now_).code(),
            absl::StatusCode::kFailedPrecondition);
  queue_.CheckInvariantsForTesting();
}

TEST_F(TrialQueueTest, WhoComesBackBeforeTheNextGrantGoesOnAndItsResultCounts) {
  Add(1, 10);
  ASSERT_TRUE(Speak("a").ok());
  const LeaseId lease = Lease("a");
  Pass(absl::Seconds(400));
  ASSERT_TRUE(Speak("a").ok());
  queue_.CheckInvariantsForTesting();
  ASSERT_TRUE(Speak("b").ok());
  EXPECT_FALSE(Lease("b").is_set());
  EXPECT_TRUE(queue_.Finish(lease, {.outcome = TrialOutcome::kCompleted}, now_).ok());
  EXPECT_EQ(queue_.record(TrialId(1)).counts.lost, 0);
}

TEST_F(TrialQueueTest, AnOrphanEndsAfterItsLimit) {
  Add(1, 10);
  ASSERT_TRUE(Speak("a").ok());
  const LeaseId lease = Lease("a");
  Pass(absl::Hours(2) + absl::Seconds(2));
  EXPECT_EQ(queue_.lease(lease), nullptr);
  EXPECT_EQ(State(1), TrialState::kQueued);
}

TEST_F(TrialQueueTest, ALateTickMovesEveryDeadline) {
  Add(1, 10);
  ASSERT_TRUE(Speak("a").ok());
  const LeaseId lease = Lease("a");
  Pass(absl::Seconds(5));
  now_ += absl::Hours(3);  // a suspended laptop
  queue_.Expire(now_);
  ASSERT_TRUE(Speak("b").ok());
  EXPECT_FALSE(Lease("b").is_set());
  EXPECT_NE(queue_.lease(lease), nullptr);
  EXPECT_FALSE(queue_.IsSuspect("i-a", now_));
}

TEST_F(TrialQueueTest, ANewInstanceProvesTheOldOneDead) {
  Add(1, 10);
  Add(2, 5);
  ASSERT_TRUE(Speak("a", 2).ok());
  const LeaseId first = Lease("a");
  const LeaseId second = Lease("a");
  const WorkerFacts facts = Facts("a", 2);
  // It found the second lease's spool.
  ASSERT_TRUE(queue_.Renew("i-a2", &facts, "i-a", {second}, false, {0, 1}, now_).ok());
  EXPECT_EQ(queue_.lease(first), nullptr);
  EXPECT_EQ(State(1), TrialState::kQueued);
  EXPECT_EQ(queue_.record(TrialId(1)).counts.lost, 1);
  ASSERT_NE(queue_.lease(second), nullptr);
  EXPECT_EQ(queue_.lease(second)->instance, "i-a2");
  EXPECT_EQ(queue_.lease(second)->wish, LeaseWish::kStop);
  EXPECT_TRUE(queue_.Finish(second, {.outcome = TrialOutcome::kCompleted}, now_).ok());
  // The old one is refused for good.
  EXPECT_EQ(queue_.Renew("i-a", &facts, "", {}, false, {}, now_).code(),
            absl::StatusCode::kFailedPrecondition);
  queue_.CheckInvariantsForTesting();
}

TEST_F(TrialQueueTest, ANameInUseOnAnotherHostIsRefused) {
  ASSERT_TRUE(Speak("a").ok());
  WorkerFacts copy = Facts("a", 1);
  copy.host = "elsewhere";
  const absl::Status status = queue_.Renew("i-copy", &copy, "", {}, false, {0}, now_);
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(status.message()), HasSubstr("host-a"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("--name"));
}

TEST_F(TrialQueueTest, ARecoveredLeaseHasAFullTimerAndTheGrace) {
  queue_.AddTrial({.id = TrialId(1), .study = kStudy, .steps = 100, .flops_to_spend = 1},
                  {.state = TrialState::kLeased, .attempts = 1, .lease = LeaseId(7)}, now_);
  LeaseRecord lease{.id = LeaseId(7), .trial = TrialId(1), .instance = "i-a", .worker = "a",
                    .attempt = 1, .slots = {0}, .acknowledged = true};
  queue_.AddRecoveredLease(lease, "host-a", now_);
  ASSERT_TRUE(Speak("b").ok());
  Pass(absl::Seconds(340));
  ASSERT_TRUE(Speak("b").ok());
  EXPECT_FALSE(Lease("b").is_set());
  Pass(absl::Seconds(22));
  ASSERT_TRUE(Speak("b").ok());
  EXPECT_TRUE(Lease("b").is_set());
}

TEST_F(TrialQueueTest, NothingOfAPausedStudyIsLeased) {
  Add(1, 10);
  queue_.PutStudy(kStudy, {.paused = true}, now_);
  ASSERT_TRUE(Speak("a").ok());
  EXPECT_FALSE(Lease("a").is_set());
  EXPECT_EQ(queue_.WhyWaits(TrialId(1), now_), "its study, which is paused");
  queue_.PutStudy(kStudy, {}, now_);
  EXPECT_TRUE(Lease("a").is_set());
}

TEST_F(TrialQueueTest, AnUnacknowledgedLeaseOfAPausedStudyIsWithdrawnFreeOfCharge) {
  Add(1, 10);
  ASSERT_TRUE(Speak("a").ok());
  const auto lease = queue_.LeaseNext("i-a", now_);
  EXPECT_FALSE(queue_.MaybeWithdraw(lease->id, now_));
  queue_.PutStudy(kStudy, {.paused = true}, now_);
  EXPECT_TRUE(queue_.MaybeWithdraw(lease->id, now_));
  EXPECT_EQ(State(1), TrialState::kQueued);
  EXPECT_EQ(queue_.record(TrialId(1)).counts, RetryCounts());
}

TEST_F(TrialQueueTest, CancelWaitsForTheWorkerAndAResultThatComesFirstWins) {
  Add(1, 10);
  Add(2, 5);
  Add(3, 1);
  ASSERT_TRUE(Speak("a", 2).ok());
  const LeaseId first = Lease("a");
  const LeaseId second = Lease("a");
  for (int64_t id : {1, 2, 3}) EXPECT_TRUE(queue_.Cancel(TrialId(id), "cancelled", now_));
  EXPECT_EQ(State(3), TrialState::kCancelled);
  EXPECT_EQ(State(1), TrialState::kLeased);
  EXPECT_EQ(queue_.lease(first)->wish, LeaseWish::kStop);
  ASSERT_TRUE(queue_.Finish(first, {.outcome = TrialOutcome::kCompleted}, now_).ok());
  ASSERT_TRUE(queue_.Finish(second, {.outcome = TrialOutcome::kPreempted}, now_).ok());
  EXPECT_EQ(State(1), TrialState::kCompleted);
  EXPECT_EQ(State(2), TrialState::kCancelled);
}

TEST_F(TrialQueueTest, ANodeFaultKeepsTheTrialFromThatHost) {
  Add(1, 10);
  ASSERT_TRUE(Speak("a").ok());
  ASSERT_TRUE(queue_.Finish(Lease("a"), {.outcome = TrialOutcome::kNodeFault}, now_).ok());
  Pass(absl::Seconds(11));
  ASSERT_TRUE(Speak("a").ok());
  EXPECT_FALSE(Lease("a").is_set());
  EXPECT_THAT(queue_.WhyWaits(TrialId(1), now_), HasSubstr("host host-a had a fault"));
  ASSERT_TRUE(Speak("b").ok());
  EXPECT_TRUE(Lease("b").is_set());
}

TEST_F(TrialQueueTest, ACrashPrefersAnotherHostAndWaits) {
  Add(1, 10);
  ASSERT_TRUE(Speak("a").ok());
  ASSERT_TRUE(queue_.Finish(Lease("a"), {.outcome = TrialOutcome::kCrashed}, now_).ok());
  EXPECT_THAT(queue_.WhyWaits(TrialId(1), now_), HasSubstr("its next attempt, in 30s"));
  Pass(absl::Seconds(31));
  ASSERT_TRUE(Speak("a").ok());
  ASSERT_TRUE(Speak("b").ok());
  EXPECT_FALSE(Lease("a").is_set());
  EXPECT_TRUE(Lease("b").is_set());
}

TEST_F(TrialQueueTest, WhatFitsNowhereSaysWhyByNumber) {
  queue_.AddTrial({.id = TrialId(1), .study = kStudy, .steps = 1, .flops_to_spend = 1,
                   .memory_bytes_per_slot = 91.0 * (1 << 30)},
                  {}, now_);
  WorkerFacts facts = Facts("a", 1);
  facts.slots[0].memory_bytes = int64_t{80} << 30;
  ASSERT_TRUE(queue_.Renew("i-a", &facts, "", {}, false, {0}, now_).ok());
  EXPECT_FALSE(Lease("a").is_set());
  EXPECT_THAT(queue_.WhyWaits(TrialId(1), now_),
              HasSubstr("needs 91 GiB a slot, the largest has 80 GiB"));
  Add(2, 1, 4);
  EXPECT_THAT(queue_.WhyWaits(TrialId(2), now_),
              HasSubstr("needs 4 slots of one worker, the largest has 1"));
}

TEST_F(TrialQueueTest, StudiesShareByLeasedSlots) {
  const StudyId other(2);
  queue_.PutStudy(other, {}, now_);
  for (int64_t id = 1; id <= 4; ++id) Add(id, 100);
  for (int64_t id = 11; id <= 14; ++id) {
    queue_.AddTrial({.id = TrialId(id), .study = other, .steps = 1, .flops_to_spend = 1}, {}, now_);
  }
  ASSERT_TRUE(Speak("a", 4).ok());
  int of_other = 0;
  for (int i = 0; i < 4; ++i) of_other += queue_.lease(Lease("a"))->study == other;
  EXPECT_EQ(of_other, 2);
}

TEST_F(TrialQueueTest, ACheckpointInAStoreThatNobodyHasIsWaitedForAndThenGivenUp) {
  Add(1, 10);
  ASSERT_TRUE(Speak("a", 1, "store-a").ok());
  const LeaseId lease = Lease("a");
  Checkpoint(1, 50, "store-a");
  ASSERT_TRUE(queue_.Finish(lease, {.outcome = TrialOutcome::kPreempted}, now_).ok());
  Pass(absl::Seconds(10));
  ASSERT_TRUE(Speak("b", 1, "store-b").ok());
  EXPECT_FALSE(Lease("b").is_set());
  EXPECT_THAT(queue_.WhyWaits(TrialId(1), now_), HasSubstr("a free slot"));
  Pass(absl::Hours(2) + absl::Seconds(1));  // store-a's worker is forgotten
  ASSERT_TRUE(Speak("b", 1, "store-b").ok());
  const auto again = queue_.LeaseNext("i-b", now_);
  ASSERT_TRUE(again.has_value());
  EXPECT_FALSE(again->resume.has_value());
}

TEST_F(TrialQueueTest, AllButTheTwoNewestCheckpointsAreCondemnedBranchPointsStay) {
  AddTrunk(1, 20, {40});
  AddBranch(2, 1, 40, 5);
  ASSERT_TRUE(Speak("a", 2).ok());
  const LeaseId trunk = Lease("a");
  for (int64_t step : {20, 40, 60, 80}) Checkpoint(1, step);
  auto expendable = queue_.checkpoints().Expendable("s", 10);
  ASSERT_EQ(expendable.size(), 1u);
  EXPECT_EQ(expendable[0].step, 20);
  const LeaseId branch = Lease("a");
  ASSERT_TRUE(queue_.Finish(trunk, {.outcome = TrialOutcome::kCompleted}, now_).ok());
  EXPECT_EQ(queue_.checkpoints().Expendable("s", 10).size(), 2u);  // 20 and 60; 80 is its last
  ASSERT_TRUE(queue_.Finish(branch, {.outcome = TrialOutcome::kCompleted}, now_).ok());
  expendable = queue_.checkpoints().Expendable("s", 10);
  ASSERT_EQ(expendable.size(), 3u);  // the branch point too
  EXPECT_EQ(queue_.checkpoints().Deleted("s", {expendable[0].id, CheckpointId(999)}).size(), 1u);
  EXPECT_EQ(queue_.checkpoints().Expendable("s", 10).size(), 2u);
}

// Random walks: workers speak, vanish, come back as new instances; attempts end
// in every class; people pause, cancel and retry. After every step the
// invariants of the queue hold; once faults stop, every trial ends.
class QueueWalk : public ::testing::TestWithParam<int> {};

TEST_P(QueueWalk, KeepsItsInvariantsAndEndsEveryTrial) {
  const char* replay = std::getenv("ISOFLOP_WALK_SEED");
  const int seed = replay != nullptr ? std::atoi(replay) : GetParam();
  SCOPED_TRACE(absl::StrCat("ISOFLOP_WALK_SEED=", seed));
  std::mt19937 random(static_cast<unsigned>(seed));
  auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };

  absl::Time now = absl::UnixEpoch();
  QueueOptions options;
  TrialQueue queue(options, LeaseId(1));
  std::vector<TrialId> trials;
  std::map<TrialId, int> finals;       // accepted since the budget was last fresh
  std::map<TrialId, LeaseId> current;  // the model: who may write
  std::set<LeaseId> ended;
  LeaseId last_lease;
  int64_t checkpoints = 0;
  for (int64_t study = 1; study <= 2; ++study) {
    queue.PutStudy(StudyId(study), {}, now);
    for (int t = 0; t < 6; ++t) {
      const TrialId trunk(static_cast<int64_t>(trials.size()) + 1);
      queue.AddTrial({.id = trunk, .study = StudyId(study), .branch_steps = {40, 80}, .steps = 80,
                      .flops_to_spend = 1.0 + pick(100), .slots = 1 + pick(2)},
                     {}, now);
      trials.push_back(trunk);
      for (int64_t step : {40, 80}) {
        const TrialId branch(static_cast<int64_t>(trials.size()) + 1);
        queue.AddTrial({.id = branch, .study = StudyId(study), .parent = trunk,
                        .branch_step = step, .steps = step + 20, .flops_to_spend = 1.0 + pick(100)},
                       {}, now);
        trials.push_back(branch);
      }
    }
  }
  struct Agent {
    int instance = 0;
    bool alive = true;
    bool spoke = false;
    std::string previous;
    std::set<LeaseId> held;
    std::map<LeaseId, std::set<uint32_t>> slots;
  };
  std::vector<Agent> agents(4);
  auto instance = [](size_t a, int n) { return absl::StrCat("a", a, "#", n); };
  auto absorb = [&] {
    for (const QueueChange& change : queue.TakeChanges()) {
      if (const auto* granted = std::get_if<LeaseGranted>(&change)) {
        ASSERT_GT(granted->lease, last_lease) << "lease ids rise";
        last_lease = granted->lease;
      } else if (const auto* gone = std::get_if<LeaseEnded>(&change)) {
        ASSERT_TRUE(ended.insert(gone->lease.id).second) << "a lease ends once";
      } else if (const auto* changed = std::get_if<TrialChanged>(&change)) {
        (void)changed;
      }
    }
    queue.CheckInvariantsForTesting();
  };
  auto speak = [&](size_t a, bool grant) {
    Agent& agent = agents[a];
    WorkerFacts facts;
    facts.name = absl::StrCat("w", a);
    facts.host = absl::StrCat("h", a / 2);
    facts.checkpoint_store_id = "shared";
    for (uint32_t i = 0; i < 3; ++i) facts.slots.push_back({.index = i});
    std::set<uint32_t> free = {0, 1, 2};
    for (const LeaseId id : agent.held) {
      for (const uint32_t slot : agent.slots[id]) free.erase(slot);
    }
    const absl::Status status = queue.Renew(instance(a, agent.instance), &facts, agent.previous, {},
                                            false, free, now);
    ASSERT_TRUE(status.ok()) << status;
    agent.previous.clear();
    agent.spoke = true;
    for (auto it = agent.held.begin(); it != agent.held.end();) {
      const LeaseRecord* lease = queue.lease(*it);
      if (lease == nullptr || lease->instance != instance(a, agent.instance)) {
        it = agent.held.erase(it);  // settled
        continue;
      }
      queue.Acknowledge(*it);
      ++it;
    }
    for (const LeaseId id : queue.LeasesOf(instance(a, agent.instance))) {
      if (agent.held.count(id) != 0) continue;
      if (queue.MaybeWithdraw(id, now)) continue;
      if (pick(4) != 0) {  // else the answer is lost
        const LeaseRecord told = queue.LeaseToTell(id);
        agent.held.insert(id);
        agent.slots[id] = {told.slots.begin(), told.slots.end()};
      }
    }
    while (grant) {
      const auto lease = queue.LeaseNext(instance(a, agent.instance), now);
      if (!lease) break;
      if (queue.facts(lease->trial).parent) {
        ASSERT_TRUE(lease->resume.has_value()) << "a branch starts from a checkpoint";
        ASSERT_TRUE(lease->resume->trial == lease->trial ||
                    lease->resume->step == queue.facts(lease->trial).branch_step);
      }
      if (pick(8) == 0) continue;  // the answer is lost
      agent.held.insert(lease->id);
      agent.slots[lease->id] = {lease->slots.begin(), lease->slots.end()};
    }
  };
  auto checkpoint = [&](TrialId trial, int64_t step) {
    queue.checkpoints().Add({.id = CheckpointId(++checkpoints), .trial = trial, .step = step,
                             .store_id = "shared", .path = absl::StrCat(checkpoints)});
    queue.NoteCheckpoint(trial, now);
  };
  auto finish = [&](LeaseId id, TrialOutcome outcome) {
    const LeaseRecord* lease = queue.lease(id);
    const bool live = lease != nullptr;
    const TrialId trial = live ? lease->trial : TrialId();
    if (live && outcome == TrialOutcome::kCompleted) {
      for (const int64_t step : queue.facts(trial).branch_steps) checkpoint(trial, step);
    }
    const absl::Status status = queue.Finish(id, {.outcome = outcome, .detail = "walk",
                                                  .micro_batch_sequences = 8}, now);
    ASSERT_EQ(status.ok(), live) << "only a live lease finishes";
    if (live && queue.record(trial).state == TrialState::kCompleted) {
      ASSERT_LE(++finals[trial], 1) << "one final result a trial";
    }
  };
  constexpr TrialOutcome kEnds[] = {
      TrialOutcome::kCompleted, TrialOutcome::kCompleted,  TrialOutcome::kCompleted,
      TrialOutcome::kPreempted, TrialOutcome::kCrashed,    TrialOutcome::kLost,
      TrialOutcome::kOom,       TrialOutcome::kNodeFault,  TrialOutcome::kTimeout,
      TrialOutcome::kDiverged,  TrialOutcome::kConfig};
  for (int step = 0; step < 1500; ++step) {
    now += absl::Milliseconds(pick(3000));
    queue.Expire(now);
    const size_t a = static_cast<size_t>(pick(4));
    Agent& agent = agents[a];
    switch (pick(12)) {
      case 0:  // kill -9 and a successor
        // The spool remembers the last instance that was heard.
        if (agent.spoke) agent.previous = instance(a, agent.instance);
        agent.spoke = false;
        ++agent.instance;
        agent.held.clear();
        agent.slots.clear();
        agent.alive = pick(3) != 0;
        break;
      case 1:
        agent.alive = !agent.alive;  // parted; it keeps what it holds
        break;
      case 2:
      case 3:
      case 4:
        if (!agent.held.empty()) {
          const LeaseId id = *agent.held.begin();
          if (const LeaseRecord* lease = queue.lease(id); lease && pick(2) == 0) {
            checkpoint(lease->trial, queue.facts(lease->trial).branch_step + 1 + pick(19));
          }
          if (agent.alive) {
            finish(id, kEnds[pick(std::size(kEnds))]);
            if (pick(3) == 0) finish(id, kEnds[pick(std::size(kEnds))]);  // said again
            agent.held.erase(id);
          }
        }
        break;
      case 5:
        queue.PutStudy(StudyId(1 + pick(2)), {.paused = pick(2) == 0}, now);
        break;
      case 6: {
        const TrialId trial = trials[static_cast<size_t>(pick(static_cast<int>(trials.size())))];
        if (pick(4) == 0) queue.Cancel(trial, "cancelled", now);
        break;
      }
      case 7: {
        const TrialId trial = trials[static_cast<size_t>(pick(static_cast<int>(trials.size())))];
        if (queue.record(trial).state != TrialState::kCompleted) queue.Retry(trial, 0, now);
        break;
      }
      default:
        if (agent.alive) speak(a, true);
    }
    // A trunk that runs again for its branches has a fresh budget.
    for (const TrialId trial : trials) {
      if (queue.record(trial).state != TrialState::kCompleted) finals[trial] = 0;
    }
    absorb();
    if (HasFatalFailure()) return;
  }
  // Faults stop: within a bounded time all are final.
  for (int64_t study = 1; study <= 2; ++study) queue.PutStudy(StudyId(study), {}, now);
  for (int round = 0; round < 6000; ++round) {
    now += absl::Seconds(1);
    queue.Expire(now);
    for (size_t a = 0; a < agents.size(); ++a) {
      agents[a].alive = true;
      speak(a, true);
      const std::set<LeaseId> held = agents[a].held;
      for (const LeaseId id : held) {
        if (const LeaseRecord* lease = queue.lease(id); lease != nullptr) {
          finish(id, lease->wish == LeaseWish::kRun ? TrialOutcome::kCompleted
                                                    : TrialOutcome::kPreempted);
        }
        agents[a].held.erase(id);
      }
      absorb();
      if (HasFatalFailure()) return;
    }
    if (std::all_of(trials.begin(), trials.end(),
                    [&](TrialId t) { return IsFinal(queue.record(t).state); })) {
      break;
    }
  }
  for (const TrialId trial : trials) {
    EXPECT_TRUE(IsFinal(queue.record(trial).state))
        << "trial " << trial.value() << " waits for " << queue.WhyWaits(trial, now) << "\n"
        << queue.DebugString(now);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, QueueWalk, ::testing::Range(1, 61));

}  // namespace
}  // namespace isoflop
