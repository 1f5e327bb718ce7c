// Others' results come back as they were given.
#include "store/import_study.h"

#include <cmath>

#include "gmock/gmock.h"
#include "tests/store/store_fixture.h"

namespace isoflop {
namespace {

using testing::HasSubstr;

std::vector<Observation> SomeRows() {
  Observation whole;
  whole.source = "runs.csv:2";
  whole.trial_id = "run-a";
  whole.config_id = "cell-1";
  whole.fingerprint = "abc";
  whole.eval_sha256 = "e";
  whole.tokenizer_sha256 = "t";
  whole.params_embedding = 1024.5;
  whole.params_position = 0;
  whole.params_head = 2048;
  whole.params_blocks = 57'300'000.25;
  whole.tokens_trained = 1.5e9;
  whole.unique_tokens = 2e9;
  whole.flops_exact = 1e18;
  whole.flops_given = 1.1e18;
  whole.budget_flops = 1e18;
  whole.final_loss_nats = 2.718281828459045;
  whole.bits_per_byte = 0.9;
  whole.final_loss_se = 0.001;
  whole.seed = 42;
  whole.is_replicate = true;
  whole.d_model = 512;
  whole.n_layer = 8;
  whole.n_head = 8;
  whole.d_ff = 2048;
  whole.vocab_size = 50257;
  whole.sequence_length = 1024;
  whole.wall_seconds = 77.5;
  whole.schedule_ended = true;

  Observation sparse;  // a CSV with one count, C and a loss
  sparse.source = "runs.csv:3";
  sparse.params_unnamed = 1e8;
  sparse.tokens_trained = 5.88e17 / (6 * 1e8);
  sparse.tokens_derived = true;
  sparse.flops_given = 5.88e17;
  sparse.final_loss_nats = 3.25;

  Observation diverged;
  diverged.source = "runs.csv:4";
  diverged.params_unnamed = 2e8;
  diverged.tokens_trained = 1e9;
  diverged.final_loss_nats = std::nan("");
  diverged.outcome = TrialOutcome::kDiverged;
  diverged.schedule_ended = false;

  Observation unknown;  // an empty cell, bits only
  unknown.source = "runs.csv:5";
  unknown.params_unnamed = 3e8;
  unknown.tokens_trained = std::nan("");
  unknown.final_loss_nats = std::nan("");
  unknown.bits_per_byte = 0.8;
  return {whole, sparse, diverged, unknown};
}

void ExpectSame(const Observation& got, const Observation& want) {
  EXPECT_EQ(got.source, want.source);
  EXPECT_EQ(got.trial_id, want.trial_id);
  EXPECT_EQ(got.config_id, want.config_id);
  EXPECT_EQ(got.fingerprint, want.fingerprint);
  EXPECT_EQ(got.eval_sha256, want.eval_sha256);
  EXPECT_EQ(got.tokenizer_sha256, want.tokenizer_sha256);
  EXPECT_EQ(got.params_embedding, want.params_embedding);
  EXPECT_EQ(got.params_position, want.params_position);
  EXPECT_EQ(got.params_head, want.params_head);
  EXPECT_EQ(got.params_blocks, want.params_blocks);
  EXPECT_EQ(got.params_unnamed, want.params_unnamed);
  EXPECT_TRUE(got.tokens_trained == want.tokens_trained ||
              (std::isnan(got.tokens_trained) && std::isnan(want.tokens_trained)));
  EXPECT_EQ(got.tokens_derived, want.tokens_derived);
  EXPECT_EQ(got.unique_tokens, want.unique_tokens);
  EXPECT_EQ(got.flops_exact, want.flops_exact);
  EXPECT_EQ(got.flops_given, want.flops_given);
  EXPECT_EQ(got.budget_flops, want.budget_flops);
  EXPECT_TRUE(got.final_loss_nats == want.final_loss_nats ||
              (std::isnan(got.final_loss_nats) && std::isnan(want.final_loss_nats)));
  EXPECT_EQ(got.bits_per_byte, want.bits_per_byte);
  EXPECT_EQ(got.final_loss_se, want.final_loss_se);
  EXPECT_EQ(got.seed, want.seed);
  EXPECT_EQ(got.is_replicate, want.is_replicate);
  EXPECT_EQ(got.d_model, want.d_model);
  EXPECT_EQ(got.n_layer, want.n_layer);
  EXPECT_EQ(got.n_head, want.n_head);
  EXPECT_EQ(got.d_ff, want.d_ff);
  EXPECT_EQ(got.vocab_size, want.vocab_size);
  EXPECT_EQ(got.sequence_length, want.sequence_length);
  EXPECT_EQ(got.wall_seconds, want.wall_seconds);
  EXPECT_EQ(got.outcome, want.outcome);
  EXPECT_EQ(got.schedule_ended, want.schedule_ended);
}

TEST(ImportStudyTest, ObservationsReadBackIdentically) {
  const TemporaryFolder folder;
  const std::string db = folder.File("isoflop.db");
  const absl::StatusOr<StudyId> study = ImportStudy(db, "others", "# runs.csv\n", SomeRows(), At(0));
  ASSERT_TRUE(study.ok()) << study.status();
  const absl::StatusOr<std::unique_ptr<ResultStore>> store = ResultStore::Open(db);
  ASSERT_TRUE(store.ok()) << store.status();
  const auto rows = (*store)->LoadObservations(*study, {.with_curves = true});
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 4u);
  for (size_t i = 0; i < 4; ++i) ExpectSame((*rows)[i], SomeRows()[i]);
  EXPECT_EQ((*store)->FindStudy("others")->state, "done");
  EXPECT_TRUE((*store)->CompletedFingerprints()->empty()) << "nothing of ours was trained";

  const absl::Status again = ImportStudy(db, "others", "", SomeRows(), At(0)).status();
  EXPECT_EQ(again.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(again.message()), HasSubstr("cure: another --as NAME"));
  EXPECT_TRUE(ImportStudy(db, "others-2", "", SomeRows(), At(0)).ok());
}

TEST(ImportStudyTest, IsRefusedWhileACoordinatorHoldsTheStore) {
  const TemporaryFolder folder;
  const absl::StatusOr<std::unique_ptr<StoreWriter>> writer = StoreWriter::Open(folder.File("isoflop.db"));
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ(ImportStudy(folder.File("isoflop.db"), "others", "", SomeRows(), At(0)).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

// A study of another store: trials with their spec, parents and curves.
using ImportFromStoreTest = StoreTest;

TEST_F(ImportFromStoreTest, FinishedTrialsComeWithParentsAndCurves) {
  PutStudy();
  const PlannedTrial trunk = MakeTrunk(1);
  PutTrial(TrialId(1), trunk);
  PutTrial(TrialId(2), MakeBranch(trunk, 1), TrialId(1));
  PutTrial(TrialId(3), MakePlanned(1));
  PutTrial(TrialId(4), MakePlanned(2));  // never finished
  Lease(TrialId(1), LeaseId(1));
  Append(TrialId(1), LeaseId(1), 1, {MakePoint(40, 5), MakePoint(60, 4)});
  End(TrialId(1), LeaseId(1), TrialState::kCompleted, TrialOutcome::kCompleted);
  Complete(TrialId(2), LeaseId(2), 3.25, 80);
  Lease(TrialId(3), LeaseId(3));
  End(TrialId(3), LeaseId(3), TrialState::kDiverged, TrialOutcome::kDiverged);

  const TemporaryFolder other;
  const std::string other_db = other.File("isoflop.db");
  ASSERT_TRUE(ImportStudy(other_db, "first", "", SomeRows(), At(0)).ok());
  const absl::StatusOr<ImportedStudy> imported = ImportStudyFrom(other_db, "theirs", db(), "novels");
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_EQ(imported->trials, 3);
  EXPECT_EQ(imported->left_out, 1);

  const absl::StatusOr<std::unique_ptr<ResultStore>> store = ResultStore::Open(other_db);
  const auto rows = (*store)->LoadObservations(imported->study, {.with_curves = true});
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].final_loss_nats, 3.25);
  EXPECT_EQ((*rows)[0].fingerprint, MakeBranch(trunk, 1).fingerprint);
  EXPECT_THAT((*rows)[0].curve, testing::ElementsAre(MakePoint(40, 5), MakePoint(60, 4)));
  EXPECT_EQ((*rows)[1].outcome, TrialOutcome::kDiverged);
  // They are the same experiments: not trained again here either.
  EXPECT_EQ((*store)->CompletedFingerprints()->count(MakeBranch(trunk, 1).fingerprint), 1u);
  EXPECT_EQ((*store)->LiveLeases()->size(), 0u);
}

}  // namespace
}  // namespace isoflop
