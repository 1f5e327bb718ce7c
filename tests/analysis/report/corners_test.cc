// Dark corners: LaTeX's own signs, long names, a CSV without curves, no law, a
// thousand rows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "analysis/analyze.h"
#include "analysis/report/report.h"
#include "analysis/report/svg_writer.h"
#include "tests/analysis/report/full_result.h"
#include "tests/analysis/report/literal_result.h"
#include "tests/analysis/report/simulated_study.h"
#include "tests/analysis/report/well_formed.h"

namespace isoflop {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What TeX would stumble over in the body of `tex`; "" or the first fault. Braces must
// balance in each cell, rows must have `columns` cells, none may begin with "[" or
// "*", and no bare special may be left.
std::string TexFault(const std::string& tex, size_t columns) {
  const size_t from = tex.find("\\midrule\n"), to = tex.rfind("\\end{");
  if (from == std::string::npos || to == std::string::npos) return "no body";
  for (const absl::string_view line : absl::StrSplit(absl::string_view(tex).substr(from + 9, to - from - 9), '\n')) {
    if (!absl::EndsWith(line, " \\\\")) continue;
    const std::string plain = absl::StrReplaceAll(line.substr(0, line.size() - 3), {{"\\&", ""}, {"\\%", ""}, {"\\#", ""}, {"\\_", ""}, {"\\$", ""}, {"\\{", ""}, {"\\}", ""}});
    const std::vector<std::string> cells = absl::StrSplit(plain, '&');
    if (cells.size() != columns) return absl::StrCat(cells.size(), " cells: ", line);
    for (const std::string& cell : cells) {
      int depth = 0, dollars = 0;
      for (const char c : cell) {
        depth += c == '{' ? 1 : c == '}' ? -1 : 0;
        dollars += c == '$' ? 1 : 0;
        if (depth < 0 || c == '#' || c == '%' || c == '~' || c == '"') return absl::StrCat("bare ", std::string(1, c), " in ", cell);
        if ((c == '_' || c == '^') && dollars % 2 == 0) return absl::StrCat("bare ", std::string(1, c), " in ", cell);
      }
      if (depth != 0 || dollars % 2 != 0) return absl::StrCat("not balanced: ", cell);
    }
    if (absl::StartsWith(plain, "[") || absl::StartsWith(plain, "*")) return absl::StrCat("an argument of \\\\: ", line);
  }
  return "";
}

TEST(LatexTest, EveryTableOfAFullReportIsTex) {
  SimulatedStudy study = MakeSimulatedStudy();
  absl::StatusOr<AnalysisResult> result = Analyze(study.observations, study.options);
  ASSERT_TRUE(result.ok());
  FillEverySection(&*result);
  const Report report = BuildReport(*result, study.context);
  for (const Table* table : report.Tables()) {
    const std::string tex = RenderTableLatex(*table);
    EXPECT_EQ(TexFault(tex, table->columns.size()), "") << table->name;
    EXPECT_THAT(tex, HasSubstr("\\toprule")) << table->name;
    EXPECT_THAT(tex, HasSubstr(absl::StrCat("\\label{tab:", table->name, "}")));
    EXPECT_THAT(tex, HasSubstr(table->rows.size() > 40 ? "longtable" : "\\begin{tabular}")) << table->name;
  }
}

TEST(LatexTest, HostileTextIsEscaped) {
  Table table{.name = "x", .title = "100 % of \\input{secret} & more_#$~^{}"};
  table.columns = {{"a", "[A]"}, {"b", "C^a_b", false}};
  for (const char* text : {"[0.4, 0.5]", "*", "\\end{tabular}", "a & b", "50%", "C^0.49", "x^", "$x$", "a--b \"q\" 'r' `s` <t> |u|", "#_{~}", "line\nbreak"}) {
    table.rows.push_back({{text, text}, {text, text}});
  }
  const std::string tex = RenderTableLatex(table);
  EXPECT_EQ(TexFault(tex, 2), "");
  EXPECT_THAT(tex, Not(HasSubstr("\\input{")));
  EXPECT_THAT(tex, HasSubstr("C\\textsuperscript{0.49}"));
  EXPECT_THAT(tex, HasSubstr("{[}0.4, 0.5{]}"));
}

TEST(CornersTest, ALongNameBreaksNothing) {
  ReportContext context = LiteralContext();
  context.title = std::string(64, 'w') + "-" + std::string(180, 'x');
  context.description = std::string(2000, 'y');
  AnalysisResult result = LiteralResult();
  result.rows[0].observation.source = std::string(300, 'z');
  const Report report = BuildReport(result, context);
  EXPECT_THAT(RenderHtml(report, {}), HasSubstr(context.title));
  for (const Figure* figure : report.Figures()) {
    const std::string svg = RenderSvg(*figure);
    EXPECT_EQ(XmlFault(svg), "");
    EXPECT_THAT(svg, Not(HasSubstr("wwww"))) << "names stay out of the drawing: " << figure->number;
  }
}

TEST(CornersTest, ACsvWithoutCurvesHasNoF2) {
  const Report report = BuildReport(LiteralResult(), LiteralContext());
  for (const Figure* figure : report.Figures()) EXPECT_FALSE(absl::StartsWith(figure->number, "F2")) << figure->number;
  for (const Table* table : report.Tables()) {
    if (table->name == "checklist") {
      EXPECT_THAT(RenderTableCsv(*table), HasSubstr("none: approach 1 not made"));
    }
  }
}

TEST(CornersTest, WithoutALawEverySectionThatIsLeftStillStands) {
  AnalysisResult result = LiteralResult();
  result.parametric.reset();
  result.parametric_refusal = Refusal{Code::kUnderdetermined, "5 cells (N, D) for 5 parameters", "--form tied"};
  result.frontiers.clear();
  result.optimal.clear();
  result.efficiency.clear();
  result.isoflop.reset();
  result.bootstrap = {};
  result.holdout = Holdout{.refusal = Refusal{Code::kTooFewPoints, "one budget", "more budgets"}};
  result.design = ExperimentDesign{.refusal = Refusal{Code::kUnderdetermined, "no law", "--form tied"}};
  for (KeptRow& row : result.rows) row.predicted_loss.reset(), row.residual.reset();
  const Report report = BuildReport(result, LiteralContext());
  EXPECT_THAT(report.verdict.front(), HasSubstr("No law yet"));
  EXPECT_EQ(report.refusals.size(), 3u);
  for (const ReportNote& note : report.refusals) EXPECT_FALSE(note.cure.empty()) << note.text;
  const std::string markdown = RenderMarkdown(report);
  EXPECT_THAT(markdown, HasSubstr("Refused, kUnderdetermined"));
  EXPECT_THAT(markdown, HasSubstr("Hold-out refused, kTooFewPoints: one budget. Cure: more budgets"));
  EXPECT_THAT(markdown, HasSubstr("Final losses by compute"));
  EXPECT_TRUE(ParseReportJson(RenderJson(report)).ok());
}

TEST(CornersTest, AThousandRowsStayAPage) {
  AnalysisResult result = LiteralResult();
  ReportContext context = LiteralContext();
  PlainNoise noise(5);
  const std::vector<KeptRow> few = result.rows;
  result.rows.clear();
  for (int k = 0; k < 1000; ++k) {
    KeptRow row = few[static_cast<size_t>(k) % few.size()];
    row.params *= std::exp(0.3 * noise());
    row.tokens = row.flops / (6 * row.params);
    row.observation.source = absl::StrCat("trial ", k);
    row.observation.trial_id = absl::StrCat(k);
    ReportTrial trial;
    trial.id = row.observation.trial_id;
    trial.state = TrialState::kCompleted;
    trial.tokens_planned = row.tokens;
    trial.flops_6nd = row.flops;
    for (int i = 1; i <= 500; ++i) {
      LossPoint point;
      point.tokens = static_cast<int64_t>(row.tokens * i / 500);
      point.loss_nats = row.loss + 1.0 / i;
      point.kind = LossKind::kEval;
      trial.curve.push_back(point);
    }
    context.trials.push_back(trial);
    result.rows.push_back(row);
  }
  result.isoflop->budgets[0].rows.clear();
  result.isoflop->budgets[1].rows.clear();
  Holdout holdout;
  for (size_t r = 0; r < result.rows.size(); ++r) holdout.windows.push_back({.row = r, .distance_decades = 0.001 * static_cast<double>(r), .relative_error = 0.01});
  result.holdout = holdout;
  const Report report = BuildReport(result, context);
  const std::string html = RenderHtml(report, {});
  std::printf("a page of 1000 rows: %.1f MB\n", static_cast<double>(html.size()) / 1e6);
  EXPECT_LT(html.size(), 6'000'000u);
  for (const Figure* figure : report.Figures()) {
    for (const Series& series : figure->series) {
      if (figure->number == "F17a" || figure->number[1] == '2') {
        EXPECT_LE(series.x.size(), 500u) << figure->number;
      }
    }
  }
  for (const Table* table : report.Tables()) {
    if (table->rows.size() > 40) {
      EXPECT_TRUE(table->folded || table->name == "checklist") << table->name;
    }
  }
}

}  // namespace
}  // namespace isoflop
