// From a checkpoint to a model that reads and writes text.
//
// Throws c10::Error where Torch does.
#ifndef ISOFLOP_WORKER_TRAINER_OPEN_TEXT_MODEL_H_
#define ISOFLOP_WORKER_TRAINER_OPEN_TEXT_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "corpus/ngram_model.h"
#include "corpus/tokenizer.h"
#include "study/trial_spec.h"
#include "worker/trainer/checkpoint.h"
#include "worker/trainer/language_model.h"
#include "worker/trainer/parameters.h"
#include "worker/trainer/text_model.h"

namespace isoflop {

struct OpenTextModelOptions {
  std::string checkpoint;
  // The data set, for a tokenizer that has a model file; or that file itself, or
  // "bytes". Empty: enough for bytes.
  std::string tokenizer;
  bool cached = true;      // a network remembers what it read
  bool cpu_only = false;   // else CUDA device 0 where there is one
};

struct OpenedTextModel {
  CheckpointState state;
  TrialSpec trial;
  Precision precision = Precision::kFp32;  // of the arithmetic here
  std::string device;                      // "cpu: ..."
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<TextModel> text;

  // What `text` stands on: a network or counts.
  std::unique_ptr<Parameters> parameters;
  std::unique_ptr<LanguageModel> network;
  std::optional<NgramModel> counts;
};

// Verifies and loads. On the CPU a bf16 trial is computed in fp32. NotFound: no
// checkpoint, or no tokenizer. DataLoss: damaged, or a weight that is not finite, by
// name. InvalidArgument: of format 1, which does not say what its model is; a tokenizer
// that is not the one of the training.
absl::StatusOr<std::unique_ptr<OpenedTextModel>> OpenTextModel(const OpenTextModelOptions& options);

// The ids of `text` behind an end of text, where the model has one. InvalidArgument: an
// id that the model lacks, with the byte where it stands.
absl::StatusOr<std::vector<int64_t>> EncodeText(const OpenedTextModel& model, const std::string& text);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_OPEN_TEXT_MODEL_H_
