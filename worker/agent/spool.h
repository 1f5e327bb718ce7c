// What the trainers said and the coordinator has not settled yet, on disk: one
// file a lease, `<lease_id>.jsonl`, each line a part of the lease's HeldLease
// message as JSON, appended before it is sent and synced once a second.
// Beside it `<lease_id>.pids`, the processes of the lease, written before they
// exec, so that a successor can kill what outlived the agent.
//
// The folder belongs to one agent at a time (flock on `lock`). `instance` holds
// the agent's instance id, and those of predecessors that the coordinator may
// not know to be dead.
//
// Not thread-safe. Blocks on the disk.
#ifndef ISOFLOP_WORKER_AGENT_SPOOL_H_
#define ISOFLOP_WORKER_AGENT_SPOOL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "study/ids.h"
#include "worker/agent/process_group.h"

namespace isoflop {

namespace wire {
class HeldLease;
}  // namespace wire

class LeaseSpool {
 public:
  ~LeaseSpool();
  LeaseSpool(const LeaseSpool&) = delete;
  LeaseSpool& operator=(const LeaseSpool&) = delete;

  // Appends one line whole, or nothing. ResourceExhausted, Unavailable: the
  // disk. `offset`, when given: where the line begins.
  absl::Status Append(const wire::HeldLease& part, int64_t* offset = nullptr);
  // The lines from `offset` on, until they hold `max_points` points; `offset`
  // moves behind the last. DataLoss: a line that is no part of a lease.
  absl::StatusOr<std::vector<wire::HeldLease>> Read(int64_t& offset, int max_points) const;
  // To disk, when something was appended since the last time.
  absl::Status Sync();
  // What follows `size` goes: a power cut may leave garbage behind what was
  // synced.
  absl::Status TruncateTo(int64_t size);
  absl::Status NoteProcess(const ProcessNote& note);
  // What the environment of each of the lease's processes holds (KillMarked);
  // one line.
  absl::Status NoteMark(const std::string& mark);
  // Settled: the files go.
  void Remove();

 private:
  friend class Spool;
  LeaseSpool(std::string stem, int fd, int64_t size);
  absl::Status AppendPids(const std::string& line);

  const std::string stem_;  // path without ".jsonl"
  int fd_;
  int64_t size_;
  bool dirty_ = false;
};

class Spool {
 public:
  // What a predecessor left of one lease.
  struct Left {
    LeaseId lease;
    std::unique_ptr<LeaseSpool> spool;
  };

  // Makes `folder` (0700) when missing and locks it. FailedPrecondition:
  // another agent holds it; names its pid. Kills the process groups that a
  // predecessor noted.
  static absl::StatusOr<std::unique_ptr<Spool>> Open(const std::string& folder);
  ~Spool();

  // 16 random bytes, new with each Open.
  const std::string& instance_id() const { return instance_id_; }
  // Predecessors of this folder, the eldest first: the one that the
  // coordinator knows is among them. Empty: none, or confirmed.
  const std::vector<std::string>& previous_instances() const { return previous_; }
  // The coordinator knows this instance: the eldest need not be named again.
  void ConfirmInstance();

  absl::StatusOr<std::unique_ptr<LeaseSpool>> Create(LeaseId lease);
  // By lease; once.
  std::vector<Left> TakeLeft() { return std::move(left_); }
  // Processes of predecessors that were still alive.
  int killed_processes() const { return killed_processes_; }
  const std::string& folder() const { return folder_; }

 private:
  explicit Spool(std::string folder) : folder_(std::move(folder)) {}
  absl::Status Lock();
  absl::Status ReadLeft();
  absl::Status WriteInstances();

  const std::string folder_;
  int lock_fd_ = -1;
  std::string instance_id_;
  std::vector<std::string> previous_;
  std::vector<Left> left_;
  int killed_processes_ = 0;
  bool confirmed_ = false;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_AGENT_SPOOL_H_
