// A store in a folder of its own, with one study and trials that are worth a
// name.
#ifndef ISOFLOP_TESTS_STORE_STORE_FIXTURE_H_
#define ISOFLOP_TESTS_STORE_STORE_FIXTURE_H_

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "store/result_store.h"
#include "store/store_writer.h"
#include "study/param_counts.h"
#include "study/trial_text.h"

namespace isoflop {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "isoflop-store-XXXXXX").string();
    path_ = mkdtemp(name.data()) == nullptr ? "" : name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline absl::Time At(int64_t second) { return absl::FromUnixSeconds(1'700'000'000 + second); }

// A transformer of 2 layers and width 32, 100 steps of 4 x 64 tokens.
inline PlannedTrial MakePlanned(int64_t seed, int64_t steps = 100) {
  PlannedTrial planned;
  TrialSpec& spec = planned.spec;
  spec.model.d_model = 32;
  spec.model.n_layer = 2;
  spec.model.n_head = 2;
  spec.model.d_ff = 128;
  spec.model.vocab_size = 256;
  spec.sequence_length = 64;
  spec.batch_sequences = 4;
  spec.steps = steps;
  spec.schedule = {.kind = ScheduleKind::kWsd, .warmup_steps = 5, .decay_steps = 20};
  spec.optimizer.lr_peak = 0.01;
  spec.data = {.dataset_sha256 = "d", .eval_sha256 = "e", .unique_tokens = 1'000'000};
  spec.eval_sequence_length = 64;
  spec.seed = seed;
  planned.text = TrialText(spec);
  planned.fingerprint = Fingerprint(spec);
  planned.lineage = Lineage(spec);
  planned.params = CountParams(spec.model, spec.sequence_length);
  planned.budget_flops = 1e9;
  planned.flops_6nd = 6e9;
  planned.flops_exact = 7e9;
  planned.flops_exact_causal = 6.5e9;
  planned.flops_to_spend = 7e9;
  planned.slots = 2;
  planned.memory_bytes_per_slot = 1e6;
  return planned;
}

inline PlannedTrial MakeTrunk(int64_t seed) {
  PlannedTrial planned = MakePlanned(seed, 80);
  planned.spec.schedule.decay_steps = 0;
  planned.spec.branch_steps = {60};
  planned.role = TrialRole::kTrunk;
  planned.budget_flops = 0;
  planned.text = TrialText(planned.spec);
  planned.fingerprint = Fingerprint(planned.spec);
  planned.lineage = Lineage(planned.spec);
  return planned;
}

inline PlannedTrial MakeBranch(const PlannedTrial& trunk, int64_t seed) {
  PlannedTrial planned = MakePlanned(seed, 80);
  planned.spec.parent_lineage = trunk.lineage;
  planned.spec.branch_step = 60;
  planned.role = TrialRole::kBranch;
  planned.text = TrialText(planned.spec);
  planned.fingerprint = Fingerprint(planned.spec);
  planned.lineage = Lineage(planned.spec);
  return planned;
}

inline TrialResult MakeResult(int64_t steps, double loss) {
  TrialResult result;
  result.step = steps;
  result.tokens_trained = steps * 256;
  result.final_loss_nats = loss;
  result.final_loss_se = 0.01;
  result.bits_per_byte = loss / 0.6931471805599453;
  result.eval_tokens = 4096;
  result.eval_bytes = 4096;
  result.eval_sha256 = "e";
  result.unique_tokens = 1'000'000;
  result.train_loss_nats = loss - 0.1;
  result.flops_exact = 7e9;
  result.wall_seconds = 12.5;
  result.tokens_per_second = 2048;
  result.mfu = 0.25;
  result.peak_memory_bytes = 123'456'789;
  result.resumed_exact = true;
  result.params_total = 1234;
  result.device = "cpu";
  result.precision = "fp32";
  result.program = "isoflop-trainer 0.1.0+gabc";
  result.tokenizer_sha256 = "t";
  return result;
}

inline LossPoint MakePoint(int64_t step, double loss, LossKind kind = LossKind::kTrain) {
  LossPoint point;
  point.step = step;
  point.tokens = step * 256;
  point.loss_nats = loss;
  point.kind = kind;
  if (kind == LossKind::kTrain) {
    point.lr = 0.01;
    point.grad_norm = 1.5;
    point.tokens_per_second = 2000;
  } else {
    point.eval_tokens = 4096;
  }
  return point;
}

class StoreTest : public testing::Test {
 protected:
  void SetUp() override { Start(); }

  void Start(StoreWriterOptions options = {}) {
    absl::StatusOr<std::unique_ptr<StoreWriter>> writer = StoreWriter::Open(db(), options);
    ASSERT_TRUE(writer.ok()) << writer.status();
    writer_ = *std::move(writer);
  }
  std::string db() const { return folder_.File("isoflop.db"); }

  // Writes and waits until it is committed.
  void Write(StoreWriter::Operation operation) {
    const uint64_t number = writer_->Append({std::move(operation)});
    std::mutex mu;
    std::condition_variable changed;
    bool durable = false;
    writer_->WhenDurable(number, [&] {
      const std::lock_guard lock(mu);
      durable = true;
      changed.notify_one();
    });
    std::unique_lock lock(mu);
    ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(60), [&] { return durable; })) << writer_->Health();
  }
  void PutStudy(StudyId id = StudyId(1), const std::string& name = "novels") {
    Write([=](RowWriter& rows) {
      return rows.PutStudy({.id = id, .name = name, .spec_yaml = "study: x\n", .settings = "{}",
                            .created_at = At(0), .state = "active"});
    });
  }
  void PutTrial(TrialId id, const PlannedTrial& planned, std::optional<TrialId> parent = std::nullopt,
                StudyId study = StudyId(1)) {
    Write([=](RowWriter& rows) {
      return rows.PutTrial({.id = id, .study = study, .parent = parent, .planned = planned,
                            .standing = {.retry_counts = "{}"}});
    });
  }
  // Leases `trial`: state, lease and acknowledgement in one commit.
  void Lease(TrialId trial, LeaseId lease, int attempt = 1, int64_t start_step = 0) {
    Write([=](RowWriter& rows) {
      for (const absl::Status& status :
           {rows.UpdateTrial(trial, {.state = TrialState::kLeased, .lease = lease, .attempts = attempt,
                                     .retry_counts = "{}"}, 2, At(10)),
            rows.GrantLease({.id = lease, .trial = trial, .attempt = attempt, .worker = "w1", .host = "node1",
                             .instance = "00ff", .start_step = start_step, .granted_at = At(10)}),
            rows.AcknowledgeLease(lease, At(11))}) {
        if (!status.ok()) return status;
      }
      return absl::OkStatus();
    });
  }
  Fenced Append(TrialId trial, LeaseId lease, uint64_t first_seq, const std::vector<LossPoint>& points) {
    Fenced fenced = Fenced::kStale;
    Write([&](RowWriter& rows) -> absl::Status {
      const absl::StatusOr<Fenced> answer = rows.AppendLossPoints(trial, lease, first_seq, points, At(20));
      if (answer.ok()) fenced = *answer;
      return answer.status();
    });
    return fenced;
  }
  Fenced Finish(TrialId trial, LeaseId lease, const TrialResult& result) {
    Fenced fenced = Fenced::kStale;
    Write([&](RowWriter& rows) -> absl::Status {
      const absl::StatusOr<Fenced> answer = rows.FinishTrial(trial, lease, result, At(30));
      if (answer.ok()) fenced = *answer;
      return answer.status();
    });
    return fenced;
  }
  void End(TrialId trial, LeaseId lease, TrialState state, TrialOutcome outcome, const std::string& log = "") {
    Write([=](RowWriter& rows) {
      const absl::Status status = rows.EndLease(lease, outcome, "why", log, At(40));
      if (!status.ok()) return status;
      return rows.UpdateTrial(trial, {.state = state, .outcome = IsFinal(state) ? outcome : TrialOutcome::kNone,
                                      .attempts = 1, .retry_counts = "{}"}, 2, At(40));
    });
  }
  void Complete(TrialId trial, LeaseId lease, double loss, int64_t steps = 100) {
    Lease(trial, lease);
    ASSERT_EQ(Finish(trial, lease, MakeResult(steps, loss)), Fenced::kTaken);
    End(trial, lease, TrialState::kCompleted, TrialOutcome::kCompleted);
  }
  std::unique_ptr<ResultStore> Read() {
    absl::StatusOr<std::unique_ptr<ResultStore>> store = ResultStore::Open(db());
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }

  TemporaryFolder folder_;
  std::unique_ptr<StoreWriter> writer_;
};

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_STORE_STORE_FIXTURE_H_
