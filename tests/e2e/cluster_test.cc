// The commands of a cluster, as a person types them.
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/cluster.h"
#include "worker/agent/agent.h"

namespace isoflop {
namespace {

using Json = nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Three sizes by two D, on the scripted trainer.
std::string Yaml(const std::string& options, const std::string& name = "small") {
  return absl::StrCat(
      "name: ", name, "\n"
      "data: {synthetic: \"zipf-markov:64,1.1,0.3,7,1M\"}\n"
      "model:\n  family: custom\n  sequence_length: 64\n  ladder:\n"
      "    - {id: s, params_blocks: 16000, params_embedding: 4000, params_head: 4000}\n"
      "    - {id: m, params_blocks: 36000, params_embedding: 4000, params_head: 4000}\n"
      "    - {id: l, params_blocks: 76000, params_embedding: 4000, params_head: 4000}\n"
      "grid: {kind: product, params: all, tokens: [0.1M, 0.2M]}\n"
      "schedule: {kind: cosine}\n"
      "optimizer: {lr_peak: 1e-3}\n"
      "batch: {tokens: 512}\n"
      "precision: fp32\n"
      "resources: {slot: cpu, slots_per_trial: 1}\n"
      "trainer:\n  command: [", ISOFLOP_SCRIPTED_TRAINER, "]\n  options: {", options, "}\n");
}

TEST(ClusterTest, ASecondCoordinatorOnOneStoreIsRefusedNamingThePid) {
  Cluster cluster;
  ASSERT_TRUE(cluster.StartCoordinator()) << cluster.CoordinatorLog();
  const ProgramEnd second = cluster.Isoflop({"coordinator"});
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_THAT(second.err, HasSubstr(absl::StrCat(cluster.coordinator()->pid())));
  EXPECT_THAT(second.err, HasSubstr("cure:"));
  // The first one still serves.
  EXPECT_EQ(cluster.Isoflop({"status", "--workers"}).exit_code, 0);
}

TEST(ClusterTest, AWorkerOfAnotherProtocolVersionIsRefusedClearly) {
  Cluster cluster;
  ASSERT_TRUE(cluster.StartCoordinator()) << cluster.CoordinatorLog();
  AgentOptions options;
  options.server = "unix:" + cluster.folder() + "/home/run/coordinator.sock";
  options.name = "old";
  options.slots = "cpu:1";
  options.checkpoint_root = cluster.folder() + "/checkpoints";
  options.spool_dir = cluster.folder() + "/spool";
  options.protocol_version_for_testing = 99;
  auto agent = Agent::Create(options);
  ASSERT_TRUE(agent.ok()) << agent.status();
  const absl::Status ended = (*agent)->Run();
  EXPECT_EQ(ended.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(ended.message()), AllOf(HasSubstr("version 1"), HasSubstr("version 99"), HasSubstr("cure:")));
}

TEST(ClusterTest, NobodyListensIsExitCodeFiveWithTheCure) {
  Cluster cluster;
  const std::string yaml = cluster.Write("study.yaml", Yaml(""));
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"submit", yaml, "-y"}, {"pause"}, {"cancel", "1", "-y"}, {"watch"}, {"status", "--workers"}}) {
    const ProgramEnd end = cluster.Isoflop(command);
    EXPECT_EQ(end.exit_code, 5) << command[0] << ": " << end.err;
    EXPECT_THAT(end.err, HasSubstr("cure: ")) << command[0];
    EXPECT_THAT(end.err, HasSubstr("isoflop coordinator")) << command[0];
  }
  // No store either: nothing was run here.
  const ProgramEnd status = cluster.Isoflop({"status"});
  EXPECT_EQ(status.exit_code, 3) << status.err;
  const ProgramEnd json = cluster.Isoflop({"pause", "--json"});
  EXPECT_EQ(Json::parse(json.err)["error"]["code"], "unavailable");
  EXPECT_THAT(Json::parse(json.err)["error"]["cure"].get<std::string>(), HasSubstr("isoflop coordinator"));
}

TEST(ClusterTest, AStudyFromSubmitToTheEndAsThePersonSeesIt) {
  Cluster cluster;
  ASSERT_TRUE(cluster.StartCoordinator()) << cluster.CoordinatorLog();
  const std::string yaml = cluster.Write("study.yaml", Yaml("total_ms: 200, points: 10"));
  const ProgramEnd asked = cluster.Isoflop({"submit", yaml});
  EXPECT_EQ(asked.exit_code, 2);  // nobody to answer
  EXPECT_THAT(asked.err, HasSubstr("cure: isoflop submit"));
  const ProgramEnd dry = cluster.Isoflop({"submit", yaml, "--dry-run"});
  EXPECT_THAT(dry.out, HasSubstr("would submit 6 trials (6 observations)")) << dry.err;
  const ProgramEnd submitted = cluster.Isoflop({"submit", yaml, "-y"});
  ASSERT_EQ(submitted.exit_code, 0) << submitted.err;
  EXPECT_THAT(submitted.out, HasSubstr("submitted 6 trials (6 observations)"));
  EXPECT_THAT(submitted.out, HasSubstr("isoflop status small -w"));
  const ProgramEnd again = cluster.Isoflop({"submit", yaml, "-y", "--json"});
  EXPECT_EQ(Json::parse(again.out)["added"], 0) << again.out << again.err;
  EXPECT_EQ(Json::parse(again.out)["kept"], 6);

  EXPECT_THAT(cluster.Isoflop({"explain"}).out, HasSubstr("6 trials (1 ...) wait for a worker: none is heard"));
  EXPECT_THAT(cluster.Isoflop({"explain", "1"}).out, AllOf(HasSubstr("trial 1: 20.0K x 99.8K, seed 1"), HasSubstr("not in fits yet (not_completed)")));
  const ProgramEnd paused = cluster.Isoflop({"pause"});
  EXPECT_THAT(paused.out, HasSubstr("paused: 0 trials finish, 6 wait")) << paused.err;
  cluster.StartWorker("w1", {"--slots", "cpu:2", "--beat", "100ms"});
  ASSERT_TRUE(WaitUntil([&] { return cluster.Isoflop({"status", "--workers"}).out.find("idle") != std::string::npos; }));
  EXPECT_THAT(cluster.Isoflop({"status"}).out, HasSubstr("small  paused  0/6 observations"));
  const ProgramEnd resumed = cluster.Isoflop({"resume", "small"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;

  const ProgramEnd watched = cluster.Isoflop({"watch", "small", "--history"});
  EXPECT_EQ(watched.exit_code, 0) << watched.err;
  EXPECT_THAT(watched.out, AllOf(HasSubstr("trial 6 completed, loss "), HasSubstr("study small is done")));
  const ProgramEnd status = cluster.Isoflop({"status", "--trials"});
  EXPECT_THAT(status.out, AllOf(HasSubstr("small  done  6/6 observations  100% of FLOPs"), HasSubstr("completed")));
  const Json told = Json::parse(cluster.Isoflop({"status", "--json", "--trials"}).out);
  EXPECT_EQ(told["schema"], "isoflop.status/1");
  EXPECT_EQ(told["trials"].size(), 6u);
  EXPECT_EQ(told["trials"][0]["params"], 20000);
  EXPECT_THAT(cluster.Isoflop({"logs", "3"}).out, HasSubstr("rank 0 of 1 from step 0"));
  EXPECT_THAT(cluster.Isoflop({"explain", "3"}).out, HasSubstr("attempt 1 on w1"));
  EXPECT_THAT(cluster.Isoflop({"explain", "w1"}).out, HasSubstr("worker w1"));
  const ProgramEnd unknown = cluster.Isoflop({"status", "smal"});
  EXPECT_EQ(unknown.exit_code, 3);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean 'small'"));

  // Without a coordinator the store tells the same.
  cluster.coordinator()->Signal(SIGTERM);
  EXPECT_EQ(cluster.coordinator()->Wait(), 0);
  const ProgramEnd offline = cluster.Isoflop({"status", "small", "--trials"});
  EXPECT_THAT(offline.out, HasSubstr("small  done  6/6 observations  100% of FLOPs")) << offline.err;
  EXPECT_THAT(cluster.Isoflop({"explain", "3"}).out, HasSubstr("attempt 1 on w1"));
  EXPECT_THAT(cluster.Isoflop({"logs", "3"}).out, HasSubstr("rank 0 of 1 from step 0"));
}

TEST(ClusterTest, CancelEndsForGoodAndKeepsResultsAndRetryGivesAFreshBudget) {
  Cluster cluster;
  ASSERT_TRUE(cluster.StartCoordinator()) << cluster.CoordinatorLog();
  const std::string yaml = cluster.Write("study.yaml", Yaml("exit_at: 5, exit_code: 78, fault_attempts: 1, delay_ms: 400"));
  ASSERT_EQ(cluster.Isoflop({"submit", yaml, "-y"}).exit_code, 0);
  cluster.StartWorker("w1", {"--slots", "cpu:1", "--beat", "100ms"});
  // A study none of whose trials ever started pauses at a wrong one.
  ASSERT_TRUE(WaitUntil(
      [&] { return cluster.Isoflop({"explain", "small"}).out.find("failed: exit code 78") != std::string::npos; }));
  const ProgramEnd why = cluster.Isoflop({"explain", "small"});
  EXPECT_THAT(why.out, AllOf(HasSubstr("failed: exit code 78"), HasSubstr("cure: mend the study")));
  const ProgramEnd unasked = cluster.Isoflop({"cancel", "small"});
  EXPECT_EQ(unasked.exit_code, 2);
  const ProgramEnd retried = cluster.Isoflop({"retry", "small", "--failed", "--dry-run"});
  EXPECT_THAT(retried.out, HasSubstr("would queue again: ")) << retried.err;
  const ProgramEnd cancelled = cluster.Isoflop({"cancel", "small", "-y"});
  EXPECT_EQ(cancelled.exit_code, 0) << cancelled.err;
  EXPECT_THAT(cancelled.out, HasSubstr("0 results kept"));
  EXPECT_THAT(cluster.Isoflop({"cancel", "99", "-y"}).err, HasSubstr("no trial 99"));
}

TEST(ClusterTest, CtrlCLeavesStatusAndAWorkerGivesItsTrialsBack) {
  Cluster cluster;
  ASSERT_TRUE(cluster.StartCoordinator()) << cluster.CoordinatorLog();
  const std::string yaml = cluster.Write("study.yaml", Yaml("total_ms: 60000, points: 500"));
  ASSERT_EQ(cluster.Isoflop({"submit", yaml, "-y"}).exit_code, 0);
  cluster.StartWorker("w1", {"--slots", "cpu:2", "--beat", "100ms"});
  ASSERT_TRUE(WaitUntil([&] { return cluster.Isoflop({"status"}).out.find("slots 2/2") != std::string::npos; }));
  const std::string out = cluster.folder() + "/watched";
  Program watch({ISOFLOP_PROGRAM, "status", "-w"}, cluster.env(), out, out);
  ASSERT_TRUE(WaitUntil([&] { return ReadText(out).find("small  active") != std::string::npos; }));
  watch.Signal(SIGINT);
  EXPECT_EQ(watch.Wait(), 130);
  ASSERT_TRUE(WaitUntil([&] {
    const Json told = Json::parse(cluster.Isoflop({"status", "--json"}).out, nullptr, false);
    return told.is_object() && told["trials"][5]["step"] > 0;
  }));
  cluster.worker("w1")->Signal(SIGINT);
  EXPECT_EQ(cluster.worker("w1")->Wait(), 0) << cluster.WorkerLog("w1");
  const Json told = Json::parse(cluster.Isoflop({"status", "--json", "--trials"}).out);
  EXPECT_EQ(told["study"]["trials"]["queued"], 6);
  EXPECT_TRUE(cluster.Trainers().empty());
  EXPECT_THAT(cluster.Isoflop({"explain", "6"}).out, HasSubstr("preempted"));
}

TEST(ClusterTest, AWorkerOnTcpNeedsTheToken) {
  Cluster cluster;
  ASSERT_TRUE(cluster.StartCoordinator({"--listen", "127.0.0.1:0", "--allow-root"})) << cluster.CoordinatorLog();
  const std::string out = ReadText(cluster.folder() + "/coordinator-1.out");
  const size_t at = out.find("127.0.0.1:");
  ASSERT_NE(at, std::string::npos) << out;
  const std::string address = out.substr(at, out.find('\n') - at);
  EXPECT_EQ(cluster.Isoflop({"status", "--workers", "--server", address}).exit_code, 0);
  std::filesystem::rename(cluster.folder() + "/home/token", cluster.folder() + "/token");
  const ProgramEnd refused = cluster.Isoflop({"status", "--workers", "--server", address});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("token"));
  const ProgramEnd beyond = cluster.Isoflop({"coordinator", "--listen", "0.0.0.0:0"});
  EXPECT_EQ(beyond.exit_code, 2);
  EXPECT_THAT(beyond.err, HasSubstr("plain text beyond loopback is refused"));
}

// The example of docs/trainer_contract.md; but for a pause at each step, in which
// one trains, as it stands there.
TEST(ClusterTest, ThePythonExampleTrainsStopsResumesAndEnds) {
  Cluster cluster;
  const std::string source = std::string(ISOFLOP_SOURCE_DIR) + "/examples/python_trainer";
  std::filesystem::copy(source, cluster.folder() + "/example");
  std::string program = ReadText(source + "/train.py");
  const size_t here = program.find("    # Train here.");
  ASSERT_NE(here, std::string::npos);
  cluster.Write("example/train.py", program.insert(here, "    __import__('time').sleep(0.002)\n"));
  ASSERT_TRUE(cluster.StartCoordinator()) << cluster.CoordinatorLog();
  const ProgramEnd submitted = cluster.Isoflop({"submit", cluster.folder() + "/example/study.yaml", "-y", "--json"});
  ASSERT_EQ(submitted.exit_code, 0) << submitted.err;
  EXPECT_EQ(Json::parse(submitted.out)["added"], 15);
  cluster.StartWorker("w1", {"--slots", "cpu:2", "--beat", "100ms"});
  const auto status = [&] {
    const Json told = Json::parse(cluster.Isoflop({"status", "--json", "--trials"}).out, nullptr, false);
    return told.is_object() ? told : Json{{"trials", Json::array()}, {"study", Json::object()}};
  };
  int64_t running = 0;
  ASSERT_TRUE(WaitUntil([&] {
    const Json told = status();
    for (const Json& row : told["trials"]) {
      if (row["state"] == "leased" && row["step"] >= 10) running = row["id"];
    }
    return running != 0;
  })) << cluster.Isoflop({"explain"}).out;
  ASSERT_EQ(cluster.Isoflop({"pause", "--now"}).exit_code, 0);
  ASSERT_TRUE(WaitUntil([&] { return status()["study"]["trials"]["leased"] == 0; }));
  ASSERT_EQ(cluster.Isoflop({"resume"}).exit_code, 0);
  EXPECT_TRUE(WaitUntil([&] { return status()["study"]["state"] == "done"; }))
      << cluster.Isoflop({"status", "--trials"}).out << cluster.Isoflop({"explain"}).out;
  const ProgramEnd why = cluster.Isoflop({"explain", absl::StrCat(running)});
  EXPECT_THAT(why.out, AllOf(HasSubstr("attempt 1 on w1"), HasSubstr("preempted"), HasSubstr(", from step "),
                             HasSubstr("completed, loss ")));
  EXPECT_THAT(cluster.Isoflop({"explain", "-n", "0"}).out, Not(HasSubstr("refused")));  // nothing broke the contract
}

}  // namespace
}  // namespace isoflop
