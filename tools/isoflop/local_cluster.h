// A cluster of one: a coordinator on the store and a worker on this machine,
// both in this process. What `isoflop run` trains with; the parts and their
// conversation are those of a real cluster.
//
// Thread-safe after Start.
#ifndef ISOFLOP_TOOLS_ISOFLOP_LOCAL_CLUSTER_H_
#define ISOFLOP_TOOLS_ISOFLOP_LOCAL_CLUSTER_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/server.h"
#include "tools/isoflop/environment.h"
#include "worker/agent/agent.h"

namespace isoflop {

struct LocalWorkerOptions {
  std::string slots;      // as AgentOptions takes them: "cpu:2"
  std::string data_root;  // holds the study's dataset.json
  std::string trainer;    // isoflop-trainer; empty: only studies with a command
  // One line a call from either part; from several threads. Empty: quiet.
  std::function<void(const std::string& line)> log;
};

class LocalCluster {
 public:
  // Opens the store at environment.db, recovers it and listens on the default
  // socket (of another store: on one named for it), so that `isoflop status`,
  // `pause` or a second `run` find it. FailedPrecondition: another coordinator
  // holds the store, or its schema is newer.
  static absl::StatusOr<std::unique_ptr<LocalCluster>> Start(const Environment& environment,
                                                             std::function<void(const std::string&)> log);
  // Stops the worker at once, then the coordinator.
  ~LocalCluster();

  // "unix:/...": the coordinator's address.
  std::string address() const;

  // Starts the worker on a thread of its own. FailedPrecondition: another one
  // holds its spool.
  absl::Status StartWorker(const LocalWorkerOptions& options);

  // Running trials write checkpoints and stop; no new ones.
  void Drain();
  // Running trials are killed.
  void StopNow();
  // Whether the worker has ended, of itself or as it was told.
  bool WorkerEnded() const;
  // How it ended; OK while it runs.
  absl::Status worker_status() const;

  // Waits for the worker's end, then ends the coordinator. A second call does
  // nothing.
  void Shutdown();

 private:
  LocalCluster(const Environment& environment, std::unique_ptr<Server> server)
      : environment_(environment), server_(std::move(server)) {}

  // Constant after StartWorker.
  const Environment environment_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Agent> agent_;
  std::thread worker_;

  mutable absl::Mutex mu_;
  bool worker_ended_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status worker_status_ ABSL_GUARDED_BY(mu_);
};

// Where LocalCluster::Start listens for environment.db.
std::string LocalSocket(const Environment& environment);

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_LOCAL_CLUSTER_H_
