#include "tools/isoflop/plan_json.h"

#include <nlohmann/json.hpp>

namespace isoflop {
namespace {

using nlohmann::json;

json NullIfZero(double value) { return value > 0 ? json(value) : json(nullptr); }

json TrialObject(const Plan& plan, size_t index) {
  const PlannedTrial& trial = plan.trials[index];
  json object = {{"number", index + 1},
                 {"fingerprint", trial.fingerprint},
                 {"lineage", trial.lineage},
                 {"role", ToString(trial.role)},
                 {"parent", trial.parent ? json(*trial.parent + 1) : json(nullptr)},
                 {"known", trial.known},
                 {"params_embedding", trial.params.embedding},
                 {"params_position", trial.params.position},
                 {"params_head", trial.params.head},
                 {"params_blocks", trial.params.blocks},
                 {"params", ParamsUnder(plan.count, trial.params, trial.spec.model)},
                 {"tokens_planned", trial.spec.tokens_planned()},
                 {"budget_flops", NullIfZero(trial.budget_flops)},
                 {"flops_6nd", trial.flops_6nd},
                 {"flops_exact", trial.flops_exact},
                 {"flops_exact_causal", trial.flops_exact_causal},
                 {"flops_to_spend", trial.flops_to_spend},
                 {"slots", trial.slots},
                 {"memory_bytes_per_slot", trial.memory_bytes_per_slot},
                 {"seconds_estimate", NullIfZero(trial.seconds_estimate)}};
  object["trial"] = json::parse(trial.text);
  return object;
}

}  // namespace

std::string PlanJson(const Plan& plan) {
  json object = {{"schema", "isoflop.plan/1"},
                 {"study", plan.study_name},
                 {"count", ToString(plan.count)},
                 {"flops", ToString(plan.flops)},
                 {"unique_tokens", plan.unique_tokens},
                 {"seeds", plan.seeds},
                 {"slot_kind", plan.slot_kind},
                 {"slots_available", plan.slots_available},
                 {"cells", plan.cells},
                 {"observations", plan.observations},
                 {"trunks", plan.trunks},
                 {"baselines", plan.baselines},
                 {"known", plan.known},
                 {"flops_to_spend", plan.flops_to_spend},
                 {"flops_without_trunks", plan.flops_without_trunks},
                 {"slot_seconds", NullIfZero(plan.slot_seconds)},
                 {"seconds_makespan", NullIfZero(plan.seconds_makespan)},
                 {"over_limit", plan.over_limit},
                 {"warnings", plan.warnings},
                 {"left_out", json::array()},
                 {"trials", json::array()}};
  for (const LeftOutCell& cell : plan.left_out) {
    object["left_out"].push_back({{"budget_flops", cell.budget_flops},
                                  {"params", cell.params},
                                  {"tokens_needed", cell.tokens_needed},
                                  {"reason", cell.reason}});
  }
  for (size_t i = 0; i < plan.trials.size(); ++i) object["trials"].push_back(TrialObject(plan, i));
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace isoflop
