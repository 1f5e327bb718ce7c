// What the figures and tables of the sections beside the fit hold.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <regex>
#include <utility>

#include "absl/strings/str_format.h"
#include "analysis/report/report.h"
#include "tests/analysis/report/full_report.h"

namespace isoflop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// --- figures ---------------------------------------------------------------------

TEST(SectionFiguresTest, DashesBeginWhereTheDemonstratedDistanceEnds) {
  const double demonstrated = Full().max_flops * std::pow(10, Full().holdout->demonstrated_decades);
  const Report& report = FullReport();
  for (const char* number : {"F10", "F11", "F12"}) {
    int dashed = 0;
    for (const Series& series : FigureNamed(report, number).series) {
      if (!series.line || series.dotted) continue;
      if (series.dashed) {
        ++dashed;
        EXPECT_NEAR(std::log10(series.x.front() / demonstrated), 0, 0.12) << number;
        EXPECT_EQ(series.lo.size(), series.x.size()) << number << ": the band goes on";
      } else {
        EXPECT_LE(series.x.back(), demonstrated * 1.001) << number;
      }
    }
    EXPECT_EQ(dashed, 3) << number;
  }
}

TEST(SectionFiguresTest, EnvelopeVerticesStandOnTheCurves) {
  const Figure& figure = FigureNamed(FullReport(), "F2b");
  const Series& hull = SeriesNamed(figure, "envelope (approach 1)");
  EXPECT_EQ(hull.x.size(), Full().envelope->hull.size());
  EXPECT_TRUE(hull.line && hull.mark == Glyph::kCircle);
  EXPECT_THAT(figure.caption, HasSubstr("lower convex hull of"));
}

TEST(SectionFiguresTest, EllipsesHoldTheSharesOfANormalDistribution) {
  AnalysisResult result = Full();
  result.bootstrap.laws.clear();
  PlainNoise noise(3);
  for (int k = 0; k < 4000; ++k) {
    const double u = noise(), v = noise();
    LossLaw law = result.parametric->law;
    law.alpha = 0.5 + 0.01 * u;
    law.beta = 0.4 + 0.02 * (0.6 * u + 0.8 * v);
    result.bootstrap.laws.push_back(law);
  }
  const Report report = BuildReport(result, ReportContext());
  const Figure& figure = FigureNamed(report, "F15a");
  EXPECT_LE(SeriesNamed(figure, "a draw").x.size(), 500u);
  // Radius^2 = -2 ln(1 - share) in units of the covariance.
  for (const auto& [label, radius2] : {std::pair("80 %", 3.218876), std::pair("95 %", 5.991465)}) {
    const Series& ellipse = SeriesNamed(figure, label);
    for (size_t i = 0; i < ellipse.x.size(); ++i) {
      const double u = (ellipse.x[i] - 0.5) / 0.01, w = (ellipse.y[i] - 0.4) / 0.02, v = (w - 0.6 * u) / 0.8;
      EXPECT_NEAR((u * u + v * v) / radius2, 1, 0.12) << label;
    }
  }
  std::smatch match;
  ASSERT_TRUE(std::regex_search(figure.caption, match, std::regex("hold (\\d+) % and (\\d+) %"))) << figure.caption;
  EXPECT_NEAR(std::stod(match[1]), 80, 2);
  EXPECT_NEAR(std::stod(match[2]), 95, 1);
  EXPECT_THAT(figure.caption, HasSubstr("correlation 0.5"));
}

TEST(SectionFiguresTest, AnOpenProfileIsSaidToBeOpen) {
  AnalysisResult result = Full();
  for (Profile& profile : result.profiles) profile.hi.reset();
  const Report report = BuildReport(result, ReportContext());
  const Figure& figure = FigureNamed(report, "F16");
  EXPECT_THAT(figure.caption, HasSubstr("open above]"));
  EXPECT_THAT(SeriesNamed(figure, "threshold 3.841").y, ElementsAre(3.841, 3.841));
  const Table& table = TableNamed(report, "t8_profiles");
  EXPECT_THAT(Row(table, 0), HasSubstr("| open |"));
  EXPECT_THAT(table.caption, HasSubstr("Open:"));
}

TEST(SectionFiguresTest, HoldoutStrokesSpanTheirBinsAndEmptyBinsHaveNone) {
  const Figure& figure = FigureNamed(FullReport(), "F17a");
  const Series& law = SeriesNamed(figure, "law, mean");
  ASSERT_EQ(law.x.size(), 6u);  // two bins, a gap behind each
  EXPECT_EQ(law.x[0], 0);
  EXPECT_EQ(law.x[1], 0.5);
  EXPECT_TRUE(std::isnan(law.x[2]));
  EXPECT_NEAR(law.y[0], 0.42, 1e-9);
  for (const char* baseline : {"nearest training run", "envelope's power law"}) EXPECT_EQ(SeriesNamed(figure, baseline).x.size(), 6u);
}

TEST(SectionFiguresTest, SeedNoiseIsCentredInEachCell) {
  const Series seeds = SeriesNamed(FigureNamed(FullReport(), "F4"), "a seed");
  ASSERT_EQ(seeds.y.size() % 2, 0u);
  for (size_t i = 0; i < seeds.y.size(); i += 2) EXPECT_NEAR(seeds.y[i] + seeds.y[i + 1], 0, 1e-6);
}

// --- tables ----------------------------------------------------------------------

TEST(SectionTablesTest, BcaStandsBesideThePercentiles) {
  const Report& report = FullReport();
  const Table& table = TableNamed(report, "t8_parameters");
  EXPECT_EQ(table.columns[table.columns.size() - 2].key, "bca_lo_95");
  const Estimate& A = Full().parametric->A;
  EXPECT_EQ(table.rows[1].back().exact, absl::StrFormat("%.10g", A.bca.back().hi));
  EXPECT_EQ(table.rows[0].back().text, "–");  // E has none
  EXPECT_THAT(table.caption, HasSubstr("Efron 1987"));
}

// Gemstones' G of 8.4e-6 and B of 1.8e7, figure for figure, pushed the last columns of
// T8 off the page; a waste of -1e-17 was "-0.00"; an unnamed count was told as a count.
TEST(SectionTablesTest, WideNumbersAreShortAndNothingIsMinusZero) {
  AnalysisResult result = Full();
  result.parametric->optimum_coefficient.value = 8.44160e-6;
  result.parametric->B.value = 18487900;
  result.agreement->costs.back().wasted_fraction = -1e-17;
  result.count_known = false;
  const Report report = BuildReport(result, MakeSimulatedStudy().context);
  const auto cell = [&](const char* table, const std::string& row, size_t column) {
    for (const auto& cells : TableNamed(report, table).rows) {
      if (cells[0].text == row) return cells[column].text;
    }
    return std::string("no such row");
  };
  EXPECT_EQ(cell("t8_parameters", "G", 1), "8.44160e-6");
  EXPECT_EQ(cell("t8_parameters", "B", 1), "1.84879e7");
  EXPECT_EQ(TableNamed(report, "agreement_costs").rows.back().back().text, "0.00");
  EXPECT_EQ(TableNamed(report, "t5_conventions").rows.front()[0].text, "convention unknown");
}

TEST(SectionTablesTest, WhatCannotBeComputedKeepsItsRowAndReason) {
  const Table& table = TableNamed(FullReport(), "t9_sensitivity");
  ASSERT_EQ(table.rows.size(), Full().sensitivity.size());
  EXPECT_THAT(Row(table, 0), HasSubstr("N total, C = 6ND | 50 | +0.0930 | +2.5 | +0.620 | +3.1 | x1.86"));
  EXPECT_THAT(Row(table, table.rows.size() - 1), HasSubstr("kMixedEvaluation"));
  EXPECT_THAT(Row(table, table.rows.size() - 1), HasSubstr("no row has bits per byte"));
  EXPECT_TRUE(table.rows.back().front().dim);
  EXPECT_THAT(table.caption, HasSubstr("2 of 8 move ln N* by over 2 SE."));
}

TEST(SectionTablesTest, PublishedExponentsNameTheirSource) {
  const Table& table = TableNamed(FullReport(), "t5_exponents");
  const std::string csv = RenderTableCsv(table);
  for (const char* row : {"Kaplan et al. 2020,0.73,0.27", "\"Hoffmann et al. 2022, approach 1\",0.5,0.5", "\"Hoffmann et al. 2022, approach 2\",0.49,0.51",
                          "\"Hoffmann et al. 2022, approach 3\",0.46,0.54", "\"Besiroglu et al. 2024, approach 3 again\",0.513,0.487",
                          "\"Porian et al. 2024, approach 2\",0.497,0.503"}) {
    EXPECT_THAT(csv, HasSubstr(row));
  }
  for (const std::vector<Cell>& row : table.rows) EXPECT_FALSE(row.back().text.empty());
}

TEST(SectionTablesTest, BudgetsShowBothCorrections) {
  const Table& table = TableNamed(FullReport(), "t4_budgets");
  const IsoflopBudget& budget = Full().isoflop->budgets[1];
  std::map<std::string, std::string> cells;
  for (size_t c = 0; c < table.columns.size(); ++c) cells[table.columns[c].key] = table.rows[1][c].exact;
  EXPECT_NEAR(std::stod(cells["params_corrected"]), budget.params_optimal->value * std::exp(0.012), 1);
  EXPECT_NEAR(std::stod(cells["tokens_corrected"]), budget.tokens_optimal->value * std::exp(-0.012), 10);
  EXPECT_THAT(table.caption, HasSubstr("bias of ln N* is -0.031"));
}

TEST(SectionTablesTest, FiveInfluencesByName) {
  const Table& table = TableNamed(FullReport(), "t8_influence");
  ASSERT_EQ(table.rows.size(), 5u);
  EXPECT_EQ(table.rows[0][0].text, "budget 6e11");
  EXPECT_THAT(table.caption, HasSubstr("5 largest of 6 refits"));
}

TEST(SectionTablesTest, CoverageOutsideThreePointsIsTold) {
  const Table& table = TableNamed(FullReport(), "t8_coverage");
  EXPECT_EQ(table.rows[0].back().text, "holds");
  EXPECT_EQ(table.rows[4].back().text, "too narrow");
}

}  // namespace
}  // namespace isoflop
