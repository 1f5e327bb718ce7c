// An error is a picture, and the picture is the test.
#include <gtest/gtest.h>

#include <algorithm>

#include "study/study_yaml.h"

namespace isoflop {
namespace {

constexpr char kGood[] = R"(name: web-small
data: {path: data/web}
model:
  ladder: cpu-bytes
grid:
  kind: isoflop
  budgets: [1e15, 3e15]
optimizer: {lr_peak: 3e-3}
batch: {tokens: 4Ki}
)";

std::string Error(const std::string& text, const std::vector<std::string>& overrides = {}) {
  const absl::StatusOr<StudySpec> spec = ParseStudyYaml(text, "study.yaml", overrides);
  EXPECT_FALSE(spec.ok()) << text;
  if (spec.ok()) return "";
  EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(spec.status().message());
}

std::string With(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(StudyYamlErrorsTest, AnUnknownKeyWithItsPlaceAndTheNearestWord) {
  EXPECT_EQ(Error(With("model:", "modle:")),
            "study.yaml:3:1: unknown key 'modle', did you mean 'model'?\n"
            "  modle:\n"
            "  ^\n"
            "cure: write 'model'");
}

TEST(StudyYamlErrorsTest, AWrongUnit) {
  EXPECT_EQ(Error(With("tokens: 4Ki", "tokens: 1.5.B")),
            "study.yaml:9:17: '1.5.B' is not a number of tokens\n"
            "  batch: {tokens: 1.5.B}\n"
            "                  ^\n"
            "cure: 1.5B, 1500M or 1.5e9");
  EXPECT_EQ(Error(With("[1e15, 3e15]", "[1e15, 3h]")),
            "study.yaml:7:19: '3h' is not a number of FLOPs\n"
            "    budgets: [1e15, 3h]\n"
            "                    ^\n"
            "cure: 1e18 or 2.15e19");
}

TEST(StudyYamlErrorsTest, HeadsThatDoNotDivideTheWidth) {
  EXPECT_EQ(Error(With("cpu-bytes", "[[64, 2, 2], [100, 3, 8]]\n  sequence_length: 128")),
            "study.yaml:4:24: 8 heads do not divide d_model 100\n"
            "    ladder: [[64, 2, 2], [100, 3, 8]]\n"
            "                         ^\n"
            "cure: [100, 3, 5]");
}

TEST(StudyYamlErrorsTest, ARepeatedKey) {
  EXPECT_EQ(Error(std::string(kGood) + "batch: {tokens: 8Ki}\n"),
            "study.yaml:10:1: repeated key 'batch'\n"
            "  batch: {tokens: 8Ki}\n"
            "  ^\n"
            "cure: keep one of the two");
}

TEST(StudyYamlErrorsTest, AnOverrideIsNamedAsOne) {
  EXPECT_EQ(Error(kGood, {"grid.budgets=[1e15, 2x]"}),
            "--set grid.budgets: '2x' is not a number of FLOPs\n"
            "  --set grid.budgets=[1e15, 2x]\n"
            "                            ^\n"
            "cure: 1e18 or 2.15e19");
  EXPECT_EQ(Error(kGood, {"gird.kind=list"}),
            "--set gird.kind: unknown key 'gird', did you mean 'grid'?\n"
            "  --set gird.kind=list\n"
            "                  ^\n"
            "cure: write 'grid'");
  EXPECT_EQ(Error(kGood, {"seeds"}), "--set seeds: no value\ncure: --set grid.budgets=[1e17,1e18]");
  EXPECT_NE(Error(kGood, {"name.x=1"}).find("lies in a value that is no mapping"), std::string::npos);
}

TEST(StudyYamlErrorsTest, TextThatIsNoYaml) {
  const std::string error = Error("name: [1, 2\ndata: x\n");
  EXPECT_EQ(error.rfind("study.yaml:", 0), 0u) << error;
  EXPECT_NE(error.find("not YAML"), std::string::npos) << error;
  EXPECT_NE(error.find("cure: "), std::string::npos) << error;
  EXPECT_NE(Error("").find("'name' is missing"), std::string::npos);
  EXPECT_NE(Error("- a\n- b\n").find("the study is a list, not a mapping"), std::string::npos);
  EXPECT_NE(Error(std::string(kGood) + "---\nname: two\n").find("a second document"), std::string::npos);
}

TEST(StudyYamlErrorsTest, TwentyAtOnceThenACount) {
  std::string text = kGood;
  for (int i = 0; i < 25; ++i) text += "unknown_" + std::to_string(i) + ": 1\n";
  const std::string error = Error(text);
  size_t count = 0;
  for (size_t at = error.find("unknown key"); at != std::string::npos; at = error.find("unknown key", at + 1)) ++count;
  EXPECT_EQ(count, 20u);
  EXPECT_NE(error.find("\nand 5 more errors"), std::string::npos);
}

TEST(StudyYamlErrorsTest, ErrorsComeInTheOrderOfTheText) {
  const std::string error = Error(
      "name: Web\ndata: {}\nmodel: {ladder: cpu-byte}\ngrid: {kind: isoflop}\noptimizer: {lr_peak: fast}\nbatch: {}\n");
  size_t before = 0;
  for (const char* place : {"study.yaml:1:", "study.yaml:2:", "study.yaml:3:", "study.yaml:4:", "study.yaml:5:",
                            "study.yaml:6:"}) {
    const size_t at = error.find(place);
    ASSERT_NE(at, std::string::npos) << place << "\n" << error;
    EXPECT_GE(at, before);
    before = at;
  }
}

// What a later release brings is refused by name, with a cure.
TEST(StudyYamlErrorsTest, LaterFeaturesAreRefusedByName) {
  const std::pair<std::string, std::string> cases[] = {
      {"resources: {slots_per_gpu: 2}", "several trials on one GPU come in a later release"},
      {"limits: {wall: 12h}", "wall limit comes in a later release"},
      {"retry: {diverged: 1}", "new trials for diverged ones come in a later release"},
  };
  for (const auto& [line, message] : cases) {
    const std::string error = Error(std::string(kGood) + line + "\n");
    EXPECT_NE(error.find(message), std::string::npos) << error;
    EXPECT_NE(error.find("\ncure: "), std::string::npos) << error;
  }
  EXPECT_NE(Error(With("path: data/web", "path: data/web, tokenizer: {train: 8192}"))
                .find("training a tokenizer comes in a later release"),
            std::string::npos);
  EXPECT_NE(Error(With("3e-3", "{law: web}")).find("another study's law comes in a later release"), std::string::npos);
}

TEST(StudyYamlErrorsTest, WrongBaselinesAreRefused) {
  const std::pair<std::string, std::string> cases[] = {
      {"baselines: [{family: ngram, orders: [1, 6]}]", "'6' is not within [1, 5]"},
      {"baselines: [{family: ngram, orders: [0]}]", "'0' is not within [1, 5]"},
      {"baselines: [{family: ngram, orders: [2, 2]}]", "order 2 twice"},
      {"baselines: [{family: ngram}]", "orders"},
      {"baselines: [{orders: [1]}]", "family"},
      {"baselines: [{family: lstm, orders: [1]}]", "unknown value 'lstm'"},
      {"baselines: [{family: ngram, orders: [1], smoothing: kneser}]", "unknown value 'kneser'"},
      {"baselines: [{family: ngram, orders: [1], k: 0.5}]", "belongs to smoothing: add_k"},
      {"baselines: [{family: ngram, orders: [1], smoothing: add_k, k: 0}]", "'0' is not within"},
      {"baselines: [{family: ngram, orders: [1], tokens: few}]", "'few' is not a number of tokens"},
      {"baselines: [{family: ngram, order: [1], orders: [1]}]", "unknown key 'order', did you mean 'orders'?"},
  };
  for (const auto& [line, message] : cases) {
    const std::string error = Error(std::string(kGood) + line + "\n");
    EXPECT_NE(error.find(message), std::string::npos) << error;
    EXPECT_NE(error.find("\ncure: "), std::string::npos) << error;
  }
}

// An LSTM has no heads, norms or positions.
TEST(StudyYamlErrorsTest, WhatSaysNothingToAnLstmIsRefused) {
  const std::pair<std::string, std::string> cases[] = {
      {"family: lstm\n  ladder: cpu-bytes", "presets and rules of a ladder are for transformers"},
      {"family: lstm\n  ladder: {depths: [2, 4], width_per_layer: 64, head_size: 64}",
       "presets and rules of a ladder are for transformers"},
      {"family: lstm\n  ladder: [[64, 2, 4]]", "a list is not a shape of an LSTM"},
      {"family: lstm\n  ladder: [[64, 2]]\n  position: rope", "says nothing to an LSTM"},
      {"family: lstm\n  ladder: [[64, 2]]\n  d_ff: 4x", "says nothing to an LSTM"},
      {"ladder: [[64, 2]]", "is not a shape"},
  };
  for (const auto& [model, message] : cases) {
    const std::string error = Error(With("ladder: cpu-bytes", model));
    EXPECT_NE(error.find(message), std::string::npos) << error;
    EXPECT_NE(error.find("\ncure: "), std::string::npos) << error;
  }
}

// Each wrong value is refused with where, what and cure.
TEST(StudyYamlErrorsTest, EveryWrongValueHasPlaceCauseAndCure) {
  const std::pair<std::string, std::string> cases[] = {
      {std::string(kGood) + "analysis: {form: tide}\n", "unknown value 'tide', did you mean 'tied'?"},
      {std::string(kGood) + "analysis: {bootstrap: {method: bca}}\n", "unknown value 'bca'"},
      {std::string(kGood) + "analysis: {bootstrap: {coverage: on}}\n", "unknown value 'on'"},
      {std::string(kGood) + "analysis: {isoflop: {minimum: spline}}\n", "unknown value 'spline'"},
      {std::string(kGood) + "analysis: {holdout_error: 0}\n", "'0' is not within [0.001%, 100%]"},
      {std::string(kGood) + "analysis: {goal: {factor: 1}}\n", "1 is no factor that an interval could be under"},
      {std::string(kGood) + "analysis: {goal: {factor: 0.5}}\n", "'0.5' is not within [1, "},
      {With("web-small", "Web Small"), "is not a study's name"},
      {With("{path: data/web}", "{path: a, synthetic: \"zipf-markov:1\"}"), "data has both path and synthetic"},
      {With("{path: data/web}", "{tokenizer: bytes}"), "data has neither path nor synthetic"},
      {With("{path: data/web}", "{synthetic: \"noise:1\"}"), "unknown source 'noise:1'"},
      {With("{path: data/web}", "{path: a, tokenizer: bpe}"), "unknown tokenizer 'bpe'"},
      {With("{path: data/web}", "{path: a, eval: {share: 5.55%}}"), "is no whole permille"},
      {With("{path: data/web}", "{path: a, eval: {share: 120%}}"), "not within [0.1%, 99.9%]"},
      {With("{path: data/web}", "{path: a, if_short: skip}"), "unknown value 'skip'"},
      {With("cpu-bytes", "cpu-byte"), "unknown value 'cpu-byte', did you mean 'cpu-bytes'?"},
      {With("cpu-bytes", "[[64, 2, 2]]"), "'model.sequence_length' is missing"},
      {With("cpu-bytes", "[[64, 2]]\n  sequence_length: 64"), "is not a shape"},
      {With("cpu-bytes", "[[6, 1, 2]]\n  sequence_length: 64"), "head size 3 of [6, 1, 2] is odd"},
      {With("cpu-bytes", "{depths: [4], width_per_layer: 64}\n  sequence_length: 64"), "'model.ladder.head_size' is missing"},
      {With("cpu-bytes", "{depths: [4], from: 1M, width_per_layer: 64, head_size: 64}\n  sequence_length: 64"),
       "exclude each other"},
      {With("cpu-bytes", "cpu-bytes\n  d_ff: wide"), "'wide' is not a width of the feed-forward layer"},
      {With("kind: isoflop", "kind: isoflops"), "unknown value 'isoflops', did you mean 'isoflop'?"},
      {With("kind: isoflop", "kind: isoflop\n  params: all"), "'grid.params' belongs to kind: product"},
      {With("[1e15, 3e15]", "[1e15, 1e15]"), "holds '1e15' twice"},
      {With("[1e15, 3e15]", "{from: 1e16, to: 1e15, points: 3}"), "'to' is not above 'from'"},
      {With("[1e15, 3e15]", "[]"), "fewer than 1 item"},
      {With("[1e15, 3e15]", "[-1e15]"), "'-1e15' is not a number of FLOPs"},
      {With("[1e15, 3e15]", "[0]"), "is not above 0"},
      {With("3e-3", "{value: 1e-3}"), "'optimizer.lr_peak.at_d_model' is missing"},
      {With("3e-3", "{rule: mup, value: 1e-3, base_width: 64}"), "rule 'mup' with init gpt2"},
      {With("3e-3", "{rule: step-law, value: 1e-3}"), "has no place in rule 'step-law'"},
      {With("cpu-bytes", "cpu-bytes\n  init: mup"), "init mup without a base width"},
      {With("{tokens: 4Ki}", "{tokens: 4Ki, sequences: 3}"), "batch has one of tokens, sequences and rule"},
      {With("{tokens: 4Ki}", "{tokens: 1000}"), "no whole number of sequences of 128"},
      {std::string(kGood) + "seeds: [1, 1]\n", "seed 1 twice"},
      {std::string(kGood) + "seeds: 3\n", "where a list of seeds belongs"},
      {std::string(kGood) + "schedule: {kind: cosine, trunks: shared}\n", "'schedule.trunks' belongs to kind: wsd"},
      {std::string(kGood) + "schedule: {kind: constant, final_fraction: 0}\n", "says nothing to kind: constant"},
      {std::string(kGood) + "schedule: {warmup: fast}\n", "'fast' is not a length"},
      {std::string(kGood) + "resources: {slot: any}\n", "precision must be stated"},
      {std::string(kGood) + "resources: {slots_per_trial: {1B: 8, 200M: 1}}\n", "sizes do not rise"},
      {std::string(kGood) + "limits: {trial_wall: 24}\n", "'24' is not a duration"},
      {std::string(kGood) + "deterministic: yes\n", "unknown value 'yes'"},
      {std::string(kGood) + "version: 2\n", "this program reads version 1"},
      {std::string(kGood) + "trainer: {launch: once}\n", "'trainer.command' is missing"},
      {std::string(kGood) + "trainer: {command: [a], env: {ISOFLOP_LEASE: 1}}\n", "'ISOFLOP_LEASE' cannot be set"},
      {With("ladder: cpu-bytes", "family: custom\n  ladder: [{id: s, params_blocks: 9M}]\n  sequence_length: 64"),
       "family custom without a trainer of its own"},
  };
  for (const auto& [text, message] : cases) {
    const std::string error = Error(text);
    EXPECT_NE(error.find(message), std::string::npos) << error << "\nwanted: " << message;
    EXPECT_EQ(error.rfind("study.yaml:", 0), 0u) << error;
    EXPECT_NE(error.find('^'), std::string::npos) << error;
    EXPECT_NE(error.find("\ncure: "), std::string::npos) << error;
  }
}

}  // namespace
}  // namespace isoflop
