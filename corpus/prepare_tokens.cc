#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "corpus/dataset_writer.h"
#include "corpus/early_return.h"
#include "corpus/file_access.h"
#include "corpus/prepare_sources.h"
#include "corpus/sha256.h"

namespace isoflop {
namespace {

constexpr std::int64_t kReadTokens = 1 << 20;

absl::StatusOr<TokenShard> OpenSource(const SourceFile& source) {
  return source.kind == SourceKind::kLlmC
             ? TokenShard::OpenLlmC(source.path)
             : TokenShard::OpenRaw(source.path, source.token_type);
}

// "fineweb_val_000000.bin": the part that its maker held out. "values.bin" is
// none.
bool IsNamedValidation(const SourceFile& source) {
  const std::string name = absl::AsciiStrToLower(source.name.substr(source.name.rfind('/') + 1));
  for (const absl::string_view word : absl::StrSplit(name, absl::ByAnyChar("-_. 0123456789"))) {
    if (word == "val" || word == "valid" || word == "validation") return true;
  }
  return false;
}

std::string_view BytesOfIds(const std::vector<std::uint32_t>& tokens, std::size_t from) {
  return {reinterpret_cast<const char*>(tokens.data() + from), 4 * (tokens.size() - from)};
}

// Hands out the documents of a shard, EOT at their head, or blocks.
template <typename Visit>
absl::Status ForEachTokenDocument(const TokenShard& shard, const TokenizerFacts& tokenizer,
                                  const Visit& visit) {
  const bool has_eot = tokenizer.eot_id.has_value();
  const auto eot = static_cast<std::uint32_t>(tokenizer.eot_id.value_or(0));
  std::vector<std::uint32_t> document;
  std::vector<std::uint32_t> piece;
  const auto finish = [&]() -> absl::Status {
    // An EOT behind an EOT opens nothing.
    const bool empty = document.empty() || (has_eot && document.size() == 1);
    const absl::Status status = empty ? absl::OkStatus() : visit(document);
    document.clear();
    return status;
  };
  for (std::int64_t begin = 0; begin < shard.size(); begin += kReadTokens) {
    piece.resize(static_cast<std::size_t>(std::min(kReadTokens, shard.size() - begin)));
    shard.Fill(begin, std::span<std::uint32_t>(piece));
    for (const std::uint32_t token : piece) {
      const bool opens = has_eot ? token == eot
                                 : static_cast<std::int64_t>(document.size()) == kTokenBlock;
      if (opens) ISOFLOP_CORPUS_RETURN_IF_ERROR(finish());
      if (has_eot && document.empty()) document.push_back(eot);
      if (!has_eot || token != eot) document.push_back(token);
    }
  }
  return finish();
}

}  // namespace

absl::StatusOr<TokenizerFacts> TokenizerOfTokenFiles(const PrepareOptions& options,
                                                     const std::vector<SourceFile>& sources) {
  TokenizerFacts facts;
  facts.id = "unknown";
  facts.vocab_size = options.vocab_size;
  const SourceFile& first = sources.front();
  if (first.kind == SourceKind::kLlmC) {
    const bool narrow = first.token_type == TokenType::kU16;
    const std::int64_t usual = narrow ? 50257 : 128256;
    if (options.vocab_size == 0 || options.vocab_size == usual) {
      facts.id = narrow ? "gpt2" : "llama3";
      facts.vocab_size = usual;
      facts.eot_id = narrow ? 50256 : 128000;
    }
  }
  if (facts.vocab_size == 0) {
    return BadDataError(absl::StatusCode::kInvalidArgument, first.path, 0,
                        "headerless token ids name no vocabulary", "--vocab-size V");
  }
  const std::int64_t most = first.token_type == TokenType::kU16 ? 65536 : 2147483647;
  if (facts.vocab_size < 2 || facts.vocab_size > most) {
    return absl::InvalidArgumentError(
        absl::StrCat("--vocab-size ", facts.vocab_size, ": not in [2, ", most, "] of ",
                     ToString(first.token_type), " ids; cure: the V of the tokenizer"));
  }
  facts.sha256 = Sha256Hex(absl::StrCat(facts.id, ":", facts.vocab_size));
  return facts;
}

absl::StatusOr<DatasetManifest> PrepareTokens(const PrepareOptions& options,
                                              const std::vector<SourceFile>& sources,
                                              const std::string& folder,
                                              const PrepareCallback& progress) {
  DatasetManifest manifest;
  ISOFLOP_CORPUS_ASSIGN_OR_RETURN(manifest.tokenizer, TokenizerOfTokenFiles(options, sources));
  if (!manifest.tokenizer.eot_id.has_value()) manifest.block_tokens = kTokenBlock;
  const auto held_out_files = std::count_if(sources.begin(), sources.end(), IsNamedValidation);
  const bool by_files =
      held_out_files > 0 && held_out_files < static_cast<std::int64_t>(sources.size());
  manifest.split.by = by_files ? "files" : "document";
  DatasetWriter writer(folder, options.split, TokenTypeFor(manifest.tokenizer.vocab_size),
                       options.shard_tokens, {});
  PrepareProgress done;
  for (const SourceFile& source : sources) done.bytes_total += source.bytes;

  // The validation files come first, so that what they hold is a duplicate
  // when it comes again among the training files.
  std::vector<SourceFile> order = sources;
  if (by_files) std::stable_partition(order.begin(), order.end(), IsNamedValidation);
  std::map<std::string, std::string> hashes;             // path -> sha256
  std::map<std::string, std::string> validation_hashes;  // sha256 -> path
  std::uint64_t validation_documents = 0;
  for (const SourceFile& source : order) {
    ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const TokenShard shard, OpenSource(source));
    ISOFLOP_CORPUS_RETURN_IF_ERROR(shard.CheckIds(manifest.tokenizer.vocab_size));
    const std::string sha256 = Sha256Hex(shard.file_bytes());
    const bool is_validation = by_files && IsNamedValidation(source);
    if (is_validation) {
      validation_hashes.emplace(sha256, source.path);
    } else if (const auto same = validation_hashes.find(sha256); same != validation_hashes.end()) {
      return BadDataError(absl::StatusCode::kInvalidArgument, source.path, 0,
                          absl::StrCat("the same bytes as ", same->second,
                                       ": evaluation data among the training data"),
                          "leave one of the two files out");
    }
    const std::size_t key_from = manifest.tokenizer.eot_id.has_value() ? 1 : 0;
    const auto visit = [&](const std::vector<std::uint32_t>& document) -> absl::Status {
      DatasetWriter::Place place =
          writer.Choose(Sha256Bytes(BytesOfIds(document, key_from)), "");
      if (place.side == DatasetWriter::Side::kDuplicate) return absl::OkStatus();
      if (by_files) {
        place.side = is_validation ? DatasetWriter::Side::kHeldOut : DatasetWriter::Side::kTrain;
        place.hash = validation_documents;  // in their own order
        if (is_validation) ++validation_documents;
      }
      if (place.side == DatasetWriter::Side::kTrain) return writer.AppendTrain(document);
      writer.HoldOut(place.hash, document);
      return absl::OkStatus();
    };
    ISOFLOP_CORPUS_RETURN_IF_ERROR(ForEachTokenDocument(shard, manifest.tokenizer, visit));
    hashes[source.path] = sha256;
    manifest.source_bytes += source.bytes;
    done.bytes_done += source.bytes;
    done.documents = writer.documents();
    done.tokens = writer.train_tokens();
    if (progress) progress(done);
  }
  for (const SourceFile& source : sources) {
    manifest.sources.push_back({.name = source.name,
                                .format = source.FormatName(),
                                .bytes = source.bytes,
                                .sha256 = hashes[source.path]});
  }
  return writer.Finish(std::move(manifest), "");
}

}  // namespace isoflop
