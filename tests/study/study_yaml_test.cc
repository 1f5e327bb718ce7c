#include "study/study_yaml.h"

#include <gtest/gtest.h>

namespace isoflop {
namespace {

constexpr char kSmall[] = R"(name: web-small
data: {path: data/web}
model: {ladder: cpu-bytes}
grid: {kind: isoflop, budgets: [1e15, 3e15]}
optimizer: {lr_peak: 3e-3}
batch: {tokens: 4Ki}
)";

StudySpec Read(const std::string& text, const std::vector<std::string>& overrides = {}) {
  const absl::StatusOr<StudySpec> spec = ParseStudyYaml(text, "study.yaml", overrides);
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.ok() ? *spec : StudySpec{};
}

TEST(StudyYamlTest, DefaultsAreThoseOfThePage) {
  const StudySpec spec = Read(kSmall);
  EXPECT_EQ(spec.data.tokenizer, "bytes");
  EXPECT_EQ(spec.data.eval.share, 0.05);
  EXPECT_EQ(spec.data.eval.max_tokens, 10'000'000);
  EXPECT_EQ(spec.data.eval.by, EvalBy::kDocument);
  EXPECT_EQ(spec.data.if_short, IfShort::kError);
  EXPECT_EQ(spec.grid.sizes_per_budget, 7);
  EXPECT_EQ(spec.grid.spread, 4);
  EXPECT_EQ(spec.grid.center.tokens_per_parameter, 20);
  EXPECT_EQ(spec.grid.count, CountConvention::kNonEmbeddingPlusHead);
  EXPECT_EQ(spec.grid.tolerance, 0.01);
  EXPECT_EQ(spec.seeds, std::vector<int64_t>{1});
  EXPECT_EQ(spec.schedule.kind, ScheduleKind::kWsd);
  EXPECT_EQ(spec.schedule.warmup.value, 0.02);
  EXPECT_EQ(spec.schedule.cooldown, 0.2);
  EXPECT_TRUE(spec.schedule.shared_trunks);
  EXPECT_EQ(spec.optimizer.weight_decay, 0.1);
  EXPECT_EQ(spec.optimizer.eps, 1e-8);
  EXPECT_EQ(spec.precision, std::nullopt);
  EXPECT_TRUE(spec.deterministic);
  EXPECT_EQ(spec.resources.slot, SlotChoice::kGpu);
  EXPECT_TRUE(spec.resources.slots_per_trial.is_auto);
  EXPECT_EQ(spec.limits.trial_wall, absl::Hours(24));
  EXPECT_EQ(spec.retry.lost, 5);
  EXPECT_EQ(spec.analysis.form, "chinchilla");
  EXPECT_EQ(spec.analysis.draws, 2000);
  EXPECT_EQ(spec.analysis.levels, (std::vector<double>{80, 95}));
  EXPECT_FALSE(spec.trainer.has_value());
}

constexpr char kEveryKey[] = R"(version: 1
name: every-key
description: "a \"quoted\" line: with a colon"
data:
  path: data/web
  tokenizer: web.model
  eval: {share: 7%, max_tokens: 2.5M, by: directory, seed: 3}
  if_short: drop
model:
  family: transformer
  ladder: {depths: [4, 6], width_per_layer: 64, head_size: 32}
  sequence_length: 1Ki
  vocab_size: 32768
  d_ff: 3.5x
  norm: layernorm
  position: learned
  activation: swiglu
  init: nanochat
  tied_head: true
  qk_norm: true
  bias: true
  dropout: 0.1
grid:
  kind: isoflop
  budgets: {from: 1e17, to: 1e19, points: 3}
  sizes_per_budget: 5
  spread: 3
  center: {tokens_per_parameter: 30}
  count: total
  flops: exact
  tolerance: 2%
seeds: [1, 2, 5]
replicates: {cells: 2, seeds: 4}
schedule: {kind: wsd, warmup: 40 steps, cooldown: 7%, decay_shape: sqrt, final_fraction: 0.1, trunks: none}
optimizer:
  lr_peak: {rule: step-law}
  weight_decay: 0.05
  beta1: 0.8
  beta2: 0.99
  eps: 1e-9
  clip_norm: 0.5
  lr_scale: {blocks: 0.5, embedding: 2, head: 1.5}
batch: {rule: step-law}
precision: bf16
deterministic: false
evaluation: {every: 10M, sequence_length: 512}
resources: {slot: any, slots_per_trial: {200M: 1, 1B: 8}, slots_per_gpu: 1}
limits: {flops: 2e19, slot_hours: 40, trial_wall: 90m}
retry: {lost: 1, crashed: 0, oom: 3, timeout: 2, diverged: 0}
analysis:
  form: data_constrained
  objective: lad
  delta: 1e-2
  outliers: 3
  weights: inverse_variance
  loss: bits_per_byte
  bootstrap: {method: wild, draws: 500, seed: 7, levels: [90, 50], coverage: off}
  isoflop: {minimum: akima, budget_tolerance: 5%}
  holdout_error: 0.5%
  goal: {budget: 1e21, factor: 2.5}
trainer: builtin
)";

TEST(StudyYamlTest, ReadsEveryKey) {
  const StudySpec spec = Read(kEveryKey);
  EXPECT_EQ(spec.description, "a \"quoted\" line: with a colon");
  EXPECT_EQ(spec.data.eval.share, 0.07);
  EXPECT_EQ(spec.data.eval.max_tokens, 2'500'000);
  EXPECT_EQ(spec.data.eval.by, EvalBy::kDirectory);
  EXPECT_EQ(spec.model.sequence_length, 1024);
  EXPECT_EQ(spec.model.d_ff.multiple, 3.5);
  EXPECT_EQ(spec.model.norm, Norm::kLayerNorm);
  EXPECT_EQ(spec.model.ladder.depths, (std::vector<int64_t>{4, 6}));
  ASSERT_EQ(spec.grid.budgets.size(), 3u);
  EXPECT_NEAR(spec.grid.budgets[1], 1e18, 1e4);
  EXPECT_EQ(spec.grid.budgets[2], 1e19);
  EXPECT_EQ(spec.grid.flops, FlopsConvention::kExact);
  EXPECT_EQ(spec.replicates.seeds, 4);
  EXPECT_EQ(spec.schedule.warmup.kind, Length::Kind::kSteps);
  EXPECT_EQ(spec.schedule.decay_shape, DecayShape::kSqrt);
  EXPECT_FALSE(spec.schedule.shared_trunks);
  EXPECT_EQ(spec.optimizer.lr_peak.kind, LearningRateRule::Kind::kStepLaw);
  EXPECT_EQ(spec.optimizer.lr_scale_embedding, 2);
  EXPECT_EQ(spec.batch.kind, BatchRule::Kind::kStepLaw);
  EXPECT_EQ(spec.precision, Precision::kBf16);
  EXPECT_EQ(spec.evaluation.every.kind, Length::Kind::kTokens);
  EXPECT_EQ(spec.resources.slots_per_trial.up_to.size(), 2u);
  EXPECT_EQ(spec.limits.trial_wall, absl::Minutes(90));
  EXPECT_EQ(spec.retry.crashed, 0);
  EXPECT_EQ(spec.analysis.objective, FitObjective::kLad);
  EXPECT_EQ(spec.analysis.weights, FitWeights::kInverseVariance);
  EXPECT_EQ(spec.analysis.levels, (std::vector<double>{50, 90}));
  EXPECT_EQ(spec.analysis.goal_budget, 1e21);
  EXPECT_EQ(spec.analysis.form, "data_constrained");
  EXPECT_EQ(spec.analysis.bootstrap_method, "wild");
  EXPECT_EQ(spec.analysis.coverage, "off");
  EXPECT_EQ(spec.analysis.isoflop_minimum, "akima");
  EXPECT_EQ(spec.analysis.holdout_error, 0.005);
  EXPECT_EQ(spec.analysis.goal_factor, 2.5);
}

constexpr char kOwnTrainer[] = R"(name: my-mixer
data: {synthetic: "zipf-markov:256,1.1,0.3,7"}
model:
  family: custom
  ladder:
    - {id: s, params_blocks: 9M, params_embedding: 4M, params_head: 4M, options: {depth: 6, mode: "06", flag: true, x: 0.5}}
    - {id: m, params_blocks: 30M, params_embedding: 8M, params_head: 8M, options: {depth: 10}}
  sequence_length: 1024
grid: {kind: product, params: all, tokens_per_parameter: [10, 20, 40, 80]}
schedule: {kind: cosine}
optimizer: {lr_peak: 1e-3}
batch: {tokens: 256Ki}
trainer:
  command: [python, train.py, "--flag=a b"]
  launch: once
  sources: [train.py, mixer.py]
  env: {WANDB_MODE: offline}
  options: {compile: true}
)";

TEST(StudyYamlTest, ReadsAnOwnTrainerWithTypedOptions) {
  const StudySpec spec = Read(kOwnTrainer);
  ASSERT_TRUE(spec.trainer.has_value());
  EXPECT_EQ(spec.trainer->command, (std::vector<std::string>{"python", "train.py", "--flag=a b"}));
  EXPECT_EQ(spec.trainer->launch, Launch::kOnce);
  EXPECT_EQ(spec.trainer->env.at("WANDB_MODE"), "offline");
  ASSERT_EQ(spec.model.ladder.custom.size(), 2u);
  const CustomSize& size = spec.model.ladder.custom[0];
  EXPECT_EQ(size.counts, (ParamCounts{4'000'000, 0, 4'000'000, 9'000'000}));
  EXPECT_EQ(size.options.at("depth"), OptionValue(int64_t{6}));
  EXPECT_EQ(size.options.at("mode"), OptionValue(std::string("06"))) << "quoted is text";
  EXPECT_EQ(size.options.at("flag"), OptionValue(true));
  EXPECT_EQ(size.options.at("x"), OptionValue(0.5));
  EXPECT_FALSE(spec.schedule.shared_trunks) << "cosine has no trunks";
}

TEST(StudyYamlTest, ResolvedYamlReadsBackToItself) {
  for (const char* text : {kSmall, kEveryKey, kOwnTrainer}) {
    const std::string resolved = ResolvedYaml(Read(text));
    EXPECT_EQ(ResolvedYaml(Read(resolved)), resolved);
  }
  const StudySpec spec = Read(ResolvedYaml(Read(kEveryKey)));
  EXPECT_EQ(spec.data.eval.share, 0.07);
  EXPECT_EQ(spec.schedule.cooldown, 0.07);
  EXPECT_EQ(spec.description, "a \"quoted\" line: with a colon");
}

TEST(StudyYamlTest, TakesEveryWordOfTheAnalysis) {
  for (const char* form :
       {"chinchilla", "tied", "gadre", "kaplan", "multiplicative", "data_constrained", "auto"}) {
    const StudySpec spec = Read(kSmall, {std::string("analysis.form=") + form});
    EXPECT_EQ(spec.analysis.form, form);
    EXPECT_EQ(Read(ResolvedYaml(spec)).analysis.form, form);
  }
  for (const char* method : {"auto", "pairs", "cluster", "wild", "parametric"}) {
    EXPECT_EQ(Read(kSmall, {std::string("analysis.bootstrap.method=") + method}).analysis.bootstrap_method, method);
  }
  for (const char* coverage : {"fast", "nested", "off"}) {
    const StudySpec spec = Read(kSmall, {std::string("analysis.bootstrap.coverage=") + coverage});
    EXPECT_EQ(spec.analysis.coverage, coverage);
    EXPECT_EQ(Read(ResolvedYaml(spec)).analysis.coverage, coverage);
  }
  for (const char* minimum : {"quadratic", "cubic", "akima"}) {
    EXPECT_EQ(Read(kSmall, {std::string("analysis.isoflop.minimum=") + minimum}).analysis.isoflop_minimum, minimum);
  }
  const AnalysisSpec defaults = Read(kSmall).analysis;
  EXPECT_EQ(defaults.coverage, "fast");
  EXPECT_EQ(defaults.holdout_error, 0.01);
  EXPECT_EQ(defaults.goal_factor, 1.5);
  EXPECT_FALSE(defaults.goal_budget);
}

TEST(StudyYamlTest, SetTakesThePlaceOfAKeyOrAddsIt) {
  const StudySpec spec = Read(kSmall, {"grid.budgets=[1e16]", "seeds=[3,4]", "schedule.cooldown=10%",
                                       "analysis.bootstrap.draws=50", "batch={sequences: 16}"});
  EXPECT_EQ(spec.grid.budgets, std::vector<double>{1e16});
  EXPECT_EQ(spec.seeds, (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(spec.schedule.cooldown, 0.1);
  EXPECT_EQ(spec.analysis.draws, 50);
  EXPECT_EQ(spec.batch.kind, BatchRule::Kind::kSequences);
  EXPECT_EQ(spec.grid.spread, 4) << "neighbours stay";
}

TEST(StudyYamlTest, ARuleBringsItsScheduleUnlessTheStudyStatesOne) {
  std::string text = kSmall;
  text.replace(text.find("3e-3"), 4, "{rule: nanochat, value: 2e-3}");
  const StudySpec nanochat = Read(text + "schedule: {trunks: none}\n");
  EXPECT_EQ(nanochat.schedule.warmup.kind, Length::Kind::kSteps);
  EXPECT_EQ(nanochat.schedule.warmup.value, 40);
  EXPECT_EQ(nanochat.schedule.cooldown, 0.65);
  EXPECT_EQ(nanochat.schedule.final_fraction, 0.05);
  const StudySpec stated = Read(text + "schedule: {trunks: none, cooldown: 30%, final_fraction: 0}\n");
  EXPECT_EQ(stated.schedule.cooldown, 0.3);
  EXPECT_EQ(stated.schedule.final_fraction, 0);
  text = kSmall;
  text.replace(text.find("3e-3"), 4, "{rule: olmo-ladder}");
  EXPECT_EQ(Read(text).schedule.warmup.kind, Length::Kind::kParams);
}

TEST(StudyYamlTest, AnchorsAndAliasesAreValues) {
  std::string text = kSmall;
  text.replace(text.find("[1e15, 3e15]"), 12, "&b [1e15, 3e15]");
  EXPECT_EQ(Read(text + "description: plain\n").grid.budgets.size(), 2u);
}

}  // namespace
}  // namespace isoflop
