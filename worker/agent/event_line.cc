#include "worker/agent/event_line.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

using Json = nlohmann::json;

// Beyond 2^53 a double of JSON is no count any more.
constexpr int64_t kMaxCount = int64_t{1} << 53;

// Reads the fields of one object and remembers which it has read.
class Fields {
 public:
  Fields(std::string event, const Json& object) : event_(std::move(event)), object_(object) {
    read_.insert("event");
  }

  int64_t Count(const char* name) {
    std::optional<int64_t> value = MaybeCount(name);
    if (!value) Fail(name, "is missing");
    return value.value_or(0);
  }
  std::optional<int64_t> MaybeCount(const char* name) {
    const Json* value = Find(name);
    if (value == nullptr || value->is_null()) return std::nullopt;
    double number = -1;
    if (value->is_number_integer() || value->is_number_float()) number = value->get<double>();
    if (!(number >= 0 && number <= static_cast<double>(kMaxCount)) ||
        number != std::floor(number)) {
      Fail(name, "is not a whole number from 0 to 2^53");
      return std::nullopt;
    }
    return static_cast<int64_t>(number);
  }
  // Null or absent: nullopt.
  std::optional<double> MaybeNumber(const char* name) {
    const Json* value = Find(name);
    if (value == nullptr || value->is_null()) return std::nullopt;
    if (!value->is_number() || !std::isfinite(value->get<double>())) {
      Fail(name, "is not a finite number (a loss that is not finite is null)");
      return std::nullopt;
    }
    return value->get<double>();
  }
  // Must be there, and may be null.
  std::optional<double> NumberOrNull(const char* name) {
    if (object_.find(name) == object_.end()) Fail(name, "is missing");
    return MaybeNumber(name);
  }
  std::optional<bool> MaybeBool(const char* name) {
    const Json* value = Find(name);
    if (value == nullptr || value->is_null()) return std::nullopt;
    if (!value->is_boolean()) {
      Fail(name, "is neither true nor false");
      return std::nullopt;
    }
    return value->get<bool>();
  }
  std::string Text(const char* name, size_t max_bytes = 1024) {
    const Json* value = Find(name);
    if (value == nullptr || value->is_null()) return "";
    if (!value->is_string()) {
      Fail(name, "is not a text");
      return "";
    }
    return CleanText(value->get_ref<const std::string&>(), max_bytes);
  }
  std::string NeededText(const char* name, size_t max_bytes = 1024) {
    std::string text = Text(name, max_bytes);
    if (text.empty()) Fail(name, "is missing");
    return text;
  }
  // Known, and not kept.
  void Skip(std::initializer_list<const char*> names) {
    for (const char* name : names) read_.insert(name);
  }
  void Fail(const char* name, absl::string_view why) {
    if (status_.ok()) {
      status_ = absl::InvalidArgumentError(absl::StrCat("event '", event_, "': ", name, " ", why));
    }
  }
  const absl::Status& status() const { return status_; }
  std::vector<std::string> Unknown() const {
    std::vector<std::string> names;
    for (const auto& [name, value] : object_.items()) {
      if (read_.count(name) == 0) {
        names.push_back(CleanText(absl::StrCat(event_, ".", std::string(name)), 128));
      }
    }
    return names;
  }

 private:
  const Json* Find(const char* name) {
    read_.insert(name);
    const auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }

  const std::string event_;
  const Json& object_;
  std::set<std::string> read_;
  absl::Status status_;
};

StartedEvent ReadStarted(Fields& in) {
  StartedEvent out;
  if (in.Count("contract") != kTrainerContract) {
    in.Fail("contract", absl::StrCat("is not ", kTrainerContract));
  }
  out.params_total = in.Count("params_total");
  out.resumed_step = in.MaybeCount("resumed_step");
  out.device = in.Text("device");
  out.precision = in.Text("precision");
  out.program = in.Text("program");
  out.dataset_sha256 = in.Text("dataset_sha256");
  out.tokenizer_sha256 = in.Text("tokenizer_sha256");
  in.Skip({"params_embedding", "params_position", "params_head", "params_blocks",
           "flops_per_token", "flops_per_token_exact", "flops_per_token_causal"});
  return out;
}

ProbeEvent ReadProbe(Fields& in) {
  ProbeEvent out;
  out.micro_batch_sequences = in.Count("micro_batch_sequences");
  out.accumulation_steps = in.Count("accumulation_steps");
  in.Skip({"tokens_per_second", "peak_memory_bytes", "attention_backend"});
  return out;
}

PointEvent ReadPoint(Fields& in, LossKind kind) {
  LossPoint out;
  out.kind = kind;
  out.step = in.Count("step");
  out.tokens = in.Count("tokens");
  out.loss_nats = in.NumberOrNull("loss_nats");
  if (kind == LossKind::kTrain) {
    out.lr = in.MaybeNumber("lr");
    out.grad_norm = in.MaybeNumber("grad_norm");
    out.tokens_per_second = in.MaybeNumber("tokens_per_second");
    in.Skip({"data_wait_fraction"});
  } else {
    out.eval_tokens = in.Count("eval_tokens");
    in.Skip({"eval_bytes"});
  }
  return {out};
}

CheckpointEvent ReadCheckpoint(Fields& in) {
  CheckpointEvent out;
  out.step = in.Count("step");
  out.tokens = in.Count("tokens");
  out.path = in.NeededText("path", 4096);
  out.sha256 = in.Text("sha256", 64);
  if (!out.sha256.empty() &&
      (out.sha256.size() != 64 ||
       out.sha256.find_first_not_of("0123456789abcdef") != std::string::npos)) {
    in.Fail("sha256", "is not 64 lower-case hex digits");
  }
  out.bytes = in.MaybeCount("bytes").value_or(0);
  out.reason = in.Text("reason", 64);
  in.Skip({"seconds"});
  return out;
}

FinalEvent ReadFinal(Fields& in) {
  FinalEvent out;
  out.step = in.Count("step");
  out.tokens_trained = in.Count("tokens_trained");
  out.final_loss_nats = in.NumberOrNull("final_loss_nats");
  out.eval_tokens = in.Count("eval_tokens");
  out.final_loss_se = in.MaybeNumber("final_loss_se");
  out.bits_per_byte = in.MaybeNumber("bits_per_byte");
  out.eval_bytes = in.MaybeCount("eval_bytes");
  out.eval_sha256 = in.Text("eval_sha256", 64);
  out.unique_tokens = in.MaybeCount("unique_tokens");
  out.train_loss_nats = in.MaybeNumber("train_loss_nats");
  out.flops_exact = in.MaybeNumber("flops_exact");
  out.wall_seconds = in.MaybeNumber("wall_seconds");
  out.tokens_per_second = in.MaybeNumber("tokens_per_second");
  out.mfu = in.MaybeNumber("mfu");
  out.peak_memory_bytes = in.MaybeCount("peak_memory_bytes");
  out.resumed_exact = in.MaybeBool("resumed_exact");
  out.sample_text = in.Text("sample_text");
  return out;
}

ErrorEvent ReadError(Fields& in) {
  static const std::set<std::string> kKinds = {"config", "data", "oom",        "diverged",
                                               "comm",   "io",   "checkpoint", "bug"};
  ErrorEvent out;
  out.kind = in.NeededText("kind", 64);
  if (kKinds.count(out.kind) == 0) {
    in.Fail("kind", "is none of config data oom diverged comm io checkpoint bug");
  }
  out.message = in.NeededText("message");
  out.step = in.MaybeCount("step");
  if (const auto rank = in.MaybeCount("rank")) out.rank = static_cast<int32_t>(*rank);
  return out;
}

}  // namespace

std::string CleanText(absl::string_view text, size_t max_bytes) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    size_t length = lead < 0x80 ? 1 : lead >= 0xC2 && lead < 0xE0 ? 2 : (lead & 0xF0) == 0xE0 ? 3
                                  : lead >= 0xF0 && lead < 0xF5 ? 4 : 0;
    bool valid = length > 0 && i + length <= text.size() && lead != 0;
    for (size_t k = 1; valid && k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      valid = (next & 0xC0) == 0x80;
      if (k == 1 && ((lead == 0xE0 && next < 0xA0) || (lead == 0xED && next >= 0xA0) ||
                     (lead == 0xF0 && next < 0x90) || (lead == 0xF4 && next >= 0x90))) {
        valid = false;
      }
    }
    if (!valid) length = 1;
    if (out.size() + length > max_bytes) break;
    if (valid) {
      out.append(text.data() + i, length);
    } else {
      out.push_back('?');
    }
    i += length;
  }
  return out;
}

absl::StatusOr<TrainerEvent> ParseEventLine(absl::string_view line) {
  if (line.size() > kMaxEventLineBytes) {
    return absl::InvalidArgumentError("event line: is longer than 64 KiB");
  }
  // A callback instead of the default limitless depth: the parser is not
  // recursive, its destructor is.
  const auto callback = [](int depth, Json::parse_event_t, Json&) { return depth < 32; };
  const Json object = Json::parse(line.begin(), line.end(), callback, /*allow_exceptions=*/false);
  if (!object.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("event line: is not a JSON object: ", CleanText(line, 80)));
  }
  const auto name = object.find("event");
  if (name == object.end() || !name->is_string()) {
    return absl::InvalidArgumentError("event line: has no text field 'event'");
  }
  const std::string event = CleanText(name->get_ref<const std::string&>(), 64);
  Fields in(event, object);
  TrainerEvent out;
  if (event == "started") {
    out.what = ReadStarted(in);
  } else if (event == "probe") {
    out.what = ReadProbe(in);
  } else if (event == "step") {
    out.what = ReadPoint(in, LossKind::kTrain);
  } else if (event == "eval") {
    out.what = ReadPoint(in, LossKind::kEval);
  } else if (event == "checkpoint") {
    out.what = ReadCheckpoint(in);
  } else if (event == "final") {
    out.what = ReadFinal(in);
  } else if (event == "error") {
    out.what = ReadError(in);
  } else if (event == "note") {
    out.what = NoteEvent{in.NeededText("text")};
  } else {
    out.what = NoteEvent{CleanText(absl::StrCat("unknown event: ", line), 1024)};
    return out;
  }
  ISOFLOP_RETURN_IF_ERROR(in.status());
  out.unknown_fields = in.Unknown();
  return out;
}

}  // namespace isoflop
