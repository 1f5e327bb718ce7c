// What strangers write never crashes the reader.
#include <gtest/gtest.h>

#include <random>

#include "study/study_yaml.h"

namespace isoflop {
namespace {

constexpr char kText[] = R"(name: fuzz
data: {path: a, eval: {share: 5%, max_tokens: 10M}}
model: {ladder: [[16,1,4], [24,1,4]], sequence_length: 64, d_ff: 4x, init: gpt2}
grid: {kind: isoflop, budgets: {from: 5e10, to: 6e11, points: 4}, sizes_per_budget: all}
seeds: [1, 2]
schedule: {kind: wsd, warmup: 2%, cooldown: 20%}
optimizer: {lr_peak: {value: 1e-2, at_d_model: 24, exponent: -0.52}}
batch: {tokens: 512}
resources: {slot: cpu, slots_per_trial: {1M: 1, 2M: 2}}
analysis: {bootstrap: {levels: [80, 95]}}
trainer: {command: [python, train.py], options: {a: &x 1, b: *x}}
)";

TEST(StudyYamlFuzzTest, DamagedTextsAreReadOrRefused) {
  std::mt19937 random(4711);
  int accepted = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string text = kText;
    const int damages = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < damages; ++i) {
      const size_t at = random() % text.size();
      switch (random() % 5) {
        case 0: text[at] = static_cast<char>(random() % 256); break;
        case 1: text.erase(at, 1 + random() % 12); break;
        case 2: text.insert(at, text.substr(random() % text.size(), random() % 30)); break;
        case 3: text[at] = "0123456789.,:'\"{}[]-&*!|>%#\n\t "[random() % 31]; break;
        case 4: text.insert(at, "[[[[{{{{&a *a"); break;
      }
      if (text.empty()) text = "x";
    }
    const absl::StatusOr<StudySpec> spec = ParseStudyYaml(text, "f.yaml");
    if (!spec.ok()) {
      EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument) << "round " << round;
      EXPECT_FALSE(spec.status().message().empty());
      continue;
    }
    ++accepted;
    const std::string resolved = ResolvedYaml(*spec);
    const absl::StatusOr<StudySpec> again = ParseStudyYaml(resolved, "r.yaml");
    ASSERT_TRUE(again.ok()) << "round " << round << ": " << again.status() << "\n" << resolved;
    EXPECT_EQ(ResolvedYaml(*again), resolved) << "round " << round;
  }
  EXPECT_GT(accepted, 20) << "a changed digit is a study still";
}

TEST(StudyYamlFuzzTest, AliasBombsAndDepthsAreRefused) {
  std::string bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n";
  for (char name = 'b'; name < 'j'; ++name) {
    const std::string before(1, static_cast<char>(name - 1));
    bomb += std::string(1, name) + ": &" + name + " [";
    for (int i = 0; i < 10; ++i) bomb += "*" + before + ", ";
    bomb += "x]\n";
  }
  const auto refused = ParseStudyYaml(bomb, "bomb.yaml");
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(std::string(refused.status().message()).find("more than 100000 values"), std::string::npos);
  for (const char bracket : {'[', '{'}) {
    const auto deep = ParseStudyYaml("a: " + std::string(100'000, bracket), "deep.yaml");
    EXPECT_FALSE(deep.ok());
  }
  EXPECT_FALSE(ParseStudyYaml("a: &a [*a]\n", "self.yaml").ok());
  EXPECT_FALSE(ParseStudyYaml(std::string(2'000'000, 'x'), "long.yaml").ok());
}

}  // namespace
}  // namespace isoflop
