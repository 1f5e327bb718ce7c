#include "worker/agent/process_group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

std::string ReadSmallFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

const std::string& BootId() {
  static const std::string* const id = [] {
    std::string text = ReadSmallFile("/proc/sys/kernel/random/boot_id");
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return new std::string(text);
  }();
  return *id;
}

struct ProcStat {
  char state = '?';
  pid_t group = 0;
  uint64_t start_ticks = 0;
};

// proc(5): the name in parentheses may hold anything, so read behind the last
// one; state is field 3, pgrp 5, starttime 22.
std::optional<ProcStat> ReadStat(pid_t pid) {
  const std::string text = ReadSmallFile(absl::StrCat("/proc/", pid, "/stat"));
  const size_t close = text.rfind(')');
  if (close == std::string::npos || close + 2 >= text.size()) return std::nullopt;
  const std::vector<std::string> fields = absl::StrSplit(text.substr(close + 2), ' ');
  ProcStat out;
  if (fields.size() < 20 || !absl::SimpleAtoi(fields[2], &out.group) ||
      !absl::SimpleAtoi(fields[19], &out.start_ticks)) {
    return std::nullopt;
  }
  out.state = fields[0].empty() ? '?' : fields[0][0];
  return out;
}

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { Close(); }
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

// Descriptors below 10 are the child's own; ours are moved above.
absl::Status MakePipe(Fd& read_end, Fd& write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return absl::InternalError(absl::StrCat("pipe: ", strerror(errno)));
  }
  const Fd low_read(ends[0]);
  const Fd low_write(ends[1]);
  read_end = Fd(fcntl(ends[0], F_DUPFD_CLOEXEC, 10));
  write_end = Fd(fcntl(ends[1], F_DUPFD_CLOEXEC, 10));
  if (read_end.get() < 0 || write_end.get() < 0) {
    return absl::InternalError(absl::StrCat("pipe: ", strerror(errno)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> FindProgram(const RankCommand& command) {
  if (command.argv.empty() || command.argv[0].empty()) {
    return absl::InvalidArgumentError("trainer: the command is empty");
  }
  const std::string& name = command.argv[0];
  if (name.find('/') != std::string::npos) return name;
  const auto path = command.env.find("PATH");
  const std::vector<std::string> folders =
      absl::StrSplit(path == command.env.end() ? "/usr/bin:/bin" : path->second, ':');
  for (const std::string& folder : folders) {
    const std::string candidate = absl::StrCat(folder.empty() ? "." : folder, "/", name);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return absl::NotFoundError(absl::StrCat("trainer: no program '", name, "' on PATH"));
}

// All that happens between fork and exec: async-signal-safe calls only.
struct ChildPlan {
  pid_t parent;
  const char* program;
  char* const* argv;
  char* const* envp;
  const char* directory;
  const cpu_set_t* cores;
  int output;
  int events;
  int go;
  int failure;
};

[[noreturn]] void RunChild(const ChildPlan& plan) {
  const auto fail = [&](char step) {
    const int error = errno;
    char message[1 + sizeof(int)];
    message[0] = step;
    memcpy(message + 1, &error, sizeof(int));
    (void)!write(plan.failure, message, sizeof message);
    _exit(127);
  };
  if (setpgid(0, 0) != 0) fail('g');
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail('p');
  // The parent may have ended before the line above.
  if (getppid() != plan.parent) _exit(127);
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    sigaction(signal, &action, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = open("/dev/null", O_RDONLY);
  if (null < 0 || dup2(null, 0) < 0 || dup2(plan.output, 1) < 0 || dup2(plan.output, 2) < 0 ||
      dup2(plan.events, kEventsFd) < 0) {
    fail('d');
  }
  const int failure = dup3(plan.failure, 4, O_CLOEXEC);
  const int go = dup3(plan.go, 5, O_CLOEXEC);
  if (failure < 0 || go < 0) fail('d');
  if (syscall(SYS_close_range, 6u, ~0u, 0u) != 0) {
    for (int fd = 6; fd < 65536; ++fd) close(fd);
  }
  ChildPlan moved = plan;
  moved.failure = failure;
  const auto fail_moved = [&](char step) {
    const int error = errno;
    char message[1 + sizeof(int)];
    message[0] = step;
    memcpy(message + 1, &error, sizeof(int));
    (void)!write(moved.failure, message, sizeof message);
    _exit(127);
  };
  if (plan.directory != nullptr && chdir(plan.directory) != 0) fail_moved('c');
  // A machine with fewer cores than slots: not pinned is better than not run.
  if (plan.cores != nullptr) sched_setaffinity(0, sizeof(cpu_set_t), plan.cores);
  char word = 0;
  ssize_t got;
  do {
    got = read(go, &word, 1);
  } while (got < 0 && errno == EINTR);
  if (got != 1) _exit(127);
  execve(plan.program, plan.argv, plan.envp);
  fail_moved('x');
  _exit(127);
}

absl::Status DescribeFailure(const char* message, const RankCommand& command,
                             const std::string& program) {
  int error = 0;
  memcpy(&error, message + 1, sizeof(int));
  switch (message[0]) {
    case 'c':
      return absl::NotFoundError(
          absl::StrCat("trainer: folder ", command.directory, ": ", strerror(error)));
    case 'x':
      return absl::NotFoundError(absl::StrCat("trainer: ", program, ": ", strerror(error)));
    default:
      return absl::InternalError(absl::StrCat("trainer: start: ", strerror(error)));
  }
}

}  // namespace

absl::StatusOr<ProcessNote> NoteProcess(pid_t pid) {
  const std::optional<ProcStat> stat = ReadStat(pid);
  if (!stat) return absl::NotFoundError(absl::StrCat("process ", pid, ": is not there"));
  return ProcessNote{pid, stat->start_ticks, BootId()};
}

int KillLeftGroup(const ProcessNote& note) {
  if (note.pid <= 1 || note.boot_id != BootId()) return 0;
  // The kernel gives a number to no other process while a group bears it: a
  // process of that number with another start means that the group is gone.
  const std::optional<ProcStat> leader = ReadStat(note.pid);
  if (leader && leader->start_ticks != note.start_ticks) return 0;
  int found = 0;
  DIR* const proc = opendir("/proc");
  if (proc == nullptr) return 0;
  while (const dirent* entry = readdir(proc)) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry->d_name, &pid)) continue;
    const std::optional<ProcStat> stat = ReadStat(pid);
    if (stat && stat->group == note.pid && stat->start_ticks >= note.start_ticks &&
        stat->state != 'Z') {
      ++found;
    }
  }
  closedir(proc);
  if (found > 0) kill(-note.pid, SIGKILL);
  return found;
}

std::vector<pid_t> KillMarked(const std::string& mark) {
  std::vector<pid_t> found;
  DIR* const proc = opendir("/proc");
  if (proc == nullptr) return found;
  const std::string wanted = absl::StrCat(mark, std::string(1, '\0'));
  while (const dirent* entry = readdir(proc)) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry->d_name, &pid) || pid <= 1 || pid == getpid()) continue;
    // Empty for another user's process, and for one that is dead.
    const std::string environment = ReadSmallFile(absl::StrCat("/proc/", pid, "/environ"));
    const size_t at = environment.find(wanted);
    if (at == std::string::npos || (at > 0 && environment[at - 1] != '\0')) continue;
    if (kill(pid, SIGKILL) == 0) found.push_back(pid);
  }
  closedir(proc);
  return found;
}

void BecomeSubreaper() { prctl(PR_SET_CHILD_SUBREAPER, 1); }

absl::StatusOr<std::unique_ptr<ProcessGroup>> ProcessGroup::Start(
    const RankCommand& command,
    const std::function<absl::Status(const ProcessNote&)>& before_exec) {
  ISOFLOP_ASSIGN_OR_RETURN(const std::string program, FindProgram(command));
  std::vector<char*> argv;
  for (const std::string& argument : command.argv) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  std::vector<std::string> variables;
  for (const auto& [name, value] : command.env) variables.push_back(absl::StrCat(name, "=", value));
  std::vector<char*> envp;
  for (std::string& variable : variables) envp.push_back(variable.data());
  envp.push_back(nullptr);
  cpu_set_t cores;
  CPU_ZERO(&cores);
  for (const int core : command.cores) {
    if (core >= 0 && core < CPU_SETSIZE) CPU_SET(core, &cores);
  }

  Fd output_read, output_write, events_read, events_write, go_read, go_write, fail_read, fail_write;
  ISOFLOP_RETURN_IF_ERROR(MakePipe(output_read, output_write));
  ISOFLOP_RETURN_IF_ERROR(MakePipe(events_read, events_write));
  ISOFLOP_RETURN_IF_ERROR(MakePipe(go_read, go_write));
  ISOFLOP_RETURN_IF_ERROR(MakePipe(fail_read, fail_write));
  const ChildPlan plan{getpid(),
                       program.c_str(),
                       argv.data(),
                       envp.data(),
                       command.directory.empty() ? nullptr : command.directory.c_str(),
                       command.cores.empty() ? nullptr : &cores,
                       output_write.get(),
                       events_write.get(),
                       go_read.get(),
                       fail_write.get()};
  // No handler of ours may run in the child before it has put them back.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = fork();
  if (pid == 0) RunChild(plan);
  const int fork_error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) {
    return absl::InternalError(absl::StrCat("trainer: fork: ", strerror(fork_error)));
  }
  output_write.Close();
  events_write.Close();
  go_read.Close();
  fail_write.Close();
  // Here too: whoever is first, the group is there when we go on.
  setpgid(pid, pid);

  std::unique_ptr<ProcessGroup> group(new ProcessGroup());
  group->pid_ = pid;
  group->output_fd_ = output_read.Release();
  group->events_fd_ = events_read.Release();
  fcntl(group->output_fd_, F_SETFL, O_NONBLOCK);
  fcntl(group->events_fd_, F_SETFL, O_NONBLOCK);
  group->exit_fd_ = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));

  absl::StatusOr<ProcessNote> note = NoteProcess(pid);
  ISOFLOP_RETURN_IF_ERROR(note.status());
  ISOFLOP_RETURN_IF_ERROR(before_exec(*note));
  (void)!write(go_write.get(), "g", 1);
  char message[1 + sizeof(int)];
  ssize_t got;
  do {
    got = read(fail_read.get(), message, sizeof message);
  } while (got < 0 && errno == EINTR);
  if (got == static_cast<ssize_t>(sizeof message)) {
    return DescribeFailure(message, command, program);
  }
  return group;
}

ProcessGroup::~ProcessGroup() {
  if (!is_gone_ && pid_ > 0) {
    SignalGroup(SIGKILL);
    // SIGKILL cannot be put off, but by a disk that hangs: then we leave.
    for (int i = 0; i < 500 && !is_gone_; ++i) {
      Reap();
      if (!is_gone_) absl::SleepFor(absl::Milliseconds(2));
    }
  }
  CloseOutput();
  CloseEvents();
  if (exit_fd_ >= 0) close(exit_fd_);
}

void ProcessGroup::CloseOutput() {
  if (output_fd_ >= 0) close(std::exchange(output_fd_, -1));
}

void ProcessGroup::CloseEvents() {
  if (events_fd_ >= 0) close(std::exchange(events_fd_, -1));
}

void ProcessGroup::SignalLeader(int signal) {
  // Not reaped yet, so the number is still its own.
  if (!leader_status_) kill(pid_, signal);
}

void ProcessGroup::SignalGroup(int signal) {
  if (is_gone_) return;
  if (signal == SIGKILL && !leader_status_) killed_ = true;
  kill(-pid_, signal);
}

void ProcessGroup::Reap() {
  if (is_gone_) return;
  while (true) {
    int status = 0;
    const pid_t ended = waitpid(-pid_, &status, WNOHANG);
    if (ended <= 0) break;
    if (ended == pid_) leader_status_ = status;
  }
  if (leader_status_ && kill(-pid_, 0) != 0 && errno == ESRCH) is_gone_ = true;
}

}  // namespace isoflop
