#include "corpus/tokenizer.h"

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "corpus/text_documents.h"
#include "gmock/gmock.h"
#include "tests/corpus/test_files.h"
#include "tests/corpus/train_sentencepiece.h"

namespace isoflop {
namespace {

using testing::HasSubstr;

// Text and bytes that tokenizers like to change.
std::vector<std::string> HardTexts() {
  std::vector<std::string> texts = {
      "",
      "Emma Woodhouse, handsome, clever, and rich",
      "  two  blanks \n\n\ttab \r\n end ",
      std::string("a\0b\0", 4),
      "\xe2\x96\x81 the sign for a blank \xe2\x96\x81",
      "\xef\xac\x81 ligature, \xc3\xa9 and e\xcc\x81",
      "\xf0\x9f\x90\x8d \xe6\xbc\xa2",
      "\xff\xfe\x80 not UTF-8 \xc3",
      "\xed\xa0\x80 surrogate, \xc0\xaf overlong",
      "<s> </s> <unk> <0x41>",
  };
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  texts.push_back(all);
  std::mt19937 random(1);
  for (int i = 0; i < 20; ++i) {
    std::string text;
    for (int j = 0; j < 200; ++j) text.push_back(static_cast<char>(random()));
    texts.push_back(text);
  }
  return texts;
}

void ExpectRoundTrip(const Tokenizer& tokenizer) {
  for (const std::string& text : HardTexts()) {
    std::vector<std::uint32_t> tokens;
    tokenizer.Encode(text, &tokens);
    EXPECT_EQ(tokenizer.Decode(tokens), text);
    std::size_t bytes = 0;
    for (const std::uint32_t token : tokens) {
      ASSERT_LT(token, tokenizer.facts().vocab_size);
      EXPECT_NE(token, tokenizer.facts().eot_id) << "only a document's head is EOT";
      bytes += tokenizer.token_bytes()[token];
    }
    EXPECT_EQ(bytes, text.size());
  }
}

std::string TrainModel(const std::map<std::string, std::string>& settings = {}) {
  // Real text, so that pieces longer than a byte are worth it.
  const std::vector<std::string> lines = {
      "It is a truth universally acknowledged, that a single man in possession",
      "of a good fortune, must be in want of a wife.",
      "However little known the feelings or views of such a man may be on his",
      "first entering a neighbourhood, this truth is so well fixed in the minds",
      "of the surrounding families, that he is considered the rightful property",
      "of some one or other of their daughters."};
  return TrainSentencePieceModel(380, lines, settings);
}

TEST(BytesTokenizerTest, GivesBackAnyBytes) {
  const std::unique_ptr<Tokenizer> tokenizer = MakeBytesTokenizer();
  EXPECT_EQ(tokenizer->facts().vocab_size, 257);
  EXPECT_EQ(tokenizer->facts().eot_id, 256);
  EXPECT_EQ(tokenizer->token_bytes()[256], 0);
  ExpectRoundTrip(*tokenizer);
}

TEST(SentencePieceTokenizerTest, GivesBackAnyBytes) {
  const TestFolder folder;
  const std::string path = folder.Write("small.model", TrainModel());
  const auto tokenizer = MakeTokenizer(path);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->facts().id, "sentencepiece");
  EXPECT_EQ((*tokenizer)->facts().file, "tokenizer.model");
  ExpectRoundTrip(**tokenizer);
  // And it is no byte tokenizer in disguise.
  std::vector<std::uint32_t> tokens;
  (*tokenizer)->Encode("It is a truth universally acknowledged", &tokens);
  EXPECT_LT(tokens.size(), 25u);
}

TEST(SentencePieceTokenizerTest, GivesTheIdsOfTheLibrary) {
  const TestFolder folder;
  // Lines of the novels, a model of 500 pieces over some of them.
  const auto sources = ListSources({ISOFLOP_SOURCE_DIR "/configs/austen.txt.xz"}, "");
  ASSERT_TRUE(sources.ok());
  std::vector<std::string> lines;
  ASSERT_TRUE(ForEachDocument(sources->front(), SplitBy::kDocument,
                              [&](std::string_view text, std::int64_t) {
                                for (std::size_t at = 0; at < text.size() && lines.size() < 3000;) {
                                  const std::size_t end = std::min(text.find('\n', at), text.size());
                                  lines.emplace_back(text.substr(at, end - at));
                                  at = end + 1;
                                }
                                return absl::OkStatus();
                              })
                  .ok());
  const std::vector<std::string> some(lines.begin(), lines.begin() + 300);
  const std::string model = TrainSentencePieceModel(500, some);
  const auto tokenizer = MakeTokenizer(folder.Write("novels.model", model));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->facts().vocab_size, 500);
  lines.push_back("  blanks   of all kinds\tand \xc3\xa9t\xc3\xa9, \xe6\xbc\xa2\xe5\xad\x97 ");
  lines.push_back("aaaaaaaaaaaaaaaaaaaa eeeeeeee tttttttt ----------");
  for (const std::string& line : lines) {
    std::vector<std::uint32_t> tokens;
    (*tokenizer)->Encode(line, &tokens);
    const std::vector<int> wanted = EncodeByLibrary(model, line);
    ASSERT_EQ(std::vector<int>(tokens.begin(), tokens.end()), wanted) << line;
  }
}

TEST(SentencePieceTokenizerTest, RefusesModelsThatLoseBytes) {
  const TestFolder folder;
  const auto message = [&](const std::map<std::string, std::string>& settings) {
    return std::string(MakeTokenizer(folder.Write("x.model", TrainModel(settings))).status().message());
  };
  const auto cure = HasSubstr("cure: train it with ");
  EXPECT_THAT(message({{"byte_fallback", "false"}, {"vocab_size", "100"}}),
              testing::AllOf(HasSubstr("lacks byte pieces"), cure));
  EXPECT_THAT(message({{"add_dummy_prefix", "true"}}), testing::AllOf(HasSubstr("changes the text"), cure));
  EXPECT_THAT(message({{"remove_extra_whitespaces", "true"}}), HasSubstr("changes the text"));
  EXPECT_THAT(message({{"normalization_rule_name", "nmt_nfkc"}}), HasSubstr("changes the text"));
  EXPECT_THAT(message({{"model_type", "unigram"}}), HasSubstr("is not of the type BPE"));
  EXPECT_THAT(message({{"user_defined_symbols", "<sep>"}}), HasSubstr("that a user defined"));
}

TEST(SentencePieceTokenizerTest, RefusesWhatIsNoModel) {
  const TestFolder folder;
  EXPECT_THAT(MakeTokenizer(folder.Write("no.model", "hello")).status().message(),
              testing::AllOf(HasSubstr("no.model: not a SentencePiece model"), HasSubstr("cure:")));
  EXPECT_EQ(MakeTokenizer(folder.File("none.model")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(MakeTokenizer("gpt2").status().message(),
              HasSubstr("cure: bytes, or the path of a SentencePiece .model"));
}

}  // namespace
}  // namespace isoflop
