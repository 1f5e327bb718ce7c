#include "worker/agent/trial_environment.h"

#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace isoflop {
namespace {

std::string Seconds(absl::Duration duration) {
  return absl::StrCat(absl::ToInt64Seconds(absl::Ceil(duration, absl::Seconds(1))));
}

}  // namespace

std::map<std::string, std::string> OwnEnvironment() {
  std::map<std::string, std::string> out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos && equals > 0) out[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return out;
}

std::vector<RankCommand> RankCommands(const AttemptPlace& place,
                                      const std::map<std::string, std::string>& inherited) {
  std::map<std::string, std::string> env = inherited;
  for (const char* name : {"ISOFLOP_TOKEN_FILE", "ISOFLOP_TLS_CA", "ISOFLOP_TLS_CERT",
                           "ISOFLOP_TLS_KEY", "ISOFLOP_SERVER", "ISOFLOP_DB", "ISOFLOP_RESUME",
                           "ISOFLOP_DATA", "ISOFLOP_MICRO_BATCH_LIMIT", "RANK", "LOCAL_RANK"}) {
    env.erase(name);
  }
  for (const auto& [name, value] : place.extra_env) env[name] = value;
  env["ISOFLOP_TRIAL"] = place.trial_path;
  env["ISOFLOP_EVENTS_FD"] = absl::StrCat(kEventsFd);
  env["ISOFLOP_CHECKPOINT_DIR"] = place.checkpoint_dir;
  if (!place.resume_path.empty()) env["ISOFLOP_RESUME"] = place.resume_path;
  if (!place.dataset_path.empty()) env["ISOFLOP_DATA"] = place.dataset_path;
  env["ISOFLOP_CHECKPOINT_SECONDS"] = Seconds(place.checkpoint_period);
  env["ISOFLOP_GRACE_SECONDS"] = Seconds(place.grace);
  if (place.micro_batch_limit > 0) {
    env["ISOFLOP_MICRO_BATCH_LIMIT"] = absl::StrCat(place.micro_batch_limit);
  }
  env["ISOFLOP_LEASE"] = absl::StrCat(place.lease_id);
  env["ISOFLOP_ATTEMPT"] = absl::StrCat(place.attempt);
  const size_t world = place.slots.size();
  env["WORLD_SIZE"] = absl::StrCat(world);
  env["LOCAL_WORLD_SIZE"] = absl::StrCat(world);
  env["MASTER_ADDR"] = "127.0.0.1";
  env["MASTER_PORT"] = absl::StrCat(place.master_port);
  // Collectives: no port of their own, logs in the lease's folder, a hung
  // watchdog that ends, memory that grows in place, repeatable products.
  env["NCCL_RAS_ENABLE"] = "0";
  env["NCCL_DEBUG"] = "WARN";
  env["NCCL_DEBUG_FILE"] = absl::StrCat(place.checkpoint_dir, "/nccl.%h.%p.txt");
  env["TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC"] = "120";
  env["PYTORCH_ALLOC_CONF"] = "expandable_segments:True";
  env["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8";
  if (place.deterministic) {
    env["NCCL_ALGO"] = "Ring";
    env["NCCL_PROTO"] = "Simple";
  }
  std::vector<std::string> gpus;
  std::vector<int> all_cores;
  size_t cores_per_rank = 0;
  for (const AgentSlot& slot : place.slots) {
    if (slot.kind == AgentSlotKind::kGpu) gpus.push_back(absl::StrCat(slot.device_index));
    all_cores.insert(all_cores.end(), slot.cores.begin(), slot.cores.end());
    cores_per_rank = slot.cores.size();
  }
  // An empty list hides every GPU from a trial on cores.
  env["CUDA_VISIBLE_DEVICES"] = absl::StrJoin(gpus, ",");
  env["OMP_NUM_THREADS"] = absl::StrCat(cores_per_rank == 0 ? 1 : cores_per_rank);

  std::vector<RankCommand> out;
  if (place.launch_once) {
    // It starts its own ranks, and sets their numbers itself.
    out.push_back({place.command, env, place.directory, all_cores});
    return out;
  }
  for (size_t rank = 0; rank < world; ++rank) {
    RankCommand command{place.command, env, place.directory, place.slots[rank].cores};
    command.env["RANK"] = absl::StrCat(rank);
    command.env["LOCAL_RANK"] = absl::StrCat(rank);
    out.push_back(std::move(command));
  }
  return out;
}

}  // namespace isoflop
