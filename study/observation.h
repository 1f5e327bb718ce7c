// (N, D, FLOPs, final loss) of a finished trial: what the store gives and the
// analysis takes. A missing number is nullopt, never 0.
#ifndef ISOFLOP_STUDY_OBSERVATION_H_
#define ISOFLOP_STUDY_OBSERVATION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "study/trial_outcome.h"

namespace isoflop {

enum class LossKind { kTrain, kEval };

// One point of a loss curve.
struct LossPoint {
  int64_t step = 0;    // updates done
  int64_t tokens = 0;  // target tokens of all ranks since step 0, a trunk's part included
  std::optional<double> loss_nats;  // nullopt: it was not finite
  LossKind kind = LossKind::kTrain;
  std::optional<double> lr;
  std::optional<double> grad_norm;  // before clipping
  std::optional<double> tokens_per_second;
  std::optional<int64_t> eval_tokens;
  friend bool operator==(const LossPoint&, const LossPoint&) = default;
};

struct Observation {
  std::string source;    // "trial 17" or "runs.csv:18", for messages
  std::string trial_id;  // points of one trial are dependent
  std::string config_id; // shape and D without the seed
  std::string fingerprint;
  std::string eval_sha256;
  std::string tokenizer_sha256;
  // Parameters by place; `params_unnamed` is a CSV's one count whose
  // convention is not known.
  std::optional<double> params_embedding;
  std::optional<double> params_position;
  std::optional<double> params_head;
  std::optional<double> params_blocks;
  std::optional<double> params_unnamed;
  double tokens_trained = 0;
  bool tokens_derived = false;  // D = C/(6N), not measured
  std::optional<double> unique_tokens;
  std::optional<double> flops_exact;
  std::optional<double> flops_given;   // a CSV's C; 6ND is computed, not stored
  std::optional<double> budget_flops;  // planned C of the cell
  double final_loss_nats = 0;
  std::optional<double> bits_per_byte;
  std::optional<double> final_loss_se;
  int64_t seed = 0;
  bool is_replicate = false;
  // For c(N) of exact FLOPs and T1; 0 when not known.
  int64_t d_model = 0;
  int64_t n_layer = 0;
  int64_t n_head = 0;
  int64_t d_ff = 0;
  int64_t vocab_size = 0;
  int64_t sequence_length = 0;
  double wall_seconds = 0;  // 0: not known
  std::optional<double> tokens_per_second;  // of this trial's own training, all slots together
  TrialOutcome outcome = TrialOutcome::kCompleted;
  std::optional<bool> schedule_ended;  // the rate reached its end at this D; a CSV may not know
  std::vector<LossPoint> curve;        // approach 1 and F2 only
};

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_OBSERVATION_H_
