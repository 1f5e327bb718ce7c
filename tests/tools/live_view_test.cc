#include "tools/isoflop/live_view.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gmock/gmock.h"

namespace isoflop {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

wire::Trial Trial(int64_t id, const std::string& state) {
  wire::Trial trial;
  trial.set_id(id);
  trial.set_state(state);
  trial.set_params_blocks(17'000);
  trial.set_params_head(3'600);
  trial.set_params_embedding(3'600);
  trial.set_tokens_planned(400'000);
  trial.set_flops_to_spend(100);
  trial.set_worker("w3");
  trial.add_slots(id % 2);
  return trial;
}

// A study that counts the states of `trials`.
wire::Study Study(const std::vector<wire::Trial>& trials) {
  wire::Study study;
  study.set_name("austen-quickstart");
  study.set_state("active");
  study.set_slots_total(2);
  double done = 0;
  for (const wire::Trial& trial : trials) {
    wire::StateCounts& counts = *study.mutable_trials();
    if (trial.state() == "leased") counts.set_leased(counts.leased() + 1);
    if (trial.state() == "queued") counts.set_queued(counts.queued() + 1);
    if (trial.state() == "failed") counts.set_failed(counts.failed() + 1);
    if (trial.state() == "completed") study.set_observations_done(study.observations_done() + 1);
    done += trial.state() == "completed" ? trial.flops_to_spend() : trial.flops_done();
    study.set_flops_total(study.flops_total() + trial.flops_to_spend());
  }
  study.set_observations_total(static_cast<int>(trials.size()));
  study.set_flops_done(done);
  return study;
}

std::vector<std::string> Lines(const std::vector<TrialChange>& changes) {
  std::vector<std::string> lines;
  for (const TrialChange& change : changes) lines.push_back(change.line);
  return lines;
}

class LiveViewTest : public testing::Test {
 protected:
  std::vector<TrialChange> Look(double now) { return view_.Update(Study(trials_), trials_, now); }
  LiveView view_{{.count = CountConvention::kNonEmbeddingPlusHead, .slot_kind = "cpu", .expected_seconds = {}}};
  std::vector<wire::Trial> trials_;
};

TEST_F(LiveViewTest, TellsChangesOnceAndNothingOfBefore) {
  trials_ = {Trial(30, "completed"), Trial(31, "queued")};
  EXPECT_THAT(Look(0), IsEmpty());
  trials_[1].set_state("leased");
  trials_[1].set_attempt(1);
  EXPECT_THAT(Lines(Look(1)), ElementsAre(" trial 31  20.6K x 0.40M  started on cpu:1"));
  EXPECT_THAT(Look(2), IsEmpty());
  LiveView late({.count = CountConvention::kNonEmbeddingPlusHead, .slot_kind = "", .expected_seconds = {}});
  EXPECT_THAT(Lines(late.Update(Study(trials_), trials_, 2)),
              ElementsAre(" trial 31  20.6K x 0.40M  started on w3:1"));
  trials_[1].set_state("completed");
  trials_[1].set_final_loss_nats(1.8784);
  EXPECT_THAT(Lines(Look(3)), ElementsAre(" trial 31  20.6K x 0.40M  completed  loss 1.878"));
  EXPECT_THAT(Look(4), IsEmpty());
}

TEST_F(LiveViewTest, TellsWhatTheLawPredicted) {
  LiveFit fit;
  fit.law = {.form = LawForm::kChinchilla, .E = 1.89, .A = 0, .B = 0, .alpha = 0.3, .beta = 0.3};
  fit.sigma = 0.008;
  fit.line = " fit (n 21): a 0.39";
  view_.SetFit(fit);
  trials_ = {Trial(31, "leased")};
  Look(0);
  trials_[0].set_state("completed");
  trials_[0].set_final_loss_nats(1.878);
  trials_[0].set_tokens_trained(400'000);
  // ln(1.878/1.89) / 0.008 = -0.796
  EXPECT_THAT(Lines(Look(1)),
              ElementsAre(" trial 31  20.6K x 0.40M  completed  loss 1.878  (predicted 1.890, z -0.8)"));
  EXPECT_EQ(view_.Block(1).back(), " fit (n 21): a 0.39");
}

TEST_F(LiveViewTest, TellsFailuresAndRepeats) {
  trials_ = {Trial(12, "leased"), Trial(13, "leased")};
  for (wire::Trial& trial : trials_) trial.set_attempt(1);
  Look(0);
  trials_[0].set_state("failed");
  trials_[0].set_outcome_detail("out of memory at micro-batch 1");
  trials_[1].set_state("queued");
  trials_[1].set_previous_end("preempted");
  EXPECT_THAT(Lines(Look(1)),
              ElementsAre(" trial 12  20.6K x 0.40M  failed  out of memory at micro-batch 1",
                          " trial 13  20.6K x 0.40M  attempt 1 preempted, goes on later"));
  EXPECT_THAT(view_.Summary(1), HasSubstr("1 failed"));
}

TEST_F(LiveViewTest, DrawsTheBlockOfTheManual) {
  trials_ = {Trial(1, "completed"), Trial(2, "leased"), Trial(3, "leased"), Trial(4, "queued")};
  trials_[1].set_flops_done(66);
  trials_[1].set_loss_nats(1.704);
  trials_[1].set_tokens_per_second(125'000);
  trials_[2].set_flops_done(24);
  trials_[2].set_tokens_planned(1'020'000);
  trials_[2].set_loss_nats(1.9112);
  trials_[2].set_tokens_per_second(91'200);
  Look(0);
  EXPECT_THAT(view_.Block(157),
              ElementsAre("austen-quickstart  1/4 observations  2 running  1 waiting  47% of 4e2 FLOPs  2m37s",
                          " cpu:0  N 20.6K  D 0.40M  [###########-------]  66%  loss 1.704   125K tok/s",
                          " cpu:1  N 20.6K  D 1.02M  [####--------------]  24%  loss 1.911  91.2K tok/s"));
}

TEST_F(LiveViewTest, ShowsTheFiveSlowestOfMany) {
  for (int64_t id = 1; id <= 12; ++id) {
    trials_.push_back(Trial(id, "leased"));
    trials_.back().set_tokens_per_second(1000.0 * static_cast<double>(id));
    trials_.back().set_loss_nats(static_cast<double>(id));
  }
  Look(0);
  const std::vector<std::string> block = view_.Block(1);
  ASSERT_THAT(block, SizeIs(7));
  EXPECT_EQ(block[1], " 12 running, the 5 slowest:");
  EXPECT_THAT(block[2], HasSubstr("loss 1.000"));
  EXPECT_THAT(block[6], HasSubstr("loss 5.000"));
}

TEST_F(LiveViewTest, EtaFollowsTheWorkThatIsLeft) {
  // 10 trials of 100, two at a time, a trial takes 20 s: 100 s in all.
  for (int64_t id = 1; id <= 10; ++id) trials_.push_back(Trial(id, "queued"));
  Look(0);
  EXPECT_EQ(view_.EstimateEta(0), std::nullopt) << "nothing is known yet";
  for (int second = 1; second <= 50; ++second) {
    for (int i = 0; i < 10; ++i) {
      const double done = 100.0 * (second - 20 * (i / 2)) / 20;
      trials_[static_cast<size_t>(i)].set_state(done >= 100 ? "completed" : done > 0 ? "leased" : "queued");
      trials_[static_cast<size_t>(i)].set_flops_done(std::clamp(done, 0.0, 100.0));
    }
    Look(second);
  }
  ASSERT_TRUE(view_.EstimateEta(50).has_value());
  EXPECT_NEAR(view_.EstimateEta(50)->seconds, 50, 1);
  EXPECT_THAT(view_.Summary(50), HasSubstr("ETA 50s (±"));
}

TEST(LiveViewEtaTest, GoesByExpectedSecondsWhereThePlanKnowsThem) {
  // Two trials of equal FLOPs; the second takes three times as long. After the
  // first, 10 s in, 30 s are left on one slot.
  LiveView view({.count = CountConvention::kTotal, .slot_kind = "cpu", .expected_seconds = {{1, 5}, {2, 15}}});
  std::vector<wire::Trial> trials = {Trial(1, "leased"), Trial(2, "queued")};
  wire::Study study = Study(trials);
  study.set_slots_total(1);
  view.Update(study, trials, 0);
  trials[0].set_state("completed");
  view.Update(study, trials, 10);
  ASSERT_TRUE(view.EstimateEta(10).has_value());
  EXPECT_NEAR(view.EstimateEta(10)->seconds, 30, 1e-9);
}

}  // namespace
}  // namespace isoflop
