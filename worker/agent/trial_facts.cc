#include "worker/agent/trial_facts.h"

#include <nlohmann/json.hpp>

namespace isoflop {

absl::StatusOr<TrialFacts> ReadTrialFacts(const std::string& trial_json) {
  const nlohmann::json trial = nlohmann::json::parse(trial_json, nullptr, /*allow_exceptions=*/false);
  if (!trial.is_object()) return absl::InvalidArgumentError("trial: is not a JSON object");
  TrialFacts out;
  const auto steps = trial.find("steps");
  if (steps == trial.end() || !steps->is_number_integer() || steps->get<int64_t>() <= 0) {
    return absl::InvalidArgumentError("trial: has no count 'steps'");
  }
  out.steps = steps->get<int64_t>();
  const auto deterministic = trial.find("deterministic");
  if (deterministic != trial.end() && deterministic->is_boolean()) {
    out.deterministic = deterministic->get<bool>();
  }
  const auto data = trial.find("data");
  if (data != trial.end() && data->is_object()) {
    const auto hash = data->find("dataset_sha256");
    if (hash != data->end() && hash->is_string()) out.dataset_sha256 = hash->get<std::string>();
  }
  const auto model = trial.find("model");
  if (model != trial.end() && model->is_object() && model->contains("family") &&
      (*model)["family"] == "custom") {
    int64_t total = 0;
    for (const char* name : {"params_embedding", "params_position", "params_head", "params_blocks"}) {
      const auto count = model->find(name);
      if (count != model->end() && count->is_number_integer()) total += count->get<int64_t>();
    }
    out.params_total = total;
  }
  return out;
}

}  // namespace isoflop
