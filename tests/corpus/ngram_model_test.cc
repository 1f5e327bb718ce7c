#include "corpus/ngram_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <numeric>
#include <string>

#include "corpus/permutation.h"
#include "tests/corpus/test_files.h"

namespace isoflop {
namespace {

using Ids = std::vector<std::int64_t>;

NgramModel Trained(const Ids& tokens, std::int64_t vocab_size, int order, const NgramOptions& options) {
  absl::StatusOr<NgramCounts> counts = NgramCounts::Make(vocab_size, order);
  EXPECT_TRUE(counts.ok() && counts->Add(tokens, 1).ok());
  absl::StatusOr<NgramModel> model = NgramModel::Make(vocab_size, order, options, *std::move(*counts).Finish());
  EXPECT_TRUE(model.ok()) << model.status();
  return *std::move(model);
}

double MeanLoss(const NgramModel& model, const Ids& tokens) {
  std::vector<double> losses(tokens.size() - 1);
  model.LossesOf(tokens, losses);
  return std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(losses.size());
}

Ids Abracadabra() {
  Ids tokens = {256};
  for (const char c : std::string("abracadabra")) tokens.push_back(c);
  return tokens;
}

TEST(NgramModelTest, EntropyAndAddOneOfAbracadabra) {
  const Ids tokens = Abracadabra();
  const NgramModel bigram = Trained(tokens, 257, 2, {NgramSmoothing::kAddK});
  EXPECT_NEAR(bigram.ConditionalEntropyNats(1), 1.414279, 1e-6);
  EXPECT_NEAR(bigram.Probability(Ids{'a'}, 'b'), 1.0 / 87, 1e-15);  // (2 + 1) / (4 + 257)
  EXPECT_NEAR(MeanLoss(bigram, tokens), 4.644260, 1e-6);
}

// By hand. Bigrams of EOT a b r a c a d a b r a: EOT-a, a-c, c-a, a-d, d-a once,
// a-b, b-r, r-a twice: n1 = 5, n2 = 3, D2 = 5 / (5 + 6) = 5/11. Behind a stand b
// twice, c, d: c(a) = 4, t(a) = 3. Before a stand EOT, r, c, d: a has continuation
// count 4, before b, r, c, d stands one each; 8 in all, n1 = 4, n2 = 0, so
// D1 = 3/4 and t = 5.
//   p(b)   = (1 - 3/4) / 8 + (3/4 * 5) / 8 * 1/257 = 1/32 + 15/8224 = 17/514
//   p(b|a) = (2 - 5/11) / 4 + (5/11 * 3) / 4 * 17/514 = 17/44 + 15/44 * 17/514
//          = 17/44 * 529/514 = 8993/22616
TEST(NgramModelTest, KneserNeyOfAbracadabraByHand) {
  const Ids tokens = Abracadabra();
  const NgramModel bigram = Trained(tokens, 257, 2, {});
  EXPECT_NEAR(bigram.Probability({}, 'b'), 17.0 / 514, 1e-12);
  EXPECT_NEAR(bigram.Probability(Ids{'a'}, 'b'), 8993.0 / 22616, 1e-12);
  EXPECT_NEAR(MeanLoss(bigram, tokens), 0.672356, 1e-6);
}

// Absolute discounting by hand, same stream: c(a) = 4, D2 = 5/11, of the unseen
// behind a: mass 3 * 5/11 / 4 = 15/44 over 1 - p(b) - p(c) - p(d) of order 1. There
// n1 = 2 (c, d), n2 = 2 (b, r): D1 = 2/6 = 1/3, p(b) = (2 - 1/3) / 11 = 5/33,
// p(c) = p(d) = 2/33, p(r) = 5/33: what is left is 1 - 9/33 = 8/11, a(a) = 15/32.
TEST(NgramModelTest, AbsoluteDiscountBacksOffByHand) {
  const NgramModel bigram = Trained(Abracadabra(), 257, 2, {NgramSmoothing::kAbsoluteDiscount});
  EXPECT_NEAR(bigram.Probability(Ids{'a'}, 'b'), 17.0 / 44, 1e-12);
  EXPECT_NEAR(bigram.Probability(Ids{'a'}, 'r'), 15.0 / 32 * 5 / 33, 1e-12);
}

Ids Text(std::size_t count, std::int64_t vocab_size) {
  Ids tokens = {0};
  for (std::size_t i = 1; i < count; ++i) {
    const auto noise = static_cast<std::int64_t>(SplitMix64(i) % 1000);
    tokens.push_back(noise < 600 ? (7 * tokens.back() + noise % 3) % (vocab_size / 2) : noise % (vocab_size - 3));
  }
  return tokens;
}

// Every smoothing and order, histories that occur and that do not, of every length.
TEST(NgramModelTest, ProbabilitiesOfAThousandHistoriesSumToOne) {
  const std::int64_t vocab_size = 61;
  const Ids tokens = Text(4000, vocab_size);
  double worst = 0;
  int histories = 0;
  for (const NgramSmoothing smoothing :
       {NgramSmoothing::kAddK, NgramSmoothing::kAbsoluteDiscount, NgramSmoothing::kKneserNey}) {
    for (int order = 1; order <= kMaxNgramOrder; ++order) {
      const NgramModel model = Trained(tokens, vocab_size, order, {smoothing, 0.3});
      for (std::size_t i = 0; i < 1000; ++i) {
        const std::size_t length = i % 5;
        Ids history;
        for (std::size_t place = 0; place < length; ++place) {
          history.push_back(i % 2 == 0 ? tokens[3 * i + place]
                                       : static_cast<std::int64_t>(SplitMix64(17 * i + place) % static_cast<std::uint64_t>(vocab_size)));
        }
        const std::vector<double> all = model.Distribution(history);
        for (const double p : all) ASSERT_GT(p, 0);
        worst = std::max(worst, std::fabs(std::accumulate(all.begin(), all.end(), 0.0) - 1));
        ++histories;
      }
    }
  }
  EXPECT_LE(worst, 1e-9);
  std::printf("| n-gram: sum of p over V, %d histories, 3 smoothings x 5 orders: from 1 | 1e-9 | %.1e |\n", histories, worst);
}

// A vocabulary that occurs whole behind one word, and at order 1.
TEST(NgramModelTest, ContextsThatSawEveryTokenSumToOneToo) {
  Ids tokens = {0};
  for (std::int64_t next : {0, 1, 0, 2, 0, 3, 0, 0, 1, 2, 3}) tokens.push_back(next);
  for (const NgramSmoothing smoothing :
       {NgramSmoothing::kAddK, NgramSmoothing::kAbsoluteDiscount, NgramSmoothing::kKneserNey}) {
    const NgramModel model = Trained(tokens, 4, 3, {smoothing});
    for (const Ids& history : {Ids{}, Ids{0}, Ids{3, 0}, Ids{1, 1}}) {
      const std::vector<double> all = model.Distribution(history);
      EXPECT_NEAR(std::accumulate(all.begin(), all.end(), 0.0), 1, 1e-12);
    }
  }
}

// The stream of tools/record_ngrams.py.
Ids RecordedStream(std::uint64_t seed, std::size_t count) {
  Ids ids(20);
  std::iota(ids.begin(), ids.end(), 0);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t noise = SplitMix64(1000003 * seed + i);
    ids.push_back(noise % 5 != 0 ? static_cast<std::int64_t>((7 * static_cast<std::uint64_t>(ids.back()) + 3 + noise % 4) % 20)
                                 : static_cast<std::int64_t>((noise >> 8) % 20));
  }
  for (std::int64_t first = 0; first < 5; ++first) ids.push_back(first);
  return ids;
}

TEST(NgramModelTest, PerplexitiesAreThoseOfNltk) {
  std::ifstream golden(ISOFLOP_SOURCE_DIR "/tests/corpus/golden/ngram_perplexity.txt");
  const Ids train = RecordedStream(1, 1500), held = RecordedStream(2, 300);
  int compared = 0;
  double worst = 0;
  for (std::string line; std::getline(golden, line);) {
    if (line.starts_with("#")) continue;
    std::istringstream fields(line);
    std::string name;
    int order = 0;
    double perplexity = 0;
    fields >> name >> order >> perplexity;
    NgramOptions options;
    if (name == "lidstone") {
      options.smoothing = NgramSmoothing::kAddK;
      options.add_k = 0.5;
    } else {
      options.discount = 0.6;
      options.interpolate_uniform = false;
    }
    const double ours = std::exp(MeanLoss(Trained(train, 21, order, options), held));
    EXPECT_NEAR(ours / perplexity, 1, 1e-9) << line;
    std::printf("%s order %d: perplexity %.6f, NLTK %.6f\n", name.c_str(), order, ours, perplexity);
    worst = std::max(worst, std::fabs(ours / perplexity - 1));
    ++compared;
  }
  EXPECT_EQ(compared, 9);
  std::printf("| n-gram: perplexity of orders 1 to 5 beside NLTK, relative | 1e-9 | %.1e |\n", worst);
}

TEST(NgramModelTest, AFileGivesTheModelBack) {
  const TestFolder folder;
  const Ids tokens = Text(2000, 61);
  for (const NgramSmoothing smoothing :
       {NgramSmoothing::kAddK, NgramSmoothing::kAbsoluteDiscount, NgramSmoothing::kKneserNey}) {
    const NgramModel model = Trained(tokens, 61, 4, {smoothing, 0.25});
    ASSERT_TRUE(model.Save(folder.File("ngram.bin")).ok());
    const absl::StatusOr<NgramModel> loaded = NgramModel::Load(folder.File("ngram.bin"));
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(loaded->order(), 4);
    EXPECT_EQ(MeanLoss(*loaded, tokens), MeanLoss(model, tokens));
    ASSERT_TRUE(loaded->Save(folder.File("again.bin")).ok());
    EXPECT_EQ(folder.Read("again.bin"), folder.Read("ngram.bin"));
  }
}

TEST(NgramModelTest, RefusesBadFiles) {
  const TestFolder folder;
  ASSERT_TRUE(Trained(Text(300, 61), 61, 3, {}).Save(folder.File("ngram.bin")).ok());
  const std::string good = folder.Read("ngram.bin");
  const auto error = [&](const std::string& bytes) {
    const absl::Status status = NgramModel::Load(folder.Write("bad.bin", bytes)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_NE(std::string(status.message()).find("cure: "), std::string::npos) << status;
  };
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{20}, std::size_t{100}, good.size() - 1}) error(good.substr(0, bytes));
  error(good + "x");
  for (const std::size_t place : {std::size_t{0}, std::size_t{9}, std::size_t{30}, std::size_t{64}, std::size_t{200}, good.size() - 3}) {
    std::string flipped = good;
    flipped[place] ^= 4;
    error(flipped);
  }
  EXPECT_EQ(NgramModel::Load(folder.File("none.bin")).status().code(), absl::StatusCode::kNotFound);
}

TEST(NgramModelTest, RefusesWhatIsNoModel) {
  EXPECT_FALSE(NgramModel::Make(10, 2, {}, {}).ok());
  for (const double k : {0.0, -1.0, std::nan(""), static_cast<double>(INFINITY)}) {
    EXPECT_FALSE(NgramModel::Make(10, 1, {NgramSmoothing::kAddK, k}, {{NgramKey(1), 1}}).ok()) << k;
  }
  for (const double discount : {0.0, 1.0, -0.5}) {
    NgramOptions options;
    options.discount = discount;
    EXPECT_FALSE(NgramModel::Make(10, 1, options, {{NgramKey(1), 1}}).ok()) << discount;
  }
}

}  // namespace
}  // namespace isoflop
