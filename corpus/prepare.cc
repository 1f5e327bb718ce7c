#include "corpus/prepare.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "corpus/dataset.h"
#include "corpus/early_return.h"
#include "corpus/file_access.h"
#include "corpus/prepare_sources.h"
#include "corpus/scratch_folder.h"
#include "corpus/sha256.h"

namespace isoflop {
namespace {

namespace fs = std::filesystem;

// What the options name, found and loaded.
struct Inputs {
  std::vector<SourceFile> sources;
  std::unique_ptr<Tokenizer> tokenizer;  // text only
  std::optional<ZipfMarkov> synthetic;
};

absl::Status CheckOptions(const PrepareOptions& options) {
  const auto invalid = [](const std::string& message) {
    return absl::InvalidArgumentError(message);
  };
  if (options.sources.empty() == options.synthetic.empty()) {
    return invalid("data: wants either files or a synthetic source; cure: name one of them");
  }
  if (options.split.permille < 1 || options.split.permille > 999) {
    return invalid(absl::StrFormat(
        "data.eval.share: %g%% is not in [0.1%%, 99.9%%]; cure: 5%%",
        options.split.permille / 10.0));
  }
  if (options.split.max_tokens < 2 || options.split.max_tokens > kMaxShardTokens) {
    return invalid(absl::StrCat("data.eval.max_tokens: ", options.split.max_tokens,
                                " is not in [2, 2^31 - 1]; cure: 10M"));
  }
  if (options.shard_tokens < 1 || options.shard_tokens > kMaxShardTokens) {
    return invalid(absl::StrCat("shard_tokens: ", options.shard_tokens,
                                " is not in [1, 2^31 - 1]; cure: 100M"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Inputs> FindInputs(const PrepareOptions& options) {
  ISOFLOP_CORPUS_RETURN_IF_ERROR(CheckOptions(options));
  Inputs inputs;
  if (!options.synthetic.empty()) {
    ISOFLOP_CORPUS_ASSIGN_OR_RETURN(ZipfMarkov source, ZipfMarkov::Parse(options.synthetic));
    inputs.synthetic.emplace(std::move(source));
    return inputs;
  }
  for (const std::string& source : options.sources) {
    std::error_code ignored;
    if (fs::exists(fs::path(source) / "dataset.json", ignored)) {
      return absl::InvalidArgumentError(
          absl::StrCat(source, ": is prepared already (it holds a dataset.json); cure: name it as "
                               "data.path, or name the sources that it was made of"));
    }
  }
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(inputs.sources, ListSources(options.sources, options.dtype));
  if (!IsTokens(inputs.sources.front().kind)) {
    ISOFLOP_CORPUS_ASSIGN_OR_RETURN(inputs.tokenizer, MakeTokenizer(options.tokenizer));
  }
  return inputs;
}

absl::StatusOr<DatasetManifest> PrepareInto(const PrepareOptions& options, const Inputs& inputs,
                                            const std::string& folder,
                                            const PrepareCallback& progress) {
  if (inputs.synthetic.has_value()) {
    return PrepareSynthetic(options, *inputs.synthetic, folder, progress);
  }
  if (inputs.tokenizer == nullptr) {
    return PrepareTokens(options, inputs.sources, folder, progress);
  }
  return PrepareText(options, inputs.sources, *inputs.tokenizer, folder, progress);
}

// Whether `manifest` is what these inputs would give. Hashes the sources.
absl::StatusOr<bool> IsMadeOf(const DatasetManifest& manifest, const PrepareOptions& options,
                              const Inputs& inputs) {
  SplitFacts split = manifest.split;
  split.permille = options.split.permille;
  split.max_tokens = options.split.max_tokens;
  split.seed = options.split.seed;
  if (inputs.tokenizer != nullptr) split.by = ToString(options.split.by);
  if (!(split == manifest.split)) return false;
  const std::vector<ShardFacts>& shards = manifest.train.shards;
  if (shards.front().tokens > options.shard_tokens ||
      (shards.size() > 1 && shards.front().tokens != options.shard_tokens)) {
    return false;
  }
  if (inputs.synthetic.has_value()) {
    return manifest.synthetic.has_value() && manifest.synthetic->spec == inputs.synthetic->Spec();
  }
  TokenizerFacts tokenizer;
  if (inputs.tokenizer != nullptr) {
    tokenizer = inputs.tokenizer->facts();
  } else {
    ISOFLOP_CORPUS_ASSIGN_OR_RETURN(tokenizer, TokenizerOfTokenFiles(options, inputs.sources));
  }
  if (!(tokenizer == manifest.tokenizer) || manifest.sources.size() != inputs.sources.size()) {
    return false;
  }
  for (std::size_t i = 0; i < inputs.sources.size(); ++i) {
    const SourceFile& source = inputs.sources[i];
    const SourceFacts& known = manifest.sources[i];
    ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(source.path));
    if (source.name != known.name || source.FormatName() != known.format ||
        Sha256Hex(file.bytes()) != known.sha256) {
      return false;
    }
  }
  return true;
}

PreparedSummary Summarize(const std::string& path, const std::string& dataset_sha256,
                          const DatasetManifest& manifest, bool was_there) {
  PreparedSummary summary;
  summary.path = path;
  summary.dataset_sha256 = dataset_sha256;
  summary.documents = manifest.train.documents + manifest.split.held_out_documents +
                      manifest.split.duplicates_dropped;
  summary.train_tokens = manifest.train.tokens;
  summary.eval_tokens = manifest.eval.tokens;
  summary.source_bytes = manifest.source_bytes;
  summary.was_there = was_there;
  return summary;
}

absl::StatusOr<PreparedSummary> SummarizeDataset(const std::string& path, bool was_there) {
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const Dataset dataset,
                                  Dataset::Open(path, {.verify_hashes = false}));
  return Summarize(dataset.path(), dataset.dataset_sha256(), dataset.manifest(), was_there);
}

absl::Status MakeFolder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return ErrnoError(folder, "cannot be made", error.value());
  return absl::OkStatus();
}

// The files that a data set consists of, dataset.json last.
std::vector<std::string> FilesOf(const DatasetManifest& manifest) {
  std::vector<std::string> files;
  for (const ShardFacts& shard : manifest.train.shards) files.push_back(shard.file);
  for (const ShardFacts& shard : manifest.eval.shards) files.push_back(shard.file);
  for (const std::string& file : {manifest.token_bytes_file, manifest.tokenizer.file}) {
    if (!file.empty()) files.push_back(file);
  }
  files.push_back("dataset.json");
  return files;
}

absl::Status MoveFiles(const DatasetManifest& manifest, const std::string& from,
                       const std::string& to) {
  for (const std::string& file : FilesOf(manifest)) {
    std::error_code error;
    fs::rename(from + "/" + file, to + "/" + file, error);
    if (error) return ErrnoError(to + "/" + file, "cannot be written", error.value());
  }
  return absl::OkStatus();
}

// The name in the index of these inputs as they lie on this machine's disks.
absl::StatusOr<std::string> IndexKey(const PrepareOptions& options, const Inputs& inputs) {
  std::string text = absl::StrCat(
      "isoflop-dataset ", kDatasetFormatVersion, "\nsplit ", ToString(options.split.by), " ",
      options.split.permille, " ", options.split.max_tokens, " ", options.split.seed, "\nshards ",
      options.shard_tokens, "\ndtype ", options.dtype, "\nvocab ", options.vocab_size, "\n");
  if (inputs.synthetic.has_value()) absl::StrAppend(&text, inputs.synthetic->Spec(), "\n");
  if (inputs.tokenizer != nullptr) {
    absl::StrAppend(&text, "tokenizer ", inputs.tokenizer->facts().sha256, "\n");
  }
  for (const SourceFile& source : inputs.sources) {
    ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const std::string identity, FileIdentity(source.path));
    absl::StrAppend(&text, source.name, "\n", source.FormatName(), "\n", identity, "\n");
  }
  return Sha256Hex(text);
}

}  // namespace

std::string PreparedSummary::DebugString() const {
  const auto tokens = static_cast<double>(train_tokens + eval_tokens);
  const char* unit = "";
  double scaled = tokens;
  for (const auto& [name, factor] : {std::pair{"K", 1e3}, {"M", 1e6}, {"B", 1e9}, {"T", 1e12}}) {
    if (tokens >= factor) {
      unit = name;
      scaled = tokens / factor;
    }
  }
  const int decimals = *unit == '\0' || scaled >= 100 ? 0 : scaled >= 10 ? 1 : 2;
  return absl::StrFormat("%d document%s, %.*f%s tokens", documents, documents == 1 ? "" : "s",
                         decimals, scaled, unit);
}

absl::StatusOr<PreparedSummary> PrepareDataset(const PrepareOptions& options,
                                               const std::string& output_dir,
                                               const PrepareCallback& progress) {
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const Inputs inputs, FindInputs(options));
  const std::string path = output_dir + "/dataset.json";
  std::vector<std::string> replaced;
  std::error_code ignored;
  if (fs::exists(path, ignored)) {
    std::string text;
    ISOFLOP_CORPUS_RETURN_IF_ERROR(ReadWholeFile(path, &text));
    const absl::StatusOr<DatasetManifest> there = ParseManifest(text, path);
    bool same = false;
    if (there.ok()) {
      replaced = FilesOf(*there);
      ISOFLOP_CORPUS_ASSIGN_OR_RETURN(same, IsMadeOf(*there, options, inputs));
    }
    // A damaged one is made again.
    if (same && Dataset::Open(path).ok()) return SummarizeDataset(path, /*was_there=*/true);
    if (!same && !options.replace) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": the folder holds another data set (other sources, tokenizer or "
                             "split); cure: another output folder, or replace it (--force)"));
    }
  }
  ISOFLOP_CORPUS_RETURN_IF_ERROR(MakeFolder(output_dir));
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const ScratchFolder scratch, ScratchFolder::MakeIn(output_dir));
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const DatasetManifest manifest,
                                  PrepareInto(options, inputs, scratch.path(), progress));
  // What is there gives way, its dataset.json first.
  fs::remove(path, ignored);
  for (const std::string& file : replaced) fs::remove(output_dir + "/" + file, ignored);
  ISOFLOP_CORPUS_RETURN_IF_ERROR(MoveFiles(manifest, scratch.path(), output_dir));
  return Summarize(path, Sha256Hex(ManifestText(manifest)), manifest, /*was_there=*/false);
}

absl::StatusOr<PreparedSummary> PrepareCached(const PrepareOptions& options,
                                              const std::string& cache_root,
                                              const PrepareCallback& progress) {
  std::error_code ignored;
  if (options.sources.size() == 1) {
    const fs::path named = options.sources.front();
    if (fs::exists(named / "dataset.json", ignored)) {
      return SummarizeDataset((named / "dataset.json").string(), /*was_there=*/true);
    }
    if (named.filename() == "dataset.json") return SummarizeDataset(named.string(), true);
  }
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const Inputs inputs, FindInputs(options));
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const std::string key, IndexKey(options, inputs));
  const std::string index_file = absl::StrCat(cache_root, "/index/", key);
  std::string known;
  if (ReadWholeFile(index_file, &known).ok() && FromHex(known).size() == 32) {
    const auto there =
        SummarizeDataset(absl::StrCat(cache_root, "/", known, "/dataset.json"), true);
    // One that was removed or cut short is made again.
    if (there.ok() && there->dataset_sha256 == known) return there;
  }
  ISOFLOP_CORPUS_RETURN_IF_ERROR(MakeFolder(cache_root + "/index"));
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(ScratchFolder scratch, ScratchFolder::MakeIn(cache_root));
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const DatasetManifest manifest,
                                  PrepareInto(options, inputs, scratch.path(), progress));
  const std::string sha256 = Sha256Hex(ManifestText(manifest));
  const std::string folder = absl::StrCat(cache_root, "/", sha256);
  // The same data by another name, or from another process: equal bytes. A
  // damaged folder gives way to the new one.
  bool was_there = Dataset::Open(folder).ok();
  if (!was_there) {
    fs::remove_all(folder, ignored);
    std::error_code error;
    fs::rename(scratch.path(), folder, error);
    if (error) {
      if (!Dataset::Open(folder).ok()) return ErrnoError(folder, "cannot be written", error.value());
      was_there = true;
    }
  }
  ISOFLOP_CORPUS_RETURN_IF_ERROR(WriteDataFile(index_file, sha256));
  return Summarize(folder + "/dataset.json", sha256, manifest, was_there);
}

}  // namespace isoflop
