#include "worker/trainer/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "study/trial_text.h"
#include "tests/worker/trainer/checkpoint_fixture.h"

namespace isoflop {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kFiles[] = {"model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"};

std::string Message(const absl::Status& status) { return std::string(status.message()); }

class CheckpointTest : public CheckpointFixture {};

TEST_F(CheckpointTest, ReadsBackEachBitThatItWrote) {
  first_[3] = std::numeric_limits<float>::denorm_min();
  weights_[5] = -0.0f;
  const std::string path = Write(800);
  EXPECT_EQ(path, folder_ + "/step-00000800");
  EXPECT_THAT(Listing(), ElementsAre("step-00000800"));

  const auto state = VerifyCheckpoint(path);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(*state, State(800));
  std::vector<float> weights(size_), first(size_), second(size_);
  ASSERT_TRUE(ReadCheckpointTensors(path, layout_, {weights.data(), first.data(), second.data()}).ok());
  EXPECT_EQ(weights, weights_);
  EXPECT_TRUE(std::signbit(weights[5]));
  EXPECT_EQ(first, first_);
  EXPECT_EQ(second, second_);
}

TEST_F(CheckpointTest, KeepsALossThatIsNotThereYet) {
  CheckpointState state = State(1);
  state.smoothed_loss_nats = std::nan("");
  const auto written = WriteCheckpoint(folder_, layout_, state, Tensors());
  ASSERT_TRUE(written.ok());
  const auto read = VerifyCheckpoint(written->path);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(std::isnan(read->smoothed_loss_nats));
}

TEST_F(CheckpointTest, RefusesByNameAFileThatIsCut) {
  const std::string older = Write(400);
  const std::string path = Write(800);
  for (const char* name : kFiles) {
    const std::string file = path + "/" + name;
    const std::string whole = Read(file);
    for (size_t size : {size_t{0}, size_t{1}, whole.size() / 2, whole.size() - 1}) {
      Store(file, whole.substr(0, size));
      const auto state = VerifyCheckpoint(path);
      ASSERT_FALSE(state.ok()) << name << " cut to " << size;
      EXPECT_EQ(state.status().code(), absl::StatusCode::kDataLoss) << name;
      EXPECT_THAT(Message(state.status()), AllOf(HasSubstr("step-00000800"), HasSubstr(name), HasSubstr("cure:")));
    }
    std::filesystem::remove(file);
    EXPECT_EQ(VerifyCheckpoint(path).status().code(), absl::StatusCode::kDataLoss) << name << " missing";
    Store(file, whole);
    EXPECT_TRUE(VerifyCheckpoint(path).ok());
    EXPECT_TRUE(VerifyCheckpoint(older).ok());  // the one that the next attempt is given
  }
}

TEST_F(CheckpointTest, RefusesByNameEachBitFlip) {
  const std::string path = Write(800);
  for (const char* name : kFiles) {
    const std::string file = path + "/" + name;
    const std::string whole = Read(file);
    // Every bit of the small files, every 499th of the large ones.
    const size_t stride = whole.size() > 4096 ? 499 : 1;
    for (size_t bit = 0; bit < whole.size() * 8; bit += stride) {
      std::string flipped = whole;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      Store(file, flipped);
      const auto state = VerifyCheckpoint(path);
      ASSERT_FALSE(state.ok()) << name << " bit " << bit;
      EXPECT_EQ(state.status().code(), absl::StatusCode::kDataLoss);
      // A flip in the manifest may show as a file that does not fit it.
      if (file != path + "/manifest.json") {
        EXPECT_THAT(Message(state.status()), HasSubstr(name));
      }
    }
    Store(file, whole);
  }
  EXPECT_TRUE(VerifyCheckpoint(path).ok());
}

TEST_F(CheckpointTest, OtherRanksReadTheStateWithoutTheTensors) {
  const std::string path = Write(800);
  Store(path + "/model.safetensors", "");
  EXPECT_FALSE(VerifyCheckpoint(path).ok());
  const auto state = ReadCheckpointState(path);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->step, 800);
}

TEST_F(CheckpointTest, SaysThatNoneIsThere) {
  const absl::Status status = VerifyCheckpoint(folder_ + "/step-00000001").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Message(status), HasSubstr("no checkpoint is there"));
}

TEST_F(CheckpointTest, NamesATensorOfAnotherNetwork) {
  const std::string path = Write(800);
  ModelShape wider = TinyShape();
  wider.d_ff = 40;
  const ParameterLayout other = LayOutParameters(wider, 16);
  std::vector<float> a(static_cast<size_t>(other.total)), b = a, c = a;
  const absl::Status status = ReadCheckpointTensors(path, other, {a.data(), b.data(), c.data()});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(status), AllOf(HasSubstr("blocks.0.mlp.up.weight"), HasSubstr("[32, 8], wanted F32 [40, 8]")));
}

TEST_F(CheckpointTest, ReplacesOneOfTheSameStepInOneGo) {
  Write(800);
  std::filesystem::create_directories(folder_ + "/step-00000800.tmp");  // of a run that was killed
  Store(folder_ + "/step-00000800.tmp/model.safetensors", "half");
  weights_[0] = 42;
  const std::string path = Write(800);
  EXPECT_THAT(Listing(), ElementsAre("step-00000800"));
  ASSERT_TRUE(VerifyCheckpoint(path).ok());
  std::vector<float> weights(size_), first(size_), second(size_);
  ASSERT_TRUE(ReadCheckpointTensors(path, layout_, {weights.data(), first.data(), second.data()}).ok());
  EXPECT_EQ(weights[0], 42);
}

TEST_F(CheckpointTest, SaysWhatItsManifestIs) {
  const auto written = WriteCheckpoint(folder_, layout_, State(7), Tensors());
  ASSERT_TRUE(written.ok());
  EXPECT_EQ(written->manifest_sha256, Sha256Hex(Read(written->path + "/manifest.json")));
  int64_t bytes = 0;
  for (const char* name : kFiles) bytes += static_cast<int64_t>(std::filesystem::file_size(written->path + "/" + name));
  EXPECT_EQ(written->bytes, bytes);
}

TEST_F(CheckpointTest, LeavesNothingBehindOnAFullDisk) {
  const std::string older = Write(400);
  for (rlim_t bytes : {rlim_t{10}, rlim_t{1000}, rlim_t{8000}}) {
    const FileSizeLimit limit(bytes);
    const auto written = WriteCheckpoint(folder_, layout_, State(800), Tensors());
    ASSERT_FALSE(written.ok()) << bytes;
    EXPECT_EQ(written.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(Message(written.status()), AllOf(HasSubstr("step-00000800.tmp/"), HasSubstr("cure:")));
    EXPECT_THAT(Listing(), ElementsAre("step-00000400"));
  }
  EXPECT_TRUE(VerifyCheckpoint(older).ok());
  EXPECT_TRUE(VerifyCheckpoint(Write(800)).ok());  // there is room again
}

TEST_F(CheckpointTest, SaysThatItsFolderIsNotThere) {
  const auto written = WriteCheckpoint(folder_ + "/nowhere", layout_, State(800), Tensors());
  EXPECT_EQ(written.status().code(), absl::StatusCode::kNotFound);
}

class ResumeTest : public testing::Test {
 protected:
  void SetUp() override {
    trunk_.model = TinyShape();
    trunk_.sequence_length = 16;
    trunk_.batch_sequences = 4;
    trunk_.steps = 100;
    trunk_.optimizer.lr_peak = 0.01;
    trunk_.data.dataset_sha256 = "d";
    trunk_.branch_steps = {40, 80};
    branch_ = trunk_;
    branch_.branch_steps = {};
    branch_.parent_lineage = Lineage(trunk_);
    branch_.branch_step = 40;
    branch_.steps = 50;
    branch_.schedule.decay_steps = 10;
    at_40_.lineage = Lineage(trunk_);
    at_40_.step = 40;
    at_40_.dataset_sha256 = "d";
  }
  TrialSpec trunk_, branch_;
  CheckpointState at_40_;
};

TEST_F(ResumeTest, ATrialGoesOnFromItsLineage) {
  EXPECT_EQ(*CheckResume(at_40_, trunk_), ResumeKind::kContinue);
  TrialSpec longer = trunk_;  // a longer trunk has the same lineage
  longer.steps = 400;
  EXPECT_EQ(*CheckResume(at_40_, longer), ResumeKind::kContinue);
  at_40_.step = 100;  // all done but the evaluation
  EXPECT_EQ(*CheckResume(at_40_, trunk_), ResumeKind::kContinue);
}

TEST_F(ResumeTest, ABranchStartsAtItsStepOfItsTrunk) {
  EXPECT_EQ(*CheckResume(at_40_, branch_), ResumeKind::kBranch);
  CheckpointState own = at_40_;
  own.lineage = Lineage(branch_);
  own.step = 47;
  EXPECT_EQ(*CheckResume(own, branch_), ResumeKind::kContinue);
}

TEST_F(ResumeTest, RefusesEverythingElseWithTheReason) {
  CheckpointState state = at_40_;
  state.step = 101;
  EXPECT_THAT(Message(CheckResume(state, trunk_).status()), AllOf(HasSubstr("step 101"), HasSubstr("up to 100")));
  state = at_40_;
  state.step = 80;  // the trunk's, but not this branch's step
  EXPECT_EQ(CheckResume(state, branch_).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(CheckResume(state, branch_).status()), HasSubstr("or step 40 of lineage"));
  state = at_40_;
  state.lineage = "another";
  EXPECT_THAT(Message(CheckResume(state, trunk_).status()), HasSubstr("of lineage another"));
  state = at_40_;
  state.dataset_sha256 = "other data";
  EXPECT_THAT(Message(CheckResume(state, trunk_).status()), HasSubstr("data set other data"));
  TrialSpec seed2 = trunk_;
  seed2.seed = 2;
  EXPECT_FALSE(CheckResume(at_40_, seed2).ok());
}

TEST_F(ResumeTest, SaysWhyAResumeIsNotBitwise) {
  CheckpointState then = at_40_, now = at_40_;
  now.step = 0;
  now.fingerprint = "another trial of the lineage";
  EXPECT_EQ(WhyNotBitwise(then, now), "");
  now.world_size = 2;
  now.device = "cuda: H100";
  then.device = "cpu";
  EXPECT_EQ(WhyNotBitwise(then, now), "world_size 2, was 1; device cuda: H100, was cpu");
}

}  // namespace
}  // namespace isoflop
