#include "study/trial_text.h"

#include <openssl/evp.h>

#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "study/did_you_mean.h"
#include "study/enum_text.h"
#include "study/format.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

using nlohmann::json;

// --- writing ----------------------------------------------------------------

// nlohmann's own dump writes 1.0 and 1e-08; one spelling a number is what makes
// the text canonical.
void AppendCanonical(const json& value, std::string* out) {
  switch (value.type()) {
    case json::value_t::object: {
      out->push_back('{');
      bool first = true;
      for (const auto& [key, child] : value.items()) {  // std::map: sorted
        if (!first) out->push_back(',');
        first = false;
        out->append(json(key).dump(-1, ' ', false, json::error_handler_t::replace));
        out->push_back(':');
        AppendCanonical(child, out);
      }
      out->push_back('}');
      return;
    }
    case json::value_t::array: {
      out->push_back('[');
      for (size_t i = 0; i < value.size(); ++i) {
        if (i > 0) out->push_back(',');
        AppendCanonical(value[i], out);
      }
      out->push_back(']');
      return;
    }
    case json::value_t::number_float:
      out->append(ExactNumber(value.get<double>()));
      return;
    default:
      out->append(value.dump(-1, ' ', false, json::error_handler_t::replace));
  }
}

std::string Canonical(const json& value) {
  std::string text;
  AppendCanonical(value, &text);
  return text;
}

json OptionsToJson(const std::map<std::string, OptionValue>& options) {
  json object = json::object();
  for (const auto& [key, option] : options) {
    std::visit([&, &name = key](const auto& value) { object[name] = value; }, option);
  }
  return object;
}

json ModelToJson(const ModelShape& model) {
  if (model.family == Family::kCustom) {
    return {{"family", ToString(model.family)},
            {"id", model.custom_id},
            {"options", OptionsToJson(model.custom_options)},
            {"params_blocks", model.custom_counts.blocks},
            {"params_embedding", model.custom_counts.embedding},
            {"params_head", model.custom_counts.head},
            {"params_position", model.custom_counts.position},
            {"vocab_size", model.vocab_size}};
  }
  if (model.family == Family::kNgram) {
    json object = {{"family", ToString(model.family)},
                   {"order", model.ngram_order},
                   {"smoothing", ToString(model.ngram_smoothing)},
                   {"vocab_size", model.vocab_size}};
    if (model.ngram_smoothing == Smoothing::kAddK) object["add_k"] = model.ngram_add_k;
    return object;
  }
  if (model.family == Family::kLstm) {
    return {{"d_model", model.d_model},     {"dropout", model.dropout},     {"family", ToString(model.family)},
            {"n_layer", model.n_layer},     {"tied_head", model.tied_head}, {"vocab_size", model.vocab_size}};
  }
  json object = {{"activation", ToString(model.activation)},
                 {"bias", model.bias},
                 {"d_ff", model.d_ff},
                 {"d_model", model.d_model},
                 {"dropout", model.dropout},
                 {"family", ToString(model.family)},
                 {"init", ToString(model.init)},
                 {"n_head", model.n_head},
                 {"n_layer", model.n_layer},
                 {"norm", ToString(model.norm)},
                 {"position", ToString(model.position)},
                 {"qk_norm", model.qk_norm},
                 {"tied_head", model.tied_head},
                 {"vocab_size", model.vocab_size}};
  if (model.mup_base_width > 0) object["mup_base_width"] = model.mup_base_width;
  return object;
}

template <class T>
json OrNull(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

json TrialToJson(const TrialSpec& spec) {
  const OptimizerSpec& optimizer = spec.optimizer;
  json object = {
      {"batch_sequences", spec.batch_sequences},
      {"batch_tokens", spec.batch_tokens()},
      {"branch_step", OrNull(spec.branch_step)},
      {"branch_steps", spec.branch_steps},
      {"data",
       {{"allow_repeat", spec.data.allow_repeat},
        {"dataset_sha256", spec.data.dataset_sha256},
        {"eval_sha256", spec.data.eval_sha256},
        {"unique_tokens", spec.data.unique_tokens}}},
      {"deterministic", spec.deterministic},
      {"eval", {{"every_steps", spec.eval_every_steps}, {"sequence_length", spec.eval_sequence_length}}},
      {"model", ModelToJson(spec.model)},
      {"optimizer",
       {{"beta1", optimizer.beta1},
        {"beta2", optimizer.beta2},
        {"clip_norm", optimizer.clip_norm},
        {"eps", optimizer.eps},
        {"lr_peak", optimizer.lr_peak},
        {"lr_scale",
         {{"blocks", optimizer.lr_scale_blocks},
          {"embedding", optimizer.lr_scale_embedding},
          {"head", optimizer.lr_scale_head}}},
        {"weight_decay", optimizer.weight_decay}}},
      {"parent_lineage", OrNull(spec.parent_lineage)},
      {"precision", ToString(spec.precision)},
      {"schedule",
       {{"decay_shape", ToString(spec.schedule.decay_shape)},
        {"decay_steps", spec.schedule.decay_steps},
        {"final_fraction", spec.schedule.final_fraction},
        {"kind", ToString(spec.schedule.kind)},
        {"warmup_steps", spec.schedule.warmup_steps}}},
      {"seed", spec.seed},
      {"sequence_length", spec.sequence_length},
      {"steps", spec.steps},
      {"tokens_planned", spec.tokens_planned()}};
  if (spec.trainer) {
    object["trainer"] = {{"command", spec.trainer->command},
                         {"options", OptionsToJson(spec.trainer->options)},
                         {"sources_sha256", spec.trainer->sources_sha256}};
  }
  return object;
}

// --- reading ----------------------------------------------------------------

constexpr int64_t kMaxCount = int64_t{1} << 53;  // exact in a double too

// Reads the keys of one object; the first error stays, Finish reports it or the
// keys that nobody asked for.
class ObjectReader {
 public:
  ObjectReader(const json& value, std::string path) : value_(value), path_(std::move(path)) {
    if (!value_.is_object()) Fail(path_.empty() ? "trial" : path_, "is not an object");
  }

  int64_t Int(const char* key, int64_t least, int64_t most = kMaxCount) {
    const json* found = Find(key);
    if (found == nullptr) return least;
    if (!found->is_number_integer()) return Fail(Path(key), "is not a whole number"), least;
    if (found->is_number_unsigned() && found->get<uint64_t>() > static_cast<uint64_t>(most)) {
      return Fail(Path(key), absl::StrCat("is beyond ", most)), least;
    }
    const auto number = found->get<int64_t>();
    if (number < least || number > most) {
      return Fail(Path(key), absl::StrCat("is ", number, ", not in [", least, ", ", most, "]")), least;
    }
    return number;
  }

  double Double(const char* key, double least, double most = std::numeric_limits<double>::max()) {
    const json* found = Find(key);
    if (found == nullptr) return least;
    if (!found->is_number()) return Fail(Path(key), "is not a number"), least;
    const auto number = found->get<double>();
    if (!(number >= least && number <= most)) {
      return Fail(Path(key), absl::StrCat("is ", number, ", not in [", least, ", ", most, "]")), least;
    }
    return number;
  }

  bool Bool(const char* key) {
    const json* found = Find(key);
    if (found == nullptr) return false;
    if (!found->is_boolean()) return Fail(Path(key), "is not true or false"), false;
    return found->get<bool>();
  }

  std::string String(const char* key) {
    const json* found = Find(key);
    if (found == nullptr) return "";
    if (!found->is_string()) return Fail(Path(key), "is not a string"), "";
    return found->get<std::string>();
  }

  template <class E>
  E Enum(const char* key) {
    const std::string text = String(key);
    const std::optional<E> value = ParseEnum<E>(text);
    if (!value) {
      Fail(Path(key), absl::StrCat("is '", text, "', not one of ", absl::StrJoin(EnumTexts<E>(), ", ")));
    }
    return value.value_or(E{});
  }

  // The value under `key` for the caller to read, or nullptr if there is none
  // (an error unless `optional`).
  const json* Find(const char* key, bool optional = false) {
    asked_.insert(key);
    if (!value_.is_object()) return nullptr;
    const auto found = value_.find(key);
    if (found != value_.end()) return &*found;
    if (!optional) Fail(Path(key), "is missing");
    return nullptr;
  }

  std::string Path(const std::string& key) const { return path_.empty() ? key : absl::StrCat(path_, ".", key); }

  void Fail(const std::string& where, const std::string& what) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(absl::StrCat("trial: ", where, " ", what));
  }

  absl::Status Finish() {
    if (!status_.ok()) return status_;
    for (const auto& [key, child] : value_.items()) {
      if (asked_.contains(key)) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("trial: unknown key '", Path(key), "'",
                       DidYouMeanClause(key, std::vector<std::string>(asked_.begin(), asked_.end()))));
    }
    return absl::OkStatus();
  }

 private:
  const json& value_;
  const std::string path_;
  std::set<std::string> asked_;
  absl::Status status_;
};

const json& EmptyObject() {
  static const json* const kEmpty = new json(json::object());
  return *kEmpty;
}

const json& Child(ObjectReader& reader, const char* key) {
  const json* found = reader.Find(key);
  return found == nullptr ? EmptyObject() : *found;
}

absl::StatusOr<std::map<std::string, OptionValue>> ReadOptions(const json& value, const std::string& path) {
  std::map<std::string, OptionValue> options;
  if (!value.is_object()) return absl::InvalidArgumentError(absl::StrCat("trial: ", path, " is not an object"));
  for (const auto& [key, child] : value.items()) {
    if (child.is_boolean()) {
      options[key] = child.get<bool>();
    } else if (child.is_number_float()) {
      options[key] = child.get<double>();
    } else if (child.is_number_integer()) {
      if (child.is_number_unsigned() && child.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
        return absl::InvalidArgumentError(absl::StrCat("trial: ", path, ".", key, " is beyond ", INT64_MAX));
      }
      options[key] = child.get<int64_t>();
    } else if (child.is_string()) {
      options[key] = child.get<std::string>();
    } else {
      return absl::InvalidArgumentError(absl::StrCat("trial: ", path, ".", key, " is not a scalar"));
    }
  }
  return options;
}

absl::Status ReadCustomModel(ObjectReader& reader, ModelShape* model) {
  model->custom_id = reader.String("id");
  ISOFLOP_ASSIGN_OR_RETURN(model->custom_options, ReadOptions(Child(reader, "options"), "model.options"));
  model->custom_counts.blocks = reader.Int("params_blocks", 0);
  model->custom_counts.embedding = reader.Int("params_embedding", 0);
  model->custom_counts.head = reader.Int("params_head", 0);
  model->custom_counts.position = reader.Int("params_position", 0);
  model->vocab_size = reader.Int("vocab_size", 0);
  return reader.Finish();
}

absl::Status ReadLstmModel(ObjectReader& reader, ModelShape* model) {
  model->d_model = reader.Int("d_model", 1, 1 << 22);
  model->dropout = reader.Double("dropout", 0, 0.999);
  model->n_head = 1;
  model->n_layer = reader.Int("n_layer", 1, 1 << 16);
  model->tied_head = reader.Bool("tied_head");
  model->vocab_size = reader.Int("vocab_size", 2, 1 << 26);
  return reader.Finish();
}

absl::Status ReadNgramModel(ObjectReader& reader, ModelShape* model) {
  model->ngram_order = reader.Int("order", 1, kMostNgramOrder);
  model->ngram_smoothing = reader.Enum<Smoothing>("smoothing");
  if (model->ngram_smoothing == Smoothing::kAddK) model->ngram_add_k = reader.Double("add_k", 1e-9, 1e9);
  model->vocab_size = reader.Int("vocab_size", 2, 1 << 24);
  return reader.Finish();
}

absl::Status ReadModel(const json& value, ModelShape* model) {
  ObjectReader reader(value, "model");
  model->family = reader.Enum<Family>("family");
  if (model->family == Family::kCustom) return ReadCustomModel(reader, model);
  if (model->family == Family::kLstm) return ReadLstmModel(reader, model);
  if (model->family == Family::kNgram) return ReadNgramModel(reader, model);
  model->activation = reader.Enum<Activation>("activation");
  model->bias = reader.Bool("bias");
  model->d_ff = reader.Int("d_ff", 1, 1 << 24);
  model->d_model = reader.Int("d_model", 1, 1 << 22);
  model->dropout = reader.Double("dropout", 0, 0.999);
  model->init = reader.Enum<Init>("init");
  model->n_head = reader.Int("n_head", 1, 1 << 16);
  model->n_layer = reader.Int("n_layer", 1, 1 << 16);
  model->norm = reader.Enum<Norm>("norm");
  model->position = reader.Enum<Position>("position");
  model->qk_norm = reader.Bool("qk_norm");
  model->tied_head = reader.Bool("tied_head");
  model->vocab_size = reader.Int("vocab_size", 2, 1 << 26);
  if (reader.Find("mup_base_width", /*optional=*/true) != nullptr) {
    model->mup_base_width = reader.Int("mup_base_width", 1, 1 << 22);
  }
  ISOFLOP_RETURN_IF_ERROR(reader.Finish());
  if (model->d_model % model->n_head != 0) {
    return absl::InvalidArgumentError(absl::StrCat("trial: model.n_head ", model->n_head,
                                                   " does not divide model.d_model ", model->d_model));
  }
  return absl::OkStatus();
}

absl::Status ReadData(const json& value, TrialData* data) {
  ObjectReader reader(value, "data");
  data->allow_repeat = reader.Bool("allow_repeat");
  data->dataset_sha256 = reader.String("dataset_sha256");
  data->eval_sha256 = reader.String("eval_sha256");
  data->unique_tokens = reader.Int("unique_tokens", 0);
  return reader.Finish();
}

absl::Status ReadOptimizer(const json& value, OptimizerSpec* optimizer) {
  ObjectReader reader(value, "optimizer");
  optimizer->beta1 = reader.Double("beta1", 0, 1);
  optimizer->beta2 = reader.Double("beta2", 0, 1);
  optimizer->clip_norm = reader.Double("clip_norm", 0);
  optimizer->eps = reader.Double("eps", 0, 1);
  optimizer->lr_peak = reader.Double("lr_peak", 0);
  optimizer->weight_decay = reader.Double("weight_decay", 0);
  ObjectReader scale(Child(reader, "lr_scale"), "optimizer.lr_scale");
  optimizer->lr_scale_blocks = scale.Double("blocks", 0);
  optimizer->lr_scale_embedding = scale.Double("embedding", 0);
  optimizer->lr_scale_head = scale.Double("head", 0);
  ISOFLOP_RETURN_IF_ERROR(reader.Finish());
  return scale.Finish();
}

absl::Status ReadSchedule(const json& value, ScheduleSpec* schedule) {
  ObjectReader reader(value, "schedule");
  schedule->decay_shape = reader.Enum<DecayShape>("decay_shape");
  schedule->decay_steps = reader.Int("decay_steps", 0);
  schedule->final_fraction = reader.Double("final_fraction", 0, 1);
  schedule->kind = reader.Enum<ScheduleKind>("kind");
  schedule->warmup_steps = reader.Int("warmup_steps", 0);
  return reader.Finish();
}

absl::Status ReadTrainer(const json& value, std::optional<CustomTrainer>* trainer) {
  ObjectReader reader(value, "trainer");
  CustomTrainer read;
  const json& command = Child(reader, "command");
  if (!command.is_array() || command.empty()) reader.Fail("trainer.command", "is not a list of words");
  for (const json& word : command) {
    if (word.is_string()) {
      read.command.push_back(word.get<std::string>());
    } else {
      reader.Fail("trainer.command", "is not a list of words");
    }
  }
  read.sources_sha256 = reader.String("sources_sha256");
  ISOFLOP_ASSIGN_OR_RETURN(read.options, ReadOptions(Child(reader, "options"), "trainer.options"));
  ISOFLOP_RETURN_IF_ERROR(reader.Finish());
  *trainer = std::move(read);
  return absl::OkStatus();
}

// The trial as a whole: counts that must agree, steps in their order.
absl::Status CheckTrial(const TrialSpec& spec, int64_t batch_tokens, int64_t tokens_planned) {
  const auto fail = [](const std::string& what) { return absl::InvalidArgumentError(absl::StrCat("trial: ", what)); };
  int64_t expected = 0;
  if (__builtin_mul_overflow(spec.batch_sequences, spec.sequence_length, &expected) || expected != batch_tokens) {
    return fail("batch_tokens is not batch_sequences times sequence_length");
  }
  if (__builtin_mul_overflow(spec.steps, batch_tokens, &expected) || expected != tokens_planned) {
    return fail("tokens_planned is not steps times batch_tokens");
  }
  if (spec.schedule.warmup_steps > spec.steps || spec.schedule.decay_steps > spec.steps) {
    return fail("schedule.warmup_steps or decay_steps is beyond steps");
  }
  int64_t before = 0;
  for (const int64_t step : spec.branch_steps) {
    if (step <= before || step > spec.steps) return fail("branch_steps do not rise within [1, steps]");
    before = step;
  }
  if (spec.parent_lineage.has_value() != spec.branch_step.has_value()) {
    return fail("parent_lineage and branch_step go together");
  }
  if (spec.branch_step && *spec.branch_step > spec.steps) return fail("branch_step is beyond steps");
  return absl::OkStatus();
}

}  // namespace

std::string TrialText(const TrialSpec& spec) { return Canonical(TrialToJson(spec)); }

absl::StatusOr<TrialSpec> ParseTrialText(absl::string_view text) {
  const json value = json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return absl::InvalidArgumentError("trial: not JSON");
  TrialSpec spec;
  ObjectReader reader(value, "");
  spec.batch_sequences = reader.Int("batch_sequences", 1);
  const int64_t batch_tokens = reader.Int("batch_tokens", 1);
  spec.deterministic = reader.Bool("deterministic");
  spec.precision = reader.Enum<Precision>("precision");
  spec.seed = reader.Int("seed", 0);
  spec.sequence_length = reader.Int("sequence_length", 1);
  spec.steps = reader.Int("steps", 1);
  const int64_t tokens_planned = reader.Int("tokens_planned", 1);
  if (!Child(reader, "branch_step").is_null()) spec.branch_step = reader.Int("branch_step", 1);
  if (!Child(reader, "parent_lineage").is_null()) spec.parent_lineage = reader.String("parent_lineage");
  const json& branch_steps = Child(reader, "branch_steps");
  if (!branch_steps.is_array()) reader.Fail("branch_steps", "is not a list");
  for (const json& step : branch_steps) {
    if (step.is_number_integer()) {
      spec.branch_steps.push_back(step.get<int64_t>());
    } else {
      reader.Fail("branch_steps", "is not a list of whole numbers");
    }
  }
  const json& data = Child(reader, "data");
  const json& eval_value = Child(reader, "eval");
  const json& model = Child(reader, "model");
  const json& optimizer = Child(reader, "optimizer");
  const json& schedule = Child(reader, "schedule");
  const json* trainer = reader.Find("trainer", /*optional=*/true);
  ISOFLOP_RETURN_IF_ERROR(reader.Finish());

  ObjectReader eval(eval_value, "eval");
  spec.eval_every_steps = eval.Int("every_steps", 0);
  spec.eval_sequence_length = eval.Int("sequence_length", 1);
  ISOFLOP_RETURN_IF_ERROR(eval.Finish());
  ISOFLOP_RETURN_IF_ERROR(ReadData(data, &spec.data));
  ISOFLOP_RETURN_IF_ERROR(ReadModel(model, &spec.model));
  ISOFLOP_RETURN_IF_ERROR(ReadOptimizer(optimizer, &spec.optimizer));
  ISOFLOP_RETURN_IF_ERROR(ReadSchedule(schedule, &spec.schedule));
  if (trainer != nullptr) ISOFLOP_RETURN_IF_ERROR(ReadTrainer(*trainer, &spec.trainer));
  ISOFLOP_RETURN_IF_ERROR(CheckTrial(spec, batch_tokens, tokens_planned));
  return spec;
}

std::string Fingerprint(const TrialSpec& spec) { return Sha256Hex(TrialText(spec)); }

std::string Lineage(const TrialSpec& spec) {
  const bool constant_to_the_end =
      spec.schedule.kind == ScheduleKind::kConstant ||
      (spec.schedule.kind == ScheduleKind::kWsd && spec.schedule.decay_steps == 0);
  if (!constant_to_the_end) return Fingerprint(spec);
  json object = TrialToJson(spec);
  for (const char* key : {"steps", "tokens_planned", "branch_steps", "eval"}) object.erase(key);
  return Sha256Hex(Canonical(object));
}

std::string Sha256Hex(absl::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  const int done = EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(), nullptr);
  ISOFLOP_CHECK(done == 1 && length == 32, "OpenSSL has no SHA-256");
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest.data()), length));
}

}  // namespace isoflop
