// The inside of Agent: its state, and the parts that its source files share.
// Nobody else includes this.
//
//   agent.cc          lifecycle, the loop of Run, timers, its trainers
//   agent_answers.cc  what the coordinator says
//   agent_words.cc    what the agent says
#ifndef ISOFLOP_WORKER_AGENT_AGENT_IMPL_H_
#define ISOFLOP_WORKER_AGENT_AGENT_IMPL_H_

#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "grpcpp/client_context.h"
#include "proto/channel.h"
#include "proto/work_queue.grpc.pb.h"
#include "study/ids.h"
#include "worker/agent/agent.h"
#include "worker/agent/checkpoint_root.h"
#include "worker/agent/conversation.h"
#include "worker/agent/datasets.h"
#include "worker/agent/lease_report.h"
#include "worker/agent/slots.h"
#include "worker/agent/spool.h"
#include "worker/agent/trial_run.h"

namespace isoflop {

// Of this machine; may be empty.
std::string HostName();

class Agent::Impl {
 public:
  Impl(AgentOptions options, std::unique_ptr<CoordinatorChannel> channel,
       std::unique_ptr<Spool> spool, CheckpointRoot root, std::vector<AgentSlot> slots);
  ~Impl();

  absl::Status Recover();
  absl::Status Run();

  void Drain() {
    drains_.fetch_add(1);
    Wake();
  }
  void StopNow() {
    stop_now_.store(true);
    Wake();
  }
  std::string DebugString() const {
    const std::lock_guard lock(mu_);
    return debug_;
  }

 private:
  // One lease that this worker holds, until the coordinator settles it.
  struct Lease {
    int64_t trial_id = 0;
    std::vector<uint32_t> slots;
    int64_t steps = 0;
    std::unique_ptr<LeaseReport> report;
    std::unique_ptr<TrialRun> run;  // none: refused, or left by a predecessor
    bool settled = false;           // to be forgotten once its processes are gone
    bool alarmed = false;           // a process of it survives SIGKILL
    std::optional<wire::LogWish> log_wish;
  };
  // One Synchronize that is under way; lives until gRPC has called back.
  struct Call {
    uint64_t number = 0;
    bool introduced = false;
    grpc::ClientContext context;
    wire::SynchronizeRequest request;
    wire::SynchronizeResponse response;
    absl::Status status;
  };

  absl::Time Now() const { return options_.monotonic(); }
  void Log(const std::string& line) const {
    if (options_.log) options_.log(line);
  }
  // Async-signal-safe.
  void Wake() {
    const uint64_t one = 1;
    (void)!write(wake_fd_, &one, sizeof one);
  }

  // ---- what the coordinator says ----
  void TakeAnswers(absl::Time now);
  void TakeResponse(const Call& call, absl::Time now);
  void TakeDesired(const wire::DesiredLease& desired, absl::Time now);
  void Begin(LeaseId id, const wire::Assignment& assignment, absl::Time now);
  absl::StatusOr<std::unique_ptr<TrialRun>> StartRun(LeaseId id, const wire::Assignment& assignment,
                                                     Lease& lease, wire::OutcomeClass& refusal,
                                                     absl::Time now);
  void DeleteExpendable(const wire::SynchronizeResponse& response);

  // ---- what it says ----
  void MaybeSpeak(absl::Time now);
  bool HasUrgentNews() const;
  // Points go with the beat, or once many wait: each request that carries some
  // costs a commit.
  void Speak(bool with_points, absl::Time now);
  void FillLease(LeaseId id, Lease& lease, bool with_points, int& points, int& outcomes,
                 wire::SynchronizeRequest& request, bool& news);
  void FillWorker(wire::WorkerInfo* info) const;
  std::vector<uint32_t> FreeSlots() const;

  // ---- what its trainers do ----
  void PumpRuns(absl::Time now);
  void WatchTimers(absl::Time now);
  void StopRuns(StopCause cause, const std::string& detail, absl::Time now);
  void WaitForNews(absl::Time now);
  void EndEverything();
  void NoteDebugString();

  // Constant after construction.
  const AgentOptions options_;
  const std::unique_ptr<CoordinatorChannel> channel_;
  const std::unique_ptr<wire::WorkQueue::Stub> stub_;
  const CheckpointRoot root_;
  const std::vector<AgentSlot> slots_;

  // Of Run's thread.
  std::unique_ptr<Spool> spool_;
  Datasets datasets_;
  Conversation conversation_;
  std::map<LeaseId, Lease> leases_;
  std::map<int64_t, uint64_t> deleted_;  // checkpoint id -> newest request that told it
  std::vector<uint32_t> told_free_;
  bool told_draining_ = false;
  bool draining_ = false;
  absl::Time drain_deadline_ = absl::InfiniteFuture();
  absl::Time began_;
  absl::Time last_points_ = absl::InfinitePast();
  absl::Time last_sync_ = absl::InfinitePast();
  absl::Time last_scan_ = absl::InfinitePast();
  absl::Time idle_since_;
  bool orphaned_ = false;
  std::string last_notice_;
  std::string last_failure_;
  std::optional<absl::Status> end_;

  // Own synchronisation.
  std::atomic<int> drains_{0};
  std::atomic<bool> stop_now_{false};
  const int wake_fd_;

  mutable std::mutex mu_;
  // Guarded by mu_.
  std::set<Call*> calls_;
  std::deque<std::unique_ptr<Call>> answers_;
  std::string debug_;
  std::condition_variable no_calls_;

  friend class Agent;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_AGENT_AGENT_IMPL_H_
