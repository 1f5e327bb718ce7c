#include "worker/trainer/checkpoint_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <future>
#include <stdexcept>

#include "tests/worker/trainer/checkpoint_fixture.h"

namespace isoflop {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

class CheckpointWriterTest : public CheckpointFixture {
 protected:
  void SetUp() override {
    CheckpointFixture::SetUp();
    file_ = std::tmpfile();
    EventWriterOptions options;
    options.fd = fileno(file_);
    events_.emplace(options);
  }
  void TearDown() override {
    std::fclose(file_);
    CheckpointFixture::TearDown();
  }
  std::string Lines() {
    std::string all;
    std::rewind(file_);
    for (int c; (c = std::fgetc(file_)) != EOF;) all += static_cast<char>(c);
    return all;
  }
  CheckpointJob Job(int64_t step, CheckpointReason reason) const { return {State(step), reason, Tensors(), {}}; }

  std::FILE* file_ = nullptr;
  std::optional<EventWriter> events_;
};

TEST_F(CheckpointWriterTest, AnnouncesWhatIsOnTheDisk) {
  CheckpointWriter writer(folder_, layout_, *events_);
  EXPECT_EQ(writer.last_step(), std::nullopt);
  ASSERT_TRUE(writer.Submit(Job(40, CheckpointReason::kBranch)).ok());
  ASSERT_TRUE(writer.Submit(Job(80, CheckpointReason::kPeriodic)).ok());
  ASSERT_TRUE(writer.Wait().ok());
  EXPECT_EQ(writer.last_step(), 80);
  EXPECT_THAT(Lines(), AllOf(HasSubstr("{\"event\":\"checkpoint\",\"step\":40,\"tokens\":2560,\"path\":\"" + folder_ + "/step-00000040\",\"sha256\":\""),
                             HasSubstr("\"reason\":\"branch\"}\n{\"event\":\"checkpoint\",\"step\":80,"), HasSubstr("\"reason\":\"periodic\"}\n")));
  EXPECT_TRUE(VerifyCheckpoint(folder_ + "/step-00000040").ok());
  EXPECT_TRUE(VerifyCheckpoint(folder_ + "/step-00000080").ok());
}

TEST_F(CheckpointWriterTest, TrainingGoesOnWhileOneIsInFlight) {
  CheckpointWriter writer(folder_, layout_, *events_);
  std::promise<void> copied;
  CheckpointJob job = Job(40, CheckpointReason::kPeriodic);
  job.wait_for_copy = [&] { copied.get_future().wait(); };
  ASSERT_TRUE(writer.Submit(std::move(job)).ok());
  EXPECT_TRUE(writer.busy());
  EXPECT_EQ(writer.last_step(), std::nullopt);
  EXPECT_TRUE(writer.Poll().ok());
  copied.set_value();
  ASSERT_TRUE(writer.Wait().ok());
  EXPECT_FALSE(writer.busy());
  EXPECT_EQ(writer.last_step(), 40);
}

TEST_F(CheckpointWriterTest, ItsEndWaitsForTheJobInFlight) {
  {
    CheckpointWriter writer(folder_, layout_, *events_);
    ASSERT_TRUE(writer.Submit(Job(40, CheckpointReason::kAsked)).ok());
  }
  EXPECT_TRUE(VerifyCheckpoint(folder_ + "/step-00000040").ok());
}

TEST_F(CheckpointWriterTest, AFullDiskCostsAPeriodicCheckpointButNotTheTraining) {
  CheckpointWriter writer(folder_, layout_, *events_);
  ASSERT_TRUE(writer.Submit(Job(40, CheckpointReason::kPeriodic)).ok());
  ASSERT_TRUE(writer.Wait().ok());
  const std::vector<float> weights = weights_, first = first_, second = second_;
  for (CheckpointReason reason : {CheckpointReason::kPeriodic, CheckpointReason::kAsked}) {
    const FileSizeLimit limit(4000);  // the events' file stays far below
    ASSERT_TRUE(writer.Submit(Job(80, reason)).ok());
    EXPECT_TRUE(writer.Wait().ok());
  }
  EXPECT_EQ(writer.last_step(), 40);
  EXPECT_THAT(Lines(), AllOf(HasSubstr("\"event\":\"note\""), HasSubstr("checkpoint of step 80 (periodic) is not written"),
                             HasSubstr("training goes on"), testing::Not(HasSubstr("\"event\":\"checkpoint\",\"step\":80"))));
  // The training's own state is what it was, and the next one is written.
  EXPECT_TRUE(weights == weights_ && first == first_ && second == second_);
  ASSERT_TRUE(writer.Submit(Job(80, CheckpointReason::kPeriodic)).ok());
  ASSERT_TRUE(writer.Wait().ok());
  EXPECT_EQ(writer.last_step(), 80);
}

TEST_F(CheckpointWriterTest, ANeededCheckpointThatFailsIsAnError) {
  for (CheckpointReason reason : {CheckpointReason::kBranch, CheckpointReason::kPreempted}) {
    CheckpointWriter writer(folder_, layout_, *events_);
    {
      const FileSizeLimit limit(4000);  // the events' file stays far below
      ASSERT_TRUE(writer.Submit(Job(80, reason)).ok());
      const absl::Status failed = writer.Wait();
      EXPECT_EQ(failed.code(), absl::StatusCode::kResourceExhausted);
      EXPECT_THAT(std::string(failed.message()), HasSubstr("checkpoint of step 80 (" + ToString(reason) + ") is not written"));
    }
    EXPECT_FALSE(writer.Poll().ok());
    EXPECT_FALSE(writer.Submit(Job(90, CheckpointReason::kPeriodic)).ok());
  }
  EXPECT_THAT(Listing(), IsEmpty());
}

TEST_F(CheckpointWriterTest, AnErrorOfTheDeviceIsAnErrorNotTheEnd) {
  CheckpointWriter writer(folder_, layout_, *events_);
  CheckpointJob job = Job(40, CheckpointReason::kPeriodic);
  job.wait_for_copy = [] { throw std::runtime_error("device gone"); };
  ASSERT_TRUE(writer.Submit(std::move(job)).ok());
  EXPECT_THAT(std::string(writer.Wait().message()), HasSubstr("device gone"));
}

}  // namespace
}  // namespace isoflop
