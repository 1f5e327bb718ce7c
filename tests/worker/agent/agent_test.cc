// Agents against a real server, with scripted trainers as real processes.
#include "worker/agent/agent.h"

#include <signal.h>

#include <cmath>
#include <fstream>

#include "gmock/gmock.h"
#include "tests/worker/agent/agent_fixture.h"

namespace isoflop {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

using AgentTest = AgentFixture;

TEST_F(AgentTest, TrainsATrialAndEveryPointIsStoredOnce) {
  const TrialId id = Submit({Scripted({})})[0];
  RunningAgent worker(Options("w"));
  ASSERT_TRUE(worker.created().ok()) << worker.created();
  ASSERT_TRUE(WaitForState(id, "completed"));
  StopServer();
  EXPECT_EQ(Ends(id), "completed");
  EXPECT_EQ(disk_.results.at(id), 1);
  const TrialRow& row = disk_.trials.at(id);
  EXPECT_NEAR(row.result->final_loss_nats.value(), Law(90, 20 * 64), 1e-9);
  EXPECT_EQ(row.result->tokens_trained, 20 * 64);
  EXPECT_EQ(row.result->params_total, 100);
  EXPECT_EQ(row.result->device, "scripted");
  const auto& points = disk_.points.at(Leases(id)[0]);
  ASSERT_THAT(points, SizeIs(20));
  for (const auto& [seq, point] : points) {
    EXPECT_EQ(point.step, static_cast<int64_t>(seq));
    EXPECT_NEAR(*point.loss_nats, Law(90, static_cast<double>(seq) * 64), 1e-9);
  }
  // What it was told to be stored is.
  for (const auto& [lease, seq] : worker.durable()) EXPECT_LE(seq, 20u);
}

TEST_F(AgentTest, ManyTrialsOnSeveralSlotsEachEndOnce) {
  std::vector<PlannedTrial> trials(12, Scripted({}));
  const std::vector<TrialId> ids = Submit(trials);
  RunningAgent one(Options("one", 2));
  RunningAgent two(Options("two", 2));
  for (const TrialId id : ids) ASSERT_TRUE(WaitForState(id, "completed"));
  StopServer();
  for (const TrialId id : ids) EXPECT_EQ(disk_.results.at(id), 1);
  EXPECT_TRUE(disk_.live.empty());
}

TEST_F(AgentTest, EachEndTakesItsWay) {
  const struct {
    std::map<std::string, OptionValue> script;
    std::string state, ends, detail;
  } rows[] = {
      {{{"exit_at", 5}, {"exit_code", 78}}, "failed", "config", "exit code 78"},
      {{{"nan_at", 5}}, "diverged", "diverged", "loss is not finite"},
      {{{"crash_at", 5}}, "completed", "crashed completed", ""},
      {{{"exit_at", 5}, {"exit_code", 1}}, "completed", "crashed completed", ""},
      {{{"exit_at", 5}, {"exit_code", 75}}, "completed", "lost completed", ""},
      {{{"no_final", 1}}, "completed", "crashed completed", ""},
      {{{"crash_at", 5}, {"fault_attempts", 9}}, "failed", "crashed crashed crashed",
       "scripted crash at step 5"},
      {{{"probe", 4}, {"exit_at", 5}, {"exit_code", 86}}, "completed", "oom completed", ""},
      {{{"probe", 1}, {"exit_at", 5}, {"exit_code", 86}}, "failed", "oom", "micro-batch 1"},
      {{{"miscount", 7}}, "failed", "config", "the trainer counts 107, the study states 100"},
  };
  std::vector<PlannedTrial> trials;
  for (const auto& row : rows) trials.push_back(Scripted(row.script));
  const std::vector<TrialId> ids = Submit(trials);
  RunningAgent worker(Options("w", 2));
  for (size_t i = 0; i < ids.size(); ++i) {
    ASSERT_TRUE(WaitForState(ids[i], rows[i].state)) << i;
    EXPECT_THAT(Trial(ids[i]).outcome_detail(), HasSubstr(rows[i].detail)) << i;
  }
  StopServer();
  for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(Ends(ids[i]), rows[i].ends) << i;
  // The micro-batch was halved, and the trainer heard it.
  EXPECT_EQ(disk_.trials.at(ids[7]).record.micro_batch_limit, 2);
}

TEST_F(AgentTest, AnErrorLineOfIoOrCheckpointRefinesTheClass) {
  const std::vector<TrialId> ids =
      Submit({Scripted({{"error_at", 5}, {"error_kind", "checkpoint"}, {"exit_at", 5}, {"exit_code", 75}})});
  RunningAgent worker(Options("w"));
  ASSERT_TRUE(WaitForState(ids[0], "completed"));
  StopServer();
  EXPECT_EQ(Ends(ids[0]), "bad_checkpoint completed");
}

TEST_F(AgentTest, PauseNowWritesACheckpointAndResumeGoesOnFromIt) {
  const TrialId id = Submit({Scripted({{"delay_ms", 5}}, 2000)})[0];
  RunningAgent worker(Options("w"));
  ASSERT_TRUE(WaitForStep(id, 20));
  Control(wire::CONTROL_ACTION_PAUSE, /*now=*/true);
  ASSERT_TRUE(WaitForState(id, "queued"));
  const int64_t at = Trial(id).step();
  EXPECT_GE(at, 20);
  Control(wire::CONTROL_ACTION_RESUME);
  ASSERT_TRUE(WaitForStep(id, at + 10));
  EXPECT_GE(Trial(id).start_step(), 20);
  EXPECT_EQ(Trial(id).previous_end(), "preempted");
  StopServer();
  EXPECT_EQ(Ends(id), "preempted");
  // The second attempt starts where the checkpoint was written.
  const std::vector<LeaseId> leases = Leases(id);
  ASSERT_THAT(leases, SizeIs(2));
  EXPECT_EQ(disk_.points.at(leases[1]).begin()->second.step,
            disk_.points.at(leases[0]).rbegin()->second.step + 1);
}

TEST_F(AgentTest, ACheckpointThatCannotBeReadIsMarkedAndTheTrialStartsOver) {
  const TrialId id = Submit({Scripted({{"delay_ms", 2}}, 100)})[0];
  RunningAgent worker(Options("w"));
  ASSERT_TRUE(WaitForStep(id, 10));
  Control(wire::CONTROL_ACTION_PAUSE, true);
  ASSERT_TRUE(WaitForState(id, "queued"));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ + "/checkpoints")) {
    if (entry.path().filename() == "step") std::ofstream(entry.path()) << "garbage";
  }
  Control(wire::CONTROL_ACTION_RESUME);
  ASSERT_TRUE(WaitForState(id, "completed"));
  StopServer();
  EXPECT_EQ(Ends(id), "preempted bad_checkpoint completed");
  EXPECT_EQ(disk_.points.at(Leases(id)[2]).begin()->second.step, 1);
}

TEST_F(AgentTest, ADrainReleasesTheTrialWithItsCheckpointAndAnotherGoesOn) {
  const TrialId id = Submit({Scripted({{"delay_ms", 5}}, 400)})[0];
  {
    RunningAgent first(Options("first"));
    ASSERT_TRUE(WaitForStep(id, 20));
    first.agent().RequestDrainFromSignal();
    const absl::Status ended = first.Wait();
    EXPECT_TRUE(ended.ok()) << ended;
  }
  EXPECT_EQ(Trial(id).state(), "queued");
  EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/spool-first") ||
              !std::filesystem::exists(folder_ + "/spool-first/1.jsonl"));
  RunningAgent second(Options("second"));
  ASSERT_TRUE(WaitForState(id, "completed"));
  StopServer();
  EXPECT_EQ(Ends(id), "preempted completed");
}

TEST_F(AgentTest, AnAgentThatDiesLeavesItsPointsToItsSuccessor) {
  const TrialId id = Submit({Scripted({{"delay_ms", 5}, {"checkpoint_every", 10}}, 400)})[0];
  {
    RunningAgent first(Options("w"));
    ASSERT_TRUE(WaitForStep(id, 50));
    first.agent().StopNow();
    EXPECT_TRUE(first.Wait().ok());
    EXPECT_TRUE(std::filesystem::exists(folder_ + "/spool-w/1.jsonl"));
  }
  const absl::Time before = absl::Now();
  RunningAgent second(Options("w"));
  ASSERT_TRUE(WaitForState(id, "completed"));
  // A new instance is proof: nobody waited for the lost timer of 300 s.
  EXPECT_LT(absl::Now() - before, absl::Seconds(60));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/spool-w/1.jsonl"));
  StopServer();
  EXPECT_EQ(Ends(id), "lost completed");
  const std::vector<LeaseId> leases = Leases(id);
  // What the first had said was delivered, and the second went on from the
  // newest checkpoint.
  EXPECT_GE(disk_.points.at(leases[0]).size(), 50u);
  EXPECT_GE(disk_.points.at(leases[1]).begin()->second.step, 41);
}

TEST_F(AgentTest, ARestartOfTheCoordinatorNeverStopsTraining) {
  const TrialId id = Submit({Scripted({{"delay_ms", 5}}, 400)})[0];
  RunningAgent worker(Options("w"));
  ASSERT_TRUE(WaitForStep(id, 20));
  for (int i = 0; i < 2; ++i) {
    StopServer();
    StartServer();
  }
  ASSERT_TRUE(WaitForState(id, "completed"));
  StopServer();
  EXPECT_EQ(Ends(id), "completed");
  EXPECT_EQ(disk_.points.at(Leases(id)[0]).rbegin()->second.step, 400);
}

TEST_F(AgentTest, ASilentTrainerIsEndedAndItsTrialTriedAgain) {
  AgentOptions options = Options("w");
  options.silence_limit = absl::Milliseconds(300);
  options.grace = absl::Milliseconds(200);
  const TrialId id = Submit({Scripted({{"hang_at", 5}})})[0];
  RunningAgent worker(options);
  ASSERT_TRUE(WaitForState(id, "completed"));
  EXPECT_TRUE(WaitForHistory("stalled: no line for 300ms, at step 4"));
  StopServer();
  EXPECT_EQ(Ends(id), "lost completed");
}

TEST_F(AgentTest, ACancelKillsAtOnceGrandchildrenIncluded) {
  const std::string pid_file = folder_ + "/grandchild";
  const TrialId id = Submit({Scripted(
      {{"delay_ms", 5}, {"grandchild", 1}, {"ignore_term", 1}, {"pid_file", pid_file}}, 100000)})[0];
  AgentOptions options = Options("w");
  options.grace = absl::Hours(1);  // not waited for
  RunningAgent worker(options);
  ASSERT_TRUE(WaitForStep(id, 5));
  int grandchild = 0;
  ASSERT_TRUE(WaitFor([&] { return static_cast<bool>(std::ifstream(pid_file) >> grandchild); }));
  ASSERT_EQ(kill(grandchild, 0), 0);
  Control(wire::CONTROL_ACTION_CANCEL);
  ASSERT_TRUE(WaitForState(id, "cancelled"));
  EXPECT_NE(kill(grandchild, 0), 0);
}

TEST_F(AgentTest, ABranchStartsFromItsTrunksCheckpoint) {
  PlannedTrial trunk = Scripted({}, 20);
  trunk.spec.branch_steps = {10, 20};
  trunk.role = TrialRole::kTrunk;
  PlannedTrial branch = Scripted({}, 15);
  branch.spec.parent_lineage = "trunk";
  branch.spec.branch_step = 10;
  branch.role = TrialRole::kBranch;
  branch.parent = 0;
  const std::vector<TrialId> ids = Submit({trunk, branch});
  RunningAgent worker(Options("w"));
  ASSERT_TRUE(WaitForState(ids[1], "completed"));
  StopServer();
  EXPECT_EQ(Ends(ids[0]), "completed");
  const auto& points = disk_.points.at(Leases(ids[1])[0]);
  EXPECT_EQ(points.begin()->second.step, 11);
  EXPECT_THAT(points, SizeIs(5));
}

TEST_F(AgentTest, AllRanksEndWhenOneHas) {
  PlannedTrial pair = Scripted({{"delay_ms", 5}, {"exit_at", 10}, {"exit_code", 1}, {"fault_rank", 1}}, 2000);
  pair.slots = 2;
  const TrialId id = Submit({pair})[0];
  RunningAgent worker(Options("w", 2));
  ASSERT_TRUE(WaitForHistory("crashed: exit code 1"));
  StopServer();
  EXPECT_EQ(Ends(id), "crashed");
  EXPECT_LT(disk_.points.at(Leases(id)[0]).size(), 1000u);  // rank 0 was ended
}

TEST_F(AgentTest, LinesThatBreakTheContractAreNotedAndTheRestCounts) {
  const std::vector<TrialId> ids =
      Submit({Scripted({{"garbage_at", 5}}), Scripted({{"garbage_at", 5}, {"stdout", 1}})});
  RunningAgent worker(Options("w"));
  for (const TrialId id : ids) ASSERT_TRUE(WaitForState(id, "completed"));
  EXPECT_TRUE(WaitForHistory("refused: event line: is not a JSON object"));
  EXPECT_TRUE(WaitForHistory("refused: event 'step': step is not a whole number"));
  EXPECT_TRUE(WaitForHistory("unknown event"));
  StopServer();
  for (const TrialId id : ids) EXPECT_THAT(disk_.points.at(Leases(id)[0]), SizeIs(20));
}

TEST_F(AgentTest, AFastTrainerIsThinnedAndAllThatWasNumberedIsStored) {
  const TrialId id = Submit({Scripted({}, 20000)})[0];
  RunningAgent worker(Options("w"));
  ASSERT_TRUE(WaitForState(id, "completed"));
  StopServer();
  const auto& points = disk_.points.at(Leases(id)[0]);
  EXPECT_EQ(points.rbegin()->second.step, 20000);
  EXPECT_LT(points.size(), 5000u);
}

TEST_F(AgentTest, ItsLogIsThereWhileItRunsAndAfterwards) {
  const TrialId id = Submit({Scripted({{"delay_ms", 5}}, 100)})[0];
  RunningAgent worker(Options("w"));
  ASSERT_TRUE(WaitForStep(id, 5));
  std::mutex mu;
  std::string text;
  std::promise<absl::Status> ended;
  wire::LogRequest request;
  request.set_trial_id(id.value());
  request.set_follow(true);
  const auto subscription = server_->coordinator().ReadLog(
      request,
      [&](const wire::LogChunk& chunk) {
        const std::lock_guard lock(mu);
        text += chunk.text();
      },
      [&](const absl::Status& status) { ended.set_value(status); });
  auto end = ended.get_future();
  ASSERT_EQ(end.wait_for(absl::ToChronoSeconds(kTestDeadline)), std::future_status::ready);
  server_->coordinator().Unsubscribe(subscription);
  EXPECT_THAT(text, HasSubstr("rank 0 of 1 from step 0"));
}

TEST_F(AgentTest, AnotherProtocolVersionIsRefusedNamingBothAndTheCure) {
  AgentOptions options = Options("w");
  options.protocol_version_for_testing = 9;
  RunningAgent worker(options);
  const absl::Status ended = worker.Wait();
  EXPECT_EQ(ended.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(ended.message()),
              AllOf(HasSubstr("version 1"), HasSubstr("version 9"), HasSubstr("cure:")));
}

TEST_F(AgentTest, WithoutACoordinatorItWaitsAndSaysWhatIsMissing) {
  StopServer();
  RunningAgent worker(Options("w"));
  ASSERT_TRUE(WaitFor([&] { return worker.log().find("coordinator at") != std::string::npos; }));
  StartServer();
  const TrialId id = Submit({Scripted({})})[0];
  ASSERT_TRUE(WaitForState(id, "completed"));
}

TEST_F(AgentTest, AnIdleWorkerLeavesWhenTold) {
  AgentOptions options = Options("w");
  options.idle_exit = absl::Milliseconds(50);
  RunningAgent worker(options);
  EXPECT_TRUE(worker.Wait().ok());
  EXPECT_THAT(worker.log(), HasSubstr("idle for 50ms: leaving"));
}

TEST_F(AgentTest, BadOptionsAreRefusedBeforeAnythingStarts) {
  AgentOptions options = Options("w");
  options.name = "Not A Name";
  EXPECT_EQ(RunningAgent(options).created().code(), absl::StatusCode::kInvalidArgument);
  options = Options("w");
  options.slots = "tpu";
  EXPECT_EQ(RunningAgent(options).created().code(), absl::StatusCode::kInvalidArgument);
  RunningAgent first(Options("w"));
  EXPECT_THAT(RunningAgent(Options("w")).created().ToString(), HasSubstr("another --spool"));
}

}  // namespace
}  // namespace isoflop
