// A rank as a process group of its own: started, signalled, reaped, and proven
// dead to the last member.
//
// A group dies with the thread that started it (PR_SET_PDEATHSIG), so start
// groups from one lasting thread. What a trainer starts itself does not inherit
// that: the group's note in the spool lets a successor kill it, and
// BecomeSubreaper makes orphans ours to reap. What leaves its group for a
// session of its own (torchrun's ranks do) is found by its environment.
//
// Nothing here blocks for longer than an exec takes. Not thread-safe.
#ifndef ISOFLOP_WORKER_AGENT_PROCESS_GROUP_H_
#define ISOFLOP_WORKER_AGENT_PROCESS_GROUP_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace isoflop {

struct RankCommand {
  std::vector<std::string> argv;  // never a shell; argv[0] is looked up on PATH
  std::map<std::string, std::string> env;  // all of it
  std::string directory;                   // where it runs; empty: the agent's
  std::vector<int> cores;                  // pinned to these; empty: not pinned
};

// What names a process beyond the life of its number.
struct ProcessNote {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // /proc/<pid>/stat, since boot
  std::string boot_id;
};

// The note of a live process; NotFound: there is none.
absl::StatusOr<ProcessNote> NoteProcess(pid_t pid);

// SIGKILLs what is left of the group that the noted process led. Returns how
// many processes it found; 0 also when the number belongs to another by now.
int KillLeftGroup(const ProcessNote& note);

// SIGKILLs every process whose environment holds `mark` ("NAME=value"), in
// whatever group or session it has put itself, and returns their numbers. What
// is dead has no environment any more: an empty answer is proof of death.
std::vector<pid_t> KillMarked(const std::string& mark);

// Orphans of our descendants become our children. Once a process.
void BecomeSubreaper();

// The descriptor that a rank finds its event pipe on.
inline constexpr int kEventsFd = 3;

class ProcessGroup {
 public:
  // Forks and execs `command` with standard input empty, output and error on
  // one pipe, events on kEventsFd, nothing else open. `before_exec` gets the
  // note of the process, which waits for its OK.
  // NotFound, Internal: no such program or folder; no processes left.
  static absl::StatusOr<std::unique_ptr<ProcessGroup>> Start(
      const RankCommand& command,
      const std::function<absl::Status(const ProcessNote&)>& before_exec);
  // Kills and reaps what is left.
  ~ProcessGroup();

  // Not blocking, read ends; -1 once closed by CloseOutput / CloseEvents.
  int output_fd() const { return output_fd_; }
  int events_fd() const { return events_fd_; }
  void CloseOutput();
  void CloseEvents();
  // Readable when the leader has ended; -1: the kernel has no such thing.
  int exit_fd() const { return exit_fd_; }
  pid_t pid() const { return pid_; }

  void SignalLeader(int signal);
  void SignalGroup(int signal);

  // Reaps what has ended. When the leader has, its wait status is known.
  void Reap();
  std::optional<int> leader_status() const { return leader_status_; }
  // Proof of death: the leader is reaped and the group has no member.
  bool IsGone() const { return is_gone_; }
  // Whether SignalGroup(SIGKILL) came before the leader's end.
  bool killed() const { return killed_; }

 private:
  ProcessGroup() = default;

  pid_t pid_ = -1;
  int output_fd_ = -1;
  int events_fd_ = -1;
  int exit_fd_ = -1;
  std::optional<int> leader_status_;
  bool is_gone_ = false;
  bool killed_ = false;
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_AGENT_PROCESS_GROUP_H_
