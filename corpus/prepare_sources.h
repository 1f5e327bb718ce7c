// The three ways to make a data set, one for each kind of source. PrepareDataset
// and PrepareCached choose the way and the folder.
#ifndef ISOFLOP_CORPUS_PREPARE_SOURCES_H_
#define ISOFLOP_CORPUS_PREPARE_SOURCES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "corpus/dataset_manifest.h"
#include "corpus/prepare.h"
#include "corpus/source_files.h"
#include "corpus/tokenizer.h"
#include "corpus/zipf_markov.h"

namespace isoflop {

// A document of a token file whose tokenizer has no EOT is a block this long.
inline constexpr std::int64_t kTokenBlock = 4096;

// Each writes all files of a data set into `folder`, which exists and is empty,
// and returns its manifest. Errors as PrepareDataset.
absl::StatusOr<DatasetManifest> PrepareText(const PrepareOptions& options,
                                            const std::vector<SourceFile>& sources,
                                            const Tokenizer& tokenizer, const std::string& folder,
                                            const PrepareCallback& progress);
absl::StatusOr<DatasetManifest> PrepareTokens(const PrepareOptions& options,
                                              const std::vector<SourceFile>& sources,
                                              const std::string& folder,
                                              const PrepareCallback& progress);
absl::StatusOr<DatasetManifest> PrepareSynthetic(const PrepareOptions& options,
                                                 const ZipfMarkov& source,
                                                 const std::string& folder,
                                                 const PrepareCallback& progress);

// The tokenizer that token files were made with, as far as they tell: llm.c's
// u16 is GPT-2 (V 50257, EOT 50256), its u32 Llama 3 (V 128256, 128000 before
// each document), unless `options.vocab_size` says otherwise. InvalidArgument:
// headerless files without --vocab-size, V beyond their type.
absl::StatusOr<TokenizerFacts> TokenizerOfTokenFiles(const PrepareOptions& options,
                                                     const std::vector<SourceFile>& sources);

}  // namespace isoflop

#endif  // ISOFLOP_CORPUS_PREPARE_SOURCES_H_
