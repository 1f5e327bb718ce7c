#include "worker/trainer/llama_exchange.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "corpus/file_access.h"
#include "corpus/tokenizer.h"
#include "nlohmann/json.hpp"
#include "study/status_macros.h"
#include "study/trial_text.h"
#include "worker/trainer/checkpoint.h"
#include "worker/trainer/network_constants.h"
#include "worker/trainer/parameter_layout.h"
#include "worker/trainer/safetensors.h"

namespace isoflop {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kModelFile[] = "model.safetensors";
constexpr char kConfigFile[] = "config.json";
constexpr char kTrialFile[] = "isoflop.json";

// Rows [first, first + shape[0]) of one of our matrices, or all of a vector, under the
// name that transformers gives it.
struct Piece {
  std::string theirs, ours;
  int64_t first = 0;
  std::vector<int64_t> shape;
};

std::vector<Piece> Pieces(const ModelShape& shape) {
  const int64_t d = shape.d_model, f = shape.d_ff, v = shape.vocab_size;
  std::vector<Piece> pieces = {{"model.embed_tokens.weight", "embedding.weight", 0, {v, d}}};
  for (int64_t layer = 0; layer < shape.n_layer; ++layer) {
    const std::string theirs = absl::StrCat("model.layers.", layer, "."), ours = absl::StrCat("blocks.", layer, ".");
    pieces.push_back({theirs + "input_layernorm.weight", ours + "attention_norm.weight", 0, {d}});
    pieces.push_back({theirs + "self_attn.q_proj.weight", ours + "attention.qkv.weight", 0, {d, d}});
    pieces.push_back({theirs + "self_attn.k_proj.weight", ours + "attention.qkv.weight", d, {d, d}});
    pieces.push_back({theirs + "self_attn.v_proj.weight", ours + "attention.qkv.weight", 2 * d, {d, d}});
    pieces.push_back({theirs + "self_attn.o_proj.weight", ours + "attention.out.weight", 0, {d, d}});
    pieces.push_back({theirs + "post_attention_layernorm.weight", ours + "mlp_norm.weight", 0, {d}});
    pieces.push_back({theirs + "mlp.gate_proj.weight", ours + "mlp.up.weight", 0, {f, d}});
    pieces.push_back({theirs + "mlp.up_proj.weight", ours + "mlp.up.weight", f, {f, d}});
    pieces.push_back({theirs + "mlp.down_proj.weight", ours + "mlp.down.weight", 0, {d, f}});
  }
  pieces.push_back({"model.norm.weight", "final_norm.weight", 0, {d}});
  if (!shape.tied_head) pieces.push_back({"lm_head.weight", "head.weight", 0, {v, d}});
  return pieces;
}

int64_t CountOf(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

// Where `piece` begins in the flat buffer of `layout`.
int64_t OffsetOf(const Piece& piece, const ParameterLayout& layout) {
  const ParameterEntry* entry = layout.Find(piece.ours);
  ISOFLOP_CHECK(entry != nullptr, piece.ours);
  return entry->offset + piece.first * (piece.shape.size() == 2 ? piece.shape[1] : 1);
}

std::string ConfigText(const TrialSpec& trial, const CheckpointState& state) {
  const ModelShape& shape = trial.model;
  const Json eot = state.eot_id.has_value() ? Json(*state.eot_id) : Json(nullptr);
  return Json{{"architectures", {"LlamaForCausalLM"}},
              {"model_type", "llama"},
              {"hidden_act", "silu"},
              {"hidden_size", shape.d_model},
              {"intermediate_size", shape.d_ff},
              {"num_hidden_layers", shape.n_layer},
              {"num_attention_heads", shape.n_head},
              {"num_key_value_heads", shape.n_head},
              {"head_dim", shape.d_model / shape.n_head},
              {"vocab_size", shape.vocab_size},
              {"max_position_embeddings", trial.sequence_length},
              {"rms_norm_eps", kRmsNormEps},
              {"rope_theta", kRopeTheta},
              {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", kRopeTheta}}},
              {"attention_bias", false},
              {"attention_dropout", 0.0},
              {"mlp_bias", false},
              {"tie_word_embeddings", shape.tied_head},
              {"bos_token_id", eot},
              {"eos_token_id", eot},
              {"pad_token_id", nullptr},
              {"initializer_range", 0.02},
              {"torch_dtype", "float32"},
              {"use_cache", true}}
             .dump(2) +
         "\n";
}

// Refuses what is not what this trainer computes; a missing key has Llama's default.
class ConfigReader {
 public:
  ConfigReader(std::string path, const Json& json) : path_(std::move(path)), json_(json) {}

  int64_t Whole(const char* key, int64_t least) {
    const auto found = json_.find(key);
    if (found == json_.end() || !found->is_number_integer() || found->get<int64_t>() < least) {
      wrong_.push_back(absl::StrCat(key, " ", found == json_.end() ? "is missing" : found->dump(), ", a whole number from ", least, " is needed"));
      return least;
    }
    return found->get<int64_t>();
  }
  template <class T>
  void Needs(const char* key, const T& wanted) {
    const auto found = json_.find(key);
    if (found != json_.end() && *found != Json(wanted)) {
      wrong_.push_back(absl::StrCat(key, " ", found->dump(), ", ", Json(wanted).dump(), " is needed"));
    }
  }
  void Wrong(std::string what) { wrong_.push_back(std::move(what)); }
  bool Flag(const char* key) const {
    const auto found = json_.find(key);
    return found != json_.end() && found->is_boolean() && found->get<bool>();
  }

  absl::Status status() const {
    if (wrong_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(path_, ": ", absl::StrJoin(wrong_, "; "),
                                                   "\ncure: only the shapes that isoflop-trainer has can be read"));
  }

 private:
  const std::string path_;
  const Json& json_;
  std::vector<std::string> wrong_;
};

absl::StatusOr<TrialSpec> ReadConfig(const std::string& path) {
  std::string text;
  ISOFLOP_RETURN_IF_ERROR(ReadWholeFile(path, &text));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError(absl::StrCat(path, ": not a JSON object\ncure: a folder of transformers' save_pretrained"));
  ConfigReader config(path, json);
  config.Needs("model_type", "llama");
  config.Needs("hidden_act", "silu");
  config.Needs("attention_bias", false);
  config.Needs("mlp_bias", false);
  TrialSpec trial;
  ModelShape& shape = trial.model;
  shape.family = Family::kTransformer;
  shape.norm = Norm::kRmsNorm;
  shape.position = Position::kRope;
  shape.activation = Activation::kSwiglu;
  shape.d_model = config.Whole("hidden_size", 1);
  shape.d_ff = config.Whole("intermediate_size", 1);
  shape.n_layer = config.Whole("num_hidden_layers", 1);
  shape.n_head = config.Whole("num_attention_heads", 1);
  shape.vocab_size = config.Whole("vocab_size", 2);
  shape.tied_head = config.Flag("tie_word_embeddings");
  trial.sequence_length = config.Whole("max_position_embeddings", 1);
  config.Needs("num_key_value_heads", shape.n_head);
  if (shape.d_model % shape.n_head != 0 || shape.d_model / shape.n_head % 2 != 0) {
    config.Wrong(absl::StrCat("hidden_size ", shape.d_model, " over num_attention_heads ", shape.n_head, " is no even head size"));
  }
  if (json.contains("head_dim") && !json["head_dim"].is_null()) config.Needs("head_dim", shape.d_model / shape.n_head);
  const auto close = [](const Json& value, double wanted) { return value.is_number() && std::abs(value.get<double>() / wanted - 1) < 1e-9; };
  if (!close(json.value("rms_norm_eps", Json(1e-6)), kRmsNormEps)) config.Wrong(absl::StrCat("rms_norm_eps ", json["rms_norm_eps"].dump(), ", 1e-06 is needed"));
  const Json rope = json.value("rope_parameters", Json::object());
  const Json theta = json.contains("rope_theta") ? json["rope_theta"] : rope.is_object() ? rope.value("rope_theta", Json(kRopeTheta)) : Json(kRopeTheta);
  if (!close(theta, kRopeTheta)) config.Wrong(absl::StrCat("rope_theta ", theta.dump(), ", 10000 is needed"));
  const bool scaled = (json.contains("rope_scaling") && !json["rope_scaling"].is_null()) ||
                      (rope.is_object() && rope.value("rope_type", Json("default")) != Json("default"));
  if (scaled) config.Wrong("rope_scaling is set, RoPE without scaling is needed");
  ISOFLOP_RETURN_IF_ERROR(config.status());
  trial.batch_sequences = trial.steps = 1;
  trial.eval_sequence_length = trial.sequence_length;
  return trial;
}

// What isoflop.json beside the model says of it.
absl::StatusOr<CheckpointState> ReadOrigin(const std::string& path) {
  std::string text;
  ISOFLOP_RETURN_IF_ERROR(ReadWholeFile(path, &text));
  try {
    const Json json = Json::parse(text);
    CheckpointState state;
    json.at("trial").get_to(state.trial_text);
    json.at("step").get_to(state.step);
    json.at("tokens").get_to(state.tokens);
    json.at("fingerprint").get_to(state.fingerprint);
    json.at("lineage").get_to(state.lineage);
    json.at("dataset_sha256").get_to(state.dataset_sha256);
    json.at("tokenizer_id").get_to(state.tokenizer_id);
    json.at("tokenizer_sha256").get_to(state.tokenizer_sha256);
    json.at("code_version").get_to(state.code_version);
    if (!json.at("eot_id").is_null()) state.eot_id = json.at("eot_id").get<int64_t>();
    return state;
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", error.what(), "\ncure: take it away to read config.json alone"));
  }
}

std::string OriginText(const CheckpointState& state) {
  return Json{{"schema", "isoflop.model/1"},
              {"trial", state.trial_text},
              {"step", state.step},
              {"tokens", state.tokens},
              {"fingerprint", state.fingerprint},
              {"lineage", state.lineage},
              {"dataset_sha256", state.dataset_sha256},
              {"tokenizer_id", state.tokenizer_id},
              {"tokenizer_sha256", state.tokenizer_sha256},
              {"eot_id", state.eot_id.has_value() ? Json(*state.eot_id) : Json(nullptr)},
              {"code_version", state.code_version}}
             .dump(2) +
         "\n";
}

absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  return error ? ErrnoError(path, "create", error.value()) : absl::OkStatus();
}

}  // namespace

absl::Status CheckLlamaShape(const ModelShape& shape) {
  std::vector<std::string> wrong;
  const auto needs = [&](bool is_so, const std::string& key) {
    if (!is_so) wrong.push_back(key);
  };
  needs(shape.family == Family::kTransformer, absl::StrCat("family ", ToString(shape.family), " (transformer)"));
  if (shape.family == Family::kTransformer) {
    needs(shape.norm == Norm::kRmsNorm, absl::StrCat("norm ", ToString(shape.norm), " (rmsnorm)"));
    needs(shape.position == Position::kRope, absl::StrCat("position ", ToString(shape.position), " (rope)"));
    needs(shape.activation == Activation::kSwiglu, absl::StrCat("activation ", ToString(shape.activation), " (swiglu)"));
    needs(!shape.bias, "bias true (false)");
    needs(!shape.qk_norm, "qk_norm true (false)");
    needs(shape.init != Init::kMup, "init mup, which scales attention and logits (gpt2, nanochat)");
  }
  if (wrong.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("LlamaForCausalLM has no such model: ", absl::StrJoin(wrong, ", "),
                                                 "\ncure: train with the values in brackets, or read the checkpoint's model.safetensors itself"));
}

absl::StatusOr<ExchangedModel> ExportLlama(const std::string& checkpoint, const std::string& directory,
                                           const std::string& tokenizer_model) {
  ISOFLOP_ASSIGN_OR_RETURN(const CheckpointState state, VerifyCheckpoint(checkpoint));
  if (state.trial_text.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(checkpoint, ": a checkpoint of format 1 does not say what its model is\n"
                                                   "cure: resume its trial; the next checkpoint says it"));
  }
  ISOFLOP_ASSIGN_OR_RETURN(const TrialSpec trial, ParseTrialText(state.trial_text));
  if (absl::Status shape = CheckLlamaShape(trial.model); !shape.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(checkpoint, ": ", shape.message()));
  }
  const ParameterLayout layout = LayOutParameters(trial.model, trial.sequence_length);
  std::vector<float> weights(static_cast<size_t>(layout.total));
  ISOFLOP_RETURN_IF_ERROR(ReadCheckpointTensors(checkpoint, layout, {weights.data(), nullptr, nullptr}));
  std::vector<FloatTensor> tensors;
  for (const Piece& piece : Pieces(trial.model)) tensors.push_back({piece.theirs, piece.shape, weights.data() + OffsetOf(piece, layout)});

  ISOFLOP_RETURN_IF_ERROR(MakeFolder(directory));
  const auto file = [&](const char* name) { return absl::StrCat(directory, "/", name); };
  std::string bytes;
  ISOFLOP_RETURN_IF_ERROR(WriteSafetensors(
      tensors,
      [&](const void* data, size_t size) {
        bytes.append(static_cast<const char*>(data), size);
        return absl::OkStatus();
      },
      {{"format", "pt"}}));
  ISOFLOP_RETURN_IF_ERROR(WriteDataFile(file(kModelFile), bytes));
  ISOFLOP_RETURN_IF_ERROR(WriteDataFile(file(kConfigFile), ConfigText(trial, state)));
  ISOFLOP_RETURN_IF_ERROR(WriteDataFile(file(kTrialFile), OriginText(state)));
  if (!tokenizer_model.empty()) ISOFLOP_RETURN_IF_ERROR(WriteDataFile(file("tokenizer.model"), tokenizer_model));
  return ExchangedModel{directory, static_cast<int64_t>(bytes.size()), layout.total};
}

absl::StatusOr<ExchangedModel> ImportLlama(const std::string& directory, const std::string& folder, const std::string& tokenizer) {
  const auto file = [&](const char* name) { return absl::StrCat(directory, "/", name); };
  std::error_code ignored;
  if (std::filesystem::exists(file("model.safetensors.index.json"), ignored)) {
    return absl::InvalidArgumentError(absl::StrCat(directory, ": the model lies in several files\n"
                                                   "cure: save_pretrained(..., max_shard_size=\"100GB\") writes one"));
  }
  ISOFLOP_ASSIGN_OR_RETURN(TrialSpec trial, ReadConfig(file(kConfigFile)));
  CheckpointState state;
  if (std::filesystem::exists(file(kTrialFile), ignored)) {
    ISOFLOP_ASSIGN_OR_RETURN(state, ReadOrigin(file(kTrialFile)));
    ISOFLOP_ASSIGN_OR_RETURN(TrialSpec origin, ParseTrialText(state.trial_text));
    const ParameterLayout ours = LayOutParameters(origin.model, origin.sequence_length);
    if (ours.entries != LayOutParameters(trial.model, trial.sequence_length).entries) {
      return absl::InvalidArgumentError(absl::StrCat(directory, ": isoflop.json and config.json speak of two shapes\n"
                                                     "cure: take isoflop.json away to read config.json alone"));
    }
    trial = std::move(origin);
  } else {
    state.trial_text = TrialText(trial);
    state.fingerprint = Fingerprint(trial);
    state.lineage = Lineage(trial);
    if (tokenizer == "bytes") {
      const std::unique_ptr<Tokenizer> bytes = MakeBytesTokenizer();
      state.tokenizer_id = bytes->facts().id;
      state.tokenizer_sha256 = bytes->facts().sha256;
      state.eot_id = bytes->facts().eot_id;
    } else if (!tokenizer.empty()) {
      ISOFLOP_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> named, MakeTokenizer(tokenizer));
      state.tokenizer_id = named->facts().id;
      state.tokenizer_sha256 = named->facts().sha256;
      state.eot_id = named->facts().eot_id;
    }
  }
  const ParameterLayout layout = LayOutParameters(trial.model, trial.sequence_length);
  std::vector<float> weights(static_cast<size_t>(layout.total));
  std::vector<std::string> names;
  for (const Piece& piece : Pieces(trial.model)) {
    ISOFLOP_ASSIGN_OR_RETURN(const std::vector<float> values, ReadAsFloats(file(kModelFile), piece.theirs, piece.shape));
    std::copy(values.begin(), values.end(), weights.begin() + OffsetOf(piece, layout));
    names.push_back(piece.theirs);
  }
  ISOFLOP_ASSIGN_OR_RETURN(const SafetensorsHeader header, ReadSafetensorsHeader(file(kModelFile)));
  for (const SafetensorsEntry& entry : header.entries) {
    const bool tied = trial.model.tied_head && entry.name == "lm_head.weight";
    if (tied || std::find(names.begin(), names.end(), entry.name) != names.end()) continue;
    return absl::InvalidArgumentError(absl::StrCat(file(kModelFile), ": tensor '", entry.name, "' is one too many for config.json"));
  }
  ISOFLOP_RETURN_IF_ERROR(MakeFolder(folder));
  ISOFLOP_ASSIGN_OR_RETURN(const WrittenCheckpoint written, WriteCheckpoint(folder, layout, state, {weights.data(), nullptr, nullptr}));
  return ExchangedModel{written.path, static_cast<int64_t>(std::filesystem::file_size(absl::StrCat(written.path, "/", kModelFile), ignored)), layout.total};
}

}  // namespace isoflop
