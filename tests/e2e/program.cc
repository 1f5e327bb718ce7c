#include "tests/e2e/program.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "absl/time/clock.h"

namespace isoflop {

Program::Program(const std::vector<std::string>& argv,
                 const std::map<std::string, std::string>& extra_env, const std::string& out_path,
                 const std::string& err_path) {
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const int out = open(out_path.c_str(), O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
  const int err = open(err_path.c_str(), O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    for (const auto& [name, value] : extra_env) setenv(name.c_str(), value.c_str(), 1);
    const int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    dup2(out, 1);
    dup2(err, 2);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  close(out);
  close(err);
}

Program::~Program() {
  if (status_ < 0 && pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
}

void Program::Signal(int signal) {
  if (status_ < 0) kill(pid_, signal);
}

int Program::Wait(absl::Duration deadline) {
  const bool ended = WaitUntil(
      [this] {
        int status = 0;
        if (status_ >= 0 || waitpid(pid_, &status, WNOHANG) != pid_) return status_ >= 0;
        status_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        return true;
      },
      deadline);
  return ended ? status_ : -1;
}

ProgramEnd RunProgram(const std::vector<std::string>& argv,
                      const std::map<std::string, std::string>& extra_env) {
  std::string folder = "/tmp/isoflop-program-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return {};
  ProgramEnd end;
  {
    Program program(argv, extra_env, folder + "/out", folder + "/err");
    end.exit_code = program.Wait();
  }
  end.out = ReadText(folder + "/out");
  end.err = ReadText(folder + "/err");
  unlink((folder + "/out").c_str());
  unlink((folder + "/err").c_str());
  rmdir(folder.c_str());
  return end;
}

bool WaitUntil(const std::function<bool()>& condition, absl::Duration deadline) {
  const absl::Time end = absl::Now() + deadline;
  while (!condition()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return true;
}

std::string ReadText(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

}  // namespace isoflop
