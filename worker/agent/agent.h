// The process on a node that holds leases and supervises trainer processes:
// says to the coordinator what it is doing, hears what it should be doing.
//
// Not a trainer: it links no Torch, and a trainer that dies is an exit status.
// Training goes on without a coordinator; what the trainers said meanwhile
// waits in the spool.
//
// `isoflop worker` runs one as a process, `isoflop run` holds one in its own.
//
// Run() blocks until the agent has ended. Drain and StopNow may be called from
// any thread, before Run too; RequestDrainFromSignal from a signal handler.
#ifndef ISOFLOP_WORKER_AGENT_AGENT_H_
#define ISOFLOP_WORKER_AGENT_AGENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace isoflop {

struct AgentOptions {
  // ---- what it is ----

  // As proto/channel.h takes them.
  std::string server;
  std::string token_file;
  // [a-z0-9][a-z0-9._-]{0,63}; empty: the host's name.
  std::string name;
  // Slots are stated: "cpu:N" (N cores), "gpu:0,1" (GPUs by index), "cpu"
  // (every core that this process may use). One rank runs on one slot.
  std::string slots = "cpu";
  // Folders searched for a trial's data: <root>/dataset.json and
  // <root>/<any>/dataset.json, whose SHA-256 is the name that the trial gives.
  std::vector<std::string> data_roots;
  // Root of all checkpoints; several workers may share it. Made when missing.
  std::string checkpoint_root;
  // Of this agent alone (flock). Made when missing.
  std::string spool_dir;
  // argv of the built-in trainer; empty: trials without a command are refused.
  std::vector<std::string> trainer;
  std::string trainer_version;
  // Refuses `trainer: {command}`.
  bool builtin_only = false;

  // ---- how long ----

  // Ends by itself after this long without a lease. Infinite: never.
  absl::Duration idle_exit = absl::InfiniteDuration();
  // Without a coordinator for so long: checkpoint and stop, and go on trying.
  absl::Duration orphan_limit = absl::Hours(2);
  // A word at least so often while busy (points ride on it), and while idle.
  // The first at most 10 s, the second at most 30 s.
  absl::Duration busy_beat = absl::Seconds(10);
  absl::Duration idle_beat = absl::Seconds(30);
  // From SIGTERM to SIGKILL; told to the trainer as ISOFLOP_GRACE_SECONDS.
  absl::Duration grace = absl::Seconds(60);
  // Between periodic checkpoints; told as ISOFLOP_CHECKPOINT_SECONDS.
  absl::Duration checkpoint_period = absl::Seconds(600);
  // A trainer that says nothing for so long is ended.
  absl::Duration silence_limit = absl::Seconds(600);

  // ---- for the caller ----

  // CLOCK_MONOTONIC from any origin; empty: the system's.
  std::function<absl::Time()> monotonic;
  // One line a call for the operator; called on Run's thread. Empty: quiet.
  std::function<void(const std::string& line)> log;
  // Told once a lease's points up to `durable_seq` are known to be stored.
  // Called on Run's thread. Empty: nobody.
  std::function<void(int64_t lease_id, uint64_t durable_seq)> on_durable;
  // Speaks as another release would.
  std::optional<uint32_t> protocol_version_for_testing;
};

class Agent {
 public:
  // Takes the spool's lock, kills what a predecessor left running and reads
  // what it left unsent. FailedPrecondition: another agent holds the spool.
  // InvalidArgument: name, slots or address. PermissionDenied, Unavailable: a
  // folder.
  static absl::StatusOr<std::unique_ptr<Agent>> Create(AgentOptions options);
  ~Agent();

  // Works until drained, stopped or idle for long enough: OK. An error is one
  // that no waiting cures: FailedPrecondition (replaced, other store or
  // version), AlreadyExists (name in use on another host), Unauthenticated.
  // All trainers are dead when it returns.
  absl::Status Run();

  // No new leases; running trials checkpoint and stop; Run returns within
  // grace + 10 s. Twice: as StopNow.
  void Drain();
  // Kills the trainers; what they said stays in the spool. Run returns at once.
  void StopNow();
  // Drain, from a signal handler.
  void RequestDrainFromSignal();

  std::string DebugString() const;

 private:
  class Impl;
  explicit Agent(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_AGENT_AGENT_H_
