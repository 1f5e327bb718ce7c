#include "tools/isoflop/study_loading.h"

#include <cmath>
#include <filesystem>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "corpus/dataset.h"
#include "corpus/prepare.h"
#include "store/result_store.h"
#include "study/format.h"
#include "study/status_macros.h"
#include "study/study_yaml.h"
#include "study/trial_text.h"
#include "tools/isoflop/machine.h"

namespace isoflop {
namespace {

namespace fs = std::filesystem;

SplitBy ToSplitBy(EvalBy by) {
  switch (by) {
    case EvalBy::kDocument: return SplitBy::kDocument;
    case EvalBy::kDirectory: return SplitBy::kDirectory;
    case EvalBy::kChapter: return SplitBy::kChapter;
  }
  return SplitBy::kDocument;
}

// An error of the data, with the place in the YAML that named them in front.
absl::Status AtData(const StudySpec& spec, const absl::Status& status) {
  const Mark mark = spec.source.Find(spec.data.path.empty() ? "data.synthetic" : "data.path");
  return absl::Status(status.code(), spec.source.Picture(mark, std::string(status.message()), ""));
}

PrepareOptions ToPrepareOptions(const StudySpec& spec, const fs::path& directory) {
  PrepareOptions options;
  if (spec.data.synthetic.empty()) {
    options.sources = {(directory / spec.data.path).lexically_normal().string()};
  } else {
    options.synthetic = spec.data.synthetic;
  }
  options.tokenizer = spec.data.tokenizer == "bytes" ? spec.data.tokenizer
                                                     : (directory / spec.data.tokenizer).lexically_normal().string();
  options.split.by = ToSplitBy(spec.data.eval.by);
  options.split.permille = static_cast<int>(std::lround(1000 * spec.data.eval.share));
  options.split.max_tokens = spec.data.eval.max_tokens;
  options.split.seed = spec.data.eval.seed;
  return options;
}

absl::Status LoadData(const Environment& environment, const LoadingOptions& options, LoadedStudy* study) {
  bool told = false;
  const auto progress = [&](const PrepareProgress& now) {
    if (told || !options.progress) return;
    told = true;
    options.progress(absl::StrCat("preparing data: ", FormatBytes(static_cast<double>(now.bytes_total)), ", once"));
  };
  const absl::StatusOr<PreparedSummary> prepared =
      PrepareCached(ToPrepareOptions(study->spec, study->directory), environment.datasets, progress);
  if (!prepared.ok()) return AtData(study->spec, prepared.status());
  study->dataset_path = prepared->path;
  const absl::StatusOr<Dataset> dataset = Dataset::Open(prepared->path, DatasetOptions{.verify_hashes = false});
  if (!dataset.ok()) return AtData(study->spec, dataset.status());
  PlanFacts& facts = study->facts;
  facts.dataset_sha256 = dataset->dataset_sha256();
  facts.eval_sha256 = dataset->eval_sha256();
  facts.tokenizer_sha256 = dataset->tokenizer_sha256();
  facts.unique_tokens = dataset->train_tokens();
  facts.eval_tokens = dataset->eval_tokens();
  facts.vocab_size = dataset->vocab_size();
  return absl::OkStatus();
}

// SHA-256 over name and content of each source of a custom trainer.
absl::Status HashTrainerSources(LoadedStudy* study) {
  if (!study->spec.trainer) return absl::OkStatus();
  std::string all;
  for (const std::string& source : study->spec.trainer->sources) {
    const absl::StatusOr<std::string> content = ReadWholeFile((fs::path(study->directory) / source).string());
    if (!content.ok()) {
      const Mark mark = study->spec.source.Find("trainer.sources");
      return absl::Status(content.status().code(),
                          study->spec.source.Picture(mark, std::string(content.status().message()),
                                                     "sources: [the files that your command runs]"));
    }
    absl::StrAppend(&all, source, "\n", Sha256Hex(*content), "\n");
  }
  study->facts.trainer_sources_sha256 = Sha256Hex(all);
  return absl::OkStatus();
}

// What the store knows already: completed trials, and how fast they were. No
// store is an empty one.
absl::Status LoadKnown(const std::string& db, const std::string& device, LoadedStudy* study) {
  absl::StatusOr<std::unique_ptr<ResultStore>> store = ResultStore::Open(db);
  if (absl::IsNotFound(store.status())) return absl::OkStatus();
  ISOFLOP_RETURN_IF_ERROR(store.status());
  ISOFLOP_ASSIGN_OR_RETURN(study->facts.known_fingerprints, (*store)->CompletedFingerprints());
  if (device.empty()) return absl::OkStatus();
  ISOFLOP_ASSIGN_OR_RETURN(const std::vector<StoredSpeed> speeds, (*store)->Speeds());
  for (const StoredSpeed& speed : speeds) {
    const bool same_program = speed.spec.trainer.has_value() == study->spec.trainer.has_value() &&
                              (!speed.spec.trainer || speed.spec.trainer->command == study->spec.trainer->command);
    if (!same_program || !absl::StrContains(speed.device, device)) continue;
    study->facts.speeds.push_back(
        MeasuredSpeed{speed.spec.model, speed.spec.sequence_length, speed.tokens_per_second});
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> LoadMachine(const LoadingOptions& options, LoadedStudy* study) {
  MachineSlots machine;
  if (!options.device.empty()) {
    ISOFLOP_ASSIGN_OR_RETURN(machine, DeviceFacts(options.device));
    machine.slots = options.slots > 0 ? options.slots : 1;
  } else {
    machine = MachineFacts(study->spec.resources.slot == SlotChoice::kGpu, options.slots);
  }
  study->facts.slots = machine.slots;
  study->facts.slot_memory_bytes = machine.memory_bytes;
  // How fast somebody's own trainer is, nobody knows.
  if (!study->spec.trainer) {
    study->facts.slot_flops_per_second = machine.flops_per_second;
    study->facts.seconds_per_step = machine.seconds_per_step;
  }
  return machine.device;
}

}  // namespace

absl::StatusOr<LoadedStudy> LoadStudy(const std::string& yaml_path, const Environment& environment,
                                      const LoadingOptions& options) {
  LoadedStudy study;
  study.yaml_path = yaml_path;
  ISOFLOP_ASSIGN_OR_RETURN(study.yaml_text, ReadWholeFile(yaml_path));
  std::error_code error;
  const fs::path absolute = fs::absolute(yaml_path, error);
  if (error) return absl::NotFoundError(absl::StrCat(yaml_path, ": ", error.message(), "\ncure: check the path"));
  study.directory = absolute.parent_path().string();
  ISOFLOP_ASSIGN_OR_RETURN(study.spec, ParseStudyYaml(study.yaml_text, yaml_path, options.overrides));
  if (!study.spec.grid.center.law.empty()) {
    return absl::InvalidArgumentError(study.spec.source.Picture(
        study.spec.source.Find("grid.center.law"), "'grid.center.law': sizes round another study's law come in a later release",
        "center: {tokens_per_parameter: 20}, with the ratio that `isoflop predict` tells"));
  }
  ISOFLOP_RETURN_IF_ERROR(LoadData(environment, options, &study));
  ISOFLOP_RETURN_IF_ERROR(HashTrainerSources(&study));
  ISOFLOP_ASSIGN_OR_RETURN(const std::string device, LoadMachine(options, &study));
  if (options.look_up_known) ISOFLOP_RETURN_IF_ERROR(LoadKnown(environment.db, device, &study));
  ISOFLOP_ASSIGN_OR_RETURN(study.plan, PlanStudy(study.spec, study.facts));
  return study;
}

absl::Status ParseSlots(const std::string& text, int* slots, std::string* device) {
  if (text.empty()) return absl::OkStatus();
  absl::string_view count = text;
  std::string name;
  const size_t times = text.find('x');
  if (times != std::string::npos) {
    count = absl::string_view(text).substr(0, times);
    name = text.substr(times + 1);
  } else if (absl::StartsWith(text, "gpu:") || absl::StartsWith(text, "cpu:")) {
    count.remove_prefix(4);
  }
  int number = 0;
  if (!absl::SimpleAtoi(count, &number) || number < 1 || number > 1'000'000 ||
      (times != std::string::npos && name.empty())) {
    return absl::InvalidArgumentError(
        absl::StrCat("--slots: '", text, "' is not a number of slots\ncure: --slots 2, cpu:2 or 8xH100"));
  }
  *slots = number;
  *device = name;
  return absl::OkStatus();
}

}  // namespace isoflop
