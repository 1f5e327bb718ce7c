// Reading a text a few tokens at a time against reading it whole.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>

#include "corpus/permutation.h"
#include "corpus/tokenizer.h"
#include "tests/worker/trainer/golden_network.h"
#include "worker/trainer/language_model.h"
#include "worker/trainer/network_text_model.h"
#include "worker/trainer/text_generation.h"

namespace isoflop {
namespace {

// Weights that make the model's choices differ from place to place, without Torch's
// global generator.
void FillBySeed(Parameters& parameters, double scale) {
  at::NoGradGuard no_grad;
  float* data = parameters.weights().data_ptr<float>();
  for (int64_t i = 0; i < parameters.size(); ++i) {
    data[i] = static_cast<float>(scale * (static_cast<double>(SplitMix64(static_cast<uint64_t>(i)) >> 11) * 0x1p-52 - 1));
  }
}

std::vector<GoldenCase> AllCases() {
  std::vector<GoldenCase> cases = GoldenCases();
  for (GoldenCase& lstm : GoldenLstmCases()) cases.push_back(std::move(lstm));
  return cases;
}

TEST(TokenReaderTest, PiecesOfATextGiveTheLogitsOfTheWhole) {
  double worst = 0;
  for (const GoldenCase& golden : AllCases()) {
    for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
      Parameters parameters(LayOutParameters(golden.shape, 24), at::kCPU);
      FillBySeed(parameters, 0.3);
      const auto model = MakeLanguageModel(golden.shape, 24, parameters, precision);
      model->RefreshWeights();
      at::NoGradGuard no_grad;
      at::Tensor inputs_T = at::empty({24}, at::kLong);
      for (int64_t i = 0; i < 24; ++i) inputs_T.data_ptr<int64_t>()[i] = (i * i + 3) % golden.shape.vocab_size;
      const at::Tensor whole_TV = model->Logits(inputs_T.unsqueeze(0)).squeeze(0);
      const auto reader = model->StartReading();
      int64_t at = 0;
      for (const int64_t count : {5, 1, 1, 7, 1, 9}) {
        const at::Tensor logits_V = reader->Read(inputs_T.narrow(0, at, count));
        at += count;
        const double apart = RelativeDistance(logits_V, whole_TV.select(0, at - 1));
        if (precision == Precision::kFp32) worst = std::max(worst, apart);
        EXPECT_LT(apart, precision == Precision::kFp32 ? 1e-5 : 3e-2) << golden.name << " position " << at;
      }
      ASSERT_EQ(at, 24);
    }
  }
  PrintRow("reading with a cache against the whole text, logits", "1e-5", worst);
}

TEST(TokenReaderTest, WithAndWithoutACacheTheSameText) {
  const auto tokenizer = MakeBytesTokenizer();
  for (const bool lstm : {false, true}) {
    ModelShape shape;
    shape.family = lstm ? Family::kLstm : Family::kTransformer;
    shape.d_model = 32;
    shape.n_layer = 2;
    shape.n_head = lstm ? 0 : 4;
    shape.d_ff = lstm ? 0 : 64;
    shape.vocab_size = 257;
    Parameters parameters(LayOutParameters(shape, 48), at::kCPU);
    FillBySeed(parameters, 0.5);
    const auto model = MakeLanguageModel(shape, 48, parameters, Precision::kFp32);
    const int64_t prompt[] = {256, 'a', 'b'};
    for (const double temperature : {0.0, 0.7, 1.0}) {
      GenerationOptions options;
      options.tokens = 300;  // over several windows of 48
      options.sampling.temperature = temperature;
      options.sampling.seed = 11;
      std::string texts[2];
      std::vector<int64_t> tokens[2];
      for (const bool cached : {false, true}) {
        NetworkTextModel text(*model, 257, 48, at::kCPU, cached);
        const auto made = GenerateText(text, *tokenizer, std::nullopt, prompt, options, nullptr);
        ASSERT_TRUE(made.ok()) << made.status();
        texts[cached] = made->text;
        tokens[cached] = made->tokens;
      }
      EXPECT_EQ(tokens[0], tokens[1]) << ToString(shape.family) << " at temperature " << temperature;
      EXPECT_EQ(tokens[0].size(), 300u);
      EXPECT_EQ(texts[0], texts[1]);
    }
  }
}

// Prints; what a shared machine's clock says is no test.
TEST(TokenReaderTest, TellsTheSpeedAtTwoLengths) {
  const auto tokenizer = MakeBytesTokenizer();
  ModelShape shape;
  shape.d_model = 128;
  shape.n_layer = 4;
  shape.n_head = 4;
  shape.d_ff = 512;
  shape.vocab_size = 257;
  Parameters parameters(LayOutParameters(shape, 1024), at::kCPU);
  FillBySeed(parameters, 0.1);
  const auto model = MakeLanguageModel(shape, 1024, parameters, Precision::kFp32);
  const int64_t prompt[] = {256};
  const auto rate = [&](int64_t length, bool cached) {
    NetworkTextModel text(*model, 257, 1024, at::kCPU, cached);
    GenerationOptions options;
    options.tokens = length;
    const auto begin = std::chrono::steady_clock::now();
    const auto made = GenerateText(text, *tokenizer, std::nullopt, prompt, options, nullptr);
    EXPECT_TRUE(made.ok());
    return static_cast<double>(length) / std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  rate(16, true);
  std::printf("| generation, d128 L4 T1024, tokens/s with cache | - | %.0f at 128, %.0f at 1024 |\n", rate(128, true), rate(1023, true));
  std::printf("| the same without cache | - | %.0f at 128 |\n", rate(128, false));
}

}  // namespace
}  // namespace isoflop
