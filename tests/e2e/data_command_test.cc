// `isoflop data prepare` and `data inspect` as a person types them.
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "gmock/gmock.h"
#include "tests/e2e/program.h"
#include "tests/e2e/run_folder.h"

namespace isoflop {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Json = nlohmann::json;

const std::string kNovels = ISOFLOP_SOURCE_DIR "/configs/austen.txt.xz";

class DataCommandTest : public testing::Test {
 protected:
  ProgramEnd Isoflop(std::vector<std::string> arguments) const {
    return folder_.Isoflop(std::move(arguments), "home");
  }
  std::string File(const std::string& name) const { return folder_.File(name); }
  RunFolder folder_;
};

TEST_F(DataCommandTest, PreparesAndInspectsTheNovels) {
  const ProgramEnd prepared = Isoflop({"data", "prepare", kNovels, "-o", File("austen"), "--eval", "10%",
                                       "--eval-by", "chapter"});
  ASSERT_EQ(prepared.exit_code, 0) << prepared.err;
  EXPECT_THAT(prepared.out, AllOf(HasSubstr("270 documents, 4.03M tokens"),
                                  HasSubstr("train 3.60M, eval 0.42M tokens")));
  const ProgramEnd inspected = Isoflop({"data", "inspect", File("austen"), "--json"});
  ASSERT_EQ(inspected.exit_code, 0) << inspected.err;
  const Json facts = Json::parse(inspected.out);
  EXPECT_EQ(facts["schema"], "isoflop.data_inspect/1");
  EXPECT_EQ(facts["train_tokens"], 3601244);
  EXPECT_EQ(facts["eval_tokens"], 424055);
  EXPECT_EQ(facts["vocab_size"], 257);
  EXPECT_EQ(facts["hashes_ok"], true);
  EXPECT_EQ(facts["entropy_rate_nats"], nullptr);

  const ProgramEnd again = Isoflop({"data", "prepare", kNovels, "-o", File("austen"), "--eval", "10%",
                                    "--eval-by", "chapter", "--json"});
  EXPECT_EQ(Json::parse(again.out)["was_there"], true);
  EXPECT_EQ(Json::parse(again.out)["dataset_sha256"], facts["dataset_sha256"]);

  const ProgramEnd other = Isoflop({"data", "prepare", kNovels, "-o", File("austen"), "--eval-by", "chapter"});
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_THAT(other.err, AllOf(HasSubstr("holds another data set"), HasSubstr("\ncure: ")));
}

TEST_F(DataCommandTest, ATruncatedShardIsNamedWithItsCure) {
  ASSERT_EQ(Isoflop({"data", "prepare", "--synthetic", "zipf-markov:16,1.1,0.3,7,10K", "-o", File("d")}).exit_code, 0);
  std::filesystem::resize_file(File("d/train-00000.bin"), 3000);
  const ProgramEnd text = Isoflop({"data", "inspect", File("d")});
  EXPECT_EQ(text.exit_code, 1);
  EXPECT_THAT(text.err, AllOf(HasSubstr("train-00000.bin: offset "), HasSubstr("3000 bytes"), HasSubstr("\ncure: ")));
  const ProgramEnd json = Isoflop({"data", "inspect", File("d"), "--json"});
  const Json error = Json::parse(json.err)["error"];
  EXPECT_EQ(error["code"], "data_loss");
  EXPECT_THAT(error["where"].get<std::string>(), HasSubstr("train-00000.bin"));
  EXPECT_FALSE(error["cure"].get<std::string>().empty());
}

TEST_F(DataCommandTest, DryRunWritesNothing) {
  const ProgramEnd end = Isoflop({"data", "prepare", kNovels, "-o", File("austen"), "--dry-run"});
  EXPECT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.out, AllOf(HasSubstr("would read " + kNovels), HasSubstr("would write " + File("austen"))));
  EXPECT_FALSE(std::filesystem::exists(File("austen")));
}

TEST_F(DataCommandTest, SaysWhatWasMeant) {
  EXPECT_EQ(Isoflop({"data", "inspect", File("nowhere")}).exit_code, 3);
  const ProgramEnd word = Isoflop({"data", "prepair", "x"});
  EXPECT_EQ(word.exit_code, 2);
  EXPECT_THAT(word.err, HasSubstr("did you mean 'prepare'?"));
  const ProgramEnd flag = Isoflop({"data", "prepare", "x", "--tokeniser", "bytes", "-o", "y"});
  EXPECT_EQ(flag.exit_code, 2);
  EXPECT_THAT(flag.err, HasSubstr("did you mean '--tokenizer'?"));
  const ProgramEnd share = Isoflop({"data", "prepare", kNovels, "-o", File("a"), "--eval", "lots"});
  EXPECT_EQ(share.exit_code, 2);
  EXPECT_THAT(share.err, HasSubstr("--eval: 'lots' is not a share\ncure: --eval 5%"));
}

}  // namespace
}  // namespace isoflop
