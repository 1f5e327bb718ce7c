#include "corpus/prepare.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "corpus/dataset.h"
#include "corpus/inspect.h"
#include "gmock/gmock.h"
#include "tests/corpus/test_files.h"

namespace isoflop {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// The documents of a stream of the bytes tokenizer.
std::vector<std::string> DocumentsOf(const Dataset& dataset, bool train) {
  std::vector<std::int64_t> tokens(
      static_cast<std::size_t>(train ? dataset.train_tokens() : dataset.eval_tokens()));
  train ? dataset.FillTrain(0, tokens) : dataset.FillEval(0, tokens);
  std::vector<std::string> documents;
  for (const std::int64_t token : tokens) {
    if (token == 256) {
      documents.emplace_back();
    } else {
      documents.back().push_back(static_cast<char>(token));
    }
  }
  return documents;
}

std::vector<std::string> Numbered(int count) {
  std::vector<std::string> documents;
  for (int i = 0; i < count; ++i) documents.push_back("document " + std::to_string(i) + " of many");
  return documents;
}

std::string Jsonl(const std::vector<std::string>& documents) {
  std::string lines;
  for (const std::string& document : documents) lines += "{\"text\": \"" + document + "\"}\n";
  return lines;
}

Dataset Prepare(const PrepareOptions& options, const std::string& output) {
  const absl::StatusOr<PreparedSummary> summary = PrepareDataset(options, output);
  EXPECT_TRUE(summary.ok()) << summary.status();
  absl::StatusOr<Dataset> dataset = Dataset::Open(output);
  EXPECT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(summary->dataset_sha256, dataset->dataset_sha256());
  return std::move(*dataset);
}

Dataset PrepareJsonl(const TestFolder& folder, const std::vector<std::string>& documents,
                     const std::string& name, std::int64_t shard_tokens = 100'000'000) {
  PrepareOptions options;
  options.sources = {folder.Write(name + ".jsonl", Jsonl(documents))};
  options.split.permille = 200;
  options.shard_tokens = shard_tokens;
  return Prepare(options, folder.File(name));
}

std::set<std::string> AsSet(const std::vector<std::string>& documents) {
  return {documents.begin(), documents.end()};
}

TEST(PrepareTest, EveryDocumentIsOnOneSideAndWhole) {
  const TestFolder folder;
  const std::vector<std::string> documents = Numbered(200);
  const Dataset dataset = PrepareJsonl(folder, documents, "data");
  std::vector<std::string> all = DocumentsOf(dataset, true);
  const std::vector<std::string> eval = DocumentsOf(dataset, false);
  EXPECT_GT(eval.size(), 20u);
  EXPECT_LT(eval.size(), 60u);
  all.insert(all.end(), eval.begin(), eval.end());
  EXPECT_THAT(all, testing::UnorderedElementsAreArray(documents));
}

TEST(PrepareTest, AddingADocumentMovesNoOther) {
  const TestFolder folder;
  std::vector<std::string> documents = Numbered(200);
  const Dataset before = PrepareJsonl(folder, documents, "before");
  documents.insert(documents.begin() + 77, "a new one in the middle");
  const Dataset after = PrepareJsonl(folder, documents, "after");
  for (const bool train : {true, false}) {
    std::set<std::string> then = AsSet(DocumentsOf(before, train));
    std::set<std::string> now = AsSet(DocumentsOf(after, train));
    now.erase("a new one in the middle");
    EXPECT_EQ(then, now);
  }
}

TEST(PrepareTest, EvalIsInTheOrderOfItsHashesNotOfArrival) {
  const TestFolder folder;
  std::vector<std::string> documents = Numbered(200);
  const Dataset forward = PrepareJsonl(folder, documents, "forward");
  std::reverse(documents.begin(), documents.end());
  const Dataset backward = PrepareJsonl(folder, documents, "backward");
  EXPECT_EQ(DocumentsOf(forward, false), DocumentsOf(backward, false));
  EXPECT_EQ(forward.eval_sha256(), backward.eval_sha256());
  EXPECT_NE(forward.dataset_sha256(), backward.dataset_sha256());  // another training order
}

TEST(PrepareTest, ExactDuplicatesAreDroppedAndCannotLeak) {
  const TestFolder folder;
  std::vector<std::string> documents = Numbered(100);
  const std::vector<std::string> once = documents;
  documents.insert(documents.end(), once.begin(), once.end());
  const Dataset dataset = PrepareJsonl(folder, documents, "data");
  std::vector<std::string> all = DocumentsOf(dataset, true);
  const std::vector<std::string> eval = DocumentsOf(dataset, false);
  all.insert(all.end(), eval.begin(), eval.end());
  EXPECT_THAT(all, testing::UnorderedElementsAreArray(once));
  EXPECT_EQ(dataset.manifest().split.duplicates_dropped, 100);
}

TEST(PrepareTest, ByDirectoryHoldsOutWholeDirectories) {
  const TestFolder folder;
  for (int i = 0; i < 30; ++i) {
    for (int j = 0; j < 4; ++j) {
      folder.Write("code/d" + std::to_string(i) + "/f" + std::to_string(j),
                   std::to_string(i) + "/" + std::to_string(j));
    }
  }
  PrepareOptions options;
  options.sources = {folder.File("code")};
  options.split = {.by = SplitBy::kDirectory, .permille = 300};
  const Dataset dataset = Prepare(options, folder.File("out"));
  const auto directories = [&](bool train) {
    std::set<std::string> names;
    for (const std::string& text : DocumentsOf(dataset, train)) names.insert(text.substr(0, text.find('/')));
    return names;
  };
  const std::set<std::string> train = directories(true);
  for (const std::string& name : directories(false)) EXPECT_FALSE(train.contains(name)) << name;
  EXPECT_EQ(train.size() + directories(false).size(), 30u);
}

TEST(PrepareTest, ShardsHoldTheSameStreamWhateverTheirSize) {
  const TestFolder folder;
  const Dataset one = PrepareJsonl(folder, Numbered(100), "one");
  const Dataset many = PrepareJsonl(folder, Numbered(100), "many", 333);
  EXPECT_GT(many.manifest().train.shards.size(), 3u);
  EXPECT_EQ(DocumentsOf(one, true), DocumentsOf(many, true));
  std::int64_t bytes = 0;
  for (const ShardFacts& shard : many.manifest().train.shards) bytes += shard.bytes;
  EXPECT_EQ(bytes, many.manifest().train.bytes);
  // A window across the end of a shard.
  std::vector<std::int32_t> a(101);
  std::vector<std::int32_t> b(101);
  one.FillWindow(3, 100, std::span<std::int32_t>(a));
  many.FillWindow(3, 100, std::span<std::int32_t>(b));
  EXPECT_EQ(a, b);
}

TEST(PrepareTest, SameSourcesGiveTheSameBytesAndAreLeftAlone) {
  const TestFolder folder;
  PrepareOptions options;
  options.sources = {folder.Write("a.jsonl", Jsonl(Numbered(50)))};
  options.split.permille = 200;
  const auto first = PrepareDataset(options, folder.File("one"));
  const auto second = PrepareDataset(options, folder.File("two"));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(folder.Read("one/dataset.json"), folder.Read("two/dataset.json"));
  const auto again = PrepareDataset(options, folder.File("one"));
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->was_there);
  // Another split into the same folder is refused, unless it may replace.
  options.split.permille = 400;
  const absl::Status refused = PrepareDataset(options, folder.File("one")).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("cure: another output folder"));
  options.replace = true;
  const auto replaced = PrepareDataset(options, folder.File("one"));
  ASSERT_TRUE(replaced.ok()) << replaced.status();
  EXPECT_FALSE(replaced->was_there);
  EXPECT_TRUE(Dataset::Open(folder.File("one")).ok());
}

TEST(PrepareTest, TheCacheIsFoundAgainAndMendsItself) {
  const TestFolder folder;
  PrepareOptions options;
  options.sources = {folder.Write("a.jsonl", Jsonl(Numbered(50)))};
  options.split.permille = 200;
  const auto first = PrepareCached(options, folder.File("cache"));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_FALSE(first->was_there);
  EXPECT_EQ(first->path, folder.File("cache/" + first->dataset_sha256 + "/dataset.json"));
  const auto second = PrepareCached(options, folder.File("cache"));
  ASSERT_TRUE(second.ok());
  EXPECT_TRUE(second->was_there);
  EXPECT_EQ(second->dataset_sha256, first->dataset_sha256);
  // A shard was cut short meanwhile.
  std::filesystem::resize_file(folder.File("cache/" + first->dataset_sha256 + "/train-00000.bin"), 1500);
  const auto third = PrepareCached(options, folder.File("cache"));
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_FALSE(third->was_there);
  EXPECT_TRUE(Dataset::Open(third->path).ok());
  // A prepared folder is opened where it lies.
  PrepareOptions prepared;
  prepared.sources = {folder.File("cache/" + first->dataset_sha256)};
  const auto fourth = PrepareCached(prepared, folder.File("other"));
  ASSERT_TRUE(fourth.ok());
  EXPECT_EQ(fourth->dataset_sha256, first->dataset_sha256);
  EXPECT_FALSE(std::filesystem::exists(folder.File("other")));
}

// Ids 0 ... n-1 with GPT-2's EOT before each third.
template <typename Id>
std::vector<Id> Ids(Id eot, int documents) {
  std::vector<Id> ids;
  for (int i = 0; i < documents; ++i) {
    ids.push_back(eot);
    for (int j = 0; j < 5; ++j) ids.push_back(static_cast<Id>(100 * i + j));
  }
  return ids;
}

template <typename Id>
void ExpectLlmCReadBack(Id eot, std::int64_t vocab_size, const std::string& dtype) {
  const TestFolder folder;
  const std::vector<Id> ids = Ids<Id>(eot, 60);
  PrepareOptions options;
  options.sources = {folder.Write("tokens.bin", LlmCFile(ids))};
  options.split.permille = 200;
  const Dataset dataset = Prepare(options, folder.File("out"));
  EXPECT_EQ(dataset.vocab_size(), vocab_size);
  EXPECT_EQ(dataset.eot_id(), static_cast<std::int64_t>(eot));
  EXPECT_EQ(dataset.manifest().dtype, dtype);
  EXPECT_EQ(dataset.train_tokens() + dataset.eval_tokens(), static_cast<std::int64_t>(ids.size()));
  std::set<std::vector<std::int64_t>> documents;
  for (const bool train : {true, false}) {
    std::vector<std::int64_t> tokens(static_cast<std::size_t>(train ? dataset.train_tokens() : dataset.eval_tokens()));
    train ? dataset.FillTrain(0, tokens) : dataset.FillEval(0, tokens);
    for (std::size_t i = 0; i < tokens.size(); i += 6) {
      documents.insert({tokens.begin() + static_cast<long>(i), tokens.begin() + static_cast<long>(i) + 6});
    }
  }
  std::set<std::vector<std::int64_t>> wanted;
  for (std::size_t i = 0; i < ids.size(); i += 6) {
    wanted.insert({ids.begin() + static_cast<long>(i), ids.begin() + static_cast<long>(i) + 6});
  }
  EXPECT_EQ(documents, wanted);
}

TEST(PrepareTest, ReadsLlmCInBothWidths) {
  ExpectLlmCReadBack<std::uint16_t>(50256, 50257, "u16");
  ExpectLlmCReadBack<std::uint32_t>(128000, 128256, "u32");
}

TEST(PrepareTest, ReadsNanoGptByItsTwoFiles) {
  const TestFolder folder;
  std::vector<std::uint16_t> train;
  std::vector<std::uint16_t> val;
  for (int i = 0; i < 9000; ++i) train.push_back(static_cast<std::uint16_t>(i % 997));
  for (int i = 0; i < 5000; ++i) val.push_back(static_cast<std::uint16_t>(i % 991));
  folder.Write("nano/train.bin", IdBytes(train));
  folder.Write("nano/val.bin", IdBytes(val));
  PrepareOptions options;
  options.sources = {folder.File("nano")};
  options.dtype = "u16";
  options.vocab_size = 1000;
  const Dataset dataset = Prepare(options, folder.File("out"));
  std::vector<std::int64_t> tokens(9000);
  ASSERT_EQ(dataset.train_tokens(), 9000);
  dataset.FillTrain(0, tokens);
  EXPECT_TRUE(std::equal(tokens.begin(), tokens.end(), train.begin()));
  ASSERT_EQ(dataset.eval_tokens(), 5000);
  tokens.resize(5000);
  dataset.FillEval(0, tokens);
  EXPECT_TRUE(std::equal(tokens.begin(), tokens.end(), val.begin()));
  EXPECT_EQ(dataset.manifest().split.by, "files");
  EXPECT_TRUE(dataset.token_bytes().empty());
}

TEST(PrepareTest, ASyntheticSourceStatesItsFloor) {
  const TestFolder folder;
  PrepareOptions options;
  options.synthetic = "zipf-markov:16,1.1,0.3,7,50000";
  const Dataset dataset = Prepare(options, folder.File("out"));
  EXPECT_EQ(dataset.train_tokens(), 50000);
  EXPECT_EQ(dataset.vocab_size(), 16);
  EXPECT_EQ(dataset.eot_id(), std::nullopt);
  const auto facts = InspectData(folder.File("out"));
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_EQ(facts->entropy_rate_nats, dataset.entropy_rate_nats());
  // Counts of pairs reach the floor but for the noise of 50,000 tokens; a table
  // of V^2 counts fits it by (V^2 - V)/(2n) = 0.0024.
  EXPECT_NEAR(facts->bigram_entropy_nats.value(), *dataset.entropy_rate_nats(), 0.02);
  EXPECT_GT(facts->unigram_entropy_nats, *facts->bigram_entropy_nats + 0.1);
}

TEST(InspectTest, SaysWhatAPathHolds) {
  const TestFolder folder;
  const auto line = [](const std::string& path, const InspectOptions& options = {}) {
    const auto facts = InspectData(path, options);
    return facts.ok() ? facts->Line() : facts.status().ToString();
  };
  EXPECT_EQ(line(folder.Write("t.bin", LlmCFile(std::vector<std::uint16_t>{50256, 1, 2}))),
            "llm.c .bin, u16, 3 tokens, ok");
  EXPECT_EQ(line(folder.Write("a.txt", "hello")), "text, 5 bytes, 1 document, 6 tokens, ok");
  EXPECT_EQ(line(folder.Write("raw.bin", IdBytes(std::vector<std::uint32_t>{1, 2})),
                 {.dtype = "u32", .vocab_size = 9}),
            "headerless tokens, u32, 2 tokens, ok");
  EXPECT_THAT(line(folder.Write("bad.bin", LlmCFile(std::vector<std::uint16_t>{1, 60000}))),
              AllOf(HasSubstr("bad.bin: offset 1026: token id 60000"), HasSubstr("50257")));
}

}  // namespace
}  // namespace isoflop
