#include "worker/trainer/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>

namespace isoflop {
namespace {

using testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

// A file of any header text, with its length before it and `data` behind it.
std::string FileOf(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + header + data;
}

absl::Status ParseText(const std::string& file) {
  return ParseSafetensorsHeader(file, static_cast<int64_t>(file.size())).status();
}

class SafetensorsTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "/" + testing::UnitTest::GetInstance()->current_test_info()->name() + ".safetensors";
    std::iota(matrix_.begin(), matrix_.end(), 0.5f);
  }
  void TearDown() override { std::filesystem::remove(path_); }

  std::string Written() {
    std::string out;
    EXPECT_TRUE(WriteSafetensors({{"matrix", {2, 3}, matrix_.data()}, {"gain", {3}, gain_.data()}, {"scalar", {}, &scalar_}},
                                 [&](const void* data, size_t bytes) {
                                   out.append(static_cast<const char*>(data), bytes);
                                   return absl::OkStatus();
                                 })
                    .ok());
    return out;
  }
  void Store(const std::string& bytes) { std::ofstream(path_, std::ios::binary) << bytes; }

  std::string path_;
  std::vector<float> matrix_ = std::vector<float>(6);
  std::vector<float> gain_ = {1, -2, 3e-30f};
  float scalar_ = 7;
};

TEST_F(SafetensorsTest, WritesTheFormat) {
  const std::string file = Written();
  const std::string header =
      R"({"matrix":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"gain":{"dtype":"F32","shape":[3],"data_offsets":[24,36]},)"
      R"("scalar":{"dtype":"F32","shape":[],"data_offsets":[36,40]}})";
  uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  EXPECT_EQ(length % 8, 0u);
  EXPECT_EQ(length, (header.size() + 7) / 8 * 8);
  EXPECT_EQ(file.substr(8, header.size()), header);
  EXPECT_EQ(file.size(), 8 + length + 40);
  float first = 0;
  std::memcpy(&first, file.data() + 8 + length, 4);
  EXPECT_EQ(first, 0.5f);
}

TEST_F(SafetensorsTest, ReadsBackWhatItWrote) {
  Store(Written());
  std::vector<float> matrix(6), gain(3);
  float scalar = 0;
  ASSERT_TRUE(ReadSafetensors(path_, {{"scalar", {}, &scalar}, {"matrix", {2, 3}, matrix.data()}, {"gain", {3}, gain.data()}}).ok());
  EXPECT_EQ(matrix, matrix_);
  EXPECT_EQ(gain, gain_);
  EXPECT_EQ(scalar, 7);
}

TEST_F(SafetensorsTest, ReadsHeadersOfOtherWriters) {
  // Unpadded, in another order, with metadata, a half-precision and an empty tensor.
  const std::string file = FileOf(
      R"({"b":{"shape":[2],"data_offsets":[4,8],"dtype":"BF16"},"__metadata__":{"format":"pt"},)"
      R"("empty":{"dtype":"F32","shape":[0,5],"data_offsets":[4,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
      std::string(8, 'x'));
  const auto header = ParseSafetensorsHeader(file, static_cast<int64_t>(file.size()));
  ASSERT_TRUE(header.ok()) << header.status();
  ASSERT_EQ(header->entries.size(), 3u);
  EXPECT_EQ(header->entries[0].name, "a");
  EXPECT_EQ(header->entries[1].name, "empty");
  EXPECT_EQ(header->entries[2], (SafetensorsEntry{"b", "BF16", {2}, 4, 8}));
  EXPECT_EQ(header->metadata.at("format"), "pt");
}

TEST_F(SafetensorsTest, RefusesEachWayToBeWrong) {
  const auto one = [](const std::string& entry, const std::string& data) { return FileOf("{\"a\":" + entry + "}", data); };
  const std::string good = R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  ASSERT_TRUE(ParseText(one(good, std::string(8, 'x'))).ok());

  const struct {
    std::string file;
    std::string says;
  } cases[] = {
      {"", "no room for the length"},
      {"1234567", "no room for the length"},
      {FileOf("{}", "").substr(0, 9), "header is said to have 2 bytes, the file has 9"},
      {std::string(8, '\xff') + "{}", "header is said to have"},
      {FileOf("not json", ""), "not a JSON object"},
      {FileOf("[1]", ""), "not a JSON object"},
      {FileOf("{\"a\":", ""), "not a JSON object"},
      {one(good, std::string(7, 'x')), "the tensors have 8 bytes, the file has 7"},
      {one(good, std::string(9, 'x')), "the tensors have 8 bytes, the file has 9"},
      {one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})", std::string(4, 'x')), "not the size of F32 [2]"},
      {one(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})", std::string(8, 'x')), "not the size of F32 [2]"},
      {one(R"({"dtype":"F32","shape":[2],"data_offsets":[4,12]})", std::string(12, 'x')), "begins at byte 4"},
      {one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,-8]})", ""), "data_offsets"},
      {one(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})", std::string(8, 'x')), "shape [-2]"},
      {one(R"({"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]})", ""), "not the size of"},
      {one(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})", std::string(8, 'x')), "shape"},
      {one(R"({"dtype":"F31","shape":[2],"data_offsets":[0,8]})", std::string(8, 'x')), "unknown dtype"},
      {one(R"({"dtype":"F32","shape":[2]})", ""), "has not just dtype, shape and data_offsets"},
      {one("7", ""), "has not just dtype"},
      {FileOf("{\"a\":" + good + ",\"b\":" + good + "}", std::string(8, 'x')), "begins at byte 0 of the data, the one before ends at 8"},
      {FileOf("{\"a\":" + good + ",\"a\":" + good + "}", std::string(8, 'x')), "'a' stands twice"},
      {FileOf(R"({"__metadata__":{"n":1}})", ""), "not a string"},
      {FileOf(R"({"__metadata__":"x"})", ""), "__metadata__"},
  };
  for (const auto& c : cases) {
    const absl::Status status = ParseText(c.file);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << c.file;
    EXPECT_THAT(Message(status), HasSubstr(c.says)) << c.file;
    EXPECT_THAT(Message(status), HasSubstr("offset ")) << c.file;
  }
}

TEST_F(SafetensorsTest, RefusesAFileThatIsCutAnywhere) {
  const std::string file = Written();
  std::vector<float> matrix(6), gain(3);
  float scalar = 0;
  for (size_t size = 0; size < file.size(); ++size) {
    Store(file.substr(0, size));
    const absl::Status status =
        ReadSafetensors(path_, {{"matrix", {2, 3}, matrix.data()}, {"gain", {3}, gain.data()}, {"scalar", {}, &scalar}});
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << size;
    EXPECT_THAT(Message(status), HasSubstr(path_)) << size;
  }
}

// A flip in the header must never end in a crash or in a read outside the file;
// flips that leave a well-formed header are for the manifest's checksum to find.
TEST_F(SafetensorsTest, SurvivesEachBitFlipOfTheHeader) {
  const std::string file = Written();
  uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  for (size_t bit = 0; bit < (8 + length) * 8; ++bit) {
    std::string flipped = file;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto header = ParseSafetensorsHeader(flipped, static_cast<int64_t>(flipped.size()));
    if (!header.ok()) continue;
    for (const SafetensorsEntry& entry : header->entries) {
      EXPECT_GE(entry.begin, 0);
      EXPECT_LE(header->data_offset + entry.end, static_cast<int64_t>(flipped.size()));
    }
  }
}

TEST_F(SafetensorsTest, NamesTheTensorThatDoesNotFit) {
  Store(Written());
  std::vector<float> matrix(6), gain(3);
  float scalar = 0;
  const FloatTarget to_matrix{"matrix", {2, 3}, matrix.data()}, to_gain{"gain", {3}, gain.data()}, to_scalar{"scalar", {}, &scalar};
  EXPECT_THAT(Message(ReadSafetensors(path_, {to_matrix, to_gain, to_scalar, {"bias", {3}, gain.data()}})),
              HasSubstr("tensor 'bias' [3] is not there"));
  EXPECT_THAT(Message(ReadSafetensors(path_, {{"matrix", {3, 2}, matrix.data()}, to_gain, to_scalar})),
              HasSubstr("tensor 'matrix' is F32 [2, 3], wanted F32 [3, 2]"));
  EXPECT_THAT(Message(ReadSafetensors(path_, {to_matrix, to_scalar})), HasSubstr("tensor 'gain' [3] is one too many"));
  const absl::Status none = ReadSafetensors(path_ + ".nowhere", {});
  EXPECT_EQ(none.code(), absl::StatusCode::kNotFound);
}

TEST_F(SafetensorsTest, StopsAtTheFirstErrorOfItsSink) {
  int calls = 0;
  const absl::Status status = WriteSafetensors({{"matrix", {2, 3}, matrix_.data()}}, [&](const void*, size_t) {
    ++calls;
    return absl::ResourceExhaustedError("full");
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace isoflop
