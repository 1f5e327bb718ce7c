// One Figure, two writers: what SVG and plotly make of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "analysis/report/plotly_writer.h"
#include "analysis/report/svg_writer.h"
#include "tests/analysis/report/literal_result.h"
#include "tests/analysis/report/well_formed.h"

namespace isoflop {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

size_t Count(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) ++count;
  return count;
}

const Figure& Named(const Report& report, const std::string& number) {
  for (const Figure* figure : report.Figures()) {
    if (figure->number == number) return *figure;
  }
  ADD_FAILURE() << "no figure " << number;
  static const Figure kNone;
  return kNone;
}

TEST(WellFormedTest, FindsFaults) {
  EXPECT_EQ(XmlFault("<a b=\"1\"><c/>x &amp; y</a>"), "");
  EXPECT_NE(XmlFault("<a><b></a>"), "");
  EXPECT_NE(XmlFault("<a>x & y</a>"), "");
  EXPECT_NE(XmlFault("<a b=\"<\"/>"), "");
}

TEST(SvgWriterTest, EveryFigureOfAReportIsWellFormedAndHasTitleAndDescription) {
  const Report report = BuildReport(LiteralResult(), LiteralContext());
  ASSERT_GE(report.Figures().size(), 10u);
  for (const Figure* figure : report.Figures()) {
    const std::string svg = RenderSvg(*figure);
    EXPECT_EQ(XmlFault(svg), "") << figure->name;
    EXPECT_THAT(svg, HasSubstr("<title id=\"title-" + figure->name)) << figure->name;
    EXPECT_THAT(svg, HasSubstr("<desc id=\"desc-" + figure->name)) << figure->name;
    EXPECT_THAT(svg, Not(HasSubstr("nan"))) << figure->name;
    EXPECT_THAT(svg, Not(HasSubstr("inf,"))) << figure->name;
    EXPECT_EQ(svg, RenderSvg(*figure));
  }
}

TEST(SvgWriterTest, AnEmptyFigureIsStillAFrame) {
  Figure figure;
  figure.name = "empty";
  EXPECT_EQ(XmlFault(RenderSvg(figure)), "");
}

TEST(SvgWriterTest, GapsBreakALineAndHollowMarksAreWhite) {
  Figure figure;
  Series line;
  line.x = {1, 2, 3, 4};
  line.y = {1, NAN, 3, 4};
  line.line = true;
  Series hollow;
  hollow.x = {2};
  hollow.y = {2};
  hollow.mark = Glyph::kCircle;
  hollow.hollow = true;
  figure.series = {line, hollow};
  const std::string svg = RenderSvg(figure);
  EXPECT_THAT(svg, HasSubstr("fill=\"white\" stroke="));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(PlotlyWriterTest, HasThePointsOfTheFigure) {
  const Report report = BuildReport(LiteralResult(), LiteralContext());
  for (const Figure* figure : report.Figures()) {
    const nlohmann::json object = nlohmann::json::parse(RenderPlotly(*figure));
    EXPECT_EQ(object.at("name"), figure->name);
    size_t ours = 0, theirs = 0;
    for (const Series& series : figure->series) {
      if (series.mark != Glyph::kNone) ours += series.x.size();
    }
    for (const nlohmann::json& trace : object.at("data")) {
      const std::string mode = trace.value("mode", "");
      if (mode.find("markers") != std::string::npos && !trace.at("x").at(0).is_null()) theirs += trace.at("x").size();
    }
    EXPECT_EQ(ours, theirs) << figure->name;
  }
}

TEST(PlotlyWriterTest, IsSafeInsideAScriptElement) {
  Figure figure;
  Series series;
  series.label = "</script><script>alert(1)</script><!--";
  series.x = {1};
  series.y = {1};
  series.mark = Glyph::kCircle;
  figure.series = {series};
  EXPECT_THAT(RenderPlotly(figure), Not(HasSubstr("<")));
}

TEST(FiguresTest, EdgeMinimaAreHollowAndExtrapolationsDashed) {
  const Report report = BuildReport(LiteralResult(), LiteralContext());
  int hollow = 0, filled = 0;
  for (const Series& series : Named(report, "F9").series) {
    if (series.mark == Glyph::kDiamond) (series.hollow ? hollow : filled) += 1;
  }
  EXPECT_EQ(filled, 1);  // of two budgets one was rejected
  EXPECT_EQ(hollow, 1);
  bool dashed = false;
  for (const Series& series : Named(report, "F10").series) {
    if (!series.dashed) continue;
    dashed = true;
    EXPECT_GE(series.x.front(), 1e19 * 0.999);  // joins the solid part at the largest budget
    EXPECT_EQ(series.lo.size(), series.x.size());
  }
  EXPECT_TRUE(dashed);
  EXPECT_EQ(Count(Named(report, "F1").caption, "hollow"), 1u);
}

TEST(FiguresTest, TheOffsetSwitchStandsOnTheSlicesAndIsE) {
  const Report report = BuildReport(LiteralResult(), LiteralContext());
  for (const char* number : {"F7", "F8"}) {
    ASSERT_TRUE(Named(report, number).offset_switch.has_value());
    EXPECT_EQ(*Named(report, number).offset_switch, 1.69);
  }
}

}  // namespace
}  // namespace isoflop
