// The coordinator on a virtual clock, with fake workers that speak Synchronize
// and a ledger that commits when it is told.
#include "coordinator/coordinator.h"

#include <cmath>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/convert.h"
#include "proto/study_admin.pb.h"
#include "proto/work_queue.pb.h"
#include "tests/coordinator/memory_ledger.h"

namespace isoflop {
namespace {

using ::testing::HasSubstr;

// What one call has answered so far.
template <class T>
struct Reply {
  std::optional<absl::StatusOr<T>> value;
  bool is_there() const { return value.has_value(); }
  absl::StatusCode code() const { return (*value).status().code(); }
  std::string message() const { return std::string((*value).status().message()); }
  const T& operator*() const { return **value; }
  const T* operator->() const { return &**value; }
};

PlannedTrial Trial(const std::string& name, TrialRole role = TrialRole::kSingle,
                   std::optional<size_t> parent = std::nullopt) {
  PlannedTrial trial;
  trial.text = absl::StrCat("{\"name\":\"", name, "\"}");
  trial.fingerprint = absl::StrCat("fingerprint-", name);
  trial.lineage = trial.fingerprint;
  trial.role = role;
  trial.parent = parent;
  trial.flops_to_spend = 100;
  trial.spec.steps = 100;
  trial.spec.batch_sequences = 1;
  trial.spec.sequence_length = 10;
  trial.spec.data.dataset_sha256 = "data";
  if (role == TrialRole::kTrunk) trial.spec.branch_steps = {40};
  if (role == TrialRole::kBranch) {
    trial.spec.parent_lineage = "trunk";
    trial.spec.branch_step = 40;
    trial.spec.steps = 60;
  }
  return trial;
}

class CoordinatorTest : public ::testing::Test {
 protected:
  CoordinatorTest() { Start(); }

  // A crash loses what was not committed.
  void Start() {
    coordinator_.reset();
    ledger_ = std::make_unique<MemoryLedger>(&disk_);
    const Coordinator::Clock clock = {.monotonic = [this] { return now_; },
                                      .wall = [this] { return now_; }};
    auto coordinator = Coordinator::Create({}, ledger_.get(), clock, nullptr);
    ASSERT_TRUE(coordinator.ok());
    coordinator_ = *std::move(coordinator);
  }
  void Crash() {
    ledger_->Crash();
    crashed_.push_back(std::move(ledger_));
    crashed_coordinators_.push_back(std::move(coordinator_));
    Start();
  }

  void Pass(absl::Duration duration) {
    const absl::Time end = now_ + duration;
    while (now_ < end) {
      now_ = std::min(end, now_ + absl::Seconds(1));
      coordinator_->Tick();
    }
  }

  std::shared_ptr<Reply<wire::SubmitReply>> Submit(const std::string& name,
                                                   std::vector<PlannedTrial> trials) {
    wire::SubmitHeader header;
    header.set_study_name(name);
    auto reply = std::make_shared<Reply<wire::SubmitReply>>();
    coordinator_->SubmitPlan(header, std::move(trials),
                             [reply](auto answer) { reply->value = std::move(answer); });
    return reply;
  }
  wire::SynchronizeRequest Word(const std::string& name, int slots = 1) {
    wire::SynchronizeRequest request;
    request.set_protocol_version(kProtocolVersion);
    request.set_instance_id("instance-" + name);
    request.set_sync_number(++sync_number_);
    wire::WorkerInfo* worker = request.mutable_worker();
    worker->set_name(name);
    worker->set_host("host-" + name);
    worker->set_checkpoint_store_id("store");
    for (int i = 0; i < slots; ++i) {
      worker->add_slots()->set_index(static_cast<uint32_t>(i));
      request.add_free_slots(static_cast<uint32_t>(i));
    }
    request.mutable_wait()->set_seconds(10);
    return request;
  }
  using SyncReply = std::shared_ptr<Reply<wire::SynchronizeResponse>>;
  SyncReply Send(const wire::SynchronizeRequest& request) {
    auto reply = std::make_shared<Reply<wire::SynchronizeResponse>>();
    coordinator_->Synchronize(request, [reply](auto answer) {
      ASSERT_FALSE(reply->value.has_value()) << "answered twice";
      reply->value = std::move(answer);
    });
    coordinator_->CheckInvariantsForTesting();
    return reply;
  }
  SyncReply SendAndCommit(const wire::SynchronizeRequest& request) {
    SyncReply reply = Send(request);
    ledger_->Commit();
    return reply;
  }
  static wire::HeldLease* Hold(wire::SynchronizeRequest& request, int64_t lease,
                               wire::LeasePhase phase = wire::LEASE_PHASE_RUNNING) {
    wire::HeldLease* held = request.add_held();
    held->set_lease_id(lease);
    held->set_phase(phase);
    held->set_steps(100);
    request.clear_free_slots();
    return held;
  }
  static void AddPoints(wire::HeldLease* held, uint64_t first_seq, int count) {
    held->set_first_seq(first_seq);
    for (int i = 0; i < count; ++i) {
      wire::LossPoint* point = held->add_points();
      point->set_step(static_cast<int64_t>(first_seq) + i);
      point->set_tokens(10 * point->step());
      point->set_loss_nats(3.0);
    }
  }
  static void AddCheckpoint(wire::HeldLease* held, int64_t trial, int64_t step) {
    wire::Checkpoint* checkpoint = held->add_checkpoints();
    checkpoint->set_step(step);
    checkpoint->set_path(absl::StrFormat("trial-%d/lease-%d/step-%08d", trial, held->lease_id(), step));
  }
  static void Complete(wire::HeldLease* held, double loss = 2.5) {
    held->set_phase(wire::LEASE_PHASE_ENDED);
    held->mutable_outcome()->set_outcome_class(wire::OUTCOME_CLASS_COMPLETED);
    wire::FinalObservation* final = held->mutable_outcome()->mutable_final();
    final->set_step(100);
    final->set_tokens_trained(1000);
    final->set_final_loss_nats(loss);
    final->set_eval_tokens(500);
  }
  // The lease that an answer assigns for the first time.
  static int64_t Assigned(const SyncReply& reply) {
    for (const wire::DesiredLease& desired : (*reply)->desired()) {
      if (desired.has_assignment()) return desired.lease_id();
    }
    return 0;
  }
  std::shared_ptr<Reply<wire::ControlReply>> Control(const wire::ControlRequest& request) {
    auto reply = std::make_shared<Reply<wire::ControlReply>>();
    coordinator_->Control(request, [reply](auto answer) { reply->value = std::move(answer); });
    return reply;
  }
  wire::Trial TrialNow(int64_t id) {
    wire::TrialFilter filter;
    filter.add_trial_ids(id);
    std::vector<wire::Trial> trials;
    coordinator_->ListTrials(filter, [&](auto answer) { trials = *std::move(answer); });
    ledger_->Commit();
    return trials.at(0);
  }

  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  MemoryDisk disk_;
  std::unique_ptr<MemoryLedger> ledger_;
  std::unique_ptr<Coordinator> coordinator_;
  std::vector<std::unique_ptr<Coordinator>> crashed_coordinators_;
  std::vector<std::unique_ptr<MemoryLedger>> crashed_;
  uint64_t sync_number_ = 0;
};

TEST_F(CoordinatorTest, ATrialGoesFromSubmitToItsResult) {
  const auto submitted = Submit("s", {Trial("a")});
  ledger_->Commit();
  ASSERT_TRUE(submitted->is_there());
  EXPECT_EQ((*submitted)->added(), 1);

  const SyncReply first = SendAndCommit(Word("w"));
  ASSERT_TRUE(first->is_there());
  ASSERT_EQ((*first)->desired_size(), 1);
  const wire::Assignment& assignment = (*first)->desired(0).assignment();
  EXPECT_EQ(assignment.trial_json(), "{\"name\":\"a\"}");
  EXPECT_EQ(assignment.attempt(), 1);
  ASSERT_EQ(assignment.slots_size(), 1);

  const int64_t lease = (*first)->desired(0).lease_id();
  wire::SynchronizeRequest running = Word("w");
  AddPoints(Hold(running, lease), 1, 3);
  const SyncReply second = SendAndCommit(running);
  ASSERT_TRUE(second->is_there());
  EXPECT_EQ((*second)->desired(0).durable_seq(), 3u);
  EXPECT_FALSE((*second)->desired(0).has_assignment());

  wire::SynchronizeRequest ended = Word("w");
  Complete(Hold(ended, lease));
  const SyncReply third = SendAndCommit(ended);
  ASSERT_TRUE(third->is_there());
  ASSERT_EQ((*third)->settled_size(), 1);
  EXPECT_EQ((*third)->settled(0).lease_id(), lease);
  EXPECT_EQ((*third)->desired_size(), 0);
  const wire::Trial trial = TrialNow(1);
  EXPECT_EQ(trial.state(), "completed");
  EXPECT_EQ(trial.final_loss_nats(), 2.5);
  EXPECT_EQ(disk_.points[LeaseId(lease)].size(), 3u);
  EXPECT_EQ(disk_.results[TrialId(1)], 1);
  EXPECT_EQ(disk_.studies.at(StudyId(1)).state, StudyState::kDone);
}

TEST_F(CoordinatorTest, NoAnswerLeavesBeforeTheCommitThatItBuildsOn) {
  const auto submitted = Submit("s", {Trial("a")});
  EXPECT_FALSE(submitted->is_there());
  const SyncReply word = Send(Word("w"));
  EXPECT_FALSE(word->is_there());
  // Reads of a state that a crash could undo wait too.
  bool read = false;
  coordinator_->GetStudy({}, [&](auto) { read = true; });
  EXPECT_FALSE(read);
  ledger_->Commit();
  EXPECT_TRUE(submitted->is_there());
  EXPECT_TRUE(word->is_there());
  EXPECT_TRUE(read);
}

TEST_F(CoordinatorTest, TheOutcomeAndTheNextLeaseAreOneCommit) {
  Submit("s", {Trial("a"), Trial("b")});
  const SyncReply first = SendAndCommit(Word("w"));
  const int64_t lease = Assigned(first);
  wire::SynchronizeRequest ended = Word("w");
  Complete(Hold(ended, lease));
  ended.add_free_slots(0);
  const int commits = disk_.commits;
  const SyncReply second = SendAndCommit(ended);
  EXPECT_EQ(disk_.commits, commits + 1);
  EXPECT_EQ((*second)->settled_size(), 1);
  EXPECT_GT(Assigned(second), lease);
}

TEST_F(CoordinatorTest, AnIdleRequestHangsUntilATrialFits) {
  SendAndCommit(Word("w"));
  const SyncReply hanging = SendAndCommit(Word("w"));
  EXPECT_FALSE(hanging->is_there());
  Submit("s", {Trial("a")});
  ledger_->Commit();
  ASSERT_TRUE(hanging->is_there());
  EXPECT_NE(Assigned(hanging), 0);
}

TEST_F(CoordinatorTest, AHangingRequestRunsOutAfterItsWaitLessUpToAQuarter) {
  SendAndCommit(Word("w"));
  const SyncReply hanging = SendAndCommit(Word("w"));
  Pass(absl::Seconds(7));
  ledger_->Commit();
  EXPECT_FALSE(hanging->is_there());
  Pass(absl::Seconds(3));
  ledger_->Commit();
  ASSERT_TRUE(hanging->is_there());
  EXPECT_EQ(hanging->code(), absl::StatusCode::kOk);
}

TEST_F(CoordinatorTest, ASupersededRequestIsAbortedAndALateOneHasNoEffect) {
  SendAndCommit(Word("w"));
  const wire::SynchronizeRequest late = Word("w");
  const SyncReply hanging = Send(Word("w"));
  const SyncReply newer = Send(Word("w"));
  ASSERT_TRUE(hanging->is_there());
  EXPECT_EQ(hanging->code(), absl::StatusCode::kAborted);
  EXPECT_FALSE(newer->is_there());
  const SyncReply stale = Send(late);
  ASSERT_TRUE(stale->is_there());
  EXPECT_EQ(stale->code(), absl::StatusCode::kAborted);
  EXPECT_FALSE(newer->is_there()) << "the late one did not end the newer";
}

TEST_F(CoordinatorTest, ALostAnswerIsToldAgainWithItsAssignment) {
  Submit("s", {Trial("a")});
  const SyncReply lost = SendAndCommit(Word("w"));
  const SyncReply again = SendAndCommit(Word("w"));
  ASSERT_TRUE(again->is_there());
  EXPECT_EQ(Assigned(again), Assigned(lost));
}

TEST_F(CoordinatorTest, EndedTwiceSettlesTwiceAndCountsOnce) {
  Submit("s", {Trial("a")});
  const int64_t lease = Assigned(SendAndCommit(Word("w")));
  for (int i = 0; i < 2; ++i) {
    wire::SynchronizeRequest ended = Word("w");
    Complete(Hold(ended, lease), 2.0 + i);
    const SyncReply reply = SendAndCommit(ended);
    ASSERT_EQ((*reply)->settled_size(), 1);
    EXPECT_THAT((*reply)->settled(0).reason(), HasSubstr("completed"));
  }
  EXPECT_EQ(TrialNow(1).final_loss_nats(), 2.0);
  EXPECT_EQ(disk_.results[TrialId(1)], 1);
  EXPECT_EQ(disk_.stale_reports, 1);
}

TEST_F(CoordinatorTest, PointsAreTakenOnceInOrderAndWithoutGaps) {
  Submit("s", {Trial("a")});
  const int64_t lease = Assigned(SendAndCommit(Word("w")));
  const auto say = [&](uint64_t first, int count) {
    wire::SynchronizeRequest request = Word("w");
    AddPoints(Hold(request, lease), first, count);
    const SyncReply reply = SendAndCommit(request);
    return (*reply)->desired(0).durable_seq();
  };
  EXPECT_EQ(say(1, 5), 5u);
  EXPECT_EQ(say(1, 5), 5u) << "said again";
  EXPECT_EQ(say(4, 4), 7u) << "overlapping";
  EXPECT_EQ(say(10, 3), 7u) << "a gap: all from it on is ignored";
  EXPECT_EQ(say(8, 5), 12u);
  EXPECT_EQ(disk_.points[LeaseId(lease)].size(), 12u);
}

TEST_F(CoordinatorTest, ALossThatIsNotFiniteIsStoredAsUnknownAndAFallingStepIsRejected) {
  Submit("s", {Trial("a")});
  const int64_t lease = Assigned(SendAndCommit(Word("w")));
  wire::SynchronizeRequest request = Word("w");
  wire::HeldLease* held = Hold(request, lease);
  AddPoints(held, 1, 3);
  held->mutable_points(0)->set_loss_nats(NAN);
  held->mutable_points(2)->set_step(1);
  held->mutable_points(1)->set_step(5);
  const SyncReply reply = SendAndCommit(request);
  ASSERT_EQ((*reply)->rejected_size(), 1);
  EXPECT_EQ((*reply)->rejected(0).seq(), 3u);
  EXPECT_EQ((*reply)->rejected(0).field(), "step");
  EXPECT_EQ((*reply)->desired(0).durable_seq(), 2u);
  EXPECT_FALSE(disk_.points[LeaseId(lease)].at(1).loss_nats.has_value());
}

TEST_F(CoordinatorTest, ABranchStartsFromItsTrunksCommittedCheckpoint) {
  Submit("s", {Trial("t", TrialRole::kTrunk), Trial("b", TrialRole::kBranch, 0)});
  const int64_t trunk = Assigned(SendAndCommit(Word("w", 2)));
  EXPECT_EQ(TrialNow(2).state(), "blocked");
  EXPECT_EQ(TrialNow(2).waits_for(), "trunk 1, its step 40");
  wire::SynchronizeRequest request = Word("w", 2);
  wire::HeldLease* held = Hold(request, trunk);
  AddCheckpoint(held, 1, 40);
  request.add_free_slots(1);
  const SyncReply reply = SendAndCommit(request);
  const int64_t branch = Assigned(reply);
  ASSERT_NE(branch, 0);
  for (const wire::DesiredLease& desired : (*reply)->desired()) {
    if (desired.lease_id() != branch) continue;
    EXPECT_EQ(desired.assignment().resume_path(),
              absl::StrFormat("trial-1/lease-%d/step-00000040", trunk));
    EXPECT_EQ(desired.assignment().resume_step(), 40);
  }
}

TEST_F(CoordinatorTest, ACheckpointElsewhereThanItsLeaseSaysIsRejected) {
  Submit("s", {Trial("a")});
  const int64_t lease = Assigned(SendAndCommit(Word("w")));
  wire::SynchronizeRequest request = Word("w");
  wire::Checkpoint* checkpoint = Hold(request, lease)->add_checkpoints();
  checkpoint->set_step(10);
  checkpoint->set_path("trial-1/lease-999/step-00000010");
  const SyncReply reply = SendAndCommit(request);
  ASSERT_EQ((*reply)->rejected_size(), 1);
  EXPECT_TRUE(disk_.checkpoints.empty());
}

TEST_F(CoordinatorTest, CancelReachesAHangingRequestAtOnce) {
  Submit("s", {Trial("a"), Trial("b")});
  const int64_t lease = Assigned(SendAndCommit(Word("w")));
  wire::SynchronizeRequest busy = Word("w");
  Hold(busy, lease);
  const SyncReply acknowledged = SendAndCommit(busy);
  busy.set_sync_number(++sync_number_);
  const SyncReply hanging = acknowledged->is_there() ? SendAndCommit(busy) : acknowledged;
  ASSERT_FALSE(hanging->is_there());
  wire::ControlRequest cancel;
  cancel.set_action(wire::CONTROL_ACTION_CANCEL);
  cancel.set_study_name("s");
  const auto done = Control(cancel);
  EXPECT_FALSE(hanging->is_there()) << "not before its commit";
  ledger_->Commit();
  ASSERT_TRUE(done->is_there());
  EXPECT_EQ((*done)->changes_size(), 2);
  ASSERT_TRUE(hanging->is_there());
  EXPECT_EQ((*hanging)->desired(0).wish(), wire::WISH_STOP);
  EXPECT_EQ((*hanging)->desired(0).wish_reason(), "cancelled");

  wire::SynchronizeRequest ended = Word("w");
  wire::HeldLease* held = Hold(ended, lease, wire::LEASE_PHASE_ENDED);
  held->mutable_outcome()->set_outcome_class(wire::OUTCOME_CLASS_PREEMPTED);
  ended.add_free_slots(0);
  const SyncReply last = SendAndCommit(ended);
  EXPECT_EQ(Assigned(last), 0) << "a cancelled study gets no new lease";
  EXPECT_EQ(TrialNow(1).state(), "cancelled");
  EXPECT_EQ(TrialNow(2).state(), "cancelled");
}

TEST_F(CoordinatorTest, PauseNowAsksForACheckpointAndResumeGoesOn) {
  Submit("s", {Trial("a")});
  const int64_t lease = Assigned(SendAndCommit(Word("w")));
  wire::SynchronizeRequest busy = Word("w");
  Hold(busy, lease);
  Send(busy);
  wire::ControlRequest pause;
  pause.set_action(wire::CONTROL_ACTION_PAUSE);
  pause.set_study_name("s");
  pause.set_now(true);
  Control(pause);
  ledger_->Commit();
  wire::SynchronizeRequest ended = Word("w");
  wire::HeldLease* held = Hold(ended, lease, wire::LEASE_PHASE_ENDED);
  AddCheckpoint(held, 1, 30);
  held->mutable_outcome()->set_outcome_class(wire::OUTCOME_CLASS_PREEMPTED);
  SendAndCommit(ended);
  EXPECT_EQ(TrialNow(1).state(), "queued");
  EXPECT_EQ(TrialNow(1).waits_for(), "its study, which is paused");
  Pass(absl::Seconds(6));
  EXPECT_EQ(Assigned(SendAndCommit(Word("w"))), 0);
  const SyncReply hanging = SendAndCommit(Word("w"));
  wire::ControlRequest resume;
  resume.set_action(wire::CONTROL_ACTION_RESUME);
  resume.set_study_name("s");
  Control(resume);
  ledger_->Commit();
  ASSERT_TRUE(hanging->is_there());
  EXPECT_EQ((*hanging)->desired(0).assignment().resume_step(), 30);
  EXPECT_EQ((*hanging)->desired(0).assignment().attempt(), 2);
}

TEST_F(CoordinatorTest, AfterARestartALiveLeaseIsDesiredAgainAndNothingIsTrainedTwice) {
  Submit("s", {Trial("a")});
  const int64_t lease = Assigned(SendAndCommit(Word("w")));
  wire::SynchronizeRequest running = Word("w");
  AddPoints(Hold(running, lease), 1, 3);
  SendAndCommit(running);
  Crash();
  // Another worker gets nothing; the old one goes on where the store stands.
  EXPECT_EQ(Assigned(SendAndCommit(Word("other"))), 0);
  wire::SynchronizeRequest again = Word("w");
  again.set_epoch_seen(1);
  AddPoints(Hold(again, lease), 1, 5);
  const SyncReply reply = SendAndCommit(again);
  ASSERT_EQ((*reply)->desired_size(), 1);
  EXPECT_EQ((*reply)->desired(0).durable_seq(), 5u);
  EXPECT_FALSE((*reply)->desired(0).has_assignment());
  EXPECT_EQ((*reply)->coordinator_epoch(), 2);
  wire::SynchronizeRequest ended = Word("w");
  Complete(Hold(ended, lease));
  SendAndCommit(ended);
  EXPECT_EQ(TrialNow(1).state(), "completed");
  EXPECT_EQ(TrialNow(1).attempt(), 1);
}

TEST_F(CoordinatorTest, AnAssignmentWhoseAnswerWasLostInARestartIsToldAgainWithSlots) {
  Submit("s", {Trial("a")});
  const int64_t lease = Assigned(SendAndCommit(Word("w")));
  Crash();
  // Its slots are not known before it introduces itself, which the new epoch
  // makes it do.
  wire::SynchronizeRequest stranger = Word("w");
  stranger.clear_worker();
  const SyncReply first_word = SendAndCommit(stranger);
  ASSERT_TRUE(first_word->is_there());
  EXPECT_EQ((*first_word)->desired_size(), 0);
  EXPECT_EQ((*first_word)->coordinator_epoch(), 2);
  const SyncReply reply = SendAndCommit(Word("w"));
  EXPECT_EQ(Assigned(reply), lease);
  ASSERT_EQ((*reply)->desired_size(), 1);
  EXPECT_EQ((*reply)->desired(0).assignment().slots_size(), 1);
}

TEST_F(CoordinatorTest, AfterARestartNothingIsTakenBeforeTheIntroduction) {
  Submit("s", {Trial("a")});
  const int64_t lease = Assigned(SendAndCommit(Word("w")));
  Crash();
  // It does not know yet that we started anew, and says what it has.
  wire::SynchronizeRequest unaware = Word("w");
  unaware.clear_worker();
  wire::HeldLease* held = Hold(unaware, lease);
  AddPoints(held, 1, 3);
  AddCheckpoint(held, 1, 40);
  const SyncReply told = SendAndCommit(unaware);
  ASSERT_TRUE(told->is_there());
  ASSERT_EQ((*told)->desired_size(), 1);
  EXPECT_EQ((*told)->desired(0).durable_seq(), 0u);
  EXPECT_TRUE(disk_.checkpoints.empty());
  // With its introduction the same counts, and the checkpoint has its store.
  wire::SynchronizeRequest again = Word("w");
  held = Hold(again, lease);
  AddPoints(held, 1, 3);
  AddCheckpoint(held, 1, 40);
  const SyncReply taken = SendAndCommit(again);
  ASSERT_TRUE(taken->is_there());
  EXPECT_EQ((*taken)->desired(0).durable_seq(), 3u);
  ASSERT_EQ(disk_.checkpoints.size(), 1u);
  EXPECT_EQ(disk_.checkpoints.begin()->second.store_id, "store");
}

TEST_F(CoordinatorTest, WhatWasNotCommittedBeforeACrashIsSaidAgain) {
  Submit("s", {Trial("a")});
  const int64_t lease = Assigned(SendAndCommit(Word("w")));
  wire::SynchronizeRequest ended = Word("w");
  AddPoints(Hold(ended, lease), 1, 4);
  Complete(ended.mutable_held(0));
  const SyncReply never = Send(ended);
  EXPECT_FALSE(never->is_there());
  Crash();
  EXPECT_TRUE(disk_.points[LeaseId(lease)].empty());
  ended.set_sync_number(++sync_number_);
  const SyncReply reply = SendAndCommit(ended);
  EXPECT_EQ((*reply)->settled_size(), 1);
  EXPECT_EQ(disk_.points[LeaseId(lease)].size(), 4u);
  EXPECT_EQ(TrialNow(1).state(), "completed");
}

TEST_F(CoordinatorTest, AFullDiskAcknowledgesNothingAndARepeatedRequestIsTakenOnce) {
  Submit("s", {Trial("a"), Trial("b")});
  const int64_t lease = Assigned(SendAndCommit(Word("w")));
  ledger_->set_health("disk full");
  wire::SynchronizeRequest ended = Word("w");
  AddPoints(Hold(ended, lease), 1, 4);
  Complete(ended.mutable_held(0));
  ended.add_free_slots(0);
  const SyncReply timed_out = SendAndCommit(ended);
  EXPECT_FALSE(timed_out->is_there());
  ended.set_sync_number(++sync_number_);
  const SyncReply repeated = SendAndCommit(ended);
  EXPECT_FALSE(repeated->is_there());
  EXPECT_EQ(disk_.results[TrialId(1)], 0);
  ledger_->set_health("");
  ledger_->Commit();
  ASSERT_TRUE(repeated->is_there());
  EXPECT_EQ((*repeated)->settled_size(), 1);
  EXPECT_EQ(disk_.results[TrialId(1)], 1);
  EXPECT_EQ(disk_.points[LeaseId(lease)].size(), 4u);
}

TEST_F(CoordinatorTest, StatusSaysThatTheDiskIsFull) {
  Submit("s", {Trial("a")});
  ledger_->Commit();
  ledger_->set_health("disk full");
  absl::Status status;
  coordinator_->GetStudy({}, [&](auto answer) { status = answer.status(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("disk full"));
}

TEST_F(CoordinatorTest, AFullQueueOfCommitsIsRefusedWithNothingChanged) {
  Submit("s", {Trial("a")});
  ledger_->Commit();
  ledger_->set_has_room(false);
  const SyncReply refused = Send(Word("w"));
  ASSERT_TRUE(refused->is_there());
  EXPECT_EQ(refused->code(), absl::StatusCode::kResourceExhausted);
  ledger_->set_has_room(true);
  EXPECT_NE(Assigned(SendAndCommit(Word("w"))), 0);
}

TEST_F(CoordinatorTest, AZombieBeyondLostChangesNothing) {
  Submit("s", {Trial("a")});
  const int64_t old = Assigned(SendAndCommit(Word("w")));
  wire::SynchronizeRequest running = Word("w");
  Hold(running, old);
  SendAndCommit(running);
  Pass(absl::Seconds(310));
  const int64_t next = Assigned(SendAndCommit(Word("other")));
  ASSERT_GT(next, old);
  wire::SynchronizeRequest ended = Word("other");
  Complete(Hold(ended, next), 2.0);
  SendAndCommit(ended);
  wire::SynchronizeRequest zombie = Word("w");
  AddPoints(Hold(zombie, old), 1, 3);
  Complete(zombie.mutable_held(0), 9.0);
  const SyncReply reply = SendAndCommit(zombie);
  ASSERT_EQ((*reply)->settled_size(), 1);
  EXPECT_EQ(TrialNow(1).final_loss_nats(), 2.0);
  EXPECT_TRUE(disk_.points[LeaseId(old)].empty());
  EXPECT_EQ(disk_.stale_reports, 1);
}

TEST_F(CoordinatorTest, AnAgentThatStartedAnewHandsInWhatItsSpoolHolds) {
  Submit("s", {Trial("a"), Trial("b")});
  wire::SynchronizeRequest word = Word("w", 2);
  const SyncReply first = SendAndCommit(word);
  ASSERT_EQ((*first)->desired_size(), 2);
  const int64_t with_spool = (*first)->desired(0).lease_id();
  const int64_t without = (*first)->desired(1).lease_id();
  wire::SynchronizeRequest running = Word("w", 2);
  Hold(running, with_spool);
  Hold(running, without);
  SendAndCommit(running);

  wire::SynchronizeRequest successor = Word("w", 2);
  successor.set_instance_id("instance-w-2");
  successor.set_previous_instance("instance-w");
  Complete(Hold(successor, with_spool));
  const SyncReply reply = SendAndCommit(successor);
  ASSERT_EQ((*reply)->settled_size(), 1);
  EXPECT_EQ(TrialNow(1).state(), "completed");
  EXPECT_EQ(TrialNow(2).state(), "queued");
  EXPECT_EQ(disk_.ended.at(LeaseId(without)), TrialOutcome::kLost);
  const SyncReply old = Send(Word("w"));
  EXPECT_EQ(old->code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(CoordinatorTest, AnotherProtocolVersionIsRefusedNamingBothAndTheCure) {
  wire::SynchronizeRequest request = Word("w");
  request.set_protocol_version(7);
  const SyncReply reply = Send(request);
  ASSERT_EQ(reply->code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(reply->message(), HasSubstr("speaks version 1, the worker version 7"));
  EXPECT_THAT(reply->message(), HasSubstr("cure:"));
}

TEST_F(CoordinatorTest, AnotherStoreOrALowerEpochEndsTheConversation) {
  wire::SynchronizeRequest request = Word("w");
  request.set_store_id("another");
  EXPECT_EQ(Send(request)->code(), absl::StatusCode::kFailedPrecondition);
  request.clear_store_id();
  request.set_epoch_seen(99);
  request.set_sync_number(++sync_number_);
  EXPECT_EQ(Send(request)->code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(CoordinatorTest, SubmittingAgainChangesNothingAndAddsWhatIsNew) {
  Submit("s", {Trial("a"), Trial("b")});
  ledger_->Commit();
  const auto again = Submit("s", {Trial("a"), Trial("c")});
  ledger_->Commit();
  EXPECT_EQ((*again)->added(), 1);
  EXPECT_EQ((*again)->kept(), 1);
  ASSERT_EQ((*again)->missing_size(), 1);
  EXPECT_EQ((*again)->missing(0), 2);
  EXPECT_EQ((*again)->trial_ids(0), 1);
  EXPECT_EQ((*again)->trial_ids(1), 3);
}

TEST_F(CoordinatorTest, AKnownNameWithOtherDataIsRefused) {
  Submit("s", {Trial("a")});
  PlannedTrial other = Trial("b");
  other.spec.data.dataset_sha256 = "other";
  const auto refused = Submit("s", {other});
  ASSERT_EQ(refused->code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused->message(), HasSubstr("other data"));
}

TEST_F(CoordinatorTest, AResultIsTakenOverByAnotherStudyThatPlansTheSameTrial) {
  Submit("one", {Trial("a")});
  const int64_t lease = Assigned(SendAndCommit(Word("w")));
  wire::SynchronizeRequest ended = Word("w");
  Complete(Hold(ended, lease));
  SendAndCommit(ended);
  const auto second = Submit("two", {Trial("a"), Trial("b")});
  ledger_->Commit();
  EXPECT_EQ((*second)->known(), 1);
  EXPECT_EQ(TrialNow(2).state(), "completed");
  EXPECT_EQ(TrialNow(2).final_loss_nats(), 2.5);
  EXPECT_EQ(TrialNow(3).state(), "queued");
}

// The trial's text does not hold `launch`, so it was lost on the wire: a command
// that starts its own ranks was started once a rank.
TEST_F(CoordinatorTest, LaunchOnceReachesTheWorkerAndOutlivesARestart) {
  PlannedTrial trial = Trial("torchrun");
  trial.spec.trainer.emplace().command = {"torchrun", "train.py"};
  wire::SubmitHeader header;
  header.set_study_name("own");
  header.set_launch_once(true);
  coordinator_->SubmitPlan(header, {trial}, [](auto) {});
  ledger_->Commit();
  Crash();
  const SyncReply reply = SendAndCommit(Word("a"));
  ASSERT_TRUE(reply->is_there());
  ASSERT_EQ((*reply)->desired_size(), 1);
  EXPECT_TRUE((*reply)->desired(0).assignment().trainer().launch_once());
  EXPECT_EQ((*reply)->desired(0).assignment().trainer().command(0), "torchrun");
}

TEST_F(CoordinatorTest, AnUnknownStudyIsNamedWithItsNearest) {
  Submit("web-depths", {Trial("a")});
  ledger_->Commit();
  wire::StudyRef ref;
  ref.set_name("web-dephts");
  absl::Status status;
  coordinator_->GetStudy(ref, [&](auto answer) { status = answer.status(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("no study 'web-dephts', did you mean 'web-depths'?"));
}

TEST_F(CoordinatorTest, RetryGivesAFailedTrialAFreshBudget) {
  Submit("s", {Trial("a")});
  const int64_t lease = Assigned(SendAndCommit(Word("w")));
  wire::SynchronizeRequest ended = Word("w");
  wire::HeldLease* held = Hold(ended, lease, wire::LEASE_PHASE_ENDED);
  held->mutable_outcome()->set_outcome_class(wire::OUTCOME_CLASS_CONFIG);
  held->mutable_outcome()->set_detail("heads do not divide the width");
  SendAndCommit(ended);
  EXPECT_EQ(TrialNow(1).state(), "failed");
  EXPECT_EQ(TrialNow(1).outcome_detail(), "heads do not divide the width");
  wire::ControlRequest retry;
  retry.set_action(wire::CONTROL_ACTION_RETRY);
  retry.set_study_name("s");
  retry.set_failed(true);
  const auto done = Control(retry);
  ledger_->Commit();
  EXPECT_EQ((*done)->changes_size(), 1);
  EXPECT_EQ(TrialNow(1).state(), "queued");
}

TEST_F(CoordinatorTest, ExpendableCheckpointsAreToldAndForgottenOnceDeleted) {
  Submit("s", {Trial("a")});
  const int64_t lease = Assigned(SendAndCommit(Word("w")));
  wire::SynchronizeRequest request = Word("w");
  wire::HeldLease* held = Hold(request, lease);
  for (int64_t step : {10, 20, 30}) AddCheckpoint(held, 1, step);
  const SyncReply reply = SendAndCommit(request);
  ASSERT_EQ((*reply)->expendable_size(), 1);
  EXPECT_EQ((*reply)->expendable(0).path(), absl::StrFormat("trial-1/lease-%d/step-00000010", lease));
  EXPECT_EQ(disk_.checkpoints.at(CheckpointId(1)).state, CheckpointState::kCondemned);
  wire::SynchronizeRequest deleted = Word("w");
  Hold(deleted, lease);
  deleted.add_deleted_checkpoints((*reply)->expendable(0).checkpoint_id());
  const SyncReply ok = SendAndCommit(deleted);
  EXPECT_EQ((*ok)->expendable_size(), 0);
  EXPECT_EQ(disk_.checkpoints.size(), 2u);
}

TEST_F(CoordinatorTest, WatchReplaysTheHistoryAndThenFollowsCommits) {
  Submit("s", {Trial("a")});
  ledger_->Commit();
  std::vector<wire::Event> events;
  wire::WatchRequest request;
  request.set_study_name("s");
  request.set_follow(true);
  const auto subscription =
      coordinator_->Watch(request, [&](wire::Event event) { events.push_back(event); },
                          [](absl::Status) {});
  ledger_->Commit();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind(), "submitted");
  Send(Word("w"));
  EXPECT_EQ(events.size(), 1u) << "not before the commit";
  ledger_->Commit();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].kind(), "leased");
  EXPECT_THAT(events[1].detail(), HasSubstr("attempt 1 on w:0, lease 1"));
  for (size_t i = 1; i < events.size(); ++i) EXPECT_GT(events[i].id(), events[i - 1].id());
  coordinator_->Unsubscribe(subscription);
  Submit("s", {Trial("a"), Trial("b")});
  ledger_->Commit();
  EXPECT_EQ(events.size(), 2u);
}

TEST_F(CoordinatorTest, ALogIsAskedForAndFollowedToTheEndOfTheAttempt) {
  Submit("s", {Trial("a")});
  const int64_t lease = Assigned(SendAndCommit(Word("w")));
  wire::SynchronizeRequest running = Word("w");
  Hold(running, lease);
  SyncReply hanging = SendAndCommit(running);
  std::string log;
  bool ended = false;
  wire::LogRequest request;
  request.set_trial_id(1);
  request.set_follow(true);
  coordinator_->ReadLog(request, [&](wire::LogChunk chunk) { log += chunk.text(); },
                        [&](absl::Status) { ended = true; });
  if (hanging->is_there()) {
    running.set_sync_number(++sync_number_);
    hanging = SendAndCommit(running);
  }
  ledger_->Commit();
  ASSERT_TRUE(hanging->is_there());
  ASSERT_TRUE((*hanging)->desired(0).has_log());
  EXPECT_EQ((*hanging)->desired(0).log().offset(), 0);
  wire::SynchronizeRequest chunk = Word("w");
  wire::LogChunk* text = Hold(chunk, lease)->mutable_log();
  text->set_text("hello\n");
  text->set_size(6);
  SendAndCommit(chunk);
  EXPECT_EQ(log, "hello\n");
  EXPECT_FALSE(ended);
  wire::SynchronizeRequest last = Word("w");
  Complete(Hold(last, lease));
  last.mutable_held(0)->mutable_outcome()->set_log_tail("hello\nbye\n");
  SendAndCommit(last);
  EXPECT_TRUE(ended);
  log.clear();
  coordinator_->ReadLog(request, [&](wire::LogChunk kept) { log += kept.text(); },
                        [](absl::Status) {});
  ledger_->Commit();
  EXPECT_EQ(log, "hello\nbye\n");
}

TEST_F(CoordinatorTest, StopAnswersHangingRequestsAndTakesNoMore) {
  SendAndCommit(Word("w"));
  const SyncReply hanging = SendAndCommit(Word("w"));
  coordinator_->Stop();
  ASSERT_TRUE(hanging->is_there());
  EXPECT_EQ(hanging->code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Send(Word("w"))->code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace isoflop
