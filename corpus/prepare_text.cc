#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "corpus/dataset_writer.h"
#include "corpus/early_return.h"
#include "corpus/prepare_sources.h"
#include "corpus/sha256.h"
#include "corpus/text_documents.h"

namespace isoflop {
namespace {

// Training documents that wait to be encoded side by side.
constexpr std::size_t kBatchBytes = 8 << 20;

std::vector<std::uint32_t> EncodeDocument(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::uint32_t> tokens;
  if (tokenizer.facts().eot_id.has_value()) {
    tokens.push_back(static_cast<std::uint32_t>(*tokenizer.facts().eot_id));
  }
  tokenizer.Encode(text, &tokens);
  return tokens;
}

// Encodes the documents on all cores; the order is theirs.
std::vector<std::vector<std::uint32_t>> EncodeAll(const Tokenizer& tokenizer,
                                                  const std::vector<std::string>& documents) {
  std::vector<std::vector<std::uint32_t>> encoded(documents.size());
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < documents.size(); i = next++) {
      encoded[i] = EncodeDocument(tokenizer, documents[i]);
    }
  };
  const std::size_t cores = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> helpers;
  for (std::size_t i = 1; i < std::min(cores, documents.size()); ++i) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
  return encoded;
}

std::string DirectoryOf(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  return slash == std::string::npos ? "." : name.substr(0, slash);
}

}  // namespace

absl::StatusOr<DatasetManifest> PrepareText(const PrepareOptions& options,
                                            const std::vector<SourceFile>& sources,
                                            const Tokenizer& tokenizer, const std::string& folder,
                                            const PrepareCallback& progress) {
  DatasetManifest manifest;
  manifest.tokenizer = tokenizer.facts();
  manifest.split.by = ToString(options.split.by);
  DatasetWriter writer(folder, options.split, TokenTypeFor(tokenizer.facts().vocab_size),
                       options.shard_tokens, tokenizer.token_bytes());
  PrepareProgress done;
  for (const SourceFile& source : sources) done.bytes_total += source.bytes;

  std::vector<std::string> batch;
  std::size_t batch_bytes = 0;
  const auto flush = [&]() -> absl::Status {
    for (const std::vector<std::uint32_t>& tokens : EncodeAll(tokenizer, batch)) {
      ISOFLOP_CORPUS_RETURN_IF_ERROR(writer.AppendTrain(tokens));
    }
    batch.clear();
    batch_bytes = 0;
    done.documents = writer.documents();
    done.tokens = writer.train_tokens();
    if (progress) progress(done);
    return absl::OkStatus();
  };

  std::int64_t bytes_before = 0;  // of the files that are done
  for (const SourceFile& source : sources) {
    const std::string group =
        options.split.by == SplitBy::kDirectory ? DirectoryOf(source.name) : "";
    const auto visit = [&](std::string_view document, std::int64_t packed_bytes) -> absl::Status {
      const DatasetWriter::Place place = writer.Choose(Sha256Bytes(document), group);
      if (place.side == DatasetWriter::Side::kHeldOut) {
        writer.HoldOut(place.hash, EncodeDocument(tokenizer, document));
      } else if (place.side == DatasetWriter::Side::kTrain) {
        batch.emplace_back(document);
        batch_bytes += document.size();
        done.bytes_done = bytes_before + packed_bytes;
        if (batch_bytes >= kBatchBytes) return flush();
      }
      return absl::OkStatus();
    };
    ISOFLOP_CORPUS_ASSIGN_OR_RETURN(const TextFileFacts facts,
                                    ForEachDocument(source, options.split.by, visit));
    manifest.sources.push_back({.name = source.name,
                                .format = source.FormatName(),
                                .bytes = source.bytes,
                                .sha256 = facts.sha256});
    manifest.source_bytes += facts.source_bytes;
    bytes_before += source.bytes;
    done.bytes_done = bytes_before;
  }
  ISOFLOP_CORPUS_RETURN_IF_ERROR(flush());
  return writer.Finish(std::move(manifest), tokenizer.model());
}

}  // namespace isoflop
