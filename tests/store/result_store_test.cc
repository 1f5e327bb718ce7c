// What is written comes back; what is stale changes nothing.
#include "store/result_store.h"

#include <cmath>

#include "gmock/gmock.h"
#include "store/query.h"
#include "tests/store/store_fixture.h"

namespace isoflop {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

using ResultStoreTest = StoreTest;

TEST_F(ResultStoreTest, GivesATrialBackAsItWasWritten) {
  PutStudy();
  const PlannedTrial trunk = MakeTrunk(1);
  PutTrial(TrialId(1), trunk);
  PutTrial(TrialId(2), MakeBranch(trunk, 1), TrialId(1));
  Complete(TrialId(2), LeaseId(7), 3.25, 80);

  const absl::StatusOr<std::vector<StoredTrial>> trials = Read()->Trials(StudyId(1));
  ASSERT_TRUE(trials.ok()) << trials.status();
  ASSERT_EQ(trials->size(), 2u);
  const StoredTrial& branch = (*trials)[1];
  EXPECT_EQ(branch.parent, TrialId(1));
  EXPECT_EQ(branch.planned.spec, MakeBranch(trunk, 1).spec);
  EXPECT_EQ(branch.planned.text, MakeBranch(trunk, 1).text);
  EXPECT_EQ(branch.planned.fingerprint, MakeBranch(trunk, 1).fingerprint);
  EXPECT_EQ(branch.planned.role, TrialRole::kBranch);
  EXPECT_EQ(branch.planned.params, MakeBranch(trunk, 1).params);
  EXPECT_EQ(branch.planned.flops_exact_causal, 6.5e9);
  EXPECT_EQ(branch.standing.state, TrialState::kCompleted);
  EXPECT_EQ(branch.standing.outcome, TrialOutcome::kCompleted);
  EXPECT_EQ(branch.started_at, At(10));
  EXPECT_EQ(branch.finished_at, At(40));
  ASSERT_TRUE(branch.result.has_value());
  const TrialResult wrote = MakeResult(80, 3.25);
  EXPECT_EQ(branch.result->final_loss_nats, wrote.final_loss_nats);
  EXPECT_EQ(branch.result->bits_per_byte, wrote.bits_per_byte);
  EXPECT_EQ(branch.result->eval_bytes, wrote.eval_bytes);
  EXPECT_EQ(branch.result->peak_memory_bytes, wrote.peak_memory_bytes);
  EXPECT_EQ(branch.result->resumed_exact, true);
  EXPECT_EQ(branch.result->program, wrote.program);
  EXPECT_FALSE((*trials)[0].result.has_value());
}

TEST_F(ResultStoreTest, ObservationsNameOutcomeAndConventionFreeCounts) {
  PutStudy();
  const PlannedTrial trunk = MakeTrunk(1);
  PutTrial(TrialId(1), trunk);
  PutTrial(TrialId(2), MakeBranch(trunk, 1), TrialId(1));
  PutTrial(TrialId(3), MakePlanned(1));
  PutTrial(TrialId(4), MakePlanned(2));
  PutTrial(TrialId(5), MakePlanned(3));
  Complete(TrialId(3), LeaseId(1), 3.5);
  Complete(TrialId(4), LeaseId(2), 3.75);
  Lease(TrialId(5), LeaseId(3));
  End(TrialId(5), LeaseId(3), TrialState::kDiverged, TrialOutcome::kDiverged);

  const absl::StatusOr<std::vector<Observation>> rows = Read()->LoadObservations(StudyId(1));
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 4u) << "a trunk is no observation";
  EXPECT_EQ((*rows)[0].source, "trial 2");
  EXPECT_EQ((*rows)[0].outcome, TrialOutcome::kNone) << "not finished";
  EXPECT_TRUE(std::isnan((*rows)[0].final_loss_nats));
  const Observation& done = (*rows)[1];
  EXPECT_EQ(done.outcome, TrialOutcome::kCompleted);
  EXPECT_EQ(done.final_loss_nats, 3.5);
  EXPECT_EQ(done.final_loss_se, 0.01);
  EXPECT_EQ(done.params_embedding, 256 * 32);
  EXPECT_EQ(done.params_head, 256 * 32);
  EXPECT_EQ(done.params_position, 0);
  EXPECT_EQ(done.params_blocks, static_cast<double>(MakePlanned(1).params.blocks));
  EXPECT_EQ(done.tokens_trained, 25'600);
  EXPECT_FALSE(done.tokens_derived);
  EXPECT_EQ(done.unique_tokens, 1e6);
  EXPECT_EQ(done.flops_exact, 7e9);
  EXPECT_EQ(done.budget_flops, 1e9);
  EXPECT_EQ(done.eval_sha256, "e");
  EXPECT_EQ(done.tokenizer_sha256, "t");
  EXPECT_EQ(done.schedule_ended, true);
  EXPECT_FALSE(done.is_replicate);
  EXPECT_EQ((*rows)[2].config_id, done.config_id) << "a seed more of the same cell";
  EXPECT_NE((*rows)[2].fingerprint, done.fingerprint);
  EXPECT_TRUE((*rows)[2].is_replicate);
  EXPECT_EQ((*rows)[3].outcome, TrialOutcome::kDiverged);
}

TEST_F(ResultStoreTest, RepeatedPointsAreTakenOnce) {
  PutStudy();
  PutTrial(TrialId(1), MakePlanned(1));
  Lease(TrialId(1), LeaseId(1));
  EXPECT_EQ(Append(TrialId(1), LeaseId(1), 1, {MakePoint(10, 5), MakePoint(20, 4.5)}), Fenced::kTaken);
  // The same request again, with a value that a numbered point never changes to.
  EXPECT_EQ(Append(TrialId(1), LeaseId(1), 1, {MakePoint(10, 9), MakePoint(20, 9), MakePoint(30, 4)}), Fenced::kTaken);
  const auto curve = Read()->LoadCurve(TrialId(1));
  ASSERT_TRUE(curve.ok());
  EXPECT_THAT(*curve, ElementsAre(MakePoint(10, 5), MakePoint(20, 4.5), MakePoint(30, 4)));
  const auto leases = Read()->LiveLeases();
  ASSERT_TRUE(leases.ok());
  ASSERT_EQ(leases->size(), 1u);
  EXPECT_EQ((*leases)[0].durable_seq, 3u);
  EXPECT_EQ((*leases)[0].last_step, 30);
  EXPECT_EQ((*leases)[0].last_tokens, 30 * 256);
  EXPECT_TRUE((*leases)[0].acknowledged);
  EXPECT_EQ((*leases)[0].instance, "00ff");
}

TEST_F(ResultStoreTest, ANonFiniteLossIsNoLoss) {
  PutStudy();
  PutTrial(TrialId(1), MakePlanned(1));
  Lease(TrialId(1), LeaseId(1));
  LossPoint point = MakePoint(10, 5);
  point.loss_nats = std::nullopt;
  EXPECT_EQ(Append(TrialId(1), LeaseId(1), 1, {point}), Fenced::kTaken);
  EXPECT_THAT(*Read()->LoadCurve(TrialId(1)), ElementsAre(point));
}

TEST_F(ResultStoreTest, WritesUnderAnotherLeaseAreStaleAndAudited) {
  PutStudy();
  PutTrial(TrialId(1), MakePlanned(1));
  Lease(TrialId(1), LeaseId(1));
  End(TrialId(1), LeaseId(1), TrialState::kQueued, TrialOutcome::kLost);
  Lease(TrialId(1), LeaseId(2), 2);

  // The zombie of lease 1 speaks.
  EXPECT_EQ(Append(TrialId(1), LeaseId(1), 1, {MakePoint(10, 5)}), Fenced::kStale);
  EXPECT_EQ(Finish(TrialId(1), LeaseId(1), MakeResult(100, 1.0)), Fenced::kStale);
  Write([](RowWriter& rows) -> absl::Status {
    const absl::StatusOr<Fenced> answer = rows.AddCheckpoint(
        {.id = CheckpointId(1), .trial = TrialId(1), .lease = LeaseId(1), .step = 50, .store_id = "s",
         .path = "trial-1/lease-1/step-00000050", .state = "committed"}, At(5));
    EXPECT_EQ(*answer, Fenced::kStale);
    return answer.status();
  });
  EXPECT_THAT(*Read()->LoadCurve(TrialId(1)), IsEmpty());
  EXPECT_FALSE(Read()->FindTrial(TrialId(1))->result.has_value());
  EXPECT_THAT(*Read()->Checkpoints(), IsEmpty());

  // And after the end under lease 2 nobody may write.
  EXPECT_EQ(Finish(TrialId(1), LeaseId(2), MakeResult(100, 3.0)), Fenced::kTaken);
  End(TrialId(1), LeaseId(2), TrialState::kCompleted, TrialOutcome::kCompleted);
  EXPECT_EQ(Finish(TrialId(1), LeaseId(2), MakeResult(100, 2.0)), Fenced::kStale);
  EXPECT_EQ(Read()->FindTrial(TrialId(1))->result->final_loss_nats, 3.0);
}

TEST_F(ResultStoreTest, KeepsTheLastThousandStaleReports) {
  PutStudy();
  PutTrial(TrialId(1), MakePlanned(1));
  Write([](RowWriter& rows) -> absl::Status {
    for (int i = 0; i < 1200; ++i) {
      const absl::Status status = rows.AddStaleReport(TrialId(1), LeaseId(1), absl::StrCat("report ", i), At(i));
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  });
  int64_t count = 0;
  ASSERT_TRUE(RunQuery(db(), "SELECT count(*), min(what = 'report 199') FROM stale_report", absl::Seconds(10),
                       [](const QueryHead&) {},
                       [&](std::vector<QueryValue> row) {
                         count = std::get<int64_t>(row[0].value);
                         return true;
                       }).ok());
  EXPECT_EQ(count, 1000);
}

TEST_F(ResultStoreTest, ACurveLeavesOutWhatALaterAttemptWentOverAgain) {
  PutStudy();
  PutTrial(TrialId(1), MakePlanned(1));
  Lease(TrialId(1), LeaseId(1));
  Append(TrialId(1), LeaseId(1), 1, {MakePoint(10, 5), MakePoint(20, 4), MakePoint(30, 3)});
  End(TrialId(1), LeaseId(1), TrialState::kQueued, TrialOutcome::kCrashed);
  Lease(TrialId(1), LeaseId(2), 2, /*start_step=*/20);
  // Not yet as far as the first attempt came: its last point still counts.
  Append(TrialId(1), LeaseId(2), 1, {MakePoint(25, 3.5)});
  EXPECT_THAT(*Read()->LoadCurve(TrialId(1)),
              ElementsAre(MakePoint(10, 5), MakePoint(20, 4), MakePoint(25, 3.5), MakePoint(30, 3)));
  Append(TrialId(1), LeaseId(2), 2, {MakePoint(30, 2.75), MakePoint(100, 2.5, LossKind::kEval)});
  EXPECT_THAT(*Read()->LoadCurve(TrialId(1)),
              ElementsAre(MakePoint(10, 5), MakePoint(20, 4), MakePoint(25, 3.5), MakePoint(30, 2.75),
                          MakePoint(100, 2.5, LossKind::kEval)));
}

TEST_F(ResultStoreTest, ABranchsCurveBeginsWithItsTrunk) {
  PutStudy();
  const PlannedTrial trunk = MakeTrunk(1);
  PutTrial(TrialId(1), trunk);
  PutTrial(TrialId(2), MakeBranch(trunk, 1), TrialId(1));
  Lease(TrialId(1), LeaseId(1));
  Append(TrialId(1), LeaseId(1), 1, {MakePoint(40, 5), MakePoint(60, 4), MakePoint(80, 3.9)});
  End(TrialId(1), LeaseId(1), TrialState::kCompleted, TrialOutcome::kCompleted);
  Lease(TrialId(2), LeaseId(2), 1, 60);
  Append(TrialId(2), LeaseId(2), 1, {MakePoint(70, 3.5)});
  Finish(TrialId(2), LeaseId(2), MakeResult(80, 3.4));
  End(TrialId(2), LeaseId(2), TrialState::kCompleted, TrialOutcome::kCompleted);
  const auto rows = Read()->LoadObservations(StudyId(1), {.with_curves = true});
  ASSERT_TRUE(rows.ok());
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_THAT((*rows)[0].curve, ElementsAre(MakePoint(40, 5), MakePoint(60, 4), MakePoint(70, 3.5)));
}

TEST_F(ResultStoreTest, CompletedTrialsAreKnownWithTheirSpeed) {
  PutStudy();
  PutTrial(TrialId(1), MakePlanned(1));
  PutTrial(TrialId(2), MakePlanned(2));
  Complete(TrialId(1), LeaseId(1), 3);
  EXPECT_THAT(*Read()->CompletedFingerprints(), ElementsAre(MakePlanned(1).fingerprint));
  const auto speeds = Read()->Speeds();
  ASSERT_TRUE(speeds.ok());
  ASSERT_EQ(speeds->size(), 1u);
  EXPECT_EQ((*speeds)[0].tokens_per_second, 1024) << "of one of its two slots";
  EXPECT_EQ((*speeds)[0].spec.model, MakePlanned(1).spec.model);
  EXPECT_EQ((*speeds)[0].device, "cpu");
}

TEST_F(ResultStoreTest, FindsAStudyByNameOrTheNewest) {
  EXPECT_EQ(Read()->FindStudy("").status().code(), absl::StatusCode::kNotFound);
  PutStudy(StudyId(1), "novels");
  PutStudy(StudyId(2), "web-depths");
  EXPECT_EQ(Read()->FindStudy("")->name, "web-depths");
  EXPECT_EQ(Read()->FindStudy("novels")->id, StudyId(1));
  const absl::Status wrong = Read()->FindStudy("web-dephts").status();
  EXPECT_EQ(wrong.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(wrong.message()), HasSubstr("no study 'web-dephts', did you mean 'web-depths'?"));
}

TEST_F(ResultStoreTest, KeepsHistoryLogsAndCheckpoints) {
  PutStudy();
  PutTrial(TrialId(1), MakePlanned(1));
  Lease(TrialId(1), LeaseId(1));
  Write([](RowWriter& rows) -> absl::Status {
    for (int i = 1; i <= 3; ++i) {
      const absl::Status status = rows.AddEvent({.id = i, .at = At(i), .study = StudyId(1),
                                                 .trial = i == 2 ? TrialId(1) : TrialId(), .worker = i == 3 ? "w1" : "",
                                                 .kind = "submitted", .detail = absl::StrCat("event ", i)});
      if (!status.ok()) return status;
    }
    for (int i = 1; i <= 3; ++i) {
      const absl::StatusOr<Fenced> answer = rows.AddCheckpoint(
          {.id = CheckpointId(i), .trial = TrialId(1), .lease = LeaseId(1), .step = 10 * i, .store_id = "s",
           .path = absl::StrCat("step-", i), .sha256 = "h", .bytes = 5, .state = "committed"}, At(i));
      if (!answer.ok()) return answer.status();
    }
    const absl::Status bad = rows.SetCheckpointState(CheckpointId(2), "bad");
    return bad.ok() ? rows.SetCheckpointState(CheckpointId(1), "deleted") : bad;
  });
  End(TrialId(1), LeaseId(1), TrialState::kQueued, TrialOutcome::kCrashed, "Traceback\n");

  EXPECT_EQ(Read()->Events(StudyId(1), TrialId(), "", 0, 10)->size(), 3u);
  EXPECT_EQ(Read()->Events(StudyId(1), TrialId(), "", 1, 1)->at(0).detail, "event 2");
  EXPECT_EQ(Read()->Events(StudyId(), TrialId(1), "", 0, 10)->size(), 1u);
  EXPECT_EQ(Read()->Events(StudyId(), TrialId(), "w1", 0, 10)->at(0).at, At(3));
  EXPECT_EQ(*Read()->LogTail(TrialId(1), 0), "Traceback\n");
  EXPECT_EQ(Read()->LogTail(TrialId(1), 2).status().code(), absl::StatusCode::kNotFound);
  const auto checkpoints = Read()->Checkpoints(TrialId(1));
  ASSERT_EQ(checkpoints->size(), 2u);
  EXPECT_EQ((*checkpoints)[0].state, "bad");
  EXPECT_EQ((*checkpoints)[1].step, 30);

  const auto next = Read()->FindNextIds();
  ASSERT_TRUE(next.ok());
  EXPECT_EQ(next->study, StudyId(2));
  EXPECT_EQ(next->trial, TrialId(2));
  EXPECT_EQ(next->lease, LeaseId(2));
  EXPECT_EQ(next->checkpoint, CheckpointId(4)) << "a deleted one's number is not used again";
  EXPECT_EQ(next->event, 4);
}

TEST_F(ResultStoreTest, AReaderSeesOneMoment) {
  PutStudy();
  const std::unique_ptr<ResultStore> before = Read();
  PutStudy(StudyId(2), "later");
  EXPECT_EQ(before->Studies()->size(), 1u);
  EXPECT_EQ(Read()->Studies()->size(), 2u);
}

TEST(ResultStoreOpenTest, NoStoreIsNotFound) {
  const TemporaryFolder folder;
  const absl::Status status = ResultStore::Open(folder.File("none.db")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("cure: "));
}

}  // namespace
}  // namespace isoflop
