// The server on the store itself: what was answered is in SQLite, and the next
// coordinator goes on where this one was killed.
#include <grpcpp/grpcpp.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "coordinator/coordinator.h"
#include "coordinator/server.h"
#include "coordinator/store_ledger.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/channel.h"
#include "proto/convert.h"
#include "proto/study_admin.grpc.pb.h"
#include "proto/work_queue.grpc.pb.h"
#include "store/query.h"
#include "store/result_store.h"
#include "study/param_counts.h"
#include "study/trial_text.h"

namespace isoflop {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kDeadline = absl::Seconds(60);

PlannedTrial MakeTrial(int64_t seed) {
  PlannedTrial planned;
  TrialSpec& spec = planned.spec;
  spec.model.d_model = 32;
  spec.model.n_layer = 2;
  spec.model.n_head = 2;
  spec.model.d_ff = 128;
  spec.model.vocab_size = 256;
  spec.sequence_length = 64;
  spec.batch_sequences = 4;
  spec.steps = 100;
  spec.schedule.decay_steps = 20;
  spec.optimizer.lr_peak = 0.01;
  spec.data.dataset_sha256 = "d";
  spec.eval_sequence_length = 64;
  spec.seed = seed;
  planned.text = TrialText(spec);
  planned.fingerprint = Fingerprint(spec);
  planned.lineage = Lineage(spec);
  planned.params = CountParams(spec.model, spec.sequence_length);
  planned.budget_flops = 1e9;
  planned.flops_to_spend = 1e9;
  return planned;
}

class StoreServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = ::testing::TempDir() + "isoflop-store-server-XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  void TearDown() override {
    channel_.reset();
    server_.reset();
    std::filesystem::remove_all(folder_);
  }
  std::string db() const { return folder_ + "/home/isoflop.db"; }
  ServerOptions Options() const {
    ServerOptions options;
    options.db_path = db();
    options.socket_path = folder_ + "/home/run/coordinator.sock";
    return options;
  }
  void Start() {
    auto server = Server::Start(Options());
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    auto channel = CoordinatorChannel::Create(server_->socket_path(), "");
    ASSERT_TRUE(channel.ok()) << channel.status();
    channel_ = *std::move(channel);
  }
  void Restart() {
    channel_.reset();
    server_.reset();
    Start();
  }
  wire::SubmitReply Submit(const std::string& name, std::vector<PlannedTrial> trials) {
    wire::SubmitHeader header;
    header.set_study_name(name);
    header.set_resolved_yaml("study: x\n");
    header.mutable_retry()->set_crashed(7);
    std::promise<wire::SubmitReply> reply;
    server_->coordinator().SubmitPlan(header, std::move(trials), [&](auto answer) {
      EXPECT_TRUE(answer.ok()) << answer.status();
      reply.set_value(answer.ok() ? *std::move(answer) : wire::SubmitReply());
    });
    return reply.get_future().get();
  }
  wire::SynchronizeRequest Word(uint64_t number) const {
    wire::SynchronizeRequest request;
    request.set_protocol_version(kProtocolVersion);
    request.set_instance_id("instance");
    request.set_sync_number(number);
    request.mutable_worker()->set_name("w");
    request.mutable_worker()->set_host("h");
    request.mutable_worker()->set_checkpoint_store_id("disk");
    request.mutable_worker()->add_slots();
    request.mutable_wait()->set_nanos(1'000'000);
    return request;
  }
  wire::SynchronizeResponse Synchronize(const wire::SynchronizeRequest& request) {
    auto stub = wire::WorkQueue::NewStub(channel_->channel());
    grpc::ClientContext context;
    channel_->Prepare(context, kDeadline);
    wire::SynchronizeResponse response;
    const absl::Status status = channel_->ToStatus(stub->Synchronize(&context, request, &response));
    EXPECT_TRUE(status.ok()) << status;
    return response;
  }
  static wire::HeldLease* Hold(wire::SynchronizeRequest& request, int64_t lease) {
    wire::HeldLease* held = request.add_held();
    held->set_lease_id(lease);
    held->set_phase(wire::LEASE_PHASE_RUNNING);
    held->set_steps(100);
    return held;
  }
  static void AddPoints(wire::HeldLease* held, uint64_t first_seq, int count) {
    held->set_first_seq(first_seq);
    for (int i = 0; i < count; ++i) {
      wire::LossPoint* point = held->add_points();
      point->set_step(10 * (static_cast<int64_t>(first_seq) + i));
      point->set_tokens(256 * point->step());
      point->set_loss_nats(5.0 - 0.1 * static_cast<double>(first_seq + static_cast<uint64_t>(i)));
      point->set_kind(wire::LOSS_KIND_TRAIN);
    }
  }
  std::unique_ptr<ResultStore> Read() {
    auto store = ResultStore::Open(db());
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }

  std::string folder_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<CoordinatorChannel> channel_;
};

TEST_F(StoreServerTest, ATrialGoesFromTheSubmitToItsObservation) {
  Start();
  const wire::SubmitReply submitted = Submit("novels", {MakeTrial(1)});
  ASSERT_EQ(submitted.trial_ids_size(), 1);

  wire::SynchronizeRequest first = Word(1);
  first.add_free_slots(0);
  wire::SynchronizeResponse answer = Synchronize(first);
  ASSERT_EQ(answer.desired_size(), 1);
  EXPECT_EQ(answer.desired(0).assignment().trial_json(), MakeTrial(1).text);
  const int64_t lease = answer.desired(0).lease_id();

  wire::SynchronizeRequest running = Word(2);
  wire::HeldLease* held = Hold(running, lease);
  AddPoints(held, 1, 3);
  wire::Checkpoint* checkpoint = held->add_checkpoints();
  checkpoint->set_step(30);
  checkpoint->set_path(absl::StrFormat("trial-1/lease-%d/step-00000030", lease));
  answer = Synchronize(running);
  ASSERT_EQ(answer.desired_size(), 1);
  EXPECT_EQ(answer.desired(0).durable_seq(), 3u);
  // What was answered is on disk, for any reader.
  EXPECT_EQ(Read()->LoadCurve(TrialId(1))->size(), 3u);
  EXPECT_EQ(Read()->Checkpoints()->size(), 1u);

  // The coordinator goes away and comes back: the training went on.
  const std::string store_id = answer.store_id();
  Restart();
  wire::SynchronizeRequest back = Word(3);
  back.set_store_id(store_id);
  back.set_epoch_seen(answer.coordinator_epoch());
  AddPoints(Hold(back, lease), 3, 2);  // seq 3 again: its answer might have been lost
  wire::SynchronizeResponse again = Synchronize(back);
  EXPECT_EQ(again.store_id(), store_id);
  EXPECT_EQ(again.coordinator_epoch(), answer.coordinator_epoch() + 1);
  ASSERT_EQ(again.desired_size(), 1);
  EXPECT_EQ(again.desired(0).durable_seq(), 4u);

  wire::SynchronizeRequest ended = Word(4);
  held = Hold(ended, lease);
  held->set_phase(wire::LEASE_PHASE_ENDED);
  held->mutable_outcome()->set_outcome_class(wire::OUTCOME_CLASS_COMPLETED);
  held->mutable_outcome()->set_log_tail("step 100\n");
  wire::FinalObservation* final = held->mutable_outcome()->mutable_final();
  final->set_step(100);
  final->set_tokens_trained(25'600);
  final->set_final_loss_nats(2.5);
  final->set_eval_tokens(500);
  final->set_eval_sha256("e");
  final->set_device("cpu");
  again = Synchronize(ended);
  ASSERT_EQ(again.settled_size(), 1);
  const auto rows = Read()->LoadObservations(StudyId(1), {.with_curves = true});
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ((*rows)[0].final_loss_nats, 2.5);
  EXPECT_EQ((*rows)[0].outcome, TrialOutcome::kCompleted);
  EXPECT_EQ((*rows)[0].curve.size(), 4u);
  EXPECT_EQ(*Read()->LogTail(TrialId(1), 0), "step 100\n");
  EXPECT_EQ(Read()->FindStudy("novels")->state, "done");
  EXPECT_EQ(Read()->LiveLeases()->size(), 0u);

  // And a third coordinator knows it as completed.
  Restart();
  const wire::SubmitReply once_more = Submit("novels", {MakeTrial(1)});
  EXPECT_EQ(once_more.kept(), 1);
  EXPECT_EQ(once_more.added(), 0);
  const auto events = Read()->Events(StudyId(), TrialId(1), "", 0, 100);
  ASSERT_TRUE(events.ok());
  std::vector<std::string> kinds;
  for (const StoredEvent& event : *events) kinds.push_back(event.kind);
  EXPECT_THAT(kinds, ::testing::IsSupersetOf({"leased", "attempt_ended", "completed"}));
}

TEST_F(StoreServerTest, RetriesAndSettingsOutliveARestart) {
  Start();
  Submit("novels", {MakeTrial(1)});
  wire::SynchronizeRequest first = Word(1);
  first.add_free_slots(0);
  const int64_t lease = Synchronize(first).desired(0).lease_id();
  wire::SynchronizeRequest crashed = Word(2);
  wire::HeldLease* held = Hold(crashed, lease);
  held->set_phase(wire::LEASE_PHASE_ENDED);
  held->mutable_outcome()->set_outcome_class(wire::OUTCOME_CLASS_CRASHED);
  held->mutable_outcome()->set_detail("exit 1");
  Synchronize(crashed);
  Restart();
  EXPECT_THAT(server_->coordinator().DebugString(), HasSubstr("queued"));
  const auto trial = Read()->FindTrial(TrialId(1));
  ASSERT_TRUE(trial.ok());
  EXPECT_EQ(trial->standing.state, TrialState::kQueued);
  EXPECT_EQ(trial->standing.attempts, 1);
  EXPECT_THAT(trial->standing.retry_counts, HasSubstr("\"crashed\":1"));
  EXPECT_THAT(Read()->FindStudy("")->settings, HasSubstr("\"crashed\":7"));
  EXPECT_GT(Read()->FindNextIds()->lease, LeaseId(lease));
}

TEST_F(StoreServerTest, ASecondCoordinatorOnOneStoreIsRefused) {
  Start();
  ServerOptions options = Options();
  options.socket_path = folder_ + "/other/coordinator.sock";
  const absl::Status second = Server::Start(options).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.message()), HasSubstr(absl::StrCat("process ", getpid())));
  EXPECT_THAT(std::string(second.message()), HasSubstr("cure:"));
}

TEST_F(StoreServerTest, AnswersReadOnlySql) {
  Start();
  Submit("novels", {MakeTrial(1), MakeTrial(2), MakeTrial(3)});
  const auto ask = [this](const std::string& sql, int64_t max_rows, wire::QueryRows* all) {
    auto stub = wire::StudyAdmin::NewStub(channel_->channel());
    grpc::ClientContext context;
    channel_->Prepare(context, kDeadline);
    wire::QueryRequest request;
    request.set_sql(sql);
    request.set_max_rows(max_rows);
    auto reader = stub->Query(&context, request);
    wire::QueryRows part;
    while (reader->Read(&part)) all->MergeFrom(part);
    return channel_->ToStatus(reader->Finish());
  };
  wire::QueryRows rows;
  ASSERT_TRUE(ask("SELECT trial_id, seed, state FROM trial_detail ORDER BY trial_id", 2, &rows).ok());
  EXPECT_THAT(rows.column_names(), ::testing::ElementsAre("trial_id", "seed", "state"));
  ASSERT_EQ(rows.rows_size(), 2);
  EXPECT_EQ(rows.rows(1).values(1).integer(), 2);
  EXPECT_EQ(rows.rows(1).values(2).text(), "queued");
  EXPECT_TRUE(rows.truncated());
  wire::QueryRows none;
  EXPECT_EQ(ask("DELETE FROM trial", 0, &none).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Read()->Trials(StudyId(1))->size(), 3u);
}

}  // namespace
}  // namespace isoflop
