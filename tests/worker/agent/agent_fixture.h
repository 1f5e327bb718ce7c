// A real server on a ledger in memory, and agents that run scripted trainers,
// each in a thread of the test.
#ifndef ISOFLOP_TESTS_WORKER_AGENT_AGENT_FIXTURE_H_
#define ISOFLOP_TESTS_WORKER_AGENT_AGENT_FIXTURE_H_

#include <stdlib.h>

#include <condition_variable>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "coordinator/coordinator.h"
#include "coordinator/server.h"
#include "gtest/gtest.h"
#include "proto/study_admin.pb.h"
#include "study/trial_text.h"
#include "tests/coordinator/memory_ledger.h"
#include "worker/agent/agent.h"

namespace isoflop {

inline constexpr absl::Duration kTestDeadline = absl::Seconds(60);

// One agent in a thread.
class RunningAgent {
 public:
  explicit RunningAgent(AgentOptions options) {
    options.log = [this](const std::string& line) {
      const std::lock_guard lock(mu_);
      log_ += line + "\n";
    };
    options.on_durable = [this](int64_t lease, uint64_t seq) {
      const std::lock_guard lock(mu_);
      durable_[lease] = seq;
    };
    auto agent = Agent::Create(std::move(options));
    created_ = agent.status();
    if (!agent.ok()) return;
    agent_ = *std::move(agent);
    thread_ = std::thread([this] { status_.set_value(agent_->Run()); });
  }
  ~RunningAgent() {
    if (agent_) agent_->StopNow();
    if (thread_.joinable()) thread_.join();
  }

  const absl::Status& created() const { return created_; }
  Agent& agent() { return *agent_; }
  // Of Run, once it has returned.
  absl::Status Wait() {
    auto status = status_.get_future();
    if (status.wait_for(absl::ToChronoSeconds(kTestDeadline)) != std::future_status::ready) {
      return absl::DeadlineExceededError(absl::StrCat("Run goes on: ", agent_->DebugString()));
    }
    return status.get();
  }
  std::string log() const {
    const std::lock_guard lock(mu_);
    return log_;
  }
  std::map<int64_t, uint64_t> durable() const {
    const std::lock_guard lock(mu_);
    return durable_;
  }

 private:
  mutable std::mutex mu_;
  std::string log_;                       // guarded by mu_
  std::map<int64_t, uint64_t> durable_;   // guarded by mu_
  absl::Status created_;
  std::unique_ptr<Agent> agent_;
  std::promise<absl::Status> status_;
  std::thread thread_;
};

class AgentFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "isoflop-agent-XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    StartServer();
  }
  void TearDown() override {
    StopServer();
    std::filesystem::remove_all(folder_);
  }

  void StartServer() {
    ServerOptions options;
    options.socket_path = folder_ + "/run/coordinator.sock";
    QueueOptions& queue = options.coordinator.queue;
    queue.preempted_jitter = absl::ZeroDuration();
    queue.lost_backoff = queue.crashed_backoff = absl::Milliseconds(20);
    auto server = Server::StartOn(std::make_unique<MemoryLedger>(&disk_, true), options);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    subscription_ = server_->coordinator().Watch(
        Following(last_event_),
        [this](const wire::Event& event) {
          const std::lock_guard lock(mu_);
          events_.push_back(event);
          last_event_ = event.id();
          changed_.notify_all();
        },
        [](const absl::Status&) {});
  }
  void StopServer() {
    if (!server_) return;
    server_->coordinator().Unsubscribe(subscription_);
    server_->Shutdown();
    server_.reset();
  }

  AgentOptions Options(const std::string& name, int slots = 1) {
    AgentOptions options;
    options.server = folder_ + "/run/coordinator.sock";
    options.name = name;
    options.slots = absl::StrCat("cpu:", slots);
    options.checkpoint_root = folder_ + "/checkpoints";
    options.spool_dir = folder_ + "/spool-" + name;
    options.busy_beat = absl::Milliseconds(50);
    options.idle_beat = absl::Seconds(5);
    options.grace = absl::Seconds(20);
    return options;
  }

  // A trial of `steps` steps for the scripted trainer.
  static PlannedTrial Scripted(std::map<std::string, OptionValue> script, int64_t steps = 20) {
    PlannedTrial trial;
    trial.spec.model.family = Family::kCustom;
    trial.spec.model.custom_id = "m";
    trial.spec.model.custom_counts = {.embedding = 10, .position = 0, .head = 10, .blocks = 80};
    trial.spec.steps = steps;
    trial.spec.batch_sequences = 4;
    trial.spec.sequence_length = 16;
    trial.spec.trainer = CustomTrainer{{ISOFLOP_SCRIPTED_TRAINER}, Launch::kPerSlot, std::move(script), ""};
    trial.flops_to_spend = 1e6;
    return trial;
  }
  // Submits as one study; the trials' numbers.
  std::vector<TrialId> Submit(std::vector<PlannedTrial> trials, const std::string& name = "s") {
    int64_t seed = 0;
    for (PlannedTrial& trial : trials) {
      trial.spec.seed = ++seed;
      trial.text = TrialText(trial.spec);
      trial.fingerprint = Fingerprint(trial.spec);
      trial.lineage = Lineage(trial.spec);
    }
    wire::SubmitHeader header;
    header.set_study_name(name);
    std::promise<absl::StatusOr<wire::SubmitReply>> done;
    server_->coordinator().SubmitPlan(header, std::move(trials),
                                      [&](auto reply) { done.set_value(std::move(reply)); });
    const auto reply = done.get_future().get();
    EXPECT_TRUE(reply.ok()) << reply.status();
    std::vector<TrialId> out;
    if (reply.ok()) {
      for (const int64_t id : reply->trial_ids()) out.push_back(TrialId(id));
    }
    return out;
  }
  void Control(wire::ControlAction action, bool now = false, const std::string& name = "s") {
    wire::ControlRequest request;
    request.set_action(action);
    request.set_study_name(name);
    request.set_now(now);
    std::promise<absl::Status> done;
    server_->coordinator().Control(request, [&](const auto& reply) { done.set_value(reply.status()); });
    const absl::Status status = done.get_future().get();
    EXPECT_TRUE(status.ok()) << status;
  }
  wire::Trial Trial(TrialId id) {
    wire::TrialFilter filter;
    filter.add_trial_ids(id.value());
    std::promise<absl::StatusOr<std::vector<wire::Trial>>> done;
    server_->coordinator().ListTrials(filter, [&](auto trials) { done.set_value(std::move(trials)); });
    const auto trials = done.get_future().get();
    EXPECT_TRUE(trials.ok() && trials->size() == 1) << trials.status();
    return trials.ok() && trials->size() == 1 ? trials->front() : wire::Trial();
  }
  // Looks again and again; what it looks at changes in other processes.
  template <class Condition>
  bool WaitFor(Condition condition) {
    const absl::Time deadline = absl::Now() + kTestDeadline;
    while (!condition()) {
      if (absl::Now() > deadline) {
        ADD_FAILURE() << "timed out; history:\n" << History();
        return false;
      }
      absl::SleepFor(absl::Milliseconds(5));
    }
    return true;
  }
  bool WaitForState(TrialId id, const std::string& state) {
    return WaitFor([&] { return Trial(id).state() == state; });
  }
  bool WaitForStep(TrialId id, int64_t step) {
    return WaitFor([&] { return Trial(id).state() == "leased" && Trial(id).step() >= step; });
  }
  std::string History() {
    const std::lock_guard lock(mu_);
    std::string out;
    for (const wire::Event& event : events_) {
      absl::StrAppend(&out, event.trial_id(), " ", event.worker(), " ", event.kind(), ": ", event.detail(), "\n");
    }
    return out;
  }
  bool WaitForHistory(const std::string& text) {
    return WaitFor([&] { return History().find(text) != std::string::npos; });
  }
  // Classes of the attempts of a trial, in order: "crashed completed". For a
  // server that is down.
  std::string Ends(TrialId id) const {
    std::vector<std::string> out;
    for (const auto& [lease, outcome] : disk_.ended) {
      if (disk_.trial_of.at(lease) == id) out.push_back(ToString(outcome));
    }
    return absl::StrJoin(out, " ");
  }
  std::vector<LeaseId> Leases(TrialId id) const {
    std::vector<LeaseId> out;
    for (const auto& [lease, trial] : disk_.trial_of) {
      if (trial == id) out.push_back(lease);
    }
    return out;
  }
  // E + A/N^alpha + B/D^beta of the scripted trainer's defaults.
  static double Law(double params, double tokens) {
    return 1.69 + 406.4 / std::pow(params, 0.34) + 410.7 / std::pow(tokens, 0.28);
  }

  std::string folder_;
  MemoryDisk disk_;
  std::unique_ptr<Server> server_;

 private:
  static wire::WatchRequest Following(int64_t after) {
    wire::WatchRequest request;
    request.set_after_event_id(after);
    request.set_follow(true);
    return request;
  }

  std::mutex mu_;
  std::condition_variable changed_;
  std::vector<wire::Event> events_;  // guarded by mu_
  int64_t last_event_ = 0;
  Coordinator::Subscription subscription_ = 0;
};

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_WORKER_AGENT_AGENT_FIXTURE_H_
