#include <algorithm>
#include <string>
#include <vector>

#include "corpus/dataset_writer.h"
#include "corpus/early_return.h"
#include "corpus/prepare_sources.h"
#include "corpus/sha256.h"

namespace isoflop {
namespace {

constexpr std::uint64_t kTrainStream = 0;
constexpr std::uint64_t kEvalStream = 1;

}  // namespace

absl::StatusOr<DatasetManifest> PrepareSynthetic(const PrepareOptions& options,
                                                 const ZipfMarkov& source,
                                                 const std::string& folder,
                                                 const PrepareCallback& progress) {
  DatasetManifest manifest;
  manifest.tokenizer.id = "synthetic";
  manifest.tokenizer.sha256 = Sha256Hex(source.Spec());
  manifest.tokenizer.vocab_size = source.vocab_size();
  manifest.block_tokens = kZipfMarkovDocumentTokens;
  manifest.split.by = "document";
  manifest.synthetic = {.spec = source.Spec(), .entropy_rate_nats = source.entropy_rate_nats()};
  DatasetWriter writer(folder, options.split, TokenTypeFor(source.vocab_size()),
                       options.shard_tokens, {});

  std::vector<std::uint32_t> document;
  const auto fill = [&](ZipfMarkov::Stream& stream, std::int64_t tokens) {
    document.resize(static_cast<std::size_t>(tokens));
    for (std::uint32_t& token : document) token = stream.Next();
  };
  // Whole documents, two at least.
  const std::int64_t eval_wanted = std::min(
      options.split.max_tokens, source.train_tokens() / 1000 * options.split.permille);
  const std::int64_t eval_documents =
      std::max<std::int64_t>(2, eval_wanted / kZipfMarkovDocumentTokens);
  ZipfMarkov::Stream eval(source, kEvalStream);
  for (std::int64_t i = 0; i < eval_documents; ++i) {
    fill(eval, kZipfMarkovDocumentTokens);
    writer.HoldOut(static_cast<std::uint64_t>(i), document);
  }
  PrepareProgress done;
  done.bytes_total = source.train_tokens();
  ZipfMarkov::Stream train(source, kTrainStream);
  while (done.tokens < source.train_tokens()) {
    fill(train, std::min(kZipfMarkovDocumentTokens, source.train_tokens() - done.tokens));
    ISOFLOP_CORPUS_RETURN_IF_ERROR(writer.AppendTrain(document));
    done.tokens = writer.train_tokens();
    done.bytes_done = done.tokens;
    done.documents = writer.documents();
    if (progress && done.documents % 1024 == 0) progress(done);
  }
  if (progress) progress(done);
  return writer.Finish(std::move(manifest), "");
}

}  // namespace isoflop
