// A trial that is stopped or branched ends with the bits of the unbroken one; a bad
// checkpoint is refused, a full disk survived.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "study/trial_text.h"
#include "tests/worker/trainer/trial_harness.h"

namespace isoflop {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ResumeRunTest : public TrialTest {};

TEST_F(ResumeRunTest, SigtermEndsWith85AndAResumableCheckpoint) {
  const TrialSpec trial = SmallTrial(400);
  Attempt unbroken = Run(trial);
  for (int world : {1, 2}) {
    RunOptions options;
    options.world = world;
    Attempt attempt = Start(trial, options);
    ASSERT_TRUE(attempt.ranks[0].WaitForText("\"step\":20,")) << attempt.Everything();
    const absl::Time asked = absl::Now();
    for (ChildProcess& rank : attempt.ranks) rank.Signal(SIGTERM);
    for (ExitStatus status : attempt.Wait()) ASSERT_EQ(status, 85) << attempt.Everything();
    const absl::Duration took = absl::Now() - asked;
    EXPECT_LT(took, absl::Seconds(60));
    const std::vector<EventFields> checkpoints = EventsOf(attempt.Output(), "checkpoint");
    ASSERT_EQ(checkpoints.size(), 1u) << attempt.Everything();
    EXPECT_EQ(checkpoints[0]["reason"], "preempted");
    EXPECT_EQ(checkpoints[0]["path"], Newest({attempt.checkpoint_dir}));
    if (world == 1) {
      options.resume = checkpoints[0]["path"];
      Attempt resumed = Run(trial, options);
      ExpectOnTrace(resumed.Output(), LossTrace(unbroken.Output()));
      EXPECT_EQ(FinalLoss(resumed.Output()), FinalLoss(unbroken.Output()));
      EXPECT_TRUE(TensorBytes(resumed.checkpoint_dir + "/step-00000400") == TensorBytes(unbroken.checkpoint_dir + "/step-00000400"));
    }
    if (!HasFailure()) {
      ReportRow(absl::StrCat("SIGTERM, world ", world), "85, checkpoint inside the grace (60 s), resume bitwise",
                absl::StrCat("85 after ", absl::FormatDuration(absl::Trunc(took, absl::Milliseconds(1))), ", step ", checkpoints[0]["step"],
                             world == 1 ? ", resume bitwise" : ""));
    }
  }
}

TEST_F(ResumeRunTest, AnLstmGoesOnBitwiseWithItsDropout) {
  TrialSpec trial = SmallTrial(300);
  ModelShape lstm;
  lstm.family = Family::kLstm;
  lstm.d_model = 24;
  lstm.n_layer = 2;
  lstm.n_head = 1;
  lstm.dropout = 0.2;
  lstm.vocab_size = trial.model.vocab_size;
  trial.model = lstm;
  trial.branch_steps = {137, 300};  // 137: between two loss points
  Attempt unbroken = Run(trial);
  RunOptions options;
  options.resume = unbroken.checkpoint_dir + "/step-00000137";
  Attempt resumed = Run(trial, options);
  ExpectOnTrace(resumed.Output(), LossTrace(unbroken.Output()));
  EXPECT_EQ(FinalLoss(resumed.Output()), FinalLoss(unbroken.Output()));
  EXPECT_TRUE(TensorBytes(resumed.checkpoint_dir + "/step-00000300") == TensorBytes(unbroken.checkpoint_dir + "/step-00000300"));
  if (!HasFailure()) ReportRow("LSTM: resume, dropout 0.2: losses and weights", "bitwise", "bitwise");
}

TEST_F(ResumeRunTest, SigtermToOneRankStopsAllAtOneStep) {
  RunOptions options;
  options.world = 2;
  Attempt attempt = Start(SmallTrial(400), options);
  ASSERT_TRUE(attempt.ranks[0].WaitForText("\"step\":20,")) << attempt.Everything();
  attempt.ranks[1].Signal(SIGTERM);
  for (ExitStatus status : attempt.Wait()) EXPECT_EQ(status, 85) << attempt.Everything();
}

TEST_F(ResumeRunTest, Sigusr1WritesACheckpointAndGoesOn) {
  const TrialSpec trial = SmallTrial(400);
  Attempt attempt = Start(trial);
  ASSERT_TRUE(attempt.ranks[0].WaitForText("\"step\":20,")) << attempt.Everything();
  attempt.ranks[0].Signal(SIGUSR1);
  for (ExitStatus status : attempt.Wait()) EXPECT_EQ(status, 0) << attempt.Everything();
  std::vector<std::string> reasons;
  for (const EventFields& checkpoint : EventsOf(attempt.Output(), "checkpoint")) reasons.push_back(checkpoint["reason"]);
  EXPECT_EQ(reasons, (std::vector<std::string>{"asked", "branch"}));
}

TEST_F(ResumeRunTest, AChangedWorldIsToldAsNotExactAndStaysClose) {
  TrialSpec trial = SmallTrial(120);
  trial.branch_steps = {20, 120};
  // Rounding grows with the steps, and faster at a high rate: at 0.01 this network
  // and two unbroken runs of worlds 1 and 2 part by 3e-3 within 110 steps.
  trial.optimizer.lr_peak = 0.003;
  Attempt unbroken = Run(trial);
  RunOptions options;
  options.world = 2;
  options.resume = unbroken.checkpoint_dir + "/step-00000020";
  Attempt wider = Run(trial, options);
  EXPECT_EQ(EventsOf(wider.Output(), "final").at(0)["resumed_exact"], "false");
  EXPECT_THAT(wider.Output(), HasSubstr("world_size 2, was 1"));
  double worst = 0;
  const std::map<int64_t, std::string> reference = LossTrace(unbroken.Output());
  for (const auto& [step, loss] : LossTrace(wider.Output())) {
    worst = std::max(worst, std::abs(std::stod(loss) - std::stod(reference.at(step))));
  }
  EXPECT_LE(worst, 1e-3);
  if (!HasFailure()) {
    ReportRow("resume on another world size", "loss within 1e-3 nats over 100 steps, resumed_exact false",
              absl::StrCat("within ", worst, ", resumed_exact false"));
  }
}

TEST_F(ResumeRunTest, ABranchIsASingleRunOfTheSameSchedule) {
  TrialSpec trunk = SmallTrial(60);
  trunk.branch_steps = {30, 60};
  TrialSpec single = SmallTrial(40);
  single.schedule.decay_steps = 10;
  single.schedule.decay_shape = DecayShape::kSqrt;
  TrialSpec branch = single;
  branch.parent_lineage = Lineage(trunk);
  branch.branch_step = 30;

  Attempt of_trunk = Run(trunk), of_single = Run(single);
  RunOptions options;
  options.resume = of_trunk.checkpoint_dir + "/step-00000030";
  Attempt of_branch = Run(branch, options);
  ExpectOnTrace(of_branch.Output(), LossTrace(of_single.Output()));
  EXPECT_EQ(FinalLoss(of_branch.Output()), FinalLoss(of_single.Output()));
  EXPECT_TRUE(TensorBytes(of_branch.checkpoint_dir + "/step-00000040") == TensorBytes(of_single.checkpoint_dir + "/step-00000040"));
  const EventFields final = EventsOf(of_branch.Output(), "final").at(0);
  EXPECT_EQ(final["tokens_trained"], absl::StrCat(40 * 8 * 32));  // the trunk's part included
  EXPECT_EQ(final["resumed_exact"], "true");

  // A branch may start anywhere but at another step, or from nothing.
  options.resume = of_trunk.checkpoint_dir + "/step-00000060";
  Attempt wrong = Run(branch, options, 78);
  EXPECT_THAT(wrong.Output(), AllOf(HasSubstr("\"kind\":\"config\""), HasSubstr("step 60"), HasSubstr("cure:")));
  options.resume = "";
  EXPECT_THAT(Run(branch, options, 78).Output(), HasSubstr("without ISOFLOP_RESUME"));
  if (!HasFailure()) ReportRow("branch = a single run with the same schedule", "bitwise", "loss trace, final loss, weights and moments bitwise");
}

TEST_F(ResumeRunTest, ALongerTrunkGoesOnFromAShorterOne) {
  TrialSpec shorter = SmallTrial(20), longer = SmallTrial(40);
  RunOptions options;
  options.resume = Run(shorter).checkpoint_dir + "/step-00000020";
  Attempt on = Run(longer, options), whole = Run(longer);
  EXPECT_TRUE(TensorBytes(on.checkpoint_dir + "/step-00000040") == TensorBytes(whole.checkpoint_dir + "/step-00000040"));
}

TEST_F(ResumeRunTest, ATornCheckpointIsRefusedByNameAndTheOneBeforeIsUsed) {
  TrialSpec trial = SmallTrial(40);
  trial.branch_steps = {10, 20, 40};
  Attempt unbroken = Run(trial);
  const std::string older = unbroken.checkpoint_dir + "/step-00000010", newer = unbroken.checkpoint_dir + "/step-00000020";
  const std::string cut_or_flipped[] = {"cut", "flip"};
  int refused = 0;
  for (const char* name : {"model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"}) {
    const std::string path = newer + "/" + name;
    std::ostringstream whole;
    whole << std::ifstream(path, std::ios::binary).rdbuf();
    for (const std::string& how : cut_or_flipped) {
      std::string torn = whole.str();
      if (how == "cut") {
        torn.resize(torn.size() / 2);
      } else {
        torn[torn.size() / 2] = static_cast<char>(torn[torn.size() / 2] ^ 4);
      }
      std::ofstream(path, std::ios::binary) << torn;
      RunOptions options;
      options.resume = newer;
      Attempt attempt = Run(trial, options, 75);
      const std::vector<EventFields> errors = EventsOf(attempt.Output(), "error");
      ASSERT_EQ(errors.size(), 1u) << attempt.Everything();
      EXPECT_EQ(errors[0]["kind"], "checkpoint");
      EXPECT_THAT(errors[0]["message"], AllOf(HasSubstr("step-00000020"), HasSubstr("cure:")));
      // A flip in the manifest may be told of the file that it describes.
      if (std::string(name) != "manifest.json") {
        EXPECT_THAT(errors[0]["message"], HasSubstr(name));
      }
      ++refused;
    }
    std::ofstream(path, std::ios::binary) << whole.str();
  }
  RunOptions options;
  options.resume = older;
  Attempt resumed = Run(trial, options);
  EXPECT_EQ(FinalLoss(resumed.Output()), FinalLoss(unbroken.Output()));
  if (!HasFailure()) {
    ReportRow("torn checkpoint: each file cut, a bit flipped", "refused by name, older one used",
              absl::StrCat(refused, " of 8 refused with 75 and kind checkpoint; from the older one the same final loss"));
  }
}

TEST_F(ResumeRunTest, AFullDiskCostsACheckpointButNotTheTrial) {
  TrialSpec trial = SmallTrial(40);
  Attempt unbroken = Run(trial);
  RunOptions options;
  options.checkpoint_seconds = 0;
  options.file_size_limit_kib = 32;  // below the weights, above the event lines
  trial.branch_steps = {};
  Attempt full = Run(trial, options);
  EXPECT_THAT(full.Output(), AllOf(HasSubstr("\"event\":\"note\""), HasSubstr("is not written"), HasSubstr("training goes on")));
  EXPECT_TRUE(EventsOf(full.Output(), "checkpoint").empty());
  EXPECT_EQ(Newest({full.checkpoint_dir}), "");
  EXPECT_EQ(LossTrace(full.Output()), LossTrace(unbroken.Output()));
  EXPECT_EQ(FinalLoss(full.Output()), FinalLoss(unbroken.Output()));

  // A trunk without its branch point is of no use.
  trial.branch_steps = {20};
  options.checkpoint_seconds = 3600;
  Attempt trunk = Run(trial, options, 75);
  const std::vector<EventFields> errors = EventsOf(trunk.Output(), "error");
  ASSERT_EQ(errors.size(), 1u) << trunk.Everything();
  EXPECT_EQ(errors[0]["kind"], "io");
  EXPECT_THAT(errors[0]["message"], AllOf(HasSubstr("checkpoint of step 20 (branch) is not written"), HasSubstr("cure:")));
  if (!HasFailure()) {
    ReportRow("full disk while checkpointing", "a clear line, training's state intact",
              "periodic: note, same losses bitwise; branch point: 75, kind io, file and cure named");
  }
}

TEST_F(ResumeRunTest, ACheckpointOfOtherDataOrOfNothingIsRefused) {
  RunOptions options;
  options.resume = folder_ + "/nowhere/step-00000020";
  Attempt none = Run(SmallTrial(), options, 75);
  EXPECT_THAT(none.Output(), AllOf(HasSubstr("\"kind\":\"checkpoint\""), HasSubstr("no checkpoint is there")));

  TrialSpec other = SmallTrial(20);
  other.seed = 2;
  options.resume = Run(other).checkpoint_dir + "/step-00000020";
  EXPECT_THAT(Run(SmallTrial(), options, 78).Output(), AllOf(HasSubstr("\"kind\":\"config\""), HasSubstr("of lineage")));
}

}  // namespace
}  // namespace isoflop
