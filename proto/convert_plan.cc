// A plan on its way to the coordinator, and what is checked when it arrives.
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/convert.h"
#include "study/status_macros.h"
#include "study/trial_text.h"

namespace isoflop {
namespace {

// A server takes 256 KiB; a trial with long options leaves room for itself.
constexpr size_t kMaxPartBytes = 128 * 1024;

absl::Status Check(bool holds, absl::string_view field, absl::string_view what) {
  if (holds) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("planned trial: ", field, ": ", what));
}

}  // namespace

wire::PlannedTrial ToWire(const PlannedTrial& trial) {
  wire::PlannedTrial out;
  out.set_text(trial.text);
  out.set_fingerprint(trial.fingerprint);
  out.set_lineage(trial.lineage);
  out.set_role(ToWire(trial.role));
  if (trial.parent) out.set_parent(static_cast<int64_t>(*trial.parent));
  out.set_budget_flops(trial.budget_flops);
  out.set_params_embedding(trial.params.embedding);
  out.set_params_position(trial.params.position);
  out.set_params_head(trial.params.head);
  out.set_params_blocks(trial.params.blocks);
  out.set_flops_6nd(trial.flops_6nd);
  out.set_flops_exact(trial.flops_exact);
  out.set_flops_exact_causal(trial.flops_exact_causal);
  out.set_flops_to_spend(trial.flops_to_spend);
  out.set_slots(trial.slots);
  out.set_memory_bytes_per_slot(trial.memory_bytes_per_slot);
  out.set_seconds_estimate(trial.seconds_estimate);
  return out;
}

absl::StatusOr<PlannedTrial> FromWire(const wire::PlannedTrial& trial) {
  PlannedTrial out;
  ISOFLOP_ASSIGN_OR_RETURN(out.spec, ParseTrialText(trial.text()));
  out.text = trial.text();
  out.fingerprint = trial.fingerprint();
  out.lineage = trial.lineage();
  ISOFLOP_RETURN_IF_ERROR(Check(out.text == TrialText(out.spec), "text", "is not canonical"));
  ISOFLOP_RETURN_IF_ERROR(
      Check(out.fingerprint == Fingerprint(out.spec), "fingerprint", "is not that of the text"));
  ISOFLOP_RETURN_IF_ERROR(
      Check(out.lineage == Lineage(out.spec), "lineage", "is not that of the text"));
  out.role = FromWire(trial.role());
  if (trial.has_parent()) {
    ISOFLOP_RETURN_IF_ERROR(Check(trial.parent() >= 0, "parent", "is negative"));
    out.parent = static_cast<size_t>(trial.parent());
  }
  ISOFLOP_RETURN_IF_ERROR(Check((out.role == TrialRole::kBranch) == out.parent.has_value(),
                                "parent", "a branch has one, and nothing else"));
  ISOFLOP_RETURN_IF_ERROR(Check((out.role == TrialRole::kBaseline) == (out.spec.model.family == Family::kNgram),
                                "role", "an n-gram model is a baseline, and nothing else"));
  out.params = {.embedding = trial.params_embedding(),
                .position = trial.params_position(),
                .head = trial.params_head(),
                .blocks = trial.params_blocks()};
  ISOFLOP_RETURN_IF_ERROR(Check(out.params.embedding >= 0 && out.params.position >= 0 &&
                                    out.params.head >= 0 && out.params.blocks >= 0,
                                "params", "a count is negative"));
  out.budget_flops = trial.budget_flops();
  out.flops_6nd = trial.flops_6nd();
  out.flops_exact = trial.flops_exact();
  out.flops_exact_causal = trial.flops_exact_causal();
  out.flops_to_spend = trial.flops_to_spend();
  out.memory_bytes_per_slot = trial.memory_bytes_per_slot();
  out.seconds_estimate = trial.seconds_estimate();
  for (double value : {out.budget_flops, out.flops_6nd, out.flops_exact, out.flops_exact_causal,
                       out.flops_to_spend, out.memory_bytes_per_slot, out.seconds_estimate}) {
    ISOFLOP_RETURN_IF_ERROR(
        Check(std::isfinite(value) && value >= 0, "flops", "a number is negative or not finite"));
  }
  out.slots = trial.slots();
  ISOFLOP_RETURN_IF_ERROR(
      Check(out.slots >= 1 && out.slots <= 65536, "slots", "outside 1 ... 65536"));
  return out;
}

std::vector<wire::SubmitPart> ToSubmitParts(const Plan& plan, wire::SubmitHeader header) {
  std::vector<wire::SubmitPart> parts(1);
  size_t bytes = 0;
  header.set_study_name(plan.study_name);
  header.set_resolved_yaml(plan.resolved_yaml);
  *parts[0].mutable_header() = std::move(header);
  for (const PlannedTrial& trial : plan.trials) {
    wire::PlannedTrial out = ToWire(trial);
    bytes += out.ByteSizeLong();
    if (parts.size() == 1 || parts.back().trials_size() == kTrialsPerPart ||
        bytes > kMaxPartBytes) {
      parts.emplace_back();
      bytes = out.ByteSizeLong();
    }
    *parts.back().add_trials() = std::move(out);
  }
  return parts;
}

}  // namespace isoflop
