// A cluster of real processes on a store of its own: `isoflop coordinator`, some
// `isoflop worker`, and commands that speak with them.
#ifndef ISOFLOP_TESTS_E2E_CLUSTER_H_
#define ISOFLOP_TESTS_E2E_CLUSTER_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/program.h"

namespace isoflop {

class Cluster {
 public:
  Cluster();
  // Kills everybody and removes the store.
  ~Cluster();

  const std::string& folder() const { return folder_; }
  std::string db() const { return folder_ + "/home/isoflop.db"; }
  std::map<std::string, std::string> env() const;

  // `isoflop` with these arguments, run to its end.
  ProgramEnd Isoflop(std::vector<std::string> arguments) const;

  // Waits until it listens. False: it ended, or never did.
  bool StartCoordinator(std::vector<std::string> arguments = {});
  Program* coordinator() { return coordinator_.get(); }
  // SIGKILL, and reaped.
  void KillCoordinator();

  void StartWorker(const std::string& name, std::vector<std::string> arguments = {});
  Program* worker(const std::string& name) { return workers_.at(name).get(); }
  void KillWorker(const std::string& name);
  std::string WorkerLog(const std::string& name) const;
  std::string CoordinatorLog() const;

  // Trainers of this cluster that are alive now.
  std::vector<pid_t> Trainers() const;

  // A YAML in the folder; its path.
  std::string Write(const std::string& name, const std::string& text) const;

 private:
  std::string folder_;
  std::unique_ptr<Program> coordinator_;
  std::map<std::string, std::unique_ptr<Program>> workers_;
  int coordinator_starts_ = 0;
};

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_E2E_CLUSTER_H_
