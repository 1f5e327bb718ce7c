#include "analysis/report/figure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace isoflop {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Labels(double lo, double hi, Scale scale, Notation notation = Notation::kShort) {
  std::vector<std::string> labels;
  for (const Tick& tick : Ticks(lo, hi, scale, notation)) {
    if (!tick.label.empty()) labels.push_back(tick.label);
  }
  return labels;
}

TEST(TicksTest, AreRoundNumbersOfTheAxis) {
  EXPECT_THAT(Labels(1.9, 3.1, Scale::kLinear), ElementsAre("2", "2.5", "3"));
  EXPECT_THAT(Labels(9e3, 1.1e6, Scale::kLog), ElementsAre("10K", "20K", "50K", "100K", "200K", "500K", "1M"));
  EXPECT_THAT(Labels(1e17, 1e20, Scale::kLog, Notation::kPower), ElementsAre("10¹⁷", "10¹⁸", "10¹⁹", "10²⁰"));
}

TEST(TicksTest, AnEmptyRangeHasNone) { EXPECT_TRUE(Ticks(1, 1, Scale::kLinear).empty()); }

TEST(ViridisTest, EndsAreThoseOfTheScale) {
  EXPECT_EQ(Viridis(0), "#440154");
  EXPECT_EQ(Viridis(1), "#fde725");
  EXPECT_EQ(Viridis(-3), Viridis(0));
}

TEST(TicksTest, WithinADecadeThereAreEnoughOfThem) {
  EXPECT_THAT(Labels(2.9, 4.7, Scale::kLog), ElementsAre("3", "3.5", "4", "4.5"));
  EXPECT_THAT(Labels(25, 120, Scale::kLog), ElementsAre("30", "40", "50", "70", "100"));
}

TEST(ColorBarTest, OneBudgetButForRoundingHasNone) {
  Figure figure;
  SetColorBar(5e10, 5.04e10, &figure);
  EXPECT_FALSE(figure.color_lo.has_value());
  EXPECT_EQ(ColorOfBudget(5e10, 5e10, 5.04e10), ColorOfBudget(5.04e10, 5e10, 5.04e10));
  SetColorBar(5e10, 6e11, &figure);
  EXPECT_EQ(figure.color_hi, 6e11);
}

TEST(RangeOfTest, LeavesOutWhatHasNoLogarithmAndWhatIsOverlay) {
  Figure figure;
  figure.x.scale = Scale::kLog;
  Series series;
  series.x = {-1, 10, 1000, NAN};
  series.y = {1, 2, 3, 4};
  Series overlay;
  overlay.x = {1e9};
  overlay.y = {1e9};
  overlay.ignored_by_range = true;
  figure.series = {series, overlay};
  const Range range = RangeOf(figure, true);
  EXPECT_GT(range.lo, 5);
  EXPECT_LT(range.hi, 2000);
}

TEST(ThinCurveTest, KeepsEndsAndExtremes) {
  std::vector<double> x, y;
  for (int i = 0; i < 10000; ++i) {
    x.push_back(i);
    y.push_back(i == 4321 ? 99.0 : std::sin(i * 0.01));
  }
  ThinCurve(x, y, 500);
  EXPECT_LE(x.size(), 500u);
  EXPECT_EQ(x.front(), 0);
  EXPECT_EQ(x.back(), 9999);
  EXPECT_EQ(*std::max_element(y.begin(), y.end()), 99.0);
}

TEST(ContourLinesTest, FollowsAKnownCurveFromEndToEnd) {
  // z = x y on logarithmic axes: the level 10 is the line x y = 10.
  Field field;
  for (int i = 0; i <= 20; ++i) field.x.push_back(std::pow(10, i / 20.0)), field.y.push_back(std::pow(10, i / 20.0));
  for (const double y : field.y) {
    for (const double x : field.x) field.z.push_back(std::log(x) + std::log(y));
  }
  const std::vector<ContourLine> lines = ContourLines(field, std::log(10.0), Scale::kLog, Scale::kLog);
  ASSERT_EQ(lines.size(), 1u);
  for (size_t i = 0; i < lines[0].x.size(); ++i) EXPECT_NEAR(lines[0].x[i] * lines[0].y[i], 10, 1e-9);
  EXPECT_NEAR(std::max(lines[0].x.front(), lines[0].x.back()), 10, 1e-9);
}

TEST(ContourLinesTest, ClosesARing) {
  Field field;
  for (int i = -10; i <= 10; ++i) field.x.push_back(i + 0.03), field.y.push_back(i + 0.03);
  for (const double y : field.y) {
    for (const double x : field.x) field.z.push_back(std::hypot(x, y));
  }
  const std::vector<ContourLine> lines = ContourLines(field, 5, Scale::kLinear, Scale::kLinear);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].x.front(), lines[0].x.back());
  EXPECT_EQ(lines[0].y.front(), lines[0].y.back());
}

TEST(FigureCsvTest, HoldsEverySeriesWithItsIntervals) {
  Figure figure;
  Series series;
  series.label = "a, \"b\"";
  series.x = {1, 2};
  series.y = {3, NAN};
  series.lo = {2.5, 3.5};
  series.hi = {3.5, 4.5};
  figure.series = {series};
  EXPECT_EQ(FigureCsv(figure), "series,x,y,lo,hi,x_lo,x_hi\n\"a, \"\"b\"\"\",1,3,2.5,3.5,,\n\"a, \"\"b\"\"\",2,,3.5,4.5,,\n");
}

TEST(EscapeXmlTest, LeavesNoMarkupAndNoControlCharacters) {
  EXPECT_EQ(EscapeXml("<script>\"a\"&'b'</script>\x01\x1b"), "&lt;script&gt;&quot;a&quot;&amp;&#39;b&#39;&lt;/script&gt;");
}

}  // namespace
}  // namespace isoflop
