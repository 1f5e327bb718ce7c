// Every way in which data are bad: the message names file, offset, value, cure.
#include <filesystem>
#include <string>
#include <vector>

#include "corpus/dataset.h"
#include "corpus/prepare.h"
#include "corpus/token_shard.h"
#include "gmock/gmock.h"
#include "tests/corpus/test_files.h"

namespace isoflop {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::vector<std::uint16_t> kIds = {50256, 1, 2, 3, 50256, 4, 5, 6};

class BadShardTest : public testing::Test {
 protected:
  std::string Message(const std::string& content,
                      absl::StatusCode code = absl::StatusCode::kInvalidArgument) {
    const absl::Status status = TokenShard::OpenLlmC(folder_.Write("x.bin", content)).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("x.bin: "), HasSubstr("; cure: ")));
    return std::string(status.message());
  }
  TestFolder folder_;
};

TEST_F(BadShardTest, Empty) { EXPECT_THAT(Message(""), HasSubstr("offset 0: the file is empty")); }

TEST_F(BadShardTest, ShortHeader) {
  EXPECT_THAT(Message(LlmCFile(kIds).substr(0, 700)),
              HasSubstr("offset 700: the header ends after 700 of 1024 bytes"));
  EXPECT_THAT(Message("ab"), HasSubstr("offset 2: the header ends after 2 of 1024 bytes"));
}

TEST_F(BadShardTest, WrongMagic) {
  EXPECT_THAT(Message(LlmCFile(7, 1, 8, IdBytes(kIds))), HasSubstr("offset 0: magic 7 is not 20240520"));
}

TEST_F(BadShardTest, WrongVersion) {
  EXPECT_THAT(Message(LlmCFile(20240520, 7, 8, IdBytes(kIds))),
              HasSubstr("offset 4: version 7, but magic 20240520 goes with version 1"));
}

TEST_F(BadShardTest, CountBeyondTheFile) {
  EXPECT_THAT(Message(LlmCFile(20240520, 1, 9, IdBytes(kIds)), absl::StatusCode::kDataLoss),
              AllOf(HasSubstr("9 tokens"), HasSubstr("1040 bytes")));
  EXPECT_THAT(Message(LlmCFile(20240520, 1, -5, IdBytes(kIds))), HasSubstr("-5"));
  EXPECT_THAT(Message(LlmCFile(20240520, 1, 0, "")), HasSubstr("offset 8"));
}

TEST_F(BadShardTest, TruncatedOrOddSize) {
  const std::string whole = LlmCFile(kIds);
  EXPECT_THAT(Message(whole.substr(0, whole.size() - 4), absl::StatusCode::kDataLoss),
              AllOf(HasSubstr("8 tokens"), HasSubstr("1036 bytes")));
  EXPECT_THAT(Message(whole.substr(0, whole.size() - 1), absl::StatusCode::kDataLoss),
              HasSubstr("1039 bytes"));
}

TEST_F(BadShardTest, HeaderlessOfOddSize) {
  const absl::Status status =
      TokenShard::OpenRaw(folder_.Write("x.bin", "12345"), TokenType::kU16).status();
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("x.bin: offset 4: 5 bytes are no whole number of u16 ids"),
                    HasSubstr("cure: ")));
  EXPECT_THAT(std::string(
                  TokenShard::OpenRaw(folder_.Write("x.bin", ""), TokenType::kU16).status().message()),
              HasSubstr("the file is empty"));
}

TEST_F(BadShardTest, IdBeyondTheVocabulary) {
  PrepareOptions options;
  options.sources = {folder_.Write("x.bin", LlmCFile(std::vector<std::uint16_t>{50256, 1, 50257}))};
  const absl::Status status = PrepareDataset(options, folder_.File("out")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("x.bin: offset 1028: token id 50257 is not below the vocabulary of 50257"),
                    HasSubstr("cure: name the right --vocab-size")));
}

// A prepared data set that something happens to.
class BadDatasetTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string lines;
    for (int i = 0; i < 50; ++i) lines += "{\"text\": \"document " + std::to_string(i) + "\"}\n";
    PrepareOptions options;
    options.sources = {folder_.Write("a.jsonl", lines)};
    options.split.permille = 200;
    ASSERT_TRUE(PrepareDataset(options, folder_.File("d")).ok());
  }
  std::string Message(absl::StatusCode code) {
    const absl::Status status = Dataset::Open(folder_.File("d")).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("; cure: "));
    return std::string(status.message());
  }
  void Replace(const std::string& name, const std::string& from, const std::string& to) {
    std::string content = folder_.Read(name);
    const std::size_t at = content.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    folder_.Write(name, content.replace(at, from.size(), to));
  }
  TestFolder folder_;
};

TEST_F(BadDatasetTest, TruncatedShard) {
  const std::string path = folder_.File("d/train-00000.bin");
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 10);
  EXPECT_THAT(Message(absl::StatusCode::kDataLoss),
              AllOf(HasSubstr("train-00000.bin: offset"), HasSubstr("tokens"), HasSubstr("bytes")));
}

TEST_F(BadDatasetTest, WrongHash) {
  std::string shard = folder_.Read("d/train-00000.bin");
  shard[1100] = static_cast<char>(shard[1100] ^ 1);
  folder_.Write("d/train-00000.bin", shard);
  EXPECT_THAT(Message(absl::StatusCode::kDataLoss),
              AllOf(HasSubstr("train-00000.bin: offset 0: sha256 of the file is "),
                    HasSubstr("dataset.json says ")));
  EXPECT_TRUE(Dataset::Open(folder_.File("d"), {.verify_hashes = false}).ok());
}

TEST_F(BadDatasetTest, ShardOfAnotherLength) {
  folder_.Write("d/train-00000.bin", LlmCFile(std::vector<std::uint16_t>{1, 2, 3}));
  EXPECT_THAT(Message(absl::StatusCode::kDataLoss),
              AllOf(HasSubstr("offset 8: the header counts 3 tokens"), HasSubstr("dataset.json says")));
}

TEST_F(BadDatasetTest, EvaluationDataInTheTrainingData) {
  Replace("d/dataset.json", "\"eval.bin\"", "\"train-00000.bin\"");
  EXPECT_THAT(Message(absl::StatusCode::kInvalidArgument),
              HasSubstr("the evaluation data are also training data"));
}

TEST_F(BadDatasetTest, MissingShardAndManifest) {
  std::filesystem::remove(folder_.File("d/eval.bin"));
  const absl::Status shard = Dataset::Open(folder_.File("d")).status();
  EXPECT_EQ(shard.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(shard.message()), HasSubstr("eval.bin"));
  EXPECT_EQ(Dataset::Open(folder_.File("none")).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(BadDatasetTest, ManifestThatIsNone) {
  folder_.Write("d/dataset.json", "{\"format\": \"other\"}");
  EXPECT_THAT(Message(absl::StatusCode::kInvalidArgument), HasSubstr("dataset.json: no data set"));
  folder_.Write("d/dataset.json", "{");
  EXPECT_THAT(Message(absl::StatusCode::kInvalidArgument), HasSubstr("dataset.json: "));
}

TEST_F(BadDatasetTest, ManifestOfANewerVersion) {
  Replace("d/dataset.json", "\"version\": 1", "\"version\": 2");
  EXPECT_THAT(Message(absl::StatusCode::kInvalidArgument),
              AllOf(HasSubstr("format version 2, this program reads version 1"),
                    HasSubstr("cure: a newer isoflop")));
}

TEST_F(BadDatasetTest, ShardOutsideItsFolder) {
  Replace("d/dataset.json", "\"eval.bin\"", "\"../eval.bin\"");
  EXPECT_THAT(Message(absl::StatusCode::kInvalidArgument),
              HasSubstr("'../eval.bin' is no name in this folder"));
}

TEST_F(BadDatasetTest, TokenBytesAgainstTheirHash) {
  folder_.Write("d/token_bytes.bin", folder_.Read("d/token_bytes.bin").substr(2));
  EXPECT_THAT(Message(absl::StatusCode::kDataLoss),
              HasSubstr("token_bytes.bin: offset 0: 512 bytes for 257 ids"));
}

TEST(BadSplitTest, HoldsOutNothingOrEverything) {
  const TestFolder folder;
  PrepareOptions options;
  options.sources = {folder.Write("one.txt", "a single document")};
  const std::string message(PrepareDataset(options, folder.File("out")).status().message());
  EXPECT_THAT(message, AllOf(HasSubstr("data.eval: "), HasSubstr("cure: data.eval.by: chapter")));
  EXPECT_FALSE(std::filesystem::exists(folder.File("out/dataset.json")));
}

TEST(BadSplitTest, SameBytesInTrainAndValidation) {
  const TestFolder folder;
  folder.Write("n/train.bin", IdBytes(kIds));
  folder.Write("n/val.bin", IdBytes(kIds));
  PrepareOptions options;
  options.sources = {folder.File("n")};
  options.dtype = "u16";
  options.vocab_size = 50257;
  EXPECT_THAT(std::string(PrepareDataset(options, folder.File("out")).status().message()),
              AllOf(HasSubstr("n/train.bin"), HasSubstr("evaluation data among the training data"),
                    HasSubstr("cure: ")));
}

TEST(BadSplitTest, HeaderlessFilesNeedAVocabulary) {
  const TestFolder folder;
  PrepareOptions options;
  options.sources = {folder.Write("x.bin", IdBytes(kIds))};
  options.dtype = "u16";
  EXPECT_THAT(std::string(PrepareDataset(options, folder.File("out")).status().message()),
              AllOf(HasSubstr("name no vocabulary"), HasSubstr("cure: --vocab-size V")));
}

}  // namespace
}  // namespace isoflop
