#include "worker/trainer/text_loss.h"

#include <gtest/gtest.h>

#include <cmath>

#include "corpus/ngram_counts.h"
#include "corpus/ngram_model.h"
#include "corpus/permutation.h"
#include "tests/worker/trainer/fake_text_model.h"
#include "worker/trainer/ngram_text_model.h"

namespace isoflop {
namespace {

std::vector<int64_t> Tokens(int64_t count, int64_t vocab_size) {
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int64_t>(SplitMix64(static_cast<uint64_t>(i)) % static_cast<uint64_t>(vocab_size)));
  }
  return tokens;
}

// The fake's loss is the context of each target, so the sums tell who saw how much.
TEST(TextLossTest, EveryTargetCountsOnceWithHalfAWindowBeforeIt) {
  for (const int64_t context : {1, 2, 3, 8, 9}) {
    for (int64_t length = 2; length <= 60; ++length) {
      FakeTextModel model(7, context);
      int64_t told = 0;
      const TextLoss loss = LossOfText(model, Tokens(length, 7), {}, [&](int64_t done) { told = done; });
      const int64_t targets = length - 1, head = std::min(context, targets);
      ASSERT_EQ(loss.tokens, targets);
      EXPECT_EQ(told, targets);
      EXPECT_LE(model.longest, context);
      const double least = static_cast<double>(head * (head + 1) / 2 + (targets - head) * std::max<int64_t>(1, context - std::max<int64_t>(1, context / 2) + 1));
      const double most = static_cast<double>(head * (head + 1) / 2 + (targets - head) * context);
      EXPECT_GE(loss.loss_nats * static_cast<double>(targets), least - 1e-9) << context << " " << length;
      EXPECT_LE(loss.loss_nats * static_cast<double>(targets), most + 1e-9) << context << " " << length;
      EXPECT_FALSE(loss.bits_per_byte.has_value());
    }
  }
}

TEST(TextLossTest, SpecialsAreInTheLossAndNotInTheBits) {
  FakeTextModel model(3, 100);
  const std::vector<int64_t> tokens = {2, 0, 1, 2, 0};  // losses 1 2 3 4
  const std::vector<uint16_t> bytes = {1, 3, 0};        // 2 is special
  const TextLoss loss = LossOfText(model, tokens, bytes, nullptr);
  EXPECT_DOUBLE_EQ(loss.loss_nats, 2.5);
  EXPECT_EQ(loss.bytes, 5);
  EXPECT_DOUBLE_EQ(*loss.bits_per_byte, (1 + 2 + 4) / (std::log(2.0) * 5));
  EXPECT_DOUBLE_EQ(loss.perplexity(), std::exp(2.5));
}

// A counted model looks at order - 1 tokens, so windows change nothing.
TEST(TextLossTest, AnNgramModelHasTheSameLossInWindows) {
  auto counts = NgramCounts::Make(5, 3);
  const std::vector<int64_t> train = Tokens(400, 5), text = Tokens(5000, 5);
  ASSERT_TRUE(counts->Add(train, 0).ok());
  auto model = NgramModel::Make(5, 3, {}, *std::move(*counts).Finish());
  ASSERT_TRUE(model.ok());
  std::vector<double> losses(text.size() - 1);
  model->LossesOf(text, losses);
  double sum = 0;
  for (const double one : losses) sum += one;
  NgramTextModel windows(*model);
  const TextLoss loss = LossOfText(windows, text, {}, nullptr);
  EXPECT_EQ(loss.tokens, 4999);
  EXPECT_NEAR(loss.loss_nats, sum / 4999, 1e-12);
  // And what it reads token by token is the same distribution.
  TextContext context(windows);
  double by_reading = 0;
  for (size_t i = 0; i + 1 < 1500; ++i) by_reading -= context.Append(std::span<const int64_t>(&text[i], 1))[static_cast<size_t>(text[i + 1])];
  double direct = 0;
  for (size_t i = 0; i + 1 < 1500; ++i) direct += losses[i];
  EXPECT_NEAR(by_reading / direct, 1, 1e-12);
}

}  // namespace
}  // namespace isoflop
