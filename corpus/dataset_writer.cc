#include "corpus/dataset_writer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "corpus/early_return.h"
#include "corpus/file_access.h"
#include "corpus/sha256.h"
#include "corpus/tokenizer.h"

namespace isoflop {

DatasetWriter::DatasetWriter(std::string folder, const SplitRule& split, TokenType type,
                             std::int64_t shard_tokens, std::vector<std::uint16_t> token_bytes)
    : folder_(std::move(folder)),
      split_(split),
      type_(type),
      shard_tokens_(shard_tokens),
      token_bytes_(std::move(token_bytes)) {}

DatasetWriter::Place DatasetWriter::Choose(std::string_view document_sha256,
                                           std::string_view group) {
  Place place;
  if (!seen_.insert(std::string(document_sha256.substr(0, 16))).second) {
    ++duplicates_dropped_;
    place.side = Side::kDuplicate;
    return place;
  }
  place.hash = SplitHash(split_.seed, group.empty() ? document_sha256 : group);
  place.side = IsHeldOut(split_, place.hash) ? Side::kHeldOut : Side::kTrain;
  return place;
}

std::int64_t DatasetWriter::BytesOfTokens(std::span<const std::uint32_t> tokens) const {
  std::int64_t bytes = 0;
  if (!token_bytes_.empty()) {
    for (const std::uint32_t token : tokens) bytes += token_bytes_[token];
  }
  return bytes;
}

absl::Status DatasetWriter::AppendTrain(std::span<const std::uint32_t> tokens) {
  ++train_.documents;
  while (!tokens.empty()) {
    if (!shard_.has_value()) {
      const std::string file = absl::StrFormat("train-%05d.bin", train_.shards.size());
      ISOFLOP_CORPUS_ASSIGN_OR_RETURN(
          TokenShardWriter shard,
          TokenShardWriter::Create(absl::StrCat(folder_, "/", file), type_));
      shard_.emplace(std::move(shard));
      shard_bytes_ = 0;
    }
    const auto count = static_cast<std::size_t>(std::min<std::int64_t>(
        shard_tokens_ - shard_->size(), static_cast<std::int64_t>(tokens.size())));
    ISOFLOP_CORPUS_RETURN_IF_ERROR(shard_->Append(tokens.first(count)));
    shard_bytes_ += BytesOfTokens(tokens.first(count));
    train_.tokens += static_cast<std::int64_t>(count);
    tokens = tokens.subspan(count);
    if (shard_->size() == shard_tokens_) ISOFLOP_CORPUS_RETURN_IF_ERROR(CloseShard());
  }
  return absl::OkStatus();
}

absl::Status DatasetWriter::CloseShard() {
  if (!shard_.has_value()) return absl::OkStatus();
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(ShardFacts facts, shard_->Finish());
  facts.file = absl::StrFormat("train-%05d.bin", train_.shards.size());
  facts.bytes = shard_bytes_;
  train_.bytes += shard_bytes_;
  train_.shards.push_back(std::move(facts));
  shard_.reset();
  return absl::OkStatus();
}

void DatasetWriter::HoldOut(std::uint64_t hash, std::vector<std::uint32_t> tokens) {
  const std::int64_t arrival = held_out_documents_++;
  // The set is the longest prefix by rising hash that fits, so one that was cut
  // off bars all behind it, whichever came first.
  if (cut_from_.has_value() && std::pair(hash, arrival) > *cut_from_) return;
  held_out_tokens_ += static_cast<std::int64_t>(tokens.size());
  held_out_.insert({hash, arrival, std::move(tokens)});
  while (held_out_tokens_ > split_.max_tokens && held_out_.size() > 1) {
    const auto last = std::prev(held_out_.end());
    cut_from_ = {last->hash, last->arrival};
    held_out_tokens_ -= static_cast<std::int64_t>(last->tokens.size());
    held_out_.erase(last);
  }
}

absl::StatusOr<StreamFacts> DatasetWriter::WriteEval() {
  StreamFacts eval;
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(TokenShardWriter writer,
                                  TokenShardWriter::Create(folder_ + "/eval.bin", type_));
  for (const HeldOutDocument& document : held_out_) {
    // A single document may be longer than the whole evaluation set.
    const std::span<const std::uint32_t> tokens = std::span(document.tokens)
        .first(std::min<std::size_t>(document.tokens.size(),
                                     static_cast<std::size_t>(split_.max_tokens)));
    ISOFLOP_CORPUS_RETURN_IF_ERROR(writer.Append(tokens));
    eval.bytes += BytesOfTokens(tokens);
    ++eval.documents;
  }
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(ShardFacts facts, writer.Finish());
  facts.file = "eval.bin";
  facts.bytes = eval.bytes;
  eval.tokens = facts.tokens;
  eval.shards.push_back(std::move(facts));
  return eval;
}

absl::StatusOr<DatasetManifest> DatasetWriter::Finish(DatasetManifest manifest,
                                                      const std::string& model) {
  const std::int64_t kept = train_.documents + held_out_documents_;
  if (kept == 0) {
    return absl::InvalidArgumentError("data: no document in the sources; cure: name other files");
  }
  if (held_out_.empty() || held_out_tokens_ < 2) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "data.eval: of %d documents none is held out at share %g%% with seed %d; cure: "
        "data.eval.by: chapter, a larger data.eval.share, or another data.eval.seed",
        kept, split_.permille / 10.0, split_.seed));
  }
  if (train_.tokens < 2) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "data.eval: all %d documents are held out at share %g%% with seed %d; cure: "
        "data.eval.by: chapter, a smaller data.eval.share, or another data.eval.seed",
        kept, split_.permille / 10.0, split_.seed));
  }
  ISOFLOP_CORPUS_RETURN_IF_ERROR(CloseShard());
  manifest.dtype = ToString(type_);
  manifest.train = train_;
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(manifest.eval, WriteEval());
  manifest.split.permille = split_.permille;
  manifest.split.max_tokens = split_.max_tokens;
  manifest.split.seed = split_.seed;
  manifest.split.held_out_documents = held_out_documents_;
  manifest.split.duplicates_dropped = duplicates_dropped_;
  if (!token_bytes_.empty()) {
    const std::string content = TokenBytesFile(token_bytes_);
    manifest.token_bytes_file = "token_bytes.bin";
    manifest.token_bytes_sha256 = Sha256Hex(content);
    ISOFLOP_CORPUS_RETURN_IF_ERROR(
        WriteDataFile(absl::StrCat(folder_, "/", manifest.token_bytes_file), content));
  }
  if (!manifest.tokenizer.file.empty()) {
    ISOFLOP_CORPUS_RETURN_IF_ERROR(
        WriteDataFile(absl::StrCat(folder_, "/", manifest.tokenizer.file), model));
  }
  ISOFLOP_CORPUS_RETURN_IF_ERROR(
      WriteDataFile(folder_ + "/dataset.json", ManifestText(manifest)));
  return manifest;
}

}  // namespace isoflop
