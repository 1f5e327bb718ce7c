#include "worker/trainer/trainer_environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace isoflop {
namespace {

using testing::HasSubstr;

absl::StatusOr<TrainerEnvironment> Read(std::map<std::string, std::string> variables) {
  variables.insert({"ISOFLOP_TRIAL", "t.json"});
  variables.insert({"ISOFLOP_DATA", "d"});
  return ReadTrainerEnvironment([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

std::string ErrorOf(std::map<std::string, std::string> variables) {
  const auto read = Read(std::move(variables));
  return read.ok() ? "read without an error" : std::string(read.status().message());
}

TEST(TrainerEnvironmentTest, DefaultsAreThoseOfTheContract) {
  const auto env = Read({});
  ASSERT_TRUE(env.ok()) << env.status();
  EXPECT_EQ(env->checkpoint_period, absl::Minutes(10));
  EXPECT_EQ(env->grace, absl::Seconds(60));
  EXPECT_EQ(env->world_size, 1);
  EXPECT_FALSE(env->events_fd.has_value());
  EXPECT_FALSE(env->micro_batch_limit.has_value());
  EXPECT_TRUE(env->cuda_graphs);
}

TEST(TrainerEnvironmentTest, ReadsWhatTheAgentSets) {
  const auto env = Read({{"ISOFLOP_EVENTS_FD", "7"},        {"ISOFLOP_CHECKPOINT_SECONDS", "2.5"},
                         {"ISOFLOP_MICRO_BATCH_LIMIT", "4"}, {"RANK", "1"},
                         {"WORLD_SIZE", "2"},                {"MASTER_ADDR", "10.0.0.1"},
                         {"MASTER_PORT", "29500"},           {"ISOFLOP_LEASE", "123456789012"},
                         {"ISOFLOP_RESUME", "c/step-1"},     {"OMP_NUM_THREADS", "3"},
                         {"ISOFLOP_CUDA_GRAPHS", "off"}});
  ASSERT_TRUE(env.ok()) << env.status();
  EXPECT_EQ(env->events_fd, 7);
  EXPECT_EQ(env->checkpoint_period, absl::Milliseconds(2500));
  EXPECT_EQ(env->micro_batch_limit, 4);
  EXPECT_EQ(env->rank, 1);
  EXPECT_EQ(env->lease, 123456789012);
  EXPECT_EQ(env->master_addr, "10.0.0.1");
  EXPECT_EQ(env->master_port, 29500);
  EXPECT_EQ(env->resume_path, "c/step-1");
  EXPECT_EQ(env->threads, 3);
  EXPECT_FALSE(env->cuda_graphs);
}

TEST(TrainerEnvironmentTest, SaysWhichVariableIsWrong) {
  EXPECT_THAT(ErrorOf({{"ISOFLOP_TRIAL", ""}}), HasSubstr("ISOFLOP_TRIAL is not set"));
  EXPECT_THAT(ErrorOf({{"ISOFLOP_DATA", ""}}), HasSubstr("ISOFLOP_DATA is not set"));
  EXPECT_THAT(ErrorOf({{"WORLD_SIZE", "two"}}), HasSubstr("WORLD_SIZE=two: not a whole number"));
  EXPECT_THAT(ErrorOf({{"WORLD_SIZE", "0"}}), HasSubstr("WORLD_SIZE=0"));
  EXPECT_THAT(ErrorOf({{"ISOFLOP_MICRO_BATCH_LIMIT", "0"}}), HasSubstr("ISOFLOP_MICRO_BATCH_LIMIT=0"));
  EXPECT_THAT(ErrorOf({{"ISOFLOP_CHECKPOINT_SECONDS", "soon"}}), HasSubstr("ISOFLOP_CHECKPOINT_SECONDS=soon"));
  EXPECT_THAT(ErrorOf({{"ISOFLOP_CUDA_GRAPHS", "yes"}}), HasSubstr("ISOFLOP_CUDA_GRAPHS=yes: neither on nor off"));
  EXPECT_THAT(ErrorOf({{"RANK", "2"}, {"WORLD_SIZE", "2"}}), HasSubstr("RANK=2 with WORLD_SIZE=2"));
  EXPECT_THAT(ErrorOf({{"WORLD_SIZE", "2"}}), HasSubstr("without MASTER_PORT"));
  EXPECT_THAT(ErrorOf({{"RANK", "99999999999"}}), HasSubstr("RANK="));
}

}  // namespace
}  // namespace isoflop
