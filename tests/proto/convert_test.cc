#include "proto/convert.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "study/trial_text.h"

namespace isoflop {
namespace {

using ::testing::HasSubstr;

TEST(ConvertTest, EveryOutcomeAndRoleSurvivesTheWire) {
  for (int i = 0; i <= static_cast<int>(TrialOutcome::kCancelled); ++i) {
    const auto outcome = static_cast<TrialOutcome>(i);
    EXPECT_EQ(FromWire(ToWire(outcome)), outcome) << ToString(outcome);
  }
  for (const TrialRole role : {TrialRole::kTrunk, TrialRole::kBranch, TrialRole::kSingle}) {
    EXPECT_EQ(FromWire(ToWire(role)), role);
  }
  EXPECT_EQ(FromWire(static_cast<wire::OutcomeClass>(99)), TrialOutcome::kNone);
}

TEST(ConvertTest, ALossPointSurvivesAndWhatIsNotFiniteBecomesUnknown) {
  LossPoint point{.step = 5, .tokens = 640, .loss_nats = 3.25, .kind = LossKind::kEval,
                  .lr = 1e-3, .grad_norm = 0.5, .tokens_per_second = 1e5, .eval_tokens = 4096};
  EXPECT_EQ(FromWire(ToWire(point)), point);
  point.loss_nats = std::nullopt;
  point.eval_tokens = std::nullopt;
  EXPECT_EQ(FromWire(ToWire(point)), point);
  wire::LossPoint wire_point = ToWire(point);
  wire_point.set_loss_nats(std::numeric_limits<double>::quiet_NaN());
  wire_point.set_grad_norm(std::numeric_limits<double>::infinity());
  EXPECT_FALSE(FromWire(wire_point).loss_nats.has_value());
  EXPECT_FALSE(FromWire(wire_point).grad_norm.has_value());
}

TEST(ConvertTest, TimesAndDurationsSurviveToTheNanosecond) {
  for (const absl::Duration duration :
       {absl::ZeroDuration(), absl::Nanoseconds(1), absl::Seconds(30) + absl::Nanoseconds(999),
        -absl::Milliseconds(1500)}) {
    EXPECT_EQ(FromWire(ToWire(duration)), duration);
    EXPECT_EQ(FromWire(ToWire(absl::UnixEpoch() + duration)), absl::UnixEpoch() + duration);
  }
}

TEST(ConvertTest, NamesAreLowerCaseAndShort) {
  for (const char* good : {"a", "w3", "node-7.example_b", "0"}) EXPECT_TRUE(IsValidName(good)) << good;
  for (const std::string& bad :
       {std::string(), std::string("W3"), std::string("-a"), std::string("a b"), std::string("a/b"),
        std::string("\xc3\xa4"), std::string(65, 'a'), std::string("a\0b", 3)}) {
    EXPECT_FALSE(IsValidName(bad)) << bad;
  }
  EXPECT_TRUE(IsValidName(std::string(64, 'a')));
}

PlannedTrial AnyTrial() {
  PlannedTrial trial;
  trial.spec.model.n_layer = 1;
  trial.spec.model.d_model = 16;
  trial.spec.model.n_head = 4;
  trial.spec.model.d_ff = 64;
  trial.spec.model.vocab_size = 257;
  trial.spec.sequence_length = 64;
  trial.spec.batch_sequences = 8;
  trial.spec.steps = 100;
  trial.spec.optimizer.lr_peak = 1e-2;
  trial.spec.eval_sequence_length = 64;
  trial.text = TrialText(trial.spec);
  trial.fingerprint = Fingerprint(trial.spec);
  trial.lineage = Lineage(trial.spec);
  trial.params = {.embedding = 4112, .position = 0, .head = 4112, .blocks = 3104};
  trial.budget_flops = 5e10;
  trial.flops_6nd = 4.9e10;
  trial.flops_to_spend = 4.9e10;
  trial.slots = 2;
  return trial;
}

TEST(ConvertTest, APlannedTrialSurvivesTheWire) {
  const PlannedTrial trial = AnyTrial();
  const auto back = FromWire(ToWire(trial));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->spec, trial.spec);
  EXPECT_EQ(back->text, trial.text);
  EXPECT_EQ(back->params, trial.params);
  EXPECT_EQ(back->flops_6nd, trial.flops_6nd);
  EXPECT_EQ(back->slots, 2);
}

TEST(ConvertTest, APlannedTrialThatIsNotWhatItSaysIsRefusedNamingTheField) {
  const auto why = [](const std::function<void(wire::PlannedTrial&)>& spoil) {
    wire::PlannedTrial trial = ToWire(AnyTrial());
    spoil(trial);
    return FromWire(trial).status().ToString();
  };
  EXPECT_THAT(why([](auto& t) { t.set_fingerprint("0"); }), HasSubstr("fingerprint"));
  EXPECT_THAT(why([](auto& t) { t.set_lineage("0"); }), HasSubstr("lineage"));
  EXPECT_THAT(why([](auto& t) { t.set_text(t.text() + " "); }), HasSubstr("INVALID_ARGUMENT"));
  EXPECT_THAT(why([](auto& t) { t.set_flops_6nd(NAN); }), HasSubstr("not finite"));
  EXPECT_THAT(why([](auto& t) { t.set_params_head(-1); }), HasSubstr("negative"));
  EXPECT_THAT(why([](auto& t) { t.set_slots(0); }), HasSubstr("slots"));
  EXPECT_THAT(why([](auto& t) { t.set_parent(0); }), HasSubstr("parent"));
}

TEST(ConvertTest, APlanTravelsInPartsThatAServerTakes) {
  Plan plan;
  plan.study_name = "s";
  plan.resolved_yaml = "version: 1\n";
  plan.trials.assign(250, AnyTrial());
  const std::vector<wire::SubmitPart> parts = ToSubmitParts(plan, {});
  ASSERT_GE(parts.size(), 4u);
  EXPECT_EQ(parts[0].header().study_name(), "s");
  EXPECT_EQ(parts[0].trials_size(), 0);
  int trials = 0;
  for (const wire::SubmitPart& part : parts) {
    trials += part.trials_size();
    EXPECT_LE(part.trials_size(), kTrialsPerPart);
    EXPECT_LT(part.ByteSizeLong(), 256u * 1024u);
  }
  EXPECT_EQ(trials, 250);
}

}  // namespace
}  // namespace isoflop
