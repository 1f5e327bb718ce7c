#include "study/param_counts.h"

#include <gtest/gtest.h>

#include "study/ladders.h"

namespace isoflop {
namespace {

ModelShape Gpt2Small() {
  ModelShape shape;
  shape.d_model = 768;
  shape.n_layer = 12;
  shape.n_head = 12;
  shape.d_ff = 3072;
  shape.vocab_size = 50257;
  shape.norm = Norm::kLayerNorm;
  shape.position = Position::kLearned;
  shape.tied_head = true;
  shape.bias = true;
  return shape;
}

ModelShape Bytes(int64_t d_model, int64_t n_layer, int64_t n_head) {
  ModelShape shape;
  shape.d_model = d_model;
  shape.n_layer = n_layer;
  shape.n_head = n_head;
  shape.d_ff = 4 * d_model;
  shape.vocab_size = 257;
  return shape;
}

struct Golden {
  const char* name;
  ModelShape shape;
  int64_t sequence_length;
  ParamCounts counts;
  int64_t total;
  double exact;
  double exact_causal;
};

std::vector<Golden> Goldens() {
  ModelShape llama = Bytes(128, 4, 4);
  llama.activation = Activation::kSwiglu;
  llama.d_ff = 384;
  llama.tied_head = true;
  ModelShape depth12 = Bytes(768, 12, 6);
  depth12.vocab_size = 32768;
  depth12.activation = Activation::kRelu2;
  depth12.qk_norm = true;
  ModelShape lstm = Bytes(128, 2, 1);
  lstm.family = Family::kLstm;
  return {
      {"GPT-2 124M", Gpt2Small(), 1024, {38597376, 786432, 0, 85056000}, 124439808, 854438400, 797870592},
      {"bytes d128 L4", Bytes(128, 4, 4), 128, {32896, 0, 32896, 787584}, 853376, 5702400, 5312256},
      {"Llama shape", llama, 128, {32896, 0, 0, 853120}, 886016, 6095616, 5705472},
      {"depth 12", depth12, 2048, {25165824, 0, 25165824, 84953856}, 135285504, 887095296, 773904384},
      {"LSTM", lstm, 128, {32896, 0, 33153, 264192}, 330241, 1770240, 1770240},
  };
}

TEST(ParamCountsTest, MatchesTheGoldenTableOfCountsAndFlops) {
  for (const Golden& golden : Goldens()) {
    const ParamCounts counts = CountParams(golden.shape, golden.sequence_length);
    EXPECT_EQ(counts, golden.counts) << golden.name;
    EXPECT_EQ(counts.total(), golden.total) << golden.name;
    const FlopsPerToken flops = CountFlopsPerToken(golden.shape, golden.sequence_length);
    EXPECT_EQ(flops.exact, golden.exact) << golden.name;
    EXPECT_EQ(flops.exact_causal, golden.exact_causal) << golden.name;
  }
}

TEST(ParamCountsTest, Gpt2AsThreeHousesCountIt) {
  const ParamCounts counts = CountParams(Gpt2Small(), 1024);
  EXPECT_EQ(counts.total() - counts.position, 123653376) << "nanoGPT, without positions";
  const int64_t attention = 12LL * 12 * 768 * 1024;
  EXPECT_EQ(6 * (counts.total() - counts.position) + attention, 855166464) << "PaLM's and nanoGPT's FLOPs";
  EXPECT_EQ(6 * counts.total() + attention / 2, 803261952) << "llm.c's FLOPs";
}

TEST(ParamCountsTest, EachConventionAddsWhatItSays) {
  const ModelShape tied = Gpt2Small();
  const ParamCounts counts = CountParams(tied, 1024);
  EXPECT_EQ(ParamsUnder(CountConvention::kTotal, counts, tied), 124439808);
  EXPECT_EQ(ParamsUnder(CountConvention::kNonEmbedding, counts, tied), 85056000);
  // A tied head still multiplies.
  EXPECT_EQ(ParamsUnder(CountConvention::kNonEmbeddingPlusHead, counts, tied), 85056000 + 38597376);
  const ModelShape untied = Bytes(128, 4, 4);
  const ParamCounts untied_counts = CountParams(untied, 128);
  EXPECT_EQ(ParamsUnder(CountConvention::kNonEmbeddingPlusHead, untied_counts, untied), 787584 + 32896);
}

TEST(ParamCountsTest, BareCountsAgreeWithShapes) {
  for (const Golden& golden : Goldens()) {
    for (const auto convention :
         {CountConvention::kNonEmbeddingPlusHead, CountConvention::kTotal, CountConvention::kNonEmbedding}) {
      EXPECT_EQ(ParamsUnder(convention, golden.counts), ParamsUnder(convention, golden.counts, golden.shape))
          << golden.name << " " << ToString(convention);
    }
  }
}

TEST(ParamCountsTest, ACustomSizeIsWhatTheStudyStates) {
  ModelShape shape;
  shape.family = Family::kCustom;
  shape.custom_counts = ParamCounts{4'000'000, 0, 4'000'000, 9'000'000};
  EXPECT_EQ(CountParams(shape, 1024), shape.custom_counts);
  EXPECT_EQ(ParamsUnder(CountConvention::kNonEmbeddingPlusHead, shape.custom_counts, shape), 13'000'000);
  EXPECT_EQ(CountFlopsPerToken(shape, 1024).exact, 6.0 * 13'000'000);
}

TEST(ParamCountsTest, ConventionsHaveTexts) {
  EXPECT_EQ(ParseCountConvention("total"), CountConvention::kTotal);
  EXPECT_EQ(ParseCountConvention(ToString(CountConvention::kNonEmbeddingPlusHead)),
            CountConvention::kNonEmbeddingPlusHead);
  EXPECT_EQ(ParseCountConvention("totally"), std::nullopt);
  EXPECT_EQ(ParseFlopsConvention("exact"), FlopsConvention::kExact);
  EXPECT_EQ(ParseFlopsConvention("6ND"), std::nullopt);
}

}  // namespace
}  // namespace isoflop
