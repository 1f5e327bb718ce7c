#include "worker/trainer/trainer_environment.h"

#include <limits>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

// Reads `name` into `value` if it is set and not empty.
template <class Number>
absl::Status ReadNumber(const Getenv& getenv, const char* name, Number low, Number& value) {
  const char* text = getenv(name);
  if (text == nullptr || *text == '\0') return absl::OkStatus();
  double number = 0;
  const bool whole = std::numeric_limits<Number>::is_integer;
  int64_t integer = 0;
  const bool parsed = whole ? absl::SimpleAtoi(text, &integer) : absl::SimpleAtod(text, &number);
  const auto result = whole ? static_cast<Number>(integer) : static_cast<Number>(number);
  if (!parsed || !(result >= low) || (whole && static_cast<int64_t>(result) != integer)) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, "=", text, ": not a ", whole ? "whole " : "", "number of ", low,
                     " or more\ncure: set it as docs/trainer_contract.md says, or leave it out"));
  }
  value = result;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TrainerEnvironment> ReadTrainerEnvironment(const Getenv& getenv) {
  TrainerEnvironment env;
  auto text = [&](const char* name, std::string& value) {
    if (const char* found = getenv(name); found != nullptr && *found != '\0') value = found;
  };
  text("ISOFLOP_TRIAL", env.trial_path);
  text("ISOFLOP_DATA", env.data_path);
  text("ISOFLOP_CHECKPOINT_DIR", env.checkpoint_dir);
  text("ISOFLOP_RESUME", env.resume_path);
  text("MASTER_ADDR", env.master_addr);
  if (env.trial_path.empty()) {
    return absl::InvalidArgumentError(
        "ISOFLOP_TRIAL is not set: no trial to train\ncure: set it to the path of a trial's JSON; "
        "isoflop-trainer --help shows how");
  }
  if (env.data_path.empty()) {
    return absl::InvalidArgumentError(
        "ISOFLOP_DATA is not set: no data to train on\ncure: set it to the path of a dataset.json, "
        "which `isoflop data prepare` writes");
  }

  int events_fd = -1;
  int64_t micro_batch_limit = 0;
  double checkpoint_seconds = absl::ToDoubleSeconds(env.checkpoint_period);
  double grace_seconds = absl::ToDoubleSeconds(env.grace);
  double collective_seconds = absl::ToDoubleSeconds(env.collective_timeout);
  ISOFLOP_RETURN_IF_ERROR(ReadNumber(getenv, "ISOFLOP_EVENTS_FD", 0, events_fd));
  ISOFLOP_RETURN_IF_ERROR(ReadNumber(getenv, "ISOFLOP_CHECKPOINT_SECONDS", 0.0, checkpoint_seconds));
  ISOFLOP_RETURN_IF_ERROR(ReadNumber(getenv, "ISOFLOP_GRACE_SECONDS", 0.0, grace_seconds));
  ISOFLOP_RETURN_IF_ERROR(ReadNumber(getenv, "ISOFLOP_COLLECTIVE_SECONDS", 1.0, collective_seconds));
  ISOFLOP_RETURN_IF_ERROR(ReadNumber<int64_t>(getenv, "ISOFLOP_MICRO_BATCH_LIMIT", 1, micro_batch_limit));
  ISOFLOP_RETURN_IF_ERROR(ReadNumber<int64_t>(getenv, "ISOFLOP_LEASE", 0, env.lease));
  ISOFLOP_RETURN_IF_ERROR(ReadNumber<int64_t>(getenv, "ISOFLOP_ATTEMPT", 1, env.attempt));
  ISOFLOP_RETURN_IF_ERROR(ReadNumber(getenv, "RANK", 0, env.rank));
  ISOFLOP_RETURN_IF_ERROR(ReadNumber(getenv, "WORLD_SIZE", 1, env.world_size));
  ISOFLOP_RETURN_IF_ERROR(ReadNumber(getenv, "LOCAL_RANK", 0, env.local_rank));
  ISOFLOP_RETURN_IF_ERROR(ReadNumber(getenv, "LOCAL_WORLD_SIZE", 1, env.local_world_size));
  ISOFLOP_RETURN_IF_ERROR(ReadNumber(getenv, "MASTER_PORT", 0, env.master_port));
  ISOFLOP_RETURN_IF_ERROR(ReadNumber(getenv, "OMP_NUM_THREADS", 1, env.threads));
  std::string cuda_graphs = "on";
  text("ISOFLOP_CUDA_GRAPHS", cuda_graphs);
  if (cuda_graphs != "on" && cuda_graphs != "off") {
    return absl::InvalidArgumentError(
        absl::StrCat("ISOFLOP_CUDA_GRAPHS=", cuda_graphs, ": neither on nor off\ncure: leave it out, or set it to off"));
  }
  env.cuda_graphs = cuda_graphs == "on";
  if (events_fd >= 0) env.events_fd = events_fd;
  if (micro_batch_limit > 0) env.micro_batch_limit = micro_batch_limit;
  env.checkpoint_period = absl::Seconds(checkpoint_seconds);
  env.grace = absl::Seconds(grace_seconds);
  env.collective_timeout = absl::Seconds(collective_seconds);
  if (env.rank >= env.world_size) {
    return absl::InvalidArgumentError(absl::StrCat("RANK=", env.rank, " with WORLD_SIZE=", env.world_size,
                                                   ": a rank is below the world size\ncure: set both as torchrun does"));
  }
  if (env.world_size > 1 && env.master_port == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("WORLD_SIZE=", env.world_size, " without MASTER_PORT: the ranks cannot meet\ncure: set MASTER_ADDR "
                     "and MASTER_PORT to an address and a free port of rank 0"));
  }
  return env;
}

}  // namespace isoflop
