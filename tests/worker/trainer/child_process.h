// Programs started by a test: their environment, their standard output in a file,
// their end within a deadline. Whatever still runs is killed with the object.
#ifndef ISOFLOP_TESTS_WORKER_TRAINER_CHILD_PROCESS_H_
#define ISOFLOP_TESTS_WORKER_TRAINER_CHILD_PROCESS_H_

#include <sys/types.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace isoflop {

// How a program ended: exit code, or the negative number of the signal.
using ExitStatus = int;

class ChildProcess {
 public:
  // Starts `argv` with `environment` over this process's; an empty value unsets.
  // Standard output and standard error go to `output_path` and `output_path` +
  // ".err".
  ChildProcess(const std::vector<std::string>& argv, const std::map<std::string, std::string>& environment,
               std::string output_path);
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  void Signal(int signal);
  // nullopt: it was still running at the deadline.
  std::optional<ExitStatus> Wait(absl::Duration deadline = absl::Seconds(60));
  bool running();

  // What it has written so far.
  std::string Output() const;
  std::string Errors() const;
  // Waits until `seen` likes the output; false at the deadline, or when the
  // program has ended without it.
  bool WaitFor(const std::function<bool(const std::string& output)>& seen, absl::Duration deadline = absl::Seconds(60));
  bool WaitForText(const std::string& text, absl::Duration deadline = absl::Seconds(60));

  pid_t pid() const { return pid_; }

 private:
  std::string output_path_;
  pid_t pid_ = -1;
  std::optional<ExitStatus> status_;
};

// A port that was free a moment ago.
int FreePort();

// This program's own path, to start it again in another role.
std::string OwnPath();

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_WORKER_TRAINER_CHILD_PROCESS_H_
