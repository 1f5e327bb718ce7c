#include "worker/trainer/open_text_model.h"

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "corpus/dataset.h"
#include "study/status_macros.h"
#include "study/trial_text.h"
#include "worker/trainer/device_facts.h"
#include "worker/trainer/network_text_model.h"
#include "worker/trainer/ngram_text_model.h"
#include "worker/trainer/sample_text.h"

namespace isoflop {
namespace {

absl::StatusOr<std::unique_ptr<Tokenizer>> FindTokenizer(const std::string& named, const CheckpointState& state) {
  std::unique_ptr<Tokenizer> tokenizer;
  std::error_code ignored;
  if (named == "bytes" || (named.empty() && state.tokenizer_id == "bytes")) {
    tokenizer = MakeBytesTokenizer();
  } else if (named.empty()) {
    return absl::NotFoundError(absl::StrCat("the tokenizer '", state.tokenizer_id, "' (sha256 ", state.tokenizer_sha256.substr(0, 16),
                                            ") is not here\ncure: --tokenizer with the folder of the data set, or the .model"));
  } else if (std::filesystem::is_directory(named, ignored) || absl::EndsWith(named, ".json")) {
    DatasetOptions options;
    options.verify_hashes = false;
    ISOFLOP_ASSIGN_OR_RETURN(const Dataset dataset, Dataset::Open(named, options));
    ISOFLOP_ASSIGN_OR_RETURN(tokenizer, TokenizerOf(dataset));
  } else {
    ISOFLOP_ASSIGN_OR_RETURN(tokenizer, MakeTokenizer(named));
  }
  if (!state.tokenizer_sha256.empty() && tokenizer->facts().sha256 != state.tokenizer_sha256) {
    return absl::InvalidArgumentError(absl::StrCat("the tokenizer ", tokenizer->facts().id, " (sha256 ", tokenizer->facts().sha256.substr(0, 16),
                                                   ") is not the one of the training, ", state.tokenizer_id, " (sha256 ",
                                                   state.tokenizer_sha256.substr(0, 16), ")\ncure: --tokenizer with the data set of the training"));
  }
  return tokenizer;
}

absl::Status CheckFinite(const std::string& path, const Parameters& parameters) {
  at::NoGradGuard no_grad;
  if (at::isfinite(parameters.weights()).all().item<bool>()) return absl::OkStatus();
  for (size_t i = 0; i < parameters.leaves().size(); ++i) {
    const at::Tensor bad = at::isfinite(parameters.leaves()[i]).logical_not();
    const int64_t count = bad.sum().item<int64_t>();
    if (count == 0) continue;
    return absl::DataLossError(absl::StrCat(path, ": model.safetensors: tensor '", parameters.layout().entries[i].name, "' has ", count,
                                            " values that are not finite\ncure: take a checkpoint from before the trial diverged"));
  }
  return absl::OkStatus();
}

absl::Status LoadNetwork(const OpenTextModelOptions& options, OpenedTextModel* model) {
  const TrialSpec& trial = model->trial;
  const at::Device device = options.cpu_only ? at::Device(at::kCPU) : ChooseDevice(0);
  model->device = DeviceName(device);
  model->precision = device.is_cpu() ? Precision::kFp32 : trial.precision;
  SetNumerics(device, /*deterministic=*/true);
  model->parameters = std::make_unique<Parameters>(LayOutParameters(trial.model, trial.sequence_length), device);
  {
    at::NoGradGuard no_grad;
    at::Tensor weights = at::empty({model->parameters->size()}, at::kFloat);
    ISOFLOP_RETURN_IF_ERROR(
        ReadCheckpointTensors(options.checkpoint, model->parameters->layout(), {weights.mutable_data_ptr<float>(), nullptr, nullptr}));
    model->parameters->weights().copy_(weights);
  }
  ISOFLOP_RETURN_IF_ERROR(CheckFinite(options.checkpoint, *model->parameters));
  model->network = MakeLanguageModel(trial.model, trial.sequence_length, *model->parameters, model->precision);
  model->network->RefreshWeights();
  model->text = std::make_unique<NetworkTextModel>(*model->network, trial.model.vocab_size, trial.sequence_length, device, options.cached);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<OpenedTextModel>> OpenTextModel(const OpenTextModelOptions& options) {
  auto model = std::make_unique<OpenedTextModel>();
  ISOFLOP_ASSIGN_OR_RETURN(model->state, VerifyCheckpoint(options.checkpoint));
  if (model->state.trial_text.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(options.checkpoint, ": a checkpoint of format 1 does not say what its model is\n"
                                                   "cure: resume its trial; the next checkpoint says it"));
  }
  absl::StatusOr<TrialSpec> trial = ParseTrialText(model->state.trial_text);
  if (!trial.ok()) return absl::DataLossError(absl::StrCat(options.checkpoint, ": state.json: ", trial.status().message()));
  model->trial = *std::move(trial);
  ISOFLOP_ASSIGN_OR_RETURN(model->tokenizer, FindTokenizer(options.tokenizer, model->state));
  if (const std::string counts = NgramFileOf(options.checkpoint); !counts.empty()) {
    ISOFLOP_ASSIGN_OR_RETURN(NgramModel loaded, NgramModel::Load(counts));
    model->counts.emplace(std::move(loaded));
    model->device = DeviceName(at::Device(at::kCPU));
    model->text = std::make_unique<NgramTextModel>(*model->counts);
    return model;
  }
  ISOFLOP_RETURN_IF_ERROR(LoadNetwork(options, model.get()));
  return model;
}

absl::StatusOr<std::vector<int64_t>> EncodeText(const OpenedTextModel& model, const std::string& text) {
  std::vector<uint32_t> ids;
  model.tokenizer->Encode(text, &ids);
  std::vector<int64_t> tokens;
  if (model.state.eot_id.has_value()) tokens.push_back(*model.state.eot_id);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= model.trial.model.vocab_size) {
      const std::string before = model.tokenizer->Decode(std::span<const uint32_t>(ids).first(i));
      return absl::InvalidArgumentError(absl::StrCat("the text has the token ", ids[i], " at byte ", before.size(), ", the model knows ",
                                                     model.trial.model.vocab_size, "\ncure: the tokenizer of the training"));
    }
    tokens.push_back(ids[i]);
  }
  return tokens;
}

}  // namespace isoflop
