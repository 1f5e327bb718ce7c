// Many workers at once, a ledger that commits on a thread of its own, and a
// person who pauses and resumes: every trial has one result, and no thread sees
// another's half-done work (run under ThreadSanitizer).
#include <atomic>
#include <chrono>
#include <cstdio>
#include <future>
#include <thread>

#include "absl/strings/str_cat.h"
#include "coordinator/coordinator.h"
#include "gtest/gtest.h"
#include "proto/convert.h"
#include "proto/study_admin.pb.h"
#include "proto/work_queue.pb.h"
#include "tests/coordinator/memory_ledger.h"

namespace isoflop {
namespace {

constexpr int kWorkers = 8;
constexpr int kTrials = 2000;

absl::Time Monotonic() {
  return absl::UnixEpoch() +
         absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

// Trains trials until its study is done; each ends in the request after the
// one that assigned it.
void Work(Coordinator& coordinator, int number, const std::atomic<bool>& is_done) {
  uint64_t sync_number = 0;
  std::vector<int64_t> held;
  while (!is_done) {
    wire::SynchronizeRequest request;
    request.set_protocol_version(kProtocolVersion);
    request.set_instance_id(absl::StrCat("instance-", number));
    request.set_sync_number(++sync_number);
    request.mutable_worker()->set_name(absl::StrCat("w", number));
    request.mutable_worker()->set_host(absl::StrCat("h", number));
    request.mutable_worker()->add_slots();
    request.add_free_slots(0);
    request.mutable_wait()->set_nanos(20'000'000);
    for (const int64_t lease : held) {
      wire::HeldLease* ended = request.add_held();
      ended->set_lease_id(lease);
      ended->set_phase(wire::LEASE_PHASE_ENDED);
      ended->set_first_seq(1);
      for (int i = 1; i <= 3; ++i) {
        ended->add_points()->set_step(i);
        ended->mutable_points(i - 1)->set_loss_nats(3);
      }
      ended->mutable_outcome()->set_outcome_class(wire::OUTCOME_CLASS_COMPLETED);
      ended->mutable_outcome()->mutable_final()->set_final_loss_nats(2);
    }
    std::promise<absl::StatusOr<wire::SynchronizeResponse>> promise;
    coordinator.Synchronize(request, [&](auto answer) { promise.set_value(std::move(answer)); });
    const auto answer = promise.get_future().get();
    if (!answer.ok()) continue;
    held.clear();
    for (const wire::DesiredLease& desired : answer->desired()) held.push_back(desired.lease_id());
  }
}

TEST(CoordinatorThreadsTest, EveryTrialHasOneResultUnderManyWorkers) {
  MemoryDisk disk;
  MemoryLedger ledger(&disk, /*commits_itself=*/true);
  auto created = Coordinator::Create({}, &ledger, {.monotonic = Monotonic, .wall = [] { return absl::Now(); }},
                                     nullptr);
  ASSERT_TRUE(created.ok());
  Coordinator& coordinator = **created;
  std::vector<PlannedTrial> trials(kTrials);
  for (int i = 0; i < kTrials; ++i) {
    trials[static_cast<size_t>(i)].fingerprint = absl::StrCat(i);
    trials[static_cast<size_t>(i)].spec.steps = 10;
    trials[static_cast<size_t>(i)].flops_to_spend = i;
  }
  wire::SubmitHeader header;
  header.set_study_name("s");
  std::promise<void> submitted;
  coordinator.SubmitPlan(header, std::move(trials), [&](auto) { submitted.set_value(); });
  submitted.get_future().wait();

  std::atomic<bool> is_done = false;
  std::atomic<int> events = 0;
  wire::WatchRequest watch;
  watch.set_follow(true);
  std::atomic<int64_t> last_event = 0;
  coordinator.Watch(
      watch,
      [&](wire::Event event) {
        EXPECT_GT(event.id(), last_event.exchange(event.id())) << "events keep their order";
        ++events;
        if (event.kind() == "study_done") is_done = true;
      },
      [](absl::Status) {});
  const absl::Time start = absl::Now();
  std::vector<std::thread> threads;
  for (int i = 0; i < kWorkers; ++i) {
    threads.emplace_back([&, i] { Work(coordinator, i, is_done); });
  }
  threads.emplace_back([&] {
    bool is_paused = false;
    while (!is_done) {
      wire::ControlRequest request;
      request.set_action(is_paused ? wire::CONTROL_ACTION_RESUME : wire::CONTROL_ACTION_PAUSE);
      request.set_study_name("s");
      std::promise<void> promise;
      coordinator.Control(request, [&](auto) { promise.set_value(); });
      promise.get_future().wait();
      is_paused = !is_paused;
      coordinator.Tick();
      coordinator.CheckInvariantsForTesting();
      std::this_thread::yield();
    }
  });
  threads.back().join();
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  coordinator.Stop();  // ends the requests that hang
  for (std::thread& thread : threads) {
    if (thread.joinable()) thread.join();
  }
  ledger.Close();
  EXPECT_EQ(disk.results.size(), static_cast<size_t>(kTrials));
  for (const auto& [trial, results] : disk.results) EXPECT_EQ(results, 1) << trial.value();
  for (const auto& [id, trial] : disk.trials) {
    EXPECT_EQ(trial.record.state, TrialState::kCompleted);
  }
  EXPECT_TRUE(disk.live.empty());
  std::printf("%d trials on %d workers: %.0f finish-and-lease cycles/s in memory, %d events\n",
              kTrials, kWorkers, kTrials / seconds, events.load());
}

}  // namespace
}  // namespace isoflop
