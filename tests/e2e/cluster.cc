#include "tests/e2e/cluster.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace isoflop {

Cluster::Cluster() {
  folder_ = "/tmp/isoflop-e2e-XXXXXX";
  if (mkdtemp(folder_.data()) == nullptr) abort();
}

Cluster::~Cluster() {
  workers_.clear();
  coordinator_.reset();
  for (const pid_t pid : Trainers()) kill(pid, SIGKILL);
  std::error_code ignored;
  if (getenv("ISOFLOP_KEEP_E2E") == nullptr) std::filesystem::remove_all(folder_, ignored);
}

std::map<std::string, std::string> Cluster::env() const {
  return {{"ISOFLOP_HOME", folder_ + "/home"}, {"NO_COLOR", "1"}, {"ISOFLOP_DB", db()}};
}

ProgramEnd Cluster::Isoflop(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), ISOFLOP_PROGRAM);
  return RunProgram(arguments, env());
}

bool Cluster::StartCoordinator(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {ISOFLOP_PROGRAM, "coordinator", "-v"});
  const std::string out = absl::StrCat(folder_, "/coordinator-", ++coordinator_starts_, ".out");
  coordinator_ = std::make_unique<Program>(arguments, env(), out, folder_ + "/coordinator.log");
  return WaitUntil([&] {
    return ReadText(out).find("listening on") != std::string::npos ||
           coordinator_->Wait(absl::ZeroDuration()) >= 0;
  }) && coordinator_->Wait(absl::ZeroDuration()) < 0;
}

void Cluster::KillCoordinator() {
  coordinator_->Signal(SIGKILL);
  coordinator_->Wait();
}

void Cluster::StartWorker(const std::string& name, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {ISOFLOP_PROGRAM, "worker", "--name", name, "-v"});
  const std::string log = folder_ + "/" + name + ".log";
  workers_[name] = std::make_unique<Program>(arguments, env(), log, log);
}

void Cluster::KillWorker(const std::string& name) {
  workers_.at(name)->Signal(SIGKILL);
  workers_.at(name)->Wait();
}

std::string Cluster::WorkerLog(const std::string& name) const { return ReadText(folder_ + "/" + name + ".log"); }
std::string Cluster::CoordinatorLog() const { return ReadText(folder_ + "/coordinator.log"); }

std::vector<pid_t> Cluster::Trainers() const {
  std::vector<pid_t> out;
  DIR* const proc = opendir("/proc");
  const std::string mark = "ISOFLOP_CHECKPOINT_DIR=" + folder_;
  while (const dirent* entry = readdir(proc)) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry->d_name, &pid)) continue;
    const std::string environment = ReadText(absl::StrCat("/proc/", pid, "/environ"));
    const size_t at = environment.find(mark);
    if (at != std::string::npos && (at == 0 || environment[at - 1] == '\0')) out.push_back(pid);
  }
  closedir(proc);
  return out;
}

std::string Cluster::Write(const std::string& name, const std::string& text) const {
  const std::string path = folder_ + "/" + name;
  std::ofstream(path) << text;
  return path;
}

}  // namespace isoflop
