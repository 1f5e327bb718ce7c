// Every study in configs/ plans, and its head says what its plan says.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "study/format.h"
#include "tests/study/plan_world.h"

namespace isoflop {
namespace {

std::string ReadConfig(const std::string& name) {
  std::ifstream file(std::string(ISOFLOP_SOURCE_DIR) + "/configs/" + name);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty()) << name;
  return text.str();
}

struct World {
  int64_t unique_tokens;
  int64_t vocab_size;
  int slots;
};

Plan PlanConfig(const std::string& name, const World& world) {
  PlanFacts facts = SmallWorld();
  facts.unique_tokens = world.unique_tokens;
  facts.vocab_size = world.vocab_size;
  facts.slots = world.slots;
  facts.slot_memory_bytes = 80e9;
  return MustPlan(ReadConfig(name), facts);
}

int64_t LongestTokens(const Plan& plan) {
  int64_t longest = 0;
  for (const PlannedTrial& trial : plan.trials) longest = std::max(longest, trial.spec.tokens_planned());
  return longest;
}

// The numbers of the head's arithmetic stand in the head.
void ExpectInHead(const std::string& name, const std::vector<std::string>& numbers) {
  const std::string text = ReadConfig(name);
  const std::string head = text.substr(0, text.find("\nname:"));
  for (const std::string& number : numbers) {
    EXPECT_NE(head.find(number), std::string::npos) << name << " does not say " << number;
  }
}

TEST(ConfigsTest, QuickstartAusten) {
  const Plan plan = PlanConfig("quickstart_austen.yaml", {3'602'482, 257, 2});
  EXPECT_EQ(plan.cells, 23);
  EXPECT_EQ(plan.observations, 46);
  EXPECT_EQ(plan.trunks, 14);
  EXPECT_TRUE(plan.warnings.empty());
  ExpectInHead("quickstart_austen.yaml", {FormatFlops(plan.flops_to_spend), FormatFlops(plan.flops_without_trunks),
                                          FormatTokens(plan.left_out.at(0).tokens_needed)});
}

TEST(ConfigsTest, Isoflop1x80GB) {
  const Plan plan = PlanConfig("isoflop_1x80GB.yaml", {10'000'000'000, 32768, 1});
  EXPECT_EQ(plan.cells, 28);
  EXPECT_EQ(plan.trunks, 9);
  EXPECT_TRUE(plan.left_out.empty());
  EXPECT_TRUE(plan.warnings.empty());
  ExpectInHead("isoflop_1x80GB.yaml", {FormatFlops(plan.flops_to_spend), FormatFlops(plan.flops_without_trunks),
                                       FormatTokens(static_cast<double>(LongestTokens(plan)))});
}

TEST(ConfigsTest, Isoflop8x80GB) {
  const Plan plan = PlanConfig("isoflop_8x80GB.yaml", {25'000'000'000, 32768, 8});
  EXPECT_EQ(plan.observations, 24);
  EXPECT_EQ(plan.trunks, 6);
  EXPECT_NEAR(plan.flops_to_spend, 6.93e19, 0.005e19);
  EXPECT_NEAR(plan.flops_without_trunks, 1.07e20, 0.005e20);
  EXPECT_TRUE(plan.left_out.empty());
  EXPECT_TRUE(plan.warnings.empty());
  for (const PlannedTrial& trial : plan.trials) {
    const auto total = static_cast<double>(trial.params.total());
    EXPECT_EQ(trial.slots, total <= 100e6 ? 1 : total <= 200e6 ? 4 : 8);
  }
  ExpectInHead("isoflop_8x80GB.yaml", {FormatFlops(plan.flops_to_spend), FormatFlops(plan.flops_without_trunks),
                                       FormatTokens(static_cast<double>(LongestTokens(plan)))});
}

TEST(ConfigsTest, OwnTrainer) {
  const Plan plan = PlanConfig("own_trainer.yaml", {4'000'000, 256, 2});
  EXPECT_EQ(plan.observations, 9);
  EXPECT_EQ(plan.trunks, 0);
  EXPECT_TRUE(plan.warnings.empty()) << plan.warnings.at(0);
  ASSERT_TRUE(plan.trials.at(0).spec.trainer.has_value());
  ExpectInHead("own_trainer.yaml", {FormatFlops(plan.flops_to_spend),
                                    FormatTokens(static_cast<double>(LongestTokens(plan)))});
}

}  // namespace
}  // namespace isoflop
