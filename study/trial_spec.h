// One training to do, with every rule resolved to numbers and nothing of the
// machine in it. study/trial_text.h turns it into its canonical JSON.
#ifndef ISOFLOP_STUDY_TRIAL_SPEC_H_
#define ISOFLOP_STUDY_TRIAL_SPEC_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "study/model_shape.h"

namespace isoflop {

enum class Precision { kFp32, kBf16 };
enum class ScheduleKind { kWsd, kCosine, kConstant };
enum class DecayShape { kLinear, kSqrt };
enum class Launch { kPerSlot, kOnce };

std::string ToString(Precision precision);     // "fp32", "bf16"
std::string ToString(ScheduleKind kind);       // "wsd", "cosine", "constant"
std::string ToString(DecayShape shape);        // "linear", "sqrt"
std::string ToString(Launch launch);           // "per_slot", "once"

struct ScheduleSpec {
  ScheduleKind kind = ScheduleKind::kWsd;
  int64_t warmup_steps = 0;
  int64_t decay_steps = 0;      // the last steps of wsd; 0: a trunk
  DecayShape decay_shape = DecayShape::kLinear;
  double final_fraction = 0;    // of lr_peak
  friend bool operator==(const ScheduleSpec&, const ScheduleSpec&) = default;
};

struct OptimizerSpec {
  double lr_peak = 0;
  double lr_scale_blocks = 1;
  double lr_scale_embedding = 1;
  double lr_scale_head = 1;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double clip_norm = 1;
  double weight_decay = 0.1;
  friend bool operator==(const OptimizerSpec&, const OptimizerSpec&) = default;
};

struct TrialData {
  std::string dataset_sha256;
  std::string eval_sha256;
  int64_t unique_tokens = 0;
  bool allow_repeat = false;
  friend bool operator==(const TrialData&, const TrialData&) = default;
};

// Only for `trainer: {command: ...}`; absent for our own trainer.
struct CustomTrainer {
  std::vector<std::string> command;  // argv, no shell
  Launch launch = Launch::kPerSlot;  // not part of the fingerprint's text
  std::map<std::string, OptionValue> options;
  std::string sources_sha256;
  friend bool operator==(const CustomTrainer&, const CustomTrainer&) = default;
};

struct TrialSpec {
  ModelShape model;
  int64_t sequence_length = 0;   // T, tokens
  int64_t batch_sequences = 0;   // B, sequences of a global batch
  int64_t steps = 0;             // S, a branch's trunk part included
  ScheduleSpec schedule;
  OptimizerSpec optimizer;
  TrialData data;
  int64_t eval_every_steps = 0;  // 0: only at the end
  int64_t eval_sequence_length = 0;
  Precision precision = Precision::kFp32;
  bool deterministic = true;
  int64_t seed = 1;

  // A trunk: the steps at which its branches start, rising.
  std::vector<int64_t> branch_steps;
  // A branch: the lineage of its trunk and the step it starts from.
  std::optional<std::string> parent_lineage;
  std::optional<int64_t> branch_step;

  std::optional<CustomTrainer> trainer;

  int64_t batch_tokens() const { return batch_sequences * sequence_length; }
  int64_t tokens_planned() const { return steps * batch_tokens(); }
  bool is_trunk() const { return !branch_steps.empty(); }
  bool is_branch() const { return parent_lineage.has_value(); }
  friend bool operator==(const TrialSpec&, const TrialSpec&) = default;
};

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_TRIAL_SPEC_H_
