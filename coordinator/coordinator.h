// The one mutex round the queue, and the door to it: takes reports of workers
// and wishes of people, hands what follows to the ledger, and answers when that
// is on disk.
//
// Every answer notes the last batch handed over when it was built and leaves
// once that is committed, reads and repeats included: no answer tells of a
// state that a crash right after it could undo.
//
// Knows nothing of sockets: the services translate. Callbacks run once, on a
// thread of the ledger or (refusals) on the caller's, never under the mutex;
// they must not block.
//
// Thread-safe.
#ifndef ISOFLOP_COORDINATOR_COORDINATOR_H_
#define ISOFLOP_COORDINATOR_COORDINATOR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/coordinator_options.h"
#include "coordinator/ledger.h"
#include "study/plan.h"

namespace isoflop {

namespace wire {
class ControlReply;
class ControlRequest;
class Event;
class LogChunk;
class LogRequest;
class Study;
class StudyRef;
class SubmitHeader;
class SubmitReply;
class SynchronizeRequest;
class SynchronizeResponse;
class Trial;
class TrialFilter;
class WatchRequest;
class WorkerFilter;
class WorkerList;
}  // namespace wire

class Coordinator {
 public:
  template <class T>
  using Callback = std::function<void(absl::StatusOr<T>)>;

  struct Clock {
    // CLOCK_MONOTONIC, counted from any origin.
    std::function<absl::Time()> monotonic;
    // For people; compared with nothing.
    std::function<absl::Time()> wall;
  };

  // Recovers what `ledger` holds: live leases keep running under a full timer
  // and the grace. `ledger` must outlive the coordinator. `log` may be empty.
  static absl::StatusOr<std::unique_ptr<Coordinator>> Create(
      CoordinatorOptions options, Ledger* ledger, Clock clock,
      std::function<void(const std::string&)> log);
  ~Coordinator();

  // One word of a worker. Answered when it brought news that is committed, when
  // there is something to say, or when its wait has passed.
  //
  // Aborted: an old number, or superseded by a newer request of the instance.
  // AlreadyExists, FailedPrecondition: the worker shall stop; says why.
  // ResourceExhausted: nothing was taken, wait. Unavailable: stopping.
  void Synchronize(const wire::SynchronizeRequest& request,
                   Callback<wire::SynchronizeResponse> done);

  // Adds what is new of a plan under its name. FailedPrecondition: the name is
  // known with other data. `trials` come checked (proto/convert.h).
  void SubmitPlan(const wire::SubmitHeader& header, std::vector<PlannedTrial> trials,
                  Callback<wire::SubmitReply> done);

  // NotFound comes with did-you-mean.
  void GetStudy(const wire::StudyRef& ref, Callback<wire::Study> done);
  void ListTrials(const wire::TrialFilter& filter, Callback<std::vector<wire::Trial>> done);
  void ListWorkers(const wire::WorkerFilter& filter, Callback<wire::WorkerList> done);
  void Control(const wire::ControlRequest& request, Callback<wire::ControlReply> done);

  // Events as they are committed. `event` runs for each in order, then `end`
  // once, unless it follows: then `end` runs at Stop. Returns a number for
  // Unsubscribe, after which neither runs any more (one that is running may
  // still end). `after_event_id`'s history is replayed first.
  using Subscription = uint64_t;
  Subscription Watch(const wire::WatchRequest& request, std::function<void(wire::Event)> event,
                     std::function<void(absl::Status)> end);
  // The log of an attempt: what its worker sends, or what was kept of it.
  Subscription ReadLog(const wire::LogRequest& request, std::function<void(wire::LogChunk)> chunk,
                       std::function<void(absl::Status)> end);
  void Unsubscribe(Subscription subscription);

  // Timers: hanging requests that ran out, leases that are overdue. At least
  // once a second.
  void Tick();

  // Answers every hanging request with Unavailable and takes no more.
  void Stop();

  // Empty: fine. Else what is wrong, for people.
  std::string Health() const;
  std::string store_id() const;
  int64_t epoch() const;
  std::string DebugString() const;
  // Ends the process when an invariant is broken.
  void CheckInvariantsForTesting() const;

 private:
  class Impl;
  explicit Coordinator(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace isoflop

#endif  // ISOFLOP_COORDINATOR_COORDINATOR_H_
