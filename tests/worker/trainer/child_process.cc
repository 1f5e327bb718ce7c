#include "tests/worker/trainer/child_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/time/clock.h"
#include "study/status_macros.h"

extern char** environ;

namespace isoflop {
namespace {

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// Waits for the end of `pid`, at most `deadline`: a descriptor that becomes
// readable, not a poll in a loop.
void WaitForEnd(pid_t pid, absl::Duration deadline) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return;
  pollfd end{fd, POLLIN, 0};
  poll(&end, 1, static_cast<int>(absl::ToInt64Milliseconds(deadline)));
  close(fd);
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& argv, const std::map<std::string, std::string>& environment,
                           std::string output_path)
    : output_path_(std::move(output_path)) {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    if (environment.count(text.substr(0, text.find('='))) == 0) variables.push_back(text);
  }
  for (const auto& [name, value] : environment) {
    if (!value.empty()) variables.push_back(name + "=" + value);
  }
  std::vector<char*> args, envp;
  for (const std::string& arg : argv) args.push_back(const_cast<char*>(arg.c_str()));
  for (const std::string& variable : variables) envp.push_back(const_cast<char*>(variable.c_str()));
  args.push_back(nullptr);
  envp.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const int flags = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output_path_.c_str(), flags, 0644);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, (output_path_ + ".err").c_str(), flags, 0644);
  const int failed = posix_spawn(&pid_, argv[0].c_str(), &actions, nullptr, args.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  ISOFLOP_CHECK(failed == 0, "posix_spawn " + argv[0]);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : output_path_(std::move(other.output_path_)), pid_(std::exchange(other.pid_, -1)), status_(other.status_) {}

ChildProcess::~ChildProcess() {
  if (pid_ < 0 || status_) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void ChildProcess::Signal(int signal) {
  if (running()) kill(pid_, signal);
}

std::optional<ExitStatus> ChildProcess::Wait(absl::Duration deadline) {
  if (!status_) {
    WaitForEnd(pid_, deadline);
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  return status_;
}

bool ChildProcess::running() { return !Wait(absl::ZeroDuration()).has_value(); }

std::string ChildProcess::Output() const { return ReadFile(output_path_); }
std::string ChildProcess::Errors() const { return ReadFile(output_path_ + ".err"); }

bool ChildProcess::WaitFor(const std::function<bool(const std::string&)>& seen, absl::Duration deadline) {
  const absl::Time end = absl::Now() + deadline;
  while (true) {
    const bool ended = !running();  // before the look: what it wrote last is seen
    if (seen(Output())) return true;
    if (ended || absl::Now() > end) return false;
    WaitForEnd(pid_, absl::Milliseconds(2));
  }
}

bool ChildProcess::WaitForText(const std::string& text, absl::Duration deadline) {
  return WaitFor([&](const std::string& output) { return output.find(text) != std::string::npos; }, deadline);
}

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ISOFLOP_CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0,
                "no free port");
  close(fd);
  return ntohs(address.sin_port);
}

std::string OwnPath() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

}  // namespace isoflop
