// The section that puts counted models and other studies beside the study.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "analysis/report/report.h"
#include "analysis/report/svg_writer.h"
#include "tests/analysis/report/literal_result.h"
#include "tests/analysis/report/well_formed.h"

namespace isoflop {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// The literal study of transformers, an LSTM study that needs 4 times [2, 8] the compute,
// and two counted models.
ReportContext Context() {
  ReportContext context = LiteralContext();
  context.title = "web";
  context.source = "study";
  context.family = "transformer";
  context.baselines = {{.trial_id = "7", .order = 1, .smoothing = "add_k", .tokens = 1e6, .loss_nats = 5, .loss_se = {}, .bits_per_byte = 3.5},
                       {.trial_id = "8", .order = 3, .smoothing = "kneser_ney", .tokens = 1e6, .loss_nats = 2.4, .loss_se = 0.01, .bits_per_byte = 1.75}};
  ReportFamily lstm{.name = "web-lstm", .family = "lstm", .analysis = LiteralResult(), .comparison = {}};
  for (KeptRow& row : lstm.analysis.rows) row.loss *= 1.2;
  Estimate k;
  k.value = 0.25;  // C of this study over C of the other
  k.intervals = {{.level = 95, .lo = 0.125, .hi = 0.5}};
  Estimate first, second;
  first.value = 1e19;
  second.value = 4e19;
  lstm.comparison.multipliers = {{.loss = 2.5, .flops_first = first, .flops_second = second, .multiplier = k}};
  lstm.comparison.E_first.intervals = k.intervals;
  context.families = {lstm};
  context.samples = {{"transformer, N 10M", "It is a truth <b>"}, {"lstm, N 10M", "Tit is"}};
  return context;
}

std::string SectionMarkdown(const Report& report) {
  const std::string markdown = RenderMarkdown(report);
  const size_t begin = markdown.find(" Families\n");
  if (begin == std::string::npos) return "";
  return markdown.substr(begin, markdown.find("\n## ", begin) - begin);
}

TEST(FamiliesTest, ToldFromWhoNeedsMore) {
  const Report report = BuildReport(LiteralResult(), Context());
  const std::string text = SectionMarkdown(report);
  EXPECT_THAT(text, HasSubstr("At loss 2.50 lstm needs x4.0 \\[2.0, 8.0] the compute of transformer."));
  EXPECT_THAT(text, HasSubstr("4.0 \\[2.0, 8.0]"));
  EXPECT_THAT(text, HasSubstr("The best counted model (3-gram, Kneser-Ney) reaches 2.400"));
  EXPECT_THAT(text, AllOf(HasSubstr("Written by transformer, N 10M"), HasSubstr("Written by lstm, N 10M")));
  for (const char* name : {"t11_baselines", "t12_families", "t13_multipliers"}) {
    bool found = false;
    for (const Table* table : report.Tables()) found = found || table->name == name;
    EXPECT_TRUE(found) << name;
  }
}

const Figure* Find(const Report& report, const std::string& number) {
  for (const Figure* figure : report.Figures()) {
    if (figure->number == number) return figure;
  }
  return nullptr;
}

// Orders x smoothings x amounts of text in one study: 12 lines of 4 names hid the runs.
TEST(FamiliesTest, OfManyCountedModelsEachOrderHasOneLine) {
  ReportContext context = Context();
  context.families.clear();
  context.baselines.clear();
  for (const double tokens : {1e4, 1e5, 1e6}) {
    for (const auto& [order, smoothing, loss] : {std::tuple(int64_t{1}, "kneser_ney", 5.0), std::tuple(int64_t{1}, "add_k", 5.1),
                                                 std::tuple(int64_t{3}, "kneser_ney", 4.0), std::tuple(int64_t{3}, "add_k", 4.5)}) {
      context.baselines.push_back({.trial_id = "7", .order = order, .smoothing = smoothing, .tokens = tokens,
                                   .loss_nats = loss - 0.1 * std::log10(tokens / 1e4), .loss_se = {}, .bits_per_byte = {}});
    }
  }
  std::stable_sort(context.baselines.begin(), context.baselines.end(), [](const auto& a, const auto& b) { return a.loss_nats > b.loss_nats; });
  const Report report = BuildReport(LiteralResult(), context);
  const Figure* beside = Find(report, "F20");
  ASSERT_NE(beside, nullptr);
  std::vector<std::string> labels;
  for (const Series& series : beside->series) labels.push_back(series.label);
  EXPECT_THAT(labels, testing::ElementsAre("transformer", "L*(C), transformer", "1-gram, Kneser-Ney", "3-gram, Kneser-Ney"));
  EXPECT_DOUBLE_EQ(beside->series.back().y.front(), 3.8);

  const Figure* counted = Find(report, "F21");
  ASSERT_NE(counted, nullptr);
  ASSERT_EQ(counted->series.size(), 4u);
  EXPECT_EQ(counted->series[0].label, "1-gram, add-k");
  EXPECT_THAT(counted->series[3].x, testing::ElementsAre(1e4, 1e5, 1e6));
  EXPECT_THAT(counted->series[3].y, testing::ElementsAre(4.0, testing::DoubleEq(3.9), testing::DoubleEq(3.8)));
  EXPECT_EQ(XmlFault(RenderSvg(*counted)), "");
}

TEST(FamiliesTest, OneAmountOfTextMakesNoFigureOfAmounts) {
  EXPECT_EQ(Find(BuildReport(LiteralResult(), Context()), "F21"), nullptr);
}

TEST(FamiliesTest, AtOneBudgetACountedModelStillHasALine) {
  AnalysisResult result = LiteralResult();
  result.rows.resize(1);
  result.exclusions.clear();
  ReportContext context = Context();
  context.families.clear();
  const Report report = BuildReport(result, context);
  const Figure* figure = Find(report, "F20");
  ASSERT_NE(figure, nullptr);
  const std::vector<double>& ends = figure->series.back().x;
  EXPECT_DOUBLE_EQ(ends.back() / ends.front(), 4);
}

TEST(FamiliesTest, TheFigureHasEachFamilyItsLawAndALineACountedModel) {
  const Report report = BuildReport(LiteralResult(), Context());
  const Figure* figure = Find(report, "F20");
  ASSERT_NE(figure, nullptr);
  std::vector<std::string> labels;
  for (const Series& series : figure->series) labels.push_back(series.label);
  EXPECT_THAT(labels, testing::ElementsAre("transformer", "L*(C), transformer", "lstm", "L*(C), lstm", "1-gram, add-k", "3-gram, Kneser-Ney"));
  for (const double y : figure->series.back().y) EXPECT_EQ(y, 2.4);
  EXPECT_EQ(XmlFault(RenderSvg(*figure)), "");
}

TEST(FamiliesTest, CountedModelsAloneMakeASectionAndNothingMakesNone) {
  ReportContext context = Context();
  context.families.clear();
  const Report alone = BuildReport(LiteralResult(), context);
  EXPECT_THAT(RenderMarkdown(alone), AllOf(HasSubstr("Beside simpler models"), Not(HasSubstr("A law for each family"))));
  context.baselines.clear();
  EXPECT_THAT(RenderMarkdown(BuildReport(LiteralResult(), context)), AllOf(Not(HasSubstr("Beside simpler models")), Not(HasSubstr("F20"))));
}

TEST(FamiliesTest, InBitsACountedModelWithoutBytesHasNoLine) {
  AnalysisResult result = LiteralResult();
  result.options.spec.loss = LossUnit::kBitsPerByte;
  ReportContext context = Context();
  context.baselines[0].bits_per_byte.reset();
  const Report report = BuildReport(result, context);
  const Figure* figure = Find(report, "F20");
  ASSERT_NE(figure, nullptr);
  EXPECT_EQ(figure->series.back().y.front(), 1.75);
  for (const Series& series : figure->series) EXPECT_NE(series.label, "1-gram, add-k");
}

TEST(FamiliesTest, ARefusedComparisonSaysWhy) {
  ReportContext context = Context();
  context.families[0].comparison = {};
  context.families[0].comparison.refusal = Refusal{Code::kMixedEvaluation, "two evaluation sets", "prepare the data once"};
  const std::string text = SectionMarkdown(BuildReport(LiteralResult(), context));
  EXPECT_THAT(text, HasSubstr("lstm: no multiplier, kMixedEvaluation: two evaluation sets. Cure: prepare the data once"));
}

TEST(FamiliesTest, SurvivesItsJson) {
  const Report report = BuildReport(LiteralResult(), Context());
  const absl::StatusOr<Report> back = ParseReportJson(RenderJson(report));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(RenderMarkdown(*back), RenderMarkdown(report));
  EXPECT_THAT(RenderHtml(report, {}), HasSubstr("It is a truth &lt;b&gt;"));
}

}  // namespace
}  // namespace isoflop
