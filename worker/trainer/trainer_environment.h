// What the agent, or a person, hands to the program in environment variables
// (docs/trainer_contract.md).
//
// Pure: the variables come through a function, so tests need no setenv.
#ifndef ISOFLOP_WORKER_TRAINER_TRAINER_ENVIRONMENT_H_
#define ISOFLOP_WORKER_TRAINER_TRAINER_ENVIRONMENT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace isoflop {

struct TrainerEnvironment {
  std::string trial_path;       // ISOFLOP_TRIAL
  std::string data_path;        // ISOFLOP_DATA
  std::string checkpoint_dir;   // ISOFLOP_CHECKPOINT_DIR; empty: write no checkpoints
  std::string resume_path;      // ISOFLOP_RESUME; empty: from step 0
  std::optional<int> events_fd; // ISOFLOP_EVENTS_FD; nullopt: standard output
  absl::Duration checkpoint_period = absl::Minutes(10);  // ISOFLOP_CHECKPOINT_SECONDS
  absl::Duration grace = absl::Seconds(60);              // ISOFLOP_GRACE_SECONDS
  absl::Duration collective_timeout = absl::Seconds(120);  // ISOFLOP_COLLECTIVE_SECONDS: a peer silent for so long is dead
  std::optional<int64_t> micro_batch_limit;  // ISOFLOP_MICRO_BATCH_LIMIT, sequences a rank
  bool cuda_graphs = true;  // ISOFLOP_CUDA_GRAPHS: on | off; replays updates on CUDA instead of launching them
  int64_t lease = 0;    // ISOFLOP_LEASE
  int64_t attempt = 1;  // ISOFLOP_ATTEMPT
  int rank = 0;
  int world_size = 1;
  int local_rank = 0;
  int local_world_size = 1;
  std::string master_addr = "127.0.0.1";
  int master_port = 0;
  int threads = 0;  // OMP_NUM_THREADS; 0: Torch's choice
};

// The value of a variable, or nullptr.
using Getenv = std::function<const char*(const char* name)>;

// InvalidArgument names the variable that is missing or wrong, and the cure.
absl::StatusOr<TrainerEnvironment> ReadTrainerEnvironment(const Getenv& getenv);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_TRAINER_ENVIRONMENT_H_
