#include "corpus/eval_set.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "corpus/dataset_writer.h"
#include "corpus/tokenizer.h"
#include "gmock/gmock.h"
#include "tests/corpus/test_files.h"

namespace isoflop {
namespace {

constexpr std::uint32_t kEot = 256;

// Held out: EOT a b | EOT c | EOT d e f. Its 8 targets are a b, EOT c, EOT d e f.
class EvalSetTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::unique_ptr<Tokenizer> bytes = MakeBytesTokenizer();
    DatasetWriter writer(folder_.path(), SplitRule{}, TokenType::kU16, 100, bytes->token_bytes());
    const std::vector<std::uint32_t> train = {kEot, 'x', 'y', 'z'};
    ASSERT_TRUE(writer.AppendTrain(train).ok());
    writer.HoldOut(30, {kEot, 'd', 'e', 'f'});
    writer.HoldOut(10, {kEot, 'a', 'b'});
    writer.HoldOut(20, {kEot, 'c'});
    DatasetManifest manifest;
    manifest.tokenizer = bytes->facts();
    manifest.split.by = "document";
    ASSERT_TRUE(writer.Finish(manifest, "").ok());
    absl::StatusOr<Dataset> dataset = Dataset::Open(folder_.path());
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    dataset_.emplace(std::move(*dataset));
  }

  // By target.
  const std::vector<double> losses_ = {1, 2, 2, 4, 1, 1, 1, 4};

  EvalLoss Evaluate(std::int64_t sequence_length, const std::vector<double>& losses) {
    const EvalSet set(*dataset_, sequence_length);
    EvalLossSums sums(set);
    std::size_t begin = 0;
    for (std::int64_t window = 0; window < set.window_count(); ++window) {
      const auto targets = static_cast<std::size_t>(set.TargetsIn(window));
      sums.Add(window, std::span(losses).subspan(begin, targets));
      begin += targets;
    }
    EXPECT_EQ(begin, losses.size());
    return sums.Result();
  }

  TestFolder folder_;
  std::optional<Dataset> dataset_;
};

TEST_F(EvalSetTest, CountsEachTargetOnceWhateverTheWindow) {
  for (const std::int64_t length : {1, 2, 3, 4, 7, 8, 100}) {
    const EvalSet set(*dataset_, length);
    EXPECT_EQ(set.target_count(), 8);
    EXPECT_EQ(set.target_bytes(), 6);
    EXPECT_EQ(set.document_count(), 3);
    EXPECT_THAT(set.document_targets(), testing::ElementsAre(2, 2, 4));
    std::vector<std::int64_t> targets;
    std::vector<std::int64_t> documents;
    for (std::int64_t window = 0; window < set.window_count(); ++window) {
      const auto count = static_cast<std::size_t>(set.TargetsIn(window));
      std::vector<std::int64_t> tokens(count + 1);
      set.FillWindow(window, std::span<std::int64_t>(tokens));
      targets.insert(targets.end(), tokens.begin() + 1, tokens.end());
      std::vector<std::int64_t> of(count);
      set.FillDocuments(window, of);
      documents.insert(documents.end(), of.begin(), of.end());
    }
    EXPECT_THAT(targets, testing::ElementsAre('a', 'b', kEot, 'c', kEot, 'd', 'e', 'f')) << length;
    EXPECT_THAT(documents, testing::ElementsAre(0, 0, 1, 1, 2, 2, 2, 2)) << length;
  }
}

TEST_F(EvalSetTest, StandardErrorIsThatOfTheRatioByDocuments) {
  // L = 3, 6, 7; n = 2, 2, 4; r = 16/8 = 2; residuals -1, 2, -1;
  // sqrt(3/2 * 6) / 8 = 0.375.
  for (const std::int64_t length : {1, 3, 8}) {
    const EvalLoss loss = Evaluate(length, losses_);
    EXPECT_DOUBLE_EQ(loss.loss_nats, 2);
    EXPECT_NEAR(loss.loss_se.value(), 0.375, 1e-15);
    // The two EOT targets (2 and 1 nats) are in the loss, not in the bits.
    EXPECT_NEAR(loss.bits_per_byte.value(), 13 / (std::numbers::ln2 * 6), 1e-15);
    EXPECT_EQ(loss.eval_tokens, 8);
    EXPECT_EQ(loss.eval_bytes, 6);
  }
}

TEST_F(EvalSetTest, SumsOfTwoRanksAddUpToThoseOfOne) {
  const EvalSet set(*dataset_, 3);
  EvalLossSums first(set);
  EvalLossSums second(set);
  first.Add(0, std::span(losses_).subspan(0, 3));
  second.Add(1, std::span(losses_).subspan(3, 3));
  first.Add(2, std::span(losses_).subspan(6, 2));
  for (std::size_t i = 0; i < first.values().size(); ++i) first.values()[i] += second.values()[i];
  EXPECT_DOUBLE_EQ(first.Result().loss_nats, 2);
  EXPECT_NEAR(first.Result().loss_se.value(), 0.375, 1e-15);
}

TEST_F(EvalSetTest, AnInfiniteLossStaysInfinite) {
  std::vector<double> losses = losses_;
  losses[5] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(Evaluate(4, losses).loss_nats));
}

TEST(DatasetWriterTest, EvalSetDoesNotDependOnTheOrderOfArrival) {
  // By rising hash 10 (4 tokens), 20 (90, too many), 30 (4): only the first is
  // in, though the third would fit.
  const std::vector<std::uint32_t> small = {kEot, 'a', 'b', 'c'};
  const std::vector<std::uint32_t> large(90, 'l');
  std::vector<std::pair<std::uint64_t, std::vector<std::uint32_t>>> documents = {
      {10, small}, {20, large}, {30, {kEot, 'x', 'y', 'z'}}};
  std::vector<std::size_t> order = {0, 1, 2};
  do {
    TestFolder folder;
    DatasetWriter writer(folder.path(), SplitRule{.max_tokens = 20}, TokenType::kU16, 100, {});
    ASSERT_TRUE(writer.AppendTrain(small).ok());
    for (const std::size_t i : order) writer.HoldOut(documents[i].first, documents[i].second);
    DatasetManifest manifest;
    manifest.tokenizer = MakeBytesTokenizer()->facts();
    const absl::StatusOr<DatasetManifest> written = writer.Finish(manifest, "");
    ASSERT_TRUE(written.ok()) << written.status();
    EXPECT_EQ(written->eval.tokens, 4);
    EXPECT_EQ(written->eval.documents, 1);
    EXPECT_EQ(written->split.held_out_documents, 3);
  } while (std::next_permutation(order.begin(), order.end()));
}

}  // namespace
}  // namespace isoflop
