// A checkpoint: a folder `step-<8 digits>` from which a trial goes on exactly, and
// that the text tools read.
//
//   model.safetensors      fp32 master weights by parameter name
//   optimizer.safetensors  the moments, `m.<name>` and `v.<name>`; an imported model
//                          has none and cannot be resumed
//   ngram.bin              of an n-gram model, in place of these two: its counts
//   state.json             CheckpointState
//   manifest.json          size and SHA-256 of each of the others; its own SHA-256
//                          goes with the checkpoint's event
//
// Format 2 added the trial and the tokenizer to state.json; format 1 is resumed, and
// says nothing of its model to the text tools.
//
// A folder is either whole or named `.tmp`. Reading it always checks every byte.
// No Torch here: tensors are flat host buffers in the order of the layout.
#ifndef ISOFLOP_WORKER_TRAINER_CHECKPOINT_H_
#define ISOFLOP_WORKER_TRAINER_CHECKPOINT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "corpus/ngram_model.h"
#include "study/trial_spec.h"
#include "worker/trainer/parameter_layout.h"

namespace isoflop {

inline constexpr int kCheckpointFormat = 2;

// Everything beside the tensors that a resume needs or checks. Random numbers
// need no state: the order of the data and the dropout of a step are functions
// of (seed, step, rank).
struct CheckpointState {
  std::string fingerprint;   // of the trial that wrote it
  std::string lineage;
  int64_t step = 0;          // updates done
  int64_t tokens = 0;        // target tokens of all ranks since step 0
  double smoothed_loss_nats = 0;  // DivergenceWatch; NaN before the first loss
  int64_t steps_above = 0;
  double point_loss_sum_nats = 0;  // of the updates since the last loss point,
  int64_t point_steps = 0;         // and how many they are
  bool resumed_exact = true;  // false: somewhere on the way to this step, a
                              // resume was within the tolerance, not bitwise
  // What must be the same for a bitwise resume:
  int64_t micro_batch_sequences = 0;
  int64_t accumulation_steps = 0;
  int world_size = 1;
  int threads = 1;
  std::string device;         // "cpu: <model>", "cuda: <name>"
  std::string torch_version;
  std::string code_version;
  std::string dataset_sha256;
  // Of format 2, what the text tools need; empty in format 1.
  std::string trial_text;  // the canonical JSON of the trial
  std::string tokenizer_id, tokenizer_sha256;
  std::optional<int64_t> eot_id;

  friend bool operator==(const CheckpointState&, const CheckpointState&) = default;
};

// The tensors, each layout.total floats in flat order. Without moments (both null)
// the checkpoint holds a model and no more.
struct CheckpointTensors {
  const float* weights = nullptr;
  const float* first_moments = nullptr;   // m of AdamW
  const float* second_moments = nullptr;  // v
};
struct CheckpointTargets {
  float* weights = nullptr;
  float* first_moments = nullptr;
  float* second_moments = nullptr;
};

// "step-00000800".
std::string CheckpointName(int64_t step);

struct WrittenCheckpoint {
  std::string path;             // <folder>/step-<8 digits>
  std::string manifest_sha256;  // lower-case hex
  int64_t bytes = 0;            // of the four files
};

// Writes the checkpoint into `folder`, which exists: files and folder are synced
// under the name with `.tmp`, then it is renamed. One of the same name that is
// there already is replaced in one step. On an error (ResourceExhausted: the disk
// is full; Unavailable, PermissionDenied) nothing is left behind, and the message
// names file and cure. Blocks on the disk; thread-safe for different folders.
absl::StatusOr<WrittenCheckpoint> WriteCheckpoint(const std::string& folder, const ParameterLayout& layout,
                                                  const CheckpointState& state, const CheckpointTensors& tensors);

// The same for a counted model, whose `step` is that of its trial's end.
absl::StatusOr<WrittenCheckpoint> WriteNgramCheckpoint(const std::string& folder, const CheckpointState& state,
                                                       const NgramModel& model);

// Reads state.json of the checkpoint at `path` after checking size and SHA-256 of
// all its files. DataLoss names the folder and the bad file, "step-00000800:
// model.safetensors: sha256 differs ..."; NotFound: no such folder. Both are exit
// 75 with kind `checkpoint`: the next attempt is given the checkpoint before.
absl::StatusOr<CheckpointState> VerifyCheckpoint(const std::string& path);

// As VerifyCheckpoint, but without reading the tensors' files: for the ranks
// beside the one that verifies.
absl::StatusOr<CheckpointState> ReadCheckpointState(const std::string& path);

// Fills `targets` from a checkpoint that was verified; without places for moments the
// weights alone. InvalidArgument: it holds other tensors than `layout` (names and both
// shapes in the message), or no moments.
absl::Status ReadCheckpointTensors(const std::string& path, const ParameterLayout& layout,
                                   const CheckpointTargets& targets);

// Path of the counts in a checkpoint of an n-gram model; empty: it is a network's.
std::string NgramFileOf(const std::string& path);

// What a checkpoint is to a trial.
enum class ResumeKind {
  kContinue,  // same lineage, at a step not beyond the trial's own
  kBranch,    // the trunk of a branch, at its branch step
};

// InvalidArgument (exit 78) says which lineage and step stand in `state` and which
// the trial takes.
absl::StatusOr<ResumeKind> CheckResume(const CheckpointState& state, const TrialSpec& trial);

// "" when going on as `now` (whose trial, step and loss are not looked at) is
// bitwise the same as going on as `then` was; else what differs, for a note:
// "world_size 2, was 1; threads 1, was 2".
std::string WhyNotBitwise(const CheckpointState& then, const CheckpointState& now);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_CHECKPOINT_H_
