// `isoflop run` from its YAML to its report, with a trainer of known truth: all
// parts are the real ones, and the law that comes out is the one that went in.
#include <signal.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "tests/e2e/program.h"
#include "tests/e2e/run_folder.h"

namespace isoflop {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Json = nlohmann::json;

// Five sizes, four D each: with the default schedule five trunks and twenty
// branches. The trainer is $TRAINER and its script $SCRIPT.
constexpr char kStudy[] = R"(
version: 1
name: known-law
data: {synthetic: "zipf-markov:64,1.1,0.3,7,40M"}
model:
  family: custom
  ladder:
    - {id: a, params_blocks: 10K, params_embedding: 4K, params_head: 4K}
    - {id: b, params_blocks: 20K, params_embedding: 6K, params_head: 6K}
    - {id: c, params_blocks: 40K, params_embedding: 8K, params_head: 8K}
    - {id: d, params_blocks: 80K, params_embedding: 10K, params_head: 10K}
    - {id: e, params_blocks: 160K, params_embedding: 14K, params_head: 14K}
  sequence_length: 64
grid: {kind: product, params: all, tokens_per_parameter: [10, 20, 40, 80]}
schedule: {warmup: 0 steps}
optimizer: {lr_peak: 1e-3}
batch: {tokens: 8192}
resources: {slot: cpu, slots_per_trial: 1}
trainer:
  command: [$TRAINER]
  options: {E: 1.5, A: 30, B: 60, alpha: 0.35, beta: 0.32, sigma: 0.001, say_every: 20$SCRIPT}
)";

class RunTest : public testing::Test {
 protected:
  RunTest() { Study(""); }

  // known-law.yaml, with more words for the script of its trainer.
  void Study(const std::string& script, const std::string& trainer = ISOFLOP_SCRIPTED_TRAINER) {
    folder_.Write("known-law.yaml", StudyText(script, trainer));
  }
  static std::string StudyText(const std::string& script, const std::string& trainer) {
    return absl::StrReplaceAll(kStudy, {{"$TRAINER", trainer}, {"$SCRIPT", script}});
  }
  std::string File(const std::string& name) const { return folder_.File(name); }
  std::vector<std::string> RunArguments(const std::string& home) const {
    return folder_.RunArguments("known-law.yaml", home);
  }
  ProgramEnd RunIn(const std::string& home, const std::vector<std::string>& further = {}) const {
    return folder_.Run("known-law.yaml", home, further);
  }

  RunFolder folder_;
};

TEST_F(RunTest, RecoversTheLawItWasGiven) {
  const ProgramEnd end = RunIn("home", {"--json"});
  ASSERT_EQ(end.exit_code, 0) << end.out << end.err;
  const Json result = Json::parse(end.out);
  EXPECT_EQ(result["schema"], "isoflop.run/1");
  EXPECT_EQ(result["state"], "done");
  EXPECT_EQ(result["observations_done"], 20);
  EXPECT_EQ(result["trials"]["completed"], 25);
  EXPECT_EQ(result["trials"]["failed"], 0);
  const Json& fit = result["fit"]["parametric"];
  const std::map<std::string, double> truth = {
      {"E", 1.5}, {"A", 30}, {"B", 60}, {"alpha", 0.35}, {"beta", 0.32}};
  for (const auto& [name, value] : truth) {
    for (const Json& interval : fit[name]["intervals"]) {
      if (interval["level"] != 95) continue;
      EXPECT_LE(interval["lo"].get<double>(), value) << name << " " << fit[name];
      EXPECT_GE(interval["hi"].get<double>(), value) << name << " " << fit[name];
    }
    EXPECT_NEAR(fit[name]["value"].get<double>(), value, 0.1 * value) << name;
  }
  for (const char* file : {"report.html", "report.md", "report.json"}) {
    EXPECT_TRUE(std::filesystem::exists(File(std::string("home-report/") + file))) << file;
  }
  // Each observation in the store, and nothing trained twice.
  EXPECT_EQ(folder_.Losses("home").size(), 25u);
  for (const auto& [trial, leases] : folder_.LeasesOfCompleted("home")) EXPECT_EQ(leases, 1u) << trial;
}

TEST_F(RunTest, ShowsTheWalkWithoutATerminal) {
  Study(", delay_ms: 2");  // a trial lasts long enough to be seen running
  const ProgramEnd end = RunIn("home");
  ASSERT_EQ(end.exit_code, 0) << end.out << end.err;
  EXPECT_THAT(end.out, AllOf(HasSubstr("20 observations (20 cells, seed 1), 5 trunks"),
                             HasSubstr("started on cpu:"), HasSubstr("completed  loss "),
                             HasSubstr("known-law  20/20 observations  0 running  0 waiting  100% of"),
                             HasSubstr(" N* = "), HasSubstr("report.html")));
  EXPECT_EQ(end.out.find('\x1b'), std::string::npos) << "no redraw, no colour";
}

TEST_F(RunTest, TheSameCommandGoesOnAfterCtrlC) {
  // Slow enough to be caught in the middle.
  Study(", delay_ms: 2");
  {
    Program first(RunArguments("broken"), folder_.Env("broken"), File("first.out"), File("first.err"));
    ASSERT_TRUE(WaitUntil([&] { return folder_.Completed("broken") >= 4; })) << ReadText(File("first.err"));
    first.Signal(SIGINT);
    ASSERT_EQ(first.Wait(), 130) << ReadText(File("first.out")) << ReadText(File("first.err"));
  }
  EXPECT_THAT(ReadText(File("first.out")),
              AllOf(HasSubstr("stopping: running trials write checkpoints"),
                    HasSubstr("stopped; the same command goes on: isoflop run ")));
  EXPECT_FALSE(std::filesystem::exists(File("broken-report")));
  const std::map<int64_t, size_t> finished = folder_.LeasesOfCompleted("broken");
  ASSERT_LT(finished.size(), 25u) << "it was not interrupted in the middle";
  for (const StoredTrial& trial : folder_.Trials("broken")) {
    EXPECT_NE(trial.standing.state, TrialState::kFailed);
    EXPECT_NE(trial.standing.state, TrialState::kLeased);
  }

  const ProgramEnd second = RunIn("broken");
  ASSERT_EQ(second.exit_code, 0) << second.out << second.err;
  const std::map<int64_t, size_t> leases = folder_.LeasesOfCompleted("broken");
  EXPECT_EQ(leases.size(), 25u);
  for (const auto& [trial, before] : finished) {
    EXPECT_EQ(leases.at(trial), before) << "trial " << trial << " was trained again";
  }

  const ProgramEnd unbroken = RunIn("unbroken");
  ASSERT_EQ(unbroken.exit_code, 0) << unbroken.out << unbroken.err;
  EXPECT_EQ(folder_.Losses("broken"), folder_.Losses("unbroken"));
  EXPECT_EQ(folder_.ResultTables("broken"), folder_.ResultTables("unbroken"));
  EXPECT_GE(folder_.ResultTables("broken").size(), 3u);

  // A third time there is nothing to do.
  const ProgramEnd third = RunIn("broken");
  EXPECT_EQ(third.exit_code, 0) << third.err;
  EXPECT_THAT(third.out, HasSubstr("25 known already"));
}

TEST_F(RunTest, CtrlCTwiceLeavesAtOnce) {
  // A trainer that heeds no SIGTERM would hold the first one up for a minute.
  Study(", delay_ms: 1000, ignore_term: 1");
  Program run(RunArguments("home"), folder_.Env("home"), File("out"), File("err"));
  ASSERT_TRUE(WaitUntil([&] { return ReadText(File("out")).find("started on") != std::string::npos; }));
  run.Signal(SIGINT);
  ASSERT_TRUE(WaitUntil([&] { return ReadText(File("out")).find("stopping:") != std::string::npos; }));
  run.Signal(SIGINT);
  EXPECT_EQ(run.Wait(absl::Seconds(30)), 130) << ReadText(File("err"));
}

TEST_F(RunTest, AFailedTrialEndsInPart) {
  // The second size always refuses its trial: never retried.
  const std::string script = folder_.Write("trainer.sh", absl::StrCat(
      "if grep -q '\"id\":\"b\"' \"$ISOFLOP_TRIAL\"; then exit 78; fi\nexec ",
      ISOFLOP_SCRIPTED_TRAINER, "\n"));
  Study("", "sh, " + script);
  const ProgramEnd end = RunIn("home");
  EXPECT_EQ(end.exit_code, 4) << end.out << end.err;
  EXPECT_THAT(end.out, AllOf(HasSubstr("failed"), HasSubstr("why: isoflop explain known-law"),
                             HasSubstr("report.html")));
  EXPECT_EQ(folder_.Completed("home"), 20);  // four sizes with their trunks
}

TEST_F(RunTest, ASecondRunIsHandedToTheFirst) {
  // The largest size waits until both are there.
  const std::string script = folder_.Write("trainer.sh", absl::StrCat(
      "if grep -q '\"id\":\"e\"' \"$ISOFLOP_TRIAL\"; then\n  while [ ! -e ", File("go"),
      " ]; do sleep 0.05; done\nfi\nexec ", ISOFLOP_SCRIPTED_TRAINER, "\n"));
  Study("", "sh, " + script);
  Program first(RunArguments("home"), folder_.Env("home"), File("first.out"), File("first.err"));
  ASSERT_TRUE(WaitUntil([&] { return ReadText(File("first.out")).find("started on") != std::string::npos; }))
      << ReadText(File("first.err"));
  std::vector<std::string> arguments = RunArguments("home");
  arguments.back() = File("second-report");
  Program second(arguments, folder_.Env("home"), File("second.out"), File("second.err"));
  ASSERT_TRUE(WaitUntil([&] {
    return ReadText(File("second.out")).find("handed to the coordinator at unix:") != std::string::npos;
  })) << ReadText(File("second.err"));
  folder_.Write("go", "");
  EXPECT_EQ(first.Wait(absl::Minutes(10)), 0) << ReadText(File("first.err"));
  EXPECT_EQ(second.Wait(absl::Minutes(10)), 0) << ReadText(File("second.err"));
  const std::map<int64_t, size_t> leases = folder_.LeasesOfCompleted("home");
  EXPECT_EQ(leases.size(), 25u);
  for (const auto& [trial, count] : leases) EXPECT_EQ(count, 1u) << "trial " << trial;
}

TEST_F(RunTest, BadYamlIsAPictureAndExitCodeTwo) {
  folder_.Write("bad.yaml", absl::StrReplaceAll(StudyText("", "x"), {{"optimizer:", "optimiser:"}}));
  const ProgramEnd end = folder_.Isoflop({"run", File("bad.yaml"), "-y"}, "home");
  EXPECT_EQ(end.exit_code, 2);
  EXPECT_THAT(end.err, AllOf(HasSubstr("bad.yaml:16:1: "), HasSubstr("did you mean 'optimizer'?"),
                             HasSubstr("optimiser: {lr_peak"), HasSubstr("^")));
  EXPECT_FALSE(std::filesystem::exists(File("home/isoflop.db")));
}

TEST_F(RunTest, NoSuchFileIsExitCodeThree) {
  const ProgramEnd end = folder_.Isoflop({"run", File("nowhere.yaml"), "-y"}, "home");
  EXPECT_EQ(end.exit_code, 3);
  EXPECT_THAT(end.err, HasSubstr("nowhere.yaml"));
}

TEST_F(RunTest, AsksOnlyWhereSomebodyCanAnswer) {
  const ProgramEnd end = folder_.Isoflop({"run", File("known-law.yaml")}, "home");
  EXPECT_EQ(end.exit_code, 2);
  EXPECT_THAT(end.err, HasSubstr("cure: isoflop run " + File("known-law.yaml") + " -y"));
  EXPECT_FALSE(std::filesystem::exists(File("home/isoflop.db")));
}

TEST_F(RunTest, DryRunPlansAndChangesNothing) {
  const ProgramEnd end = folder_.Isoflop({"run", File("known-law.yaml"), "--dry-run"}, "home");
  EXPECT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.out, HasSubstr("5 trunks"));
  EXPECT_FALSE(std::filesystem::exists(File("home/isoflop.db")));
}

TEST_F(RunTest, CompletionKnowsCommandsFlagsStudiesAndTrials) {
  ASSERT_EQ(RunIn("home").exit_code, 0);
  // Asks bash what it would offer for a command line.
  const auto offers = [&](const std::string& words) {
    const std::string program_folder = std::filesystem::path(ISOFLOP_PROGRAM).parent_path().string();
    const std::string script = absl::StrCat(
        "PATH=", program_folder, ":$PATH; source <(isoflop completion bash); COMP_WORDS=(", words,
        "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _isoflop; echo \"${COMPREPLY[@]}\"");
    const ProgramEnd end = RunProgram({"bash", "-c", script}, folder_.Env("home"));
    EXPECT_EQ(end.err, "");
    return end.out;
  };
  EXPECT_THAT(offers("isoflop ru"), HasSubstr("run"));
  EXPECT_THAT(offers("isoflop run --sl"), HasSubstr("--slots"));
  EXPECT_THAT(offers("isoflop data pre"), HasSubstr("prepare"));
  EXPECT_THAT(offers("isoflop status kno"), HasSubstr("known-law"));
  EXPECT_THAT(offers("isoflop logs 2"), AllOf(HasSubstr("2"), HasSubstr("25")));
  EXPECT_EQ(folder_.Isoflop({"completion", "tcsh"}, "home").exit_code, 2);
}

}  // namespace
}  // namespace isoflop
