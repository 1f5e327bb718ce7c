// The six novels of configs/austen.txt.xz, as the quickstart splits them.
#include <string>

#include "corpus/dataset.h"
#include "corpus/inspect.h"
#include "corpus/prepare.h"
#include "gtest/gtest.h"
#include "tests/corpus/test_files.h"

namespace isoflop {
namespace {

const std::string kNovels = ISOFLOP_SOURCE_DIR "/configs/austen.txt.xz";

TEST(AustenTest, HoldsSixNovelsOf4025029Bytes) {
  const auto facts = InspectData(kNovels);
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_EQ(facts->bytes, 4'025'029);
  EXPECT_EQ(facts->format, "text.xz");
}

TEST(AustenTest, AChapterSplitOfTenPercentLeaves360MTokens) {
  const TestFolder folder;
  PrepareOptions options;
  options.sources = {kNovels};
  options.split = {.by = SplitBy::kChapter, .permille = 100};
  ASSERT_TRUE(PrepareDataset(options, folder.path()).ok());
  const auto dataset = Dataset::Open(folder.path());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  // As configs/austen.README.md states; the same from a dozen lines of Python
  // (hashlib, struct).
  EXPECT_EQ(dataset->train_tokens(), 3'601'244);
  EXPECT_EQ(dataset->eval_tokens(), 424'055);
  // A token a byte and one a chapter, on one side or the other.
  const DatasetManifest& manifest = dataset->manifest();
  EXPECT_EQ(manifest.train.bytes + manifest.eval.bytes, 4'025'029);
  EXPECT_EQ(dataset->train_tokens(), manifest.train.bytes + manifest.train.documents);
  EXPECT_EQ(dataset->eval_tokens(), manifest.eval.bytes + manifest.eval.documents);
  EXPECT_EQ(manifest.train.documents + manifest.eval.documents, 270);
  EXPECT_EQ(manifest.eval.documents, 26);
  EXPECT_EQ(manifest.split.duplicates_dropped, 0);
}

}  // namespace
}  // namespace isoflop
