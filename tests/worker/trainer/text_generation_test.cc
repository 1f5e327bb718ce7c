#include "worker/trainer/text_generation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/worker/trainer/fake_text_model.h"

namespace isoflop {
namespace {

using testing::HasSubstr;

constexpr int64_t kEot = 256;

// Writes `text` and then an end of text, whatever was read.
FakeTextModel::Next Writes(const std::string& text, int64_t vocab_size = 257) {
  return [text, vocab_size, at = size_t{0}](const std::vector<int64_t>&) mutable {
    std::vector<double> scores(static_cast<size_t>(vocab_size), -10);
    scores[at < text.size() ? static_cast<unsigned char>(text[at]) : kEot] = 10;
    ++at;
    return scores;
  };
}

struct Made {
  GeneratedText text;
  std::vector<std::string> pieces;
};

Made Generate(FakeTextModel& model, GenerationOptions options) {
  options.sampling.temperature = 0;
  const auto tokenizer = MakeBytesTokenizer();
  Made made;
  const int64_t prompt[] = {kEot};
  auto text = GenerateText(model, *tokenizer, kEot, prompt, options, [&](std::string_view piece) { made.pieces.emplace_back(piece); });
  EXPECT_TRUE(text.ok()) << text.status();
  if (text.ok()) made.text = *std::move(text);
  return made;
}

std::string Joined(const std::vector<std::string>& pieces) {
  std::string all;
  for (const std::string& piece : pieces) all += piece;
  return all;
}

TEST(TextGenerationTest, EndsAtTheEndOfTextTheLengthOrTheStop) {
  FakeTextModel whole(257, 64, Writes("Mr. Darcy"));
  const Made to_end = Generate(whole, {});
  EXPECT_EQ(to_end.text.text, "Mr. Darcy");
  EXPECT_EQ(to_end.text.end, GenerationEnd::kEndOfText);
  EXPECT_EQ(to_end.text.tokens.size(), 9u);

  GenerationOptions five;
  five.tokens = 5;
  FakeTextModel cut(257, 64, Writes("Mr. Darcy"));
  EXPECT_EQ(Generate(cut, five).text.text, "Mr. D");

  GenerationOptions stop;
  stop.stop = ". D";
  FakeTextModel stopped(257, 64, Writes("Mr. Darcy"));
  const Made before = Generate(stopped, stop);
  EXPECT_EQ(before.text.text, "Mr");
  EXPECT_EQ(before.text.end, GenerationEnd::kStop);
  EXPECT_EQ(Joined(before.pieces), "Mr") << "nothing of the stop was streamed";
}

TEST(TextGenerationTest, StreamsWholeUtf8AndLosesNoByte) {
  const std::string text = "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80 \xFF\xC3 x\xE2\x82";
  FakeTextModel model(257, 64, Writes(text));
  const Made made = Generate(model, {});
  EXPECT_EQ(made.text.text, text);
  EXPECT_EQ(Joined(made.pieces), text);
  EXPECT_THAT(made.pieces, testing::IsSupersetOf({"\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"}));
}

TEST(TextGenerationTest, ReadsAFixedNumberOfTokensForEachHoweverLongTheText) {
  const auto cycle = [](const std::vector<int64_t>& seen) {
    std::vector<double> scores(257, 0);
    scores[static_cast<size_t>('a' + (seen.back() + 1) % 26)] = 5;
    return scores;
  };
  GenerationOptions options;
  for (const int64_t length : {100, 1000, 10000}) {
    FakeTextModel model(257, 64, cycle);
    options.tokens = length;
    EXPECT_EQ(Generate(model, options).text.tokens.size(), static_cast<size_t>(length));
    EXPECT_LE(model.longest, 64);
    EXPECT_LE(model.read, 2 * length + 64) << "each token once, and half a window again at each restart";
  }
}

TEST(TextGenerationTest, NeverDrawsAnIdThatPadsTheVocabulary) {
  FakeTextModel model(320, 64, [](const std::vector<int64_t>&) {
    std::vector<double> scores(320, 0);
    for (size_t id = 257; id < 320; ++id) scores[id] = 50;
    return scores;
  });
  const auto tokenizer = MakeBytesTokenizer();
  const int64_t prompt[] = {kEot};
  const auto made = GenerateText(model, *tokenizer, std::nullopt, prompt, {}, nullptr);
  ASSERT_TRUE(made.ok());
  for (const int64_t token : made->tokens) EXPECT_LT(token, 257);
}

TEST(TextGenerationTest, SaysWhichOptionOrScoreCannotBe) {
  FakeTextModel model(257, 64, [](const std::vector<int64_t>&) { return std::vector<double>(257, std::nan("")); });
  const auto tokenizer = MakeBytesTokenizer();
  const int64_t prompt[] = {kEot};
  const auto message = [&](const GenerationOptions& options) {
    const auto made = GenerateText(model, *tokenizer, kEot, prompt, options, nullptr);
    EXPECT_TRUE(absl::IsInvalidArgument(made.status()));
    return std::string(made.status().message());
  };
  EXPECT_THAT(message({}), HasSubstr("NaN"));
  GenerationOptions options;
  options.sampling.temperature = -1;
  EXPECT_THAT(message(options), HasSubstr("temperature -1"));
  options.sampling = {};
  options.sampling.top_k = 258;
  EXPECT_THAT(message(options), HasSubstr("top-k 258"));
}

}  // namespace
}  // namespace isoflop
