// What PlanStudy (study/planner.h) returns and SubmitPlan takes: every trial of a
// study with its price, in the order in which trials get their numbers.
#ifndef ISOFLOP_STUDY_PLAN_H_
#define ISOFLOP_STUDY_PLAN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "study/param_counts.h"
#include "study/trial_spec.h"

namespace isoflop {

// A baseline is no observation: it is on the report and never in a fit.
enum class TrialRole { kTrunk, kBranch, kSingle, kBaseline };
// Does a law see its loss?
inline bool IsObservation(TrialRole role) { return role == TrialRole::kBranch || role == TrialRole::kSingle; }
std::string ToString(TrialRole role);  // "trunk", "branch", "single", "baseline"

struct PlannedTrial {
  TrialSpec spec;
  std::string text;         // TrialText(spec)
  std::string fingerprint;  // Fingerprint(spec)
  std::string lineage;      // Lineage(spec)
  TrialRole role = TrialRole::kSingle;
  std::optional<size_t> parent;  // a branch: index of its trunk in Plan::trials
  double budget_flops = 0;       // C of its cell; 0 for a trunk
  ParamCounts params;
  // Of the whole path from step 0, a trunk's part included, in training FLOPs.
  double flops_6nd = 0;          // under the study's N
  double flops_exact = 0;        // attention over the full square
  double flops_exact_causal = 0;
  double flops_to_spend = 0;     // what this trial alone will add; 0 if known
  int slots = 1;
  double memory_bytes_per_slot = 0;  // the planner's estimate at micro-batch 1
  double seconds_estimate = 0;       // slot seconds; 0 if no speed is known
  bool known = false;            // completed already in the store
};

struct LeftOutCell {
  double budget_flops = 0;
  double params = 0;          // N under the study's convention
  double tokens_needed = 0;
  std::string reason;         // "short of data"
};

struct Plan {
  std::string study_name;
  std::string resolved_yaml;  // all defaults and rules resolved; stored
  CountConvention count = CountConvention::kNonEmbeddingPlusHead;
  FlopsConvention flops = FlopsConvention::k6nd;
  int64_t unique_tokens = 0;
  std::vector<int64_t> seeds;
  std::string slot_kind;  // "gpu", "cpu", "any"
  int slots_available = 1;  // that the makespan is told for
  std::vector<PlannedTrial> trials;  // trunks by shape, then cells by budget, size, seed, then baselines
  std::vector<LeftOutCell> left_out;
  std::vector<std::string> warnings;
  int observations = 0;  // trials that are neither trunks nor baselines
  int cells = 0;
  int trunks = 0;
  int baselines = 0;
  int known = 0;
  double flops_to_spend = 0;
  double flops_without_trunks = 0;  // what the same cells cost as singles
  double slot_seconds = 0;          // of all trials still to do; 0 if no speed is known
  bool over_limit = false;          // the price is beyond limits.flops or slot_hours
  double seconds_makespan = 0;      // longest first on the given slots; 0 if no speed is known
};

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_PLAN_H_
