#include "worker/trainer/checkpoint.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "corpus/file_access.h"
#include "corpus/sha256.h"
#include "nlohmann/json.hpp"
#include "study/status_macros.h"
#include "study/trial_text.h"
#include "worker/trainer/safetensors.h"

namespace isoflop {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kModelFile[] = "model.safetensors";
constexpr char kOptimizerFile[] = "optimizer.safetensors";
constexpr char kStateFile[] = "state.json";
constexpr char kNgramFile[] = "ngram.bin";
constexpr char kManifestFile[] = "manifest.json";
// What a manifest may list: a trial's checkpoint, a model alone, a counted model.
const std::vector<std::vector<std::string>>& ListedFiles() {
  static const auto* const kSets = new std::vector<std::vector<std::string>>{
      {kModelFile, kOptimizerFile, kStateFile}, {kModelFile, kStateFile}, {kNgramFile, kStateFile}};
  return *kSets;
}

struct FileFacts {
  std::string name;
  int64_t bytes = 0;
  std::string sha256;
};

std::string ManifestText(const std::vector<FileFacts>& facts, int format) {
  Json files = Json::object();
  for (const FileFacts& file : facts) files[file.name] = {{"bytes", file.bytes}, {"sha256", file.sha256}};
  return Json{{"format", format}, {"files", files}}.dump(1) + "\n";
}

bool IsReadable(int format) { return format >= 1 && format <= kCheckpointFormat; }

// A file in the making, hashed on its way.
class HashedFile {
 public:
  explicit HashedFile(std::string path)
      : path_(std::move(path)), fd_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)) {
    if (fd_ < 0) status_ = Error("create");
  }
  ~HashedFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  HashedFile(const HashedFile&) = delete;
  HashedFile& operator=(const HashedFile&) = delete;

  absl::Status Append(const void* data, size_t bytes) {
    const char* from = static_cast<const char*>(data);
    for (size_t left = bytes; status_.ok() && left > 0;) {
      const ssize_t count = ::write(fd_, from, left);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) {
        status_ = Error("write");
        break;
      }
      from += count;
      left -= static_cast<size_t>(count);
    }
    if (status_.ok()) {
      hash_.Update(data, bytes);
      facts_.bytes += static_cast<int64_t>(bytes);
    }
    return status_;
  }

  absl::StatusOr<FileFacts> Finish() {
    if (status_.ok() && ::fsync(fd_) != 0) status_ = Error("sync");
    if (fd_ >= 0 && ::close(std::exchange(fd_, -1)) != 0 && status_.ok()) status_ = Error("close");
    if (!status_.ok()) return status_;
    facts_.sha256 = ToHex(hash_.Finish());
    return facts_;
  }

 private:
  absl::Status Error(const char* what) const {
    if (errno == EFBIG) {  // a limit on the size of files: as full as a disk is
      return absl::ResourceExhaustedError(
          absl::StrCat(path_, ": ", what, ": ", std::strerror(errno), "; cure: raise the limit (ulimit -f)"));
    }
    return ErrnoError(path_, what, errno);
  }

  const std::string path_;
  int fd_;
  Sha256 hash_;
  FileFacts facts_;
  absl::Status status_;
};

absl::Status SyncFolder(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoError(path, "open", errno);
  const int failed = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  return failed == 0 ? absl::OkStatus() : ErrnoError(path, "sync", failed);
}

absl::StatusOr<FileFacts> WriteText(const std::string& path, const std::string& text) {
  HashedFile file(path);
  (void)file.Append(text.data(), text.size());  // Finish tells
  return file.Finish();
}

absl::StatusOr<FileFacts> WriteTensors(const std::string& path, const std::vector<FloatTensor>& tensors) {
  HashedFile file(path);
  (void)WriteSafetensors(tensors, [&](const void* data, size_t bytes) { return file.Append(data, bytes); });
  return file.Finish();
}

std::string StateText(const CheckpointState& state) {
  // The parser reads null back as NaN.
  const Json loss = std::isfinite(state.smoothed_loss_nats) ? Json(state.smoothed_loss_nats) : Json(nullptr);
  return Json{{"format", kCheckpointFormat},
              {"fingerprint", state.fingerprint},
              {"lineage", state.lineage},
              {"step", state.step},
              {"tokens", state.tokens},
              {"smoothed_loss_nats", loss},
              {"steps_above", state.steps_above},
              {"point_loss_sum_nats", state.point_loss_sum_nats},
              {"point_steps", state.point_steps},
              {"resumed_exact", state.resumed_exact},
              {"micro_batch_sequences", state.micro_batch_sequences},
              {"accumulation_steps", state.accumulation_steps},
              {"world_size", state.world_size},
              {"threads", state.threads},
              {"device", state.device},
              {"torch_version", state.torch_version},
              {"code_version", state.code_version},
              {"dataset_sha256", state.dataset_sha256},
              {"trial", state.trial_text},
              {"tokenizer_id", state.tokenizer_id},
              {"tokenizer_sha256", state.tokenizer_sha256},
              {"eot_id", state.eot_id.has_value() ? Json(*state.eot_id) : Json(nullptr)}}
             .dump(1) +
         "\n";
}

absl::StatusOr<CheckpointState> ParseState(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    const int format = json.at("format").get<int>();
    if (!IsReadable(format)) {
      return absl::DataLossError(absl::StrCat("format ", format, ", this build reads up to ", kCheckpointFormat));
    }
    CheckpointState state;
    auto read = [&](const char* key, auto& value) { json.at(key).get_to(value); };
    read("fingerprint", state.fingerprint);
    read("lineage", state.lineage);
    read("step", state.step);
    read("tokens", state.tokens);
    state.smoothed_loss_nats = std::numeric_limits<double>::quiet_NaN();
    if (!json.at("smoothed_loss_nats").is_null()) read("smoothed_loss_nats", state.smoothed_loss_nats);
    read("steps_above", state.steps_above);
    read("point_loss_sum_nats", state.point_loss_sum_nats);
    read("point_steps", state.point_steps);
    read("resumed_exact", state.resumed_exact);
    read("micro_batch_sequences", state.micro_batch_sequences);
    read("accumulation_steps", state.accumulation_steps);
    read("world_size", state.world_size);
    read("threads", state.threads);
    read("device", state.device);
    read("torch_version", state.torch_version);
    read("code_version", state.code_version);
    read("dataset_sha256", state.dataset_sha256);
    if (format == 1) return state;
    read("trial", state.trial_text);
    read("tokenizer_id", state.tokenizer_id);
    read("tokenizer_sha256", state.tokenizer_sha256);
    if (!json.at("eot_id").is_null()) state.eot_id = json.at("eot_id").get<int64_t>();
    return state;
  } catch (const nlohmann::json::exception& error) {
    return absl::DataLossError(error.what());
  }
}

// The files but state and manifest, made by `write_model` in the folder that it is
// given.
using WriteModel = std::function<absl::StatusOr<std::vector<FileFacts>>(const std::string& folder)>;

absl::StatusOr<FileFacts> Named(const char* name, absl::StatusOr<FileFacts> facts) {
  if (facts.ok()) facts->name = name;
  return facts;
}

// Writes all files into `folder`, which is there and empty.
absl::StatusOr<WrittenCheckpoint> WriteFiles(const std::string& folder, const CheckpointState& state, const WriteModel& write_model) {
  ISOFLOP_ASSIGN_OR_RETURN(std::vector<FileFacts> facts, write_model(folder));
  ISOFLOP_ASSIGN_OR_RETURN(FileFacts state_facts, Named(kStateFile, WriteText(absl::StrCat(folder, "/", kStateFile), StateText(state))));
  facts.push_back(std::move(state_facts));
  ISOFLOP_ASSIGN_OR_RETURN(const FileFacts manifest,
                           WriteText(absl::StrCat(folder, "/", kManifestFile), ManifestText(facts, kCheckpointFormat)));
  ISOFLOP_RETURN_IF_ERROR(SyncFolder(folder));
  WrittenCheckpoint written;
  written.manifest_sha256 = manifest.sha256;
  written.bytes = manifest.bytes;
  for (const FileFacts& file : facts) written.bytes += file.bytes;
  return written;
}

// Size and hash of a file, and with `content` its bytes.
absl::StatusOr<FileFacts> ReadFacts(const std::string& path, std::string* content = nullptr) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoError(path, "open", errno);
  Sha256 hash;
  FileFacts facts;
  std::vector<char> piece(size_t{1} << 16);
  ssize_t count = 0;
  while ((count = ::read(fd, piece.data(), piece.size())) != 0) {
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;
    hash.Update(piece.data(), static_cast<size_t>(count));
    if (content != nullptr) content->append(piece.data(), static_cast<size_t>(count));
    facts.bytes += count;
  }
  const int failed = errno;
  ::close(fd);
  if (count < 0) return ErrnoError(path, "read", failed);
  facts.sha256 = ToHex(hash.Finish());
  return facts;
}

// What `manifest` says of its files; DataLoss if it is not, byte for byte, a text
// that ManifestText writes.
absl::StatusOr<std::vector<FileFacts>> ParseManifest(const std::string& manifest) {
  std::vector<FileFacts> facts;
  int format = 0;
  try {
    const Json json = Json::parse(manifest);
    format = json.at("format").get<int>();
    for (const auto& [name, file] : json.at("files").items()) {
      facts.push_back({name, file.at("bytes").get<int64_t>(), file.at("sha256").get<std::string>()});
    }
  } catch (const nlohmann::json::exception& error) {
    return absl::DataLossError(error.what());
  }
  if (!IsReadable(format)) return absl::DataLossError(absl::StrCat("format ", format, ", this build reads up to ", kCheckpointFormat));
  std::vector<std::string> names;
  for (const FileFacts& file : facts) names.push_back(file.name);
  const auto& sets = ListedFiles();
  const bool known = std::find(sets.begin(), sets.end(), names) != sets.end();
  if (!known || ManifestText(facts, format) != manifest) return absl::DataLossError("not a manifest that this build writes");
  return facts;
}

absl::StatusOr<CheckpointState> ReadChecked(const std::string& path, bool tensors_too) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) {
    return absl::NotFoundError(absl::StrCat(path, ": no checkpoint is there\ncure: resume from another, or from the start"));
  }
  auto bad = [&](const char* file, const std::string& what) {
    return absl::DataLossError(absl::StrCat(path, ": ", file, ": ", what, "\ncure: resume from the checkpoint before it"));
  };
  auto file = [&](const char* name) { return absl::StrCat(path, "/", name); };

  std::string manifest;
  if (const auto read = ReadFacts(file(kManifestFile), &manifest); !read.ok()) {
    return bad(kManifestFile, std::string(read.status().message()));
  }
  std::string state_text;
  const auto facts = ParseManifest(manifest);
  if (!facts.ok()) return bad(kManifestFile, std::string(facts.status().message()));
  for (const FileFacts& said : *facts) {
    const char* name = said.name.c_str();
    const bool is_state = said.name == kStateFile;
    if (!tensors_too && !is_state) continue;
    const auto found = ReadFacts(file(name), is_state ? &state_text : nullptr);
    if (!found.ok()) return bad(name, std::string(found.status().message()));
    if (found->bytes != said.bytes) {
      return bad(name, absl::StrCat(found->bytes, " bytes, the manifest says ", said.bytes));
    }
    if (found->sha256 != said.sha256) {
      return bad(name, absl::StrCat("sha256 differs: ", found->sha256, ", the manifest says ", said.sha256));
    }
  }
  auto state = ParseState(state_text);
  if (!state.ok()) return bad(kStateFile, std::string(state.status().message()));
  return state;
}

// WriteFiles under a name with `.tmp`, then renamed.
absl::StatusOr<WrittenCheckpoint> WriteWhole(const std::string& folder, const CheckpointState& state, const WriteModel& write_model) {
  const std::string path = absl::StrCat(folder, "/", CheckpointName(state.step));
  const std::string temporary = path + ".tmp";
  std::error_code error;
  std::filesystem::remove_all(temporary, error);  // of a run that was killed here
  if (::mkdir(temporary.c_str(), 0755) != 0) return ErrnoError(temporary, "create", errno);

  absl::StatusOr<WrittenCheckpoint> written = WriteFiles(temporary, state, write_model);
  if (written.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) {
    // A checkpoint of this step is there already: the two change places at once.
    if ((errno != EEXIST && errno != ENOTEMPTY) ||
        ::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) != 0) {
      written = ErrnoError(path, "rename", errno);
    }
  }
  std::filesystem::remove_all(temporary, error);
  if (!written.ok()) return written.status();
  ISOFLOP_RETURN_IF_ERROR(SyncFolder(folder));
  written->path = path;
  return written;
}

}  // namespace

std::string CheckpointName(int64_t step) { return absl::StrFormat("step-%08d", step); }

absl::StatusOr<WrittenCheckpoint> WriteCheckpoint(const std::string& folder, const ParameterLayout& layout,
                                                  const CheckpointState& state, const CheckpointTensors& tensors) {
  return WriteWhole(folder, state, [&](const std::string& into) -> absl::StatusOr<std::vector<FileFacts>> {
    std::vector<FloatTensor> model, moments;
    for (const ParameterEntry& entry : layout.entries) {
      model.push_back({entry.name, entry.shape, tensors.weights + entry.offset});
      if (tensors.first_moments == nullptr) continue;
      moments.push_back({"m." + entry.name, entry.shape, tensors.first_moments + entry.offset});
      moments.push_back({"v." + entry.name, entry.shape, tensors.second_moments + entry.offset});
    }
    std::vector<FileFacts> facts(1);
    ISOFLOP_ASSIGN_OR_RETURN(facts[0], Named(kModelFile, WriteTensors(absl::StrCat(into, "/", kModelFile), model)));
    if (moments.empty()) return facts;
    ISOFLOP_ASSIGN_OR_RETURN(FileFacts optimizer, Named(kOptimizerFile, WriteTensors(absl::StrCat(into, "/", kOptimizerFile), moments)));
    facts.push_back(std::move(optimizer));
    return facts;
  });
}

absl::StatusOr<WrittenCheckpoint> WriteNgramCheckpoint(const std::string& folder, const CheckpointState& state,
                                                       const NgramModel& model) {
  return WriteWhole(folder, state, [&](const std::string& into) -> absl::StatusOr<std::vector<FileFacts>> {
    const std::string path = absl::StrCat(into, "/", kNgramFile);
    ISOFLOP_RETURN_IF_ERROR(model.Save(path));
    ISOFLOP_ASSIGN_OR_RETURN(FileFacts facts, Named(kNgramFile, ReadFacts(path)));
    return std::vector<FileFacts>{std::move(facts)};
  });
}

std::string NgramFileOf(const std::string& path) {
  std::error_code ignored;
  const std::string file = absl::StrCat(path, "/", kNgramFile);
  return std::filesystem::exists(file, ignored) ? file : "";
}

absl::StatusOr<CheckpointState> VerifyCheckpoint(const std::string& path) { return ReadChecked(path, true); }

absl::StatusOr<CheckpointState> ReadCheckpointState(const std::string& path) { return ReadChecked(path, false); }

absl::Status ReadCheckpointTensors(const std::string& path, const ParameterLayout& layout, const CheckpointTargets& targets) {
  std::vector<FloatTarget> model, moments;
  for (const ParameterEntry& entry : layout.entries) {
    model.push_back({entry.name, entry.shape, targets.weights + entry.offset});
    if (targets.first_moments == nullptr) continue;
    moments.push_back({"m." + entry.name, entry.shape, targets.first_moments + entry.offset});
    moments.push_back({"v." + entry.name, entry.shape, targets.second_moments + entry.offset});
  }
  ISOFLOP_RETURN_IF_ERROR(ReadSafetensors(absl::StrCat(path, "/", kModelFile), model));
  if (moments.empty()) return absl::OkStatus();
  const std::string optimizer = absl::StrCat(path, "/", kOptimizerFile);
  std::error_code ignored;
  if (!std::filesystem::exists(optimizer, ignored)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": holds a model without the moments of an optimiser (it was imported)\n"
                                                   "cure: resume from a checkpoint that a trial wrote"));
  }
  return ReadSafetensors(optimizer, moments);
}

absl::StatusOr<ResumeKind> CheckResume(const CheckpointState& state, const TrialSpec& trial) {
  const std::string lineage = Lineage(trial);
  if (state.dataset_sha256 != trial.data.dataset_sha256) {
    return absl::InvalidArgumentError(absl::StrCat("the checkpoint was trained on the data set ", state.dataset_sha256,
                                                   ", the trial wants ", trial.data.dataset_sha256,
                                                   "\ncure: resume from a checkpoint of this trial"));
  }
  if (state.lineage == lineage && state.step <= trial.steps) return ResumeKind::kContinue;
  if (trial.is_branch() && state.lineage == *trial.parent_lineage && state.step == trial.branch_step) {
    return ResumeKind::kBranch;
  }
  const std::string takes =
      trial.is_branch() ? absl::StrCat("or step ", trial.branch_step.value_or(0), " of lineage ", *trial.parent_lineage) : "";
  return absl::InvalidArgumentError(absl::StrCat("the checkpoint is step ", state.step, " of lineage ", state.lineage,
                                                 ", the trial goes on from a step up to ", trial.steps, " of lineage ", lineage,
                                                 takes.empty() ? "" : " ", takes,
                                                 "\ncure: resume from a checkpoint of this trial, or of its trunk"));
}

std::string WhyNotBitwise(const CheckpointState& then, const CheckpointState& now) {
  std::vector<std::string> differences;
  auto compare = [&](const char* name, const auto& was, const auto& is) {
    if (was != is) differences.push_back(absl::StrCat(name, " ", is, ", was ", was));
  };
  compare("world_size", then.world_size, now.world_size);
  compare("micro_batch_sequences", then.micro_batch_sequences, now.micro_batch_sequences);
  compare("accumulation_steps", then.accumulation_steps, now.accumulation_steps);
  compare("threads", then.threads, now.threads);
  compare("device", then.device, now.device);
  compare("torch_version", then.torch_version, now.torch_version);
  compare("code_version", then.code_version, now.code_version);
  return absl::StrJoin(differences, "; ");
}

}  // namespace isoflop
