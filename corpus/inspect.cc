#include "corpus/inspect.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <span>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "corpus/dataset.h"
#include "corpus/early_return.h"
#include "corpus/prepare_sources.h"
#include "corpus/source_files.h"
#include "corpus/text_documents.h"
#include "corpus/token_shard.h"

namespace isoflop {
namespace {

constexpr std::int64_t kMostPairs = 1 << 24;
constexpr std::int64_t kPieceTokens = 1 << 16;

// Counts of ids and, for a small vocabulary, of pairs of neighbours.
class TokenCounts {
 public:
  explicit TokenCounts(std::optional<std::int64_t> vocab_size) {
    if (vocab_size.has_value() && *vocab_size * *vocab_size <= kMostPairs) {
      pair_base_ = static_cast<std::size_t>(*vocab_size);
      pairs_.resize(pair_base_ * pair_base_);
    }
  }

  void Add(std::uint32_t token) {
    if (token >= singles_.size()) singles_.resize(std::max<std::size_t>(2 * singles_.size(), token + 1));
    ++singles_[token];
    if (pair_base_ > 0 && has_last_) ++pairs_[last_ * pair_base_ + token];
    last_ = token;
    has_last_ = true;
  }

  // The next token follows none of these.
  void EndStream() { has_last_ = false; }

  void Fill(DataInspection* facts) const {
    facts->unigram_entropy_nats = Entropy(singles_);
    const auto first = std::find_if(singles_.begin(), singles_.end(), IsSome);
    const auto last = std::find_if(singles_.rbegin(), singles_.rend(), IsSome);
    if (first != singles_.end()) {
      facts->min_id = first - singles_.begin();
      facts->max_id = singles_.rend() - last - 1;
    }
    if (pair_base_ > 0) {
      // H(next | previous) = H(pair) - H(previous), over the same pairs.
      std::vector<std::uint64_t> previous(pair_base_);
      for (std::size_t i = 0; i < pairs_.size(); ++i) previous[i / pair_base_] += pairs_[i];
      facts->bigram_entropy_nats = Entropy(pairs_) - Entropy(previous);
    }
  }

 private:
  static bool IsSome(std::uint64_t count) { return count > 0; }

  static double Entropy(const std::vector<std::uint64_t>& counts) {
    double total = 0;
    double sum = 0;
    for (const std::uint64_t count : counts) {
      if (count == 0) continue;
      const auto n = static_cast<double>(count);
      total += n;
      sum += n * std::log(n);
    }
    return total > 0 ? std::log(total) - sum / total : 0;
  }

  std::vector<std::uint64_t> singles_;
  std::vector<std::uint64_t> pairs_;
  std::size_t pair_base_ = 0;  // 0: pairs are not counted
  std::size_t last_ = 0;
  bool has_last_ = false;
};

absl::StatusOr<DataInspection> InspectPrepared(const std::string& path) {
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const Dataset dataset, Dataset::Open(path));
  const DatasetManifest& manifest = dataset.manifest();
  DataInspection facts;
  facts.format = "isoflop data set";
  facts.dtype = manifest.dtype;
  facts.files = static_cast<std::int64_t>(manifest.train.shards.size()) + 1;
  facts.train_tokens = dataset.train_tokens();
  facts.eval_tokens = dataset.eval_tokens();
  facts.tokens = facts.train_tokens + facts.eval_tokens;
  facts.bytes = facts.files * kShardHeaderBytes + facts.tokens * (facts.dtype == "u16" ? 2 : 4);
  facts.documents = manifest.train.documents + manifest.eval.documents;
  facts.vocab_size = dataset.vocab_size();
  facts.tokenizer = dataset.tokenizer_id();
  facts.hashes_ok = true;
  facts.dataset_sha256 = dataset.dataset_sha256();
  facts.entropy_rate_nats = dataset.entropy_rate_nats();
  TokenCounts counts(facts.vocab_size);
  CorpusEntropySample sample(*facts.vocab_size, facts.tokenizer == "bytes");
  std::vector<std::int64_t> tokens;
  for (const bool is_train : {true, false}) {
    const std::int64_t size = is_train ? facts.train_tokens : facts.eval_tokens;
    for (std::int64_t begin = 0; begin < size; begin += kPieceTokens) {
      tokens.resize(static_cast<std::size_t>(std::min(kPieceTokens, size - begin)));
      is_train ? dataset.FillTrain(begin, tokens) : dataset.FillEval(begin, tokens);
      for (const std::int64_t token : tokens) {
        if (token >= dataset.vocab_size()) {
          return BadDataError(absl::StatusCode::kInvalidArgument, dataset.path(), 0,
                              absl::StrCat("token id ", token, " at token ", begin,
                                           " or soon after is not below the vocabulary of ",
                                           dataset.vocab_size()),
                              "prepare the data again");
        }
        counts.Add(static_cast<std::uint32_t>(token));
        sample.Add(token, !is_train);
      }
    }
    counts.EndStream();
  }
  counts.Fill(&facts);
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(facts.entropy, sample.Compute());
  return facts;
}

absl::StatusOr<DataInspection> InspectTokens(const std::vector<SourceFile>& sources,
                                             const InspectOptions& options) {
  DataInspection facts;
  facts.format = sources.front().kind == SourceKind::kLlmC ? "llm.c .bin" : "headerless tokens";
  facts.dtype = ToString(sources.front().token_type);
  facts.files = static_cast<std::int64_t>(sources.size());
  // Headerless files may be looked at before their V is known.
  if (sources.front().kind == SourceKind::kLlmC || options.vocab_size > 0) {
    PrepareOptions as_prepared;
    as_prepared.vocab_size = options.vocab_size;
    ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const TokenizerFacts tokenizer,
                                    TokenizerOfTokenFiles(as_prepared, sources));
    facts.vocab_size = tokenizer.vocab_size;
    if (tokenizer.id != "unknown") facts.tokenizer = tokenizer.id;
  }
  TokenCounts counts(facts.vocab_size);
  CorpusEntropySample sample(facts.vocab_size.value_or(0), facts.tokenizer == "bytes");
  std::vector<std::uint32_t> tokens;
  for (const SourceFile& source : sources) {
    ISOFLOP_CORPUS_ASSIGN_OR_RETURN(
        const TokenShard shard,
        source.kind == SourceKind::kLlmC
            ? TokenShard::OpenLlmC(source.path)
            : TokenShard::OpenRaw(source.path, source.token_type));
    if (facts.vocab_size.has_value()) {
      ISOFLOP_CORPUS_RETURN_IF_ERROR(shard.CheckIds(*facts.vocab_size));
    }
    facts.bytes += source.bytes;
    facts.tokens += shard.size();
    for (std::int64_t begin = 0; begin < shard.size(); begin += kPieceTokens) {
      tokens.resize(static_cast<std::size_t>(std::min(kPieceTokens, shard.size() - begin)));
      shard.Fill(begin, std::span<std::uint32_t>(tokens));
      for (const std::uint32_t token : tokens) {
        counts.Add(token);
        sample.Add(token, /*held_out=*/false);
      }
    }
    counts.EndStream();
  }
  counts.Fill(&facts);
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(facts.entropy, sample.Compute());
  return facts;
}

absl::StatusOr<DataInspection> InspectText(const std::vector<SourceFile>& sources) {
  const std::unique_ptr<Tokenizer> tokenizer = MakeBytesTokenizer();
  DataInspection facts;
  facts.format = sources.front().FormatName();
  facts.files = static_cast<std::int64_t>(sources.size());
  facts.tokenizer = tokenizer->facts().id;
  facts.vocab_size = tokenizer->facts().vocab_size;
  facts.documents = 0;
  TokenCounts counts(facts.vocab_size);
  CorpusEntropySample sample(*facts.vocab_size, /*bytes_are_ids=*/true);
  std::vector<std::uint32_t> tokens;
  for (const SourceFile& source : sources) {
    const auto visit = [&](std::string_view document, std::int64_t) {
      ++*facts.documents;
      tokens = {static_cast<std::uint32_t>(*tokenizer->facts().eot_id)};
      tokenizer->Encode(document, &tokens);
      facts.tokens += static_cast<std::int64_t>(tokens.size());
      for (const std::uint32_t token : tokens) {
        counts.Add(token);
        sample.Add(token, /*held_out=*/false);
      }
      return absl::OkStatus();
    };
    ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const TextFileFacts file,
                                    ForEachDocument(source, SplitBy::kDocument, visit));
    facts.bytes += file.source_bytes;
  }
  counts.Fill(&facts);
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(facts.entropy, sample.Compute());
  return facts;
}

// 4.03M, 100M, 257.
std::string Rounded(std::int64_t count) {
  std::string text = absl::StrCat(count);
  for (const auto& [unit, factor] : {std::pair{"K", 1e3}, {"M", 1e6}, {"B", 1e9}, {"T", 1e12}}) {
    const double scaled = static_cast<double>(count) / factor;
    if (scaled >= 1) text = absl::StrFormat("%.3g%s", scaled, unit);
  }
  return text;
}

}  // namespace

std::string DataInspection::Line() const {
  std::string line = format;
  if (!dtype.empty()) absl::StrAppend(&line, ", ", dtype);
  if (dtype.empty()) absl::StrAppend(&line, ", ", Rounded(bytes), " bytes");
  if (documents.has_value()) {
    absl::StrAppend(&line, ", ", Rounded(*documents), *documents == 1 ? " document" : " documents");
  }
  absl::StrAppend(&line, ", ", Rounded(tokens), " tokens, ok");
  return line;
}

absl::StatusOr<DataInspection> InspectData(const std::string& path,
                                           const InspectOptions& options) {
  std::error_code ignored;
  const std::filesystem::path named = path;
  if (named.filename() == "dataset.json" ||
      std::filesystem::exists(named / "dataset.json", ignored)) {
    return InspectPrepared(path);
  }
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const std::vector<SourceFile> sources,
                                  ListSources({path}, options.dtype));
  return IsTokens(sources.front().kind) ? InspectTokens(sources, options) : InspectText(sources);
}

}  // namespace isoflop
