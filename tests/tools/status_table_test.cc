// What `status` and `explain` print.
#include "tools/isoflop/status_table.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/convert.h"
#include "tools/isoflop/event_text.h"

namespace isoflop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

wire::Trial Trial(int64_t id, const std::string& state, int64_t blocks, int64_t tokens) {
  wire::Trial trial;
  trial.set_id(id);
  trial.set_state(state);
  trial.set_params_blocks(blocks);
  trial.set_tokens_planned(tokens);
  trial.set_steps(6300);
  trial.set_attempt(1);
  return trial;
}

// The mock of the interface: one that is done, one that runs, one that waits.
StudyView View() {
  StudyView view;
  view.is_live = true;
  view.study.set_name("web-depths");
  view.study.set_state("active");
  view.study.set_observations_done(14);
  view.study.set_observations_total(24);
  view.study.set_flops_total(100);
  view.study.set_flops_done(61.9);
  view.study.set_slots_busy(8);
  view.study.set_slots_total(8);
  wire::Trial done = Trial(12, "completed", 110'000'000, 7'020'000'000);
  done.set_step(13'400);
  done.set_loss_nats(3.021);
  done.set_final_loss_nats(3.021);
  wire::Trial runs = Trial(19, "leased", 235'000'000, 3'290'000'000);
  runs.set_step(5600);
  runs.set_loss_nats(3.14);
  runs.set_tokens_per_second(1'700'000);
  runs.set_mfu(0.38);
  runs.set_worker("w3");
  for (uint32_t slot = 0; slot < 8; ++slot) runs.add_slots(slot);
  runs.set_attempt(2);
  runs.set_previous_end("preempted");
  wire::Trial waits = Trial(22, "blocked", 435'000'000, 1'780'000'000);
  waits.set_waits_for("trunk 6, its step 2700");
  view.trials = {done, runs, waits};
  return view;
}

TEST(StatusTableTest, TellsWhatIsDoneWhatRunsAndWhyTheRestWaits) {
  EXPECT_THAT(StatusLines(View(), std::nullopt, {}),
              ElementsAre(" ID  N     D      STATE      STEP        LOSS  TOK/S  MFU  WORKER  TRY",
                          " 12  110M  7.02B  completed  13.4K      3.021",
                          " 19  235M  3.29B  leased     5.6K/6.3K  3.140   1.7M  38%  w3:0-7  2 (preempted)",
                          " 22  435M  1.78B  blocked    waits for trunk 6, its step 2700"));
  EXPECT_EQ(StatusHeadline(View(), std::nullopt, kNow),
            "web-depths  active  14/24 observations  61% of FLOPs  slots 8/8");
}

TEST(StatusTableTest, WithALawItPredictsAndCountsTheDistance) {
  LiveFit fit;
  fit.law = LossLaw{};
  fit.law.E = 3;
  fit.law.A = 0;
  fit.law.B = 0;
  fit.sigma = 0.01;
  fit.exponent = "a 0.49 [0.44, 0.54]";
  const std::vector<std::string> lines = StatusLines(View(), fit, {});
  EXPECT_THAT(lines[1], HasSubstr("3.021  3.000  +0.7"));
  EXPECT_THAT(lines[2], HasSubstr("3.140  3.000"));
  EXPECT_THAT(StatusHeadline(View(), fit, kNow), HasSubstr("slots 8/8  a 0.49 [0.44, 0.54]"));
  // A law without noise has no distance to count in.
  fit.sigma = 0;
  EXPECT_THAT(StatusLines(View(), fit, {})[1], Not(HasSubstr("+")));
  const nlohmann::json told = StatusJson(View(), fit, {}, kNow);
  EXPECT_EQ(told["trials"][0]["predicted_loss_nats"], 3.0);
  EXPECT_TRUE(told["trials"][0]["z"].is_null());
  EXPECT_TRUE(told["trials"][2]["loss_nats"].is_null());
}

TEST(StatusTableTest, EtaGoesByFlopsBetweenTheSpeedNowAndTheMean) {
  wire::Study study = View().study;
  study.set_flops_done(50);
  EXPECT_FALSE(EstimateEta(study, kNow).has_value());  // nothing runs
  study.set_flops_per_second(1);
  EXPECT_DOUBLE_EQ(EstimateEta(study, kNow)->seconds, 50);
  *study.mutable_started_at() = ToWire(kNow - absl::Seconds(100));  // half a FLOP a second so far
  const auto eta = EstimateEta(study, kNow);
  EXPECT_DOUBLE_EQ(eta->low, 50);
  EXPECT_DOUBLE_EQ(eta->high, 100);
  // The longest chain has one place of eight.
  study.set_flops_longest_chain(20);
  EXPECT_DOUBLE_EQ(EstimateEta(study, kNow)->seconds, 160);
  study.set_flops_done(100);
  EXPECT_FALSE(EstimateEta(study, kNow).has_value());
}

TEST(StatusTableTest, ShowsWhatMattersOfALargeStudyAndSaysHowManyMore) {
  StudyView view = View();
  view.trials.clear();
  for (int64_t id = 1; id <= 1000; ++id) {
    wire::Trial trial = Trial(id, id <= 900 ? "completed" : "queued", 1000, 1000);
    *trial.mutable_ended_at() = ToWire(kNow + absl::Seconds(id));
    view.trials.push_back(trial);
  }
  view.trials[499].set_state("failed");
  view.trials[499].set_outcome_detail("exit code 78");
  const std::vector<std::string> lines = StatusLines(view, std::nullopt, {});
  EXPECT_EQ(lines.size(), 1u + 1 + 8 + 4 + 1);
  EXPECT_THAT(lines[1], HasSubstr("500  1.0K  1.0K  failed     exit code 78"));
  EXPECT_EQ(lines.back(), " ... 987 more: --trials");
  EXPECT_EQ(StatusLines(view, std::nullopt, {.rows = StatusRows::kAll}).size(), 1001u);
  EXPECT_EQ(StatusLines(view, std::nullopt, {.rows = StatusRows::kFailed}).size(), 2u);
}

TEST(EventTextTest, ReadsLikeAHistory) {
  wire::Event event;
  event.set_trial_id(17);
  event.set_study_id(1);
  event.set_kind("completed");
  event.set_detail("loss 3.2140001");
  EXPECT_EQ(EventText(event, true), "trial 17 completed, loss 3.214");
  EXPECT_EQ(EventText(event, false), "completed, loss 3.214");
  event.set_kind("attempt_ended");
  event.set_detail("attempt 1 on w1:0-7 preempted: drained");
  EXPECT_EQ(EventText(event, false), "attempt 1 on w1:0-7 preempted: drained");
  EXPECT_EQ(EventText(event, true), "trial 17: attempt 1 on w1:0-7 preempted: drained");
  event.set_trial_id(0);
  event.set_kind("study_done");
  event.set_detail("web");
  EXPECT_EQ(EventText(event, true), "study web is done");
  EXPECT_TRUE(EventJson(event)["trial"].is_null());
}

}  // namespace
}  // namespace isoflop
