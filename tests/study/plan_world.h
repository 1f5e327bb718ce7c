// A small study and the facts of its world, for the tests of the planner.
#ifndef ISOFLOP_TESTS_STUDY_PLAN_WORLD_H_
#define ISOFLOP_TESTS_STUDY_PLAN_WORLD_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "study/planner.h"
#include "study/study_yaml.h"

namespace isoflop {

// configs/quickstart_austen.yaml without its head.
inline constexpr char kQuickstart[] = R"(name: austen-quickstart
data: {path: austen.txt.xz, eval: {share: 10%, by: chapter}, if_short: drop}
model: {ladder: [[16,1,4], [24,1,4], [32,1,4], [40,1,4], [48,1,4], [56,1,4], [64,1,4], [80,1,4], [96,1,4]], sequence_length: 64}
grid: {kind: isoflop, budgets: {from: 5e10, to: 6e11, points: 4}, sizes_per_budget: all, spread: 3, center: {tokens_per_parameter: 45}}
seeds: [1, 2]
optimizer: {lr_peak: {value: 1e-2, at_d_model: 24, exponent: -0.52}}
batch: {tokens: 512}
resources: {slot: cpu, slots_per_trial: 1}
)";

inline PlanFacts SmallWorld() {
  PlanFacts facts;
  facts.dataset_sha256 = "d";
  facts.eval_sha256 = "e";
  facts.tokenizer_sha256 = "t";
  facts.unique_tokens = 3'620'000;
  facts.eval_tokens = 400'000;
  facts.vocab_size = 257;
  facts.slots = 2;
  return facts;
}

inline absl::StatusOr<Plan> TryPlan(const std::string& yaml, const PlanFacts& facts,
                                    const std::vector<std::string>& overrides = {}) {
  const absl::StatusOr<StudySpec> spec = ParseStudyYaml(yaml, "study.yaml", overrides);
  if (!spec.ok()) return spec.status();
  return PlanStudy(*spec, facts);
}

inline Plan MustPlan(const std::string& yaml, const PlanFacts& facts, const std::vector<std::string>& overrides = {}) {
  absl::StatusOr<Plan> plan = TryPlan(yaml, facts, overrides);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? *std::move(plan) : Plan{};
}

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_STUDY_PLAN_WORLD_H_
