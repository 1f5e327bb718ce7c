#include "corpus/ngram_counts.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <queue>
#include <utility>

#include "absl/strings/str_cat.h"
#include "corpus/early_return.h"
#include "corpus/file_access.h"

namespace isoflop {
namespace {

// Of a flat table at its usual load, and of the sorted copy that a run is.
constexpr std::int64_t kBytesPerEntry = 96;

struct Record {
  std::uint64_t high, low, count;
};

// A run that is read back in pieces.
class RunReader {
 public:
  static absl::StatusOr<RunReader> Open(const std::string& path) {
    RunReader reader(path, std::fopen(path.c_str(), "rb"));
    if (reader.file_ == nullptr) return ErrnoError(path, "cannot be opened", errno);
    return reader;
  }
  RunReader(RunReader&& other) noexcept
      : path_(std::move(other.path_)), file_(std::exchange(other.file_, nullptr)), piece_(std::move(other.piece_)), at_(other.at_) {}
  RunReader& operator=(RunReader&&) = delete;
  ~RunReader() {
    if (file_ != nullptr) std::fclose(file_);
  }

  // False at its end.
  absl::StatusOr<bool> Next(NgramCount* out) {
    if (at_ == piece_.size()) {
      piece_.resize(1 << 14);
      piece_.resize(std::fread(piece_.data(), sizeof(Record), piece_.size(), file_));
      at_ = 0;
      if (std::ferror(file_) != 0) return ErrnoError(path_, "cannot be read", errno);
      if (piece_.empty()) return false;
    }
    const Record& record = piece_[at_++];
    *out = {absl::MakeUint128(record.high, record.low), record.count};
    return true;
  }

 private:
  RunReader(std::string path, std::FILE* file) : path_(std::move(path)), file_(file) {}

  std::string path_;
  std::FILE* file_;
  std::vector<Record> piece_;
  std::size_t at_ = 0;
};

}  // namespace

int NgramSymbolBits(std::int64_t vocab_size) {
  return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(vocab_size)));
}

absl::StatusOr<NgramCounts> NgramCounts::Make(std::int64_t vocab_size, int order, const NgramCountOptions& options) {
  if (order < 1 || order > kMaxNgramOrder) {
    return absl::InvalidArgumentError(absl::StrCat("n-grams of order ", order, ": 1 to ", kMaxNgramOrder,
                                                   " are counted\ncure: order ", order < 1 ? 1 : kMaxNgramOrder));
  }
  if (vocab_size < 2 || vocab_size > kMaxNgramVocabulary) {
    return absl::InvalidArgumentError(absl::StrCat("n-grams over a vocabulary of ", vocab_size, ": 2 to ",
                                                   kMaxNgramVocabulary, " ids can be counted\ncure: another tokenizer"));
  }
  return NgramCounts(vocab_size, order, options);
}

NgramCounts::NgramCounts(std::int64_t vocab_size, int order, const NgramCountOptions& options)
    : vocab_size_(vocab_size),
      order_(order),
      bits_(NgramSymbolBits(vocab_size)),
      options_(options),
      most_entries_(static_cast<std::size_t>(std::max<std::int64_t>(1, options.memory_bytes / kBytesPerEntry))) {}

NgramCounts::NgramCounts(NgramCounts&&) noexcept = default;
NgramCounts& NgramCounts::operator=(NgramCounts&&) noexcept = default;
NgramCounts::~NgramCounts() = default;

absl::Status NgramCounts::Add(std::span<const std::int64_t> tokens, std::size_t context) {
  const NgramKey mask = order_ * bits_ == 128 ? absl::Uint128Max() : (NgramKey(1) << (order_ * bits_)) - 1;
  NgramKey key = 0;
  for (int place = 0; place < order_; ++place) key = (key << bits_) | NgramKey(static_cast<std::uint64_t>(vocab_size_));
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= vocab_size_) {
      return absl::InvalidArgumentError(absl::StrCat("token ", i, " has id ", tokens[i], ", not below the vocabulary of ",
                                                     vocab_size_, "\ncure: prepare the data again"));
    }
    key = ((key << bits_) | NgramKey(static_cast<std::uint64_t>(tokens[i]))) & mask;
    if (i < context) continue;
    ++table_[key];
    ++tokens_;
    if (table_.size() >= most_entries_) ISOFLOP_CORPUS_RETURN_IF_ERROR(WriteRun());
  }
  return absl::OkStatus();
}

std::vector<NgramCount> NgramCounts::SortedTable() {
  std::vector<NgramCount> sorted;
  sorted.reserve(table_.size());
  for (const auto& [key, count] : table_) sorted.push_back({key, count});
  table_.clear();
  std::sort(sorted.begin(), sorted.end(), [](const NgramCount& a, const NgramCount& b) { return a.key < b.key; });
  return sorted;
}

absl::Status NgramCounts::WriteRun() {
  if (scratch_ == nullptr) {
    std::error_code ignored;
    const std::string parent =
        options_.scratch_folder.empty() ? std::filesystem::temp_directory_path(ignored).string() : options_.scratch_folder;
    ISOFLOP_CORPUS_ASSIGN_OR_RETURN(ScratchFolder folder, ScratchFolder::MakeIn(parent));
    scratch_ = std::make_unique<ScratchFolder>(std::move(folder));
  }
  const std::string path = absl::StrCat(scratch_->path(), "/run-", runs_.size());
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return ErrnoError(path, "cannot be written", errno);
  bool whole = true;
  for (const NgramCount& ngram : SortedTable()) {
    const Record record{absl::Uint128High64(ngram.key), absl::Uint128Low64(ngram.key), ngram.count};
    whole = whole && std::fwrite(&record, sizeof(record), 1, file) == 1;
  }
  const int failed = errno;
  if (std::fclose(file) != 0 || !whole) return ErrnoError(path, "cannot be written", whole ? errno : failed);
  runs_.push_back(path);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<NgramCount>> NgramCounts::Finish() && {
  if (runs_.empty()) return SortedTable();
  ISOFLOP_CORPUS_RETURN_IF_ERROR(WriteRun());
  std::vector<RunReader> readers;
  using Head = std::pair<NgramKey, std::size_t>;  // next key of a run
  std::priority_queue<Head, std::vector<Head>, std::greater<>> heads;
  std::vector<NgramCount> next(runs_.size());
  const auto advance = [&](std::size_t run) -> absl::Status {
    ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const bool more, readers[run].Next(&next[run]));
    if (more) heads.emplace(next[run].key, run);
    return absl::OkStatus();
  };
  for (std::size_t run = 0; run < runs_.size(); ++run) {
    ISOFLOP_CORPUS_ASSIGN_OR_RETURN(RunReader reader, RunReader::Open(runs_[run]));
    readers.push_back(std::move(reader));
  }
  for (std::size_t run = 0; run < runs_.size(); ++run) ISOFLOP_CORPUS_RETURN_IF_ERROR(advance(run));
  std::vector<NgramCount> merged;
  while (!heads.empty()) {
    const std::size_t run = heads.top().second;
    heads.pop();
    if (!merged.empty() && merged.back().key == next[run].key) {
      merged.back().count += next[run].count;
    } else {
      merged.push_back(next[run]);
    }
    ISOFLOP_CORPUS_RETURN_IF_ERROR(advance(run));
  }
  return merged;
}

}  // namespace isoflop
