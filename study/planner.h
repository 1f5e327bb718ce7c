// Expands a study into its trials and prices them.
//
// Pure: the same spec and facts give the same plan. No file, clock or network.
#ifndef ISOFLOP_STUDY_PLANNER_H_
#define ISOFLOP_STUDY_PLANNER_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "study/model_shape.h"
#include "study/plan.h"
#include "study/study_spec.h"

namespace isoflop {

// A speed that was measured: training tokens a second of one slot.
struct MeasuredSpeed {
  ModelShape shape;
  int64_t sequence_length = 0;
  double tokens_per_second = 0;
};

// What the world says about a study.
struct PlanFacts {
  // The data (corpus/dataset.h).
  std::string dataset_sha256;
  std::string eval_sha256;
  std::string tokenizer_sha256;
  int64_t unique_tokens = 0;
  int64_t vocab_size = 0;
  int64_t eval_tokens = 0;

  // SHA-256 over the sources of a custom trainer; empty for our own.
  std::string trainer_sources_sha256;

  // Fingerprints of trials that are completed in the store: they cost nothing.
  std::set<std::string> known_fingerprints;

  // `grid.center: {law: STUDY}`: N*(C) of that study's law, in parameters under
  // the study's count. Empty: the study has no fitted law (an error if asked).
  std::function<double(double budget_flops)> optimal_params;

  // The slots that the plan is timed on, and their memory (0: not limited).
  int slots = 1;
  double slot_memory_bytes = 0;

  // Time: a measured speed of the same shape, else `slot_flops_per_second`
  // (exact training FLOPs; a calibration, or 35 % of a device's peak) with
  // `seconds_per_step` for every update on top, else no time is told.
  std::vector<MeasuredSpeed> speeds;
  double slot_flops_per_second = 0;
  double seconds_per_step = 0;
};

// Expands grid, seeds, trunks, branches and replicates, resolves every rule to
// numbers, checks shapes, ranks, D and memory, and prices the rest.
// InvalidArgument: up to 20 errors with file:line:column, picture and cure.
absl::StatusOr<Plan> PlanStudy(const StudySpec& spec, const PlanFacts& facts);

// What one slot needs for `shape` at micro-batch 1, in bytes: weights, gradients
// and two moments in fp32 (16 a parameter), a bf16 copy where `precision` is
// bf16, activations of 17 elements a position, width and layer (Korthikanti et
// al. 2022, eq. 1, without the square of attention, which a fused kernel does
// not store; of an LSTM 8: four gates, cell, its tanh, output, dropout), and logits
// with their gradient.
double MemoryBytesPerSlot(const ModelShape& shape, int64_t sequence_length, Precision precision);

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_PLANNER_H_
