// The inside of Coordinator: its state, and the parts that its three source
// files share. Nobody else includes this.
//
//   coordinator.cc          lifecycle, recovery, timers, the way out of an answer
//   coordinator_sync.cc     words of workers
//   coordinator_admin.cc    wishes and questions of people
//   coordinator_changes.cc  what the queue decided, as operations and history
#ifndef ISOFLOP_COORDINATOR_COORDINATOR_IMPL_H_
#define ISOFLOP_COORDINATOR_COORDINATOR_IMPL_H_

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/coordinator.h"
#include "coordinator/trial_queue.h"
#include "proto/study_admin.pb.h"
#include "proto/work_queue.pb.h"

namespace isoflop {

class Coordinator::Impl {
 public:
  Impl(CoordinatorOptions options, Ledger* ledger, Clock clock,
       std::function<void(const std::string&)> log, LedgerSnapshot snapshot);

  // As in coordinator.h.
  void Synchronize(const wire::SynchronizeRequest& request,
                   Callback<wire::SynchronizeResponse> done);
  void SubmitPlan(const wire::SubmitHeader& header, std::vector<PlannedTrial> trials,
                  Callback<wire::SubmitReply> done);
  void GetStudy(const wire::StudyRef& ref, Callback<wire::Study> done);
  void ListTrials(const wire::TrialFilter& filter, Callback<std::vector<wire::Trial>> done);
  void ListWorkers(const wire::WorkerFilter& filter, Callback<wire::WorkerList> done);
  void Control(const wire::ControlRequest& request, Callback<wire::ControlReply> done);
  Subscription Watch(const wire::WatchRequest& request, std::function<void(wire::Event)> event,
                     std::function<void(absl::Status)> end);
  Subscription ReadLog(const wire::LogRequest& request, std::function<void(wire::LogChunk)> chunk,
                       std::function<void(absl::Status)> end);
  void Unsubscribe(Subscription subscription);
  void Tick();
  void Stop();
  std::string Health() const { return ledger_->Health(); }
  const std::string& store_id() const { return store_id_; }
  int64_t epoch() const { return epoch_; }
  std::string DebugString() const;
  void CheckInvariantsForTesting() const;

 private:
  // A request that hangs.
  struct Pending {
    uint64_t sync_number = 0;
    absl::Time deadline{};
    std::set<LeaseId> listed{};
    Callback<wire::SynchronizeResponse> done{};
  };
  // What is known of one instance of a worker beside the queue's part.
  struct Session {
    std::string name{};
    std::string checkpoint_store_id{};
    bool introduced = false;
    uint64_t highest_sync = 0;
    std::optional<Pending> pending{};
    std::set<uint32_t> last_free{};
    std::map<LeaseId, LeaseWish> told{};
    std::set<CheckpointId> told_expendable{};
    absl::Time told_at = absl::InfinitePast();
  };
  struct LogReader {
    Subscription subscription = 0;
    int64_t offset = 0;  // next byte; -1: the tail
    int64_t max_bytes = 0;
    bool follow = false;
    absl::Time next_at = absl::InfinitePast();  // nothing new: asked again then
  };
  // What a live lease has reported; its place and wish are the queue's.
  struct LiveLease {
    uint64_t accepted_seq = 0;
    int64_t last_step = 0;
    int64_t last_tokens = 0;
    wire::LeasePhase phase = wire::LEASE_PHASE_STARTING;
    int64_t step = 0;
    int64_t steps = 0;
    double tokens_per_second = 0;
    std::optional<double> loss_nats{};
    std::set<std::string> checkpoint_paths{};
    std::vector<LogReader> log_readers{};
    std::string log_tail{};  // set when it ends
    absl::Time granted_at{};  // wall
  };
  struct StudyInfo {
    StudyRow row{};
    std::vector<TrialId> trials{};
    std::map<std::string, TrialId> by_fingerprint{};
    std::optional<absl::Time> started_at{};
    std::optional<absl::Time> ended_at{};
    int unfinished = 0;
  };
  struct TrialInfo {
    TrialRow row{};
    std::string previous_end{};
    double wall_seconds = 0;
    int64_t last_step = 0;
    std::string last_worker{};
    std::optional<double> last_loss{};
  };
  struct Watcher {
    wire::WatchRequest request{};
    StudyId study{};
    std::function<void(wire::Event)> event{};
    std::function<void(absl::Status)> end{};
  };

  // Holds the mutex for one piece of work; on the way out hands its operations
  // over as one batch and sends its answers on their way.
  class Room {
   public:
    explicit Room(Impl* impl);
    ~Room();

   private:
    Impl* const impl_;
  };
  friend class Room;

  // An answer that leaves when all that was handed over until now, this piece
  // of work included, is committed.
  void WhenCommitted(std::function<void()> answer);
  // A refusal, which builds on nothing: after the mutex, at once.
  void AtOnce(std::function<void()> answer);
  template <class T>
  void Refuse(Callback<T> done, absl::Status status) {
    AtOnce([done = std::move(done), status = std::move(status)] { done(status); });
  }
  template <class T>
  void Answer(Callback<T> done, T value) {
    auto shared = std::make_shared<T>(std::move(value));
    WhenCommitted([done = std::move(done), shared] { done(std::move(*shared)); });
  }
  void Write(LedgerOp op) { ops_.push_back(std::move(op)); }
  void AddEvent(StudyId study, TrialId trial, const std::string& worker, const std::string& kind,
                std::string detail);
  void Log(const std::string& line);
  absl::Time Now() const { return clock_.monotonic(); }

  // coordinator.cc
  void Recover(LedgerSnapshot snapshot);
  void Admit(const TrialRow& row, absl::Time now);

  // coordinator_sync.cc
  absl::Status Check(const wire::SynchronizeRequest& request) const;
  struct SyncNews {
    bool answer_now = false;
    wire::SynchronizeResponse response{};
  };
  void TakeHeld(const std::string& instance, Session& session, const wire::HeldLease& held,
                absl::Time now, SyncNews& news);
  void TakePoints(const LeaseRecord& lease, LiveLease& live, const wire::HeldLease& held,
                  SyncNews& news);
  void TakeCheckpoints(const LeaseRecord& lease, LiveLease& live, const Session& session,
                       const wire::HeldLease& held, absl::Time now, SyncNews& news);
  void TakeOutcome(const LeaseRecord& lease, LiveLease& live, const wire::HeldLease& held,
                   absl::Time now, SyncNews& news);
  void TakeLog(LiveLease& live, const wire::LogChunk& chunk, absl::Time now);
  void Settle(LeaseId lease, std::string reason, SyncNews& news);
  void GrantAll(const std::string& instance, absl::Time now);
  bool HasSomethingToSay(const std::string& instance, const Session& session,
                         const std::set<LeaseId>& listed, absl::Time now) const;
  void Complete(const std::string& instance, Session& session, const std::set<LeaseId>& listed,
                wire::SynchronizeResponse response, absl::Time now);
  void FillAssignment(const LeaseRecord& lease, wire::Assignment* assignment) const;
  void AnswerHanging(const std::string& instance, Session& session, absl::Time now);
  // After anything that may concern hanging requests of others.
  void WakeHanging(absl::Time now);

  // coordinator_changes.cc
  void WriteChanges();
  void NoteTrialChanged(TrialId trial);
  void NoteLeaseGranted(LeaseId lease);
  void NoteLeaseEnded(const LeaseEnded& ended);
  void SetStudyState(StudyInfo& study, StudyState state, const std::string& reason);
  void PutPolicy(const StudyInfo& study, absl::Time now);

  // coordinator_admin.cc
  absl::StatusOr<StudyInfo*> FindStudy(const std::string& name, StudyId id);
  wire::Trial ToWireTrial(const TrialInfo& info, bool with_spec, absl::Time now) const;
  double FlopsDone(const TrialInfo& info) const;
  absl::StatusOr<wire::ControlReply> DoControl(const wire::ControlRequest& request,
                                               absl::Time now);
  absl::StatusOr<std::vector<TrialId>> TrialsOf(const wire::ControlRequest& request);
  bool Matches(const Watcher& watcher, const EventRow& event) const;

  // Constant after construction.
  const CoordinatorOptions options_;
  Ledger* const ledger_;
  const Clock clock_;
  const std::function<void(const std::string&)> log_;
  std::string store_id_;
  int64_t epoch_ = 0;

  // std::mutex: ThreadSanitizer cannot see into the packaged absl::Mutex.
  mutable std::mutex mu_;
  // Guarded by mu_ (Room holds it).
  TrialQueue queue_;
  std::map<std::string, Session> sessions_;  // by instance
  std::map<LeaseId, LiveLease> live_;
  std::map<StudyId, StudyInfo> studies_;
  std::map<std::string, StudyId> study_by_name_;
  std::map<TrialId, TrialInfo> trials_;
  std::map<std::string, TrialId> completed_by_fingerprint_;
  std::map<LeaseId, std::string> ended_leases_;  // the last few thousand, with their ends
  std::map<Subscription, Watcher> watchers_;
  std::map<Subscription, std::pair<std::function<void(wire::LogChunk)>,
                                   std::function<void(absl::Status)>>>
      log_readers_;
  StudyId next_study_;
  TrialId next_trial_;
  CheckpointId next_checkpoint_;
  int64_t next_event_ = 1;
  Subscription next_subscription_ = 1;
  uint64_t jitter_ = 0;
  bool stopping_ = false;
  bool wake_ = false;  // something changed that may concern hanging requests
  std::vector<LedgerOp> ops_;
  std::vector<std::function<void()>> when_committed_;
  std::vector<std::function<void()>> at_once_;
  uint64_t last_batch_ = 0;
};

// "0:0-3,7" - slots of a worker as people read them.
std::string SlotRange(const std::vector<uint32_t>& slots);

}  // namespace isoflop

#endif  // ISOFLOP_COORDINATOR_COORDINATOR_IMPL_H_
