#include "study/trial_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace isoflop {
namespace {

// The trunk of the trainer contract's page.
TrialSpec Trunk() {
  TrialSpec trial;
  trial.model.d_model = 128;
  trial.model.n_layer = 4;
  trial.model.n_head = 4;
  trial.model.d_ff = 512;
  trial.model.vocab_size = 257;
  trial.sequence_length = 128;
  trial.batch_sequences = 32;
  trial.steps = 1600;
  trial.schedule.warmup_steps = 40;
  trial.optimizer.lr_peak = 0.003;
  trial.data = TrialData{"aa", "bb", 3600000, false};
  trial.eval_every_steps = 200;
  trial.eval_sequence_length = 128;
  trial.branch_steps = {800, 1600};
  return trial;
}

constexpr char kTrunkText[] =
    R"({"batch_sequences":32,"batch_tokens":4096,"branch_step":null,"branch_steps":[800,1600],)"
    R"("data":{"allow_repeat":false,"dataset_sha256":"aa","eval_sha256":"bb","unique_tokens":3600000},)"
    R"("deterministic":true,"eval":{"every_steps":200,"sequence_length":128},)"
    R"("model":{"activation":"gelu","bias":false,"d_ff":512,"d_model":128,"dropout":0,"family":"transformer",)"
    R"("init":"gpt2","n_head":4,"n_layer":4,"norm":"rmsnorm","position":"rope","qk_norm":false,"tied_head":false,)"
    R"("vocab_size":257},"optimizer":{"beta1":0.9,"beta2":0.95,"clip_norm":1,"eps":1e-8,"lr_peak":0.003,)"
    R"("lr_scale":{"blocks":1,"embedding":1,"head":1},"weight_decay":0.1},"parent_lineage":null,"precision":"fp32",)"
    R"("schedule":{"decay_shape":"linear","decay_steps":0,"final_fraction":0,"kind":"wsd","warmup_steps":40},)"
    R"("seed":1,"sequence_length":128,"steps":1600,"tokens_planned":6553600})";

TrialSpec Branch() {
  TrialSpec branch = Trunk();
  branch.branch_steps.clear();
  branch.steps = 1000;
  branch.schedule.decay_steps = 200;
  branch.parent_lineage = Lineage(Trunk());
  branch.branch_step = 800;
  return branch;
}

TrialSpec Custom() {
  TrialSpec trial = Branch();
  trial.parent_lineage = std::nullopt;
  trial.branch_step = std::nullopt;
  trial.model = ModelShape{};
  trial.model.family = Family::kCustom;
  trial.model.custom_id = "m";
  trial.model.custom_counts = ParamCounts{8000000, 0, 8000000, 30000000};
  trial.model.custom_options = {{"depth", int64_t{10}}};
  trial.trainer = CustomTrainer{{"python", "train.py"},
                                Launch::kPerSlot,
                                {{"compile", true}, {"ratio", 0.5}, {"text", std::string("a \"b\"\n")}},
                                "cc"};
  return trial;
}

TEST(TrialTextTest, IsTheContractsJson) { EXPECT_EQ(TrialText(Trunk()), kTrunkText); }

TEST(TrialTextTest, ReadsBackWhatItWrote) {
  for (const TrialSpec& trial : {Trunk(), Branch(), Custom()}) {
    const absl::StatusOr<TrialSpec> read = ParseTrialText(TrialText(trial));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, trial);
    EXPECT_EQ(TrialText(*read), TrialText(trial));
  }
}

TEST(TrialTextTest, AnLstmSaysWhatAnLstmHas) {
  TrialSpec trial = Trunk();
  trial.model = ModelShape{};
  trial.model.family = Family::kLstm;
  trial.model.d_model = 64;
  trial.model.n_layer = 2;
  trial.model.n_head = 1;
  trial.model.dropout = 0.1;
  trial.model.vocab_size = 257;
  const std::string text = TrialText(trial);
  EXPECT_NE(text.find(R"("model":{"d_model":64,"dropout":0.1,"family":"lstm","n_layer":2,"tied_head":false,"vocab_size":257})"),
            std::string::npos)
      << text;
  const absl::StatusOr<TrialSpec> read = ParseTrialText(text);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, trial);
}

TEST(TrialTextTest, EqualTrialsHaveOneFingerprintAndOthersAnother) {
  EXPECT_EQ(Fingerprint(Trunk()), Sha256Hex(kTrunkText));
  EXPECT_EQ(Fingerprint(Trunk()).size(), 64u);
  TrialSpec other = Trunk();
  other.seed = 2;
  EXPECT_NE(Fingerprint(other), Fingerprint(Trunk()));
  other = Trunk();
  other.optimizer.lr_peak = std::nextafter(0.003, 1);
  EXPECT_NE(Fingerprint(other), Fingerprint(Trunk())) << "the last bit of a rate is another experiment";
}

TEST(TrialTextTest, HowALauncherStartsIsNotPartOfTheExperiment) {
  TrialSpec once = Custom();
  once.trainer->launch = Launch::kOnce;
  EXPECT_EQ(Fingerprint(once), Fingerprint(Custom()));
}

TEST(TrialTextTest, ALongerTrunkHasTheLineageOfTheShorter) {
  TrialSpec longer = Trunk();
  longer.steps = 3200;
  longer.branch_steps = {800, 1600, 3200};
  longer.eval_every_steps = 400;
  EXPECT_EQ(Lineage(longer), Lineage(Trunk()));
  EXPECT_NE(Fingerprint(longer), Fingerprint(Trunk()));
  longer.schedule.warmup_steps = 41;
  EXPECT_NE(Lineage(longer), Lineage(Trunk())) << "another warm-up is another path";
}

TEST(TrialTextTest, WithACooldownLineageIsTheFingerprint) {
  EXPECT_EQ(Lineage(Branch()), Fingerprint(Branch()));
  TrialSpec constant = Branch();
  constant.schedule = ScheduleSpec{.kind = ScheduleKind::kConstant};
  EXPECT_NE(Lineage(constant), Fingerprint(constant));
  TrialSpec cosine = Branch();
  cosine.schedule.kind = ScheduleKind::kCosine;
  EXPECT_EQ(Lineage(cosine), Fingerprint(cosine));
}

TEST(TrialTextTest, Sha256OfTheEmptyText) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

std::string Replaced(const std::string& from, const std::string& to) {
  std::string text = kTrunkText;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(TrialTextTest, RefusesByName) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "not JSON"},
      {"{", "not JSON"},
      {"[]", "trial is not an object"},
      {Replaced(R"("seed":1,)", ""), "seed is missing"},
      {Replaced(R"("seed":1,)", R"("sede":1,"seed":1,)"), "unknown key 'sede', did you mean 'seed'?"},
      {Replaced(R"("d_ff":512)", R"("d_ff":"512")"), "model.d_ff is not a whole number"},
      {Replaced(R"("d_ff":512)", R"("d_ff":0)"), "model.d_ff is 0, not in [1, "},
      {Replaced(R"("steps":1600)", R"("steps":-1)"), "steps is -1"},
      {Replaced(R"("steps":1600)", R"("steps":18446744073709551615)"), "steps is beyond"},
      {Replaced(R"("steps":1600)", R"("steps":1601)"), "tokens_planned is not steps times batch_tokens"},
      {Replaced(R"("batch_tokens":4096)", R"("batch_tokens":4097)"), "batch_tokens is not"},
      {Replaced(R"("n_head":4)", R"("n_head":3)"), "model.n_head 3 does not divide model.d_model 128"},
      {Replaced(R"("norm":"rmsnorm")", R"("norm":"batchnorm")"), "not one of rmsnorm, layernorm"},
      {Replaced(R"("branch_steps":[800,1600])", R"("branch_steps":[1600,800])"), "branch_steps do not rise"},
      {Replaced(R"("branch_steps":[800,1600])", R"("branch_steps":[800,1700])"), "branch_steps do not rise within"},
      {Replaced(R"("parent_lineage":null)", R"("parent_lineage":"x")"), "parent_lineage and branch_step go together"},
      {Replaced(R"("warmup_steps":40)", R"("warmup_steps":4000)"), "warmup_steps or decay_steps is beyond steps"},
      {Replaced(R"("deterministic":true)", R"("deterministic":1)"), "deterministic is not true or false"},
      {Replaced(R"("lr_peak":0.003)", R"("lr_peak":-0.003)"), "optimizer.lr_peak is -0.003"},
  };
  for (const auto& [text, message] : cases) {
    const absl::StatusOr<TrialSpec> read = ParseTrialText(text);
    ASSERT_FALSE(read.ok()) << message;
    EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(read.status().message()).find(message), std::string::npos) << read.status() << "\n" << message;
  }
}

// A random byte, deletion or doubling never crashes; what is still accepted
// writes a text that reads back to the same trial.
TEST(TrialTextTest, SurvivesDamagedTexts) {
  std::mt19937 random(20251125);
  const std::string texts[] = {kTrunkText, TrialText(Branch()), TrialText(Custom())};
  int accepted = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string text = texts[round % 3];
    const int damages = 1 + static_cast<int>(random() % 3);
    for (int i = 0; i < damages; ++i) {
      const size_t at = random() % text.size();
      switch (random() % 4) {
        case 0: text[at] = static_cast<char>(random() % 256); break;
        case 1: text.erase(at, 1 + random() % 8); break;
        case 2: text.insert(at, text.substr(random() % text.size(), random() % 20)); break;
        case 3: text[at] = "0123456789.,:\"{}[]-e"[random() % 20]; break;
      }
      if (text.empty()) text = "{";
    }
    const absl::StatusOr<TrialSpec> read = ParseTrialText(text);
    if (!read.ok()) continue;
    ++accepted;
    const absl::StatusOr<TrialSpec> again = ParseTrialText(TrialText(*read));
    ASSERT_TRUE(again.ok()) << "round " << round << ": " << again.status() << "\n" << text;
    EXPECT_EQ(TrialText(*again), TrialText(*read)) << "round " << round;
  }
  EXPECT_GT(accepted, 0) << "damage to a hash or a digit leaves a trial";
}

}  // namespace
}  // namespace isoflop
