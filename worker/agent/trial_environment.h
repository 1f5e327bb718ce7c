// What a trainer finds in its environment (docs/trainer_contract.md), for each
// rank of an attempt on this worker.
//
// Pure functions; thread-safe.
#ifndef ISOFLOP_WORKER_AGENT_TRIAL_ENVIRONMENT_H_
#define ISOFLOP_WORKER_AGENT_TRIAL_ENVIRONMENT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "worker/agent/process_group.h"
#include "worker/agent/slots.h"

namespace isoflop {

struct AttemptPlace {
  std::string trial_path;
  std::string checkpoint_dir;
  std::string resume_path;   // absolute; empty: step 0
  std::string dataset_path;  // of dataset.json; empty: none is named
  int64_t lease_id = 0;
  int32_t attempt = 0;
  int32_t micro_batch_limit = 0;  // 0: none
  bool deterministic = true;
  absl::Duration checkpoint_period;
  absl::Duration grace;
  std::vector<AgentSlot> slots;   // one a rank
  uint16_t master_port = 0;
  std::vector<std::string> command;
  bool launch_once = false;
  std::string directory;
  std::map<std::string, std::string> extra_env;  // of the study
};

// One command a rank, or one in all with `launch_once`. `inherited` is the
// agent's own environment; what names secrets or the coordinator is left out.
std::vector<RankCommand> RankCommands(const AttemptPlace& place,
                                      const std::map<std::string, std::string>& inherited);

// environ(7) of this process.
std::map<std::string, std::string> OwnEnvironment();

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_AGENT_TRIAL_ENVIRONMENT_H_
