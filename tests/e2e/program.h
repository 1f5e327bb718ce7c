// Programs as a person starts them: run to their end, or in the background to be
// looked at and killed.
#ifndef ISOFLOP_TESTS_E2E_PROGRAM_H_
#define ISOFLOP_TESTS_E2E_PROGRAM_H_

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace isoflop {

inline constexpr absl::Duration kProgramDeadline = absl::Seconds(120);

struct ProgramEnd {
  int exit_code = -1;  // 128 + n: by signal n
  std::string out;
  std::string err;
};

class Program {
 public:
  // Starts argv with `extra_env` over this process's; both outputs go, appended,
  // to `out_path` and `err_path`. Dies with this process.
  Program(const std::vector<std::string>& argv, const std::map<std::string, std::string>& extra_env,
          const std::string& out_path, const std::string& err_path);
  // Kills and reaps.
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal);
  // Its exit code, 128 + n for a signal; -1: it runs on at the deadline.
  int Wait(absl::Duration deadline = kProgramDeadline);

 private:
  pid_t pid_ = -1;
  int status_ = -1;
};

// Runs to the end.
ProgramEnd RunProgram(const std::vector<std::string>& argv,
                      const std::map<std::string, std::string>& extra_env = {});

// Looks until `condition` holds; false at the deadline. For what other
// processes change.
bool WaitUntil(const std::function<bool()>& condition, absl::Duration deadline = kProgramDeadline);

std::string ReadText(const std::string& path);

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_E2E_PROGRAM_H_
