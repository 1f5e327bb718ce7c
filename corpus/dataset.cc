#include "corpus/dataset.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "corpus/batch_order.h"
#include "corpus/early_return.h"
#include "corpus/file_access.h"
#include "corpus/sha256.h"
#include "corpus/token_shard.h"

namespace isoflop {
namespace {

constexpr char kPrepareAgain[] = "copy the data set again, or prepare it again";

absl::StatusOr<TokenShard> OpenShard(const std::string& folder, const ShardFacts& facts,
                                     const std::string& dtype, bool verify_hash) {
  const std::string path = absl::StrCat(folder, "/", facts.file);
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(TokenShard shard, TokenShard::OpenLlmC(path));
  if (ToString(shard.type()) != dtype) {
    return BadDataError(absl::StatusCode::kInvalidArgument, path, 0,
                        absl::StrCat("ids are ", ToString(shard.type()), ", dataset.json says ",
                                     dtype),
                        kPrepareAgain);
  }
  if (shard.size() != facts.tokens) {
    return BadDataError(absl::StatusCode::kDataLoss, path, 8,
                        absl::StrCat("the header counts ", shard.size(),
                                     " tokens, dataset.json says ", facts.tokens),
                        kPrepareAgain);
  }
  if (verify_hash) {
    const std::string sha256 = Sha256Hex(shard.file_bytes());
    if (sha256 != facts.sha256) {
      return BadDataError(absl::StatusCode::kDataLoss, path, 0,
                          absl::StrCat("sha256 of the file is ", sha256, ", dataset.json says ",
                                       facts.sha256),
                          kPrepareAgain);
    }
  }
  return shard;
}

[[noreturn]] void OutsideOfStream(const Dataset& dataset, std::int64_t begin, std::size_t size) {
  std::fprintf(stderr, "dataset.cc: %zu tokens from %lld on are not inside %s\n", size,
               static_cast<long long>(begin), dataset.DebugString().c_str());
  std::abort();
}

template <typename Id>
void FillFrom(const std::vector<TokenShard>& shards, const std::vector<std::int64_t>& begins,
              std::int64_t begin, std::span<Id> tokens) {
  auto shard = static_cast<std::size_t>(
      std::upper_bound(begins.begin(), begins.end(), begin) - begins.begin() - 1);
  while (!tokens.empty()) {
    const auto count = static_cast<std::size_t>(std::min<std::int64_t>(
        begins[shard + 1] - begin, static_cast<std::int64_t>(tokens.size())));
    shards[shard].Fill(begin - begins[shard], tokens.first(count));
    tokens = tokens.subspan(count);
    begin += static_cast<std::int64_t>(count);
    ++shard;
  }
}

bool IsInside(std::int64_t begin, std::size_t size, std::int64_t stream_tokens) {
  return begin >= 0 && begin <= stream_tokens &&
         static_cast<std::int64_t>(size) <= stream_tokens - begin;
}

}  // namespace

Dataset::Dataset() = default;
Dataset::Dataset(Dataset&&) noexcept = default;
Dataset& Dataset::operator=(Dataset&&) noexcept = default;
Dataset::~Dataset() = default;

absl::StatusOr<Dataset> Dataset::Open(const std::string& path, const DatasetOptions& options) {
  std::error_code ignored;
  Dataset dataset;
  dataset.path_ =
      std::filesystem::is_directory(path, ignored) ? absl::StrCat(path, "/dataset.json") : path;
  std::string text;
  ISOFLOP_CORPUS_RETURN_IF_ERROR(ReadWholeFile(dataset.path_, &text));
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(dataset.manifest_, ParseManifest(text, dataset.path_));
  dataset.dataset_sha256_ = Sha256Hex(text);
  const DatasetManifest& manifest = dataset.manifest_;
  const std::string folder =
      std::filesystem::absolute(dataset.path_, ignored).parent_path().string();

  std::set<std::string> train_files;
  std::set<std::string> train_hashes;
  dataset.train_begins_ = {0};
  for (const ShardFacts& facts : manifest.train.shards) {
    ISOFLOP_CORPUS_ASSIGN_OR_RETURN(
        TokenShard shard, OpenShard(folder, facts, manifest.dtype, options.verify_hashes));
    dataset.train_shards_.push_back(std::move(shard));
    dataset.train_begins_.push_back(dataset.train_begins_.back() + facts.tokens);
    train_files.insert(facts.file);
    train_hashes.insert(facts.sha256);
  }
  const ShardFacts& eval = manifest.eval.shards.front();
  if (train_files.contains(eval.file) || train_hashes.contains(eval.sha256)) {
    return BadDataError(absl::StatusCode::kInvalidArgument, absl::StrCat(folder, "/", eval.file), 0,
                        "the evaluation data are also training data (same file or sha256)",
                        "prepare again with other evaluation data");
  }
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(
      TokenShard eval_shard, OpenShard(folder, eval, manifest.dtype, options.verify_hashes));
  dataset.eval_shards_.push_back(std::move(eval_shard));

  if (!manifest.token_bytes_file.empty()) {
    const std::string file = absl::StrCat(folder, "/", manifest.token_bytes_file);
    std::string bytes;
    ISOFLOP_CORPUS_RETURN_IF_ERROR(ReadWholeFile(file, &bytes));
    if (bytes.size() != 2 * static_cast<std::size_t>(dataset.vocab_size())) {
      return BadDataError(absl::StatusCode::kDataLoss, file, 0,
                          absl::StrCat(bytes.size(), " bytes for ", dataset.vocab_size(),
                                       " ids of 2 bytes"),
                          kPrepareAgain);
    }
    if (Sha256Hex(bytes) != manifest.token_bytes_sha256) {
      return BadDataError(absl::StatusCode::kDataLoss, file, 0,
                          absl::StrCat("sha256 of the file is ", Sha256Hex(bytes),
                                       ", dataset.json says ", manifest.token_bytes_sha256),
                          kPrepareAgain);
    }
    dataset.token_bytes_.resize(bytes.size() / 2);
    std::memcpy(dataset.token_bytes_.data(), bytes.data(), bytes.size());
  }
  return dataset;
}

std::optional<double> Dataset::entropy_rate_nats() const {
  if (!manifest_.synthetic.has_value()) return std::nullopt;
  return manifest_.synthetic->entropy_rate_nats;
}

void Dataset::FillWindow(std::int64_t window, std::int64_t sequence_length,
                         std::span<std::int32_t> tokens) const {
  const std::int64_t begin = window * sequence_length;
  if (static_cast<std::int64_t>(tokens.size()) != sequence_length + 1 ||
      !IsInside(begin, tokens.size(), train_tokens())) {
    OutsideOfStream(*this, begin, tokens.size());
  }
  FillFrom(train_shards_, train_begins_, begin, tokens);
}

void Dataset::FillWindow(std::int64_t window, std::int64_t sequence_length,
                         std::span<std::int64_t> tokens) const {
  if (static_cast<std::int64_t>(tokens.size()) != sequence_length + 1) {
    OutsideOfStream(*this, window * sequence_length, tokens.size());
  }
  FillTrain(window * sequence_length, tokens);
}

void Dataset::FillTrain(std::int64_t begin, std::span<std::int64_t> tokens) const {
  if (!IsInside(begin, tokens.size(), train_tokens())) {
    OutsideOfStream(*this, begin, tokens.size());
  }
  FillFrom(train_shards_, train_begins_, begin, tokens);
}

void Dataset::FillEval(std::int64_t begin, std::span<std::int64_t> tokens) const {
  if (!IsInside(begin, tokens.size(), eval_tokens())) {
    OutsideOfStream(*this, begin, tokens.size());
  }
  eval_shards_.front().Fill(begin, tokens);
}

std::string Dataset::DebugString() const {
  return absl::StrCat(path_, " (", dataset_sha256_.substr(0, 12), "): ", train_tokens(),
                      " training and ", eval_tokens(), " evaluation tokens, V ", vocab_size());
}

}  // namespace isoflop
