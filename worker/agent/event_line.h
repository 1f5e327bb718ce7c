// The trainer's JSON lines (docs/trainer_contract.md, version 1), read and
// checked: what a stranger's program says becomes a typed event or an error.
//
// Pure functions; thread-safe.
#ifndef ISOFLOP_WORKER_AGENT_EVENT_LINE_H_
#define ISOFLOP_WORKER_AGENT_EVENT_LINE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "study/observation.h"

namespace isoflop {

inline constexpr int kTrainerContract = 1;
inline constexpr size_t kMaxEventLineBytes = 64 * 1024;
// Before an event line on standard output.
inline constexpr char kStdoutEventPrefix[] = "ISOFLOP ";

struct StartedEvent {
  int64_t params_total = 0;
  std::optional<int64_t> resumed_step{};
  std::string device{};
  std::string precision{};
  std::string program{};
  std::string dataset_sha256{};
  std::string tokenizer_sha256{};
};

struct ProbeEvent {
  int64_t micro_batch_sequences = 0;
  int64_t accumulation_steps = 0;
};

// `step` and `eval`.
struct PointEvent {
  LossPoint point{};
};

struct CheckpointEvent {
  int64_t step = 0;
  int64_t tokens = 0;
  std::string path{};
  std::string sha256{};  // of the manifest, lower-case hex; empty: not given
  int64_t bytes = 0;
  std::string reason{};
};

struct FinalEvent {
  int64_t step = 0;
  int64_t tokens_trained = 0;
  std::optional<double> final_loss_nats{};  // nullopt: it was null
  int64_t eval_tokens = 0;
  std::optional<double> final_loss_se{};
  std::optional<double> bits_per_byte{};
  std::optional<int64_t> eval_bytes{};
  std::string eval_sha256{};
  std::optional<int64_t> unique_tokens{};
  std::optional<double> train_loss_nats{};
  std::optional<double> flops_exact{};
  std::optional<double> wall_seconds{};
  std::optional<double> tokens_per_second{};
  std::optional<double> mfu{};
  std::optional<int64_t> peak_memory_bytes{};
  std::optional<bool> resumed_exact{};
  std::string sample_text{};  // that the trained model wrote; empty: none
};

struct ErrorEvent {
  std::string kind{};  // config data oom diverged comm io checkpoint bug
  std::string message{};
  std::optional<int64_t> step{};
  std::optional<int32_t> rank{};
};

// A `note`, or an event that version 1 does not know.
struct NoteEvent {
  std::string text{};
};

struct TrainerEvent {
  std::variant<StartedEvent, ProbeEvent, PointEvent, CheckpointEvent, FinalEvent, ErrorEvent,
               NoteEvent>
      what{};
  // Names of fields that version 1 does not know, "step.colour"; for the
  // history.
  std::vector<std::string> unknown_fields{};
};

// `line` without its newline. InvalidArgument names the event and the field:
// not JSON, too long, a missing or mistyped field, a number out of range.
absl::StatusOr<TrainerEvent> ParseEventLine(absl::string_view line);

// `text` as valid UTF-8 of at most `max_bytes`: other bytes become '?'.
std::string CleanText(absl::string_view text, size_t max_bytes);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_AGENT_EVENT_LINE_H_
