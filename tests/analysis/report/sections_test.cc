// The sections beside the fit: their figures, tables, words and JSON, drawn from a
// result in which every one of them is filled.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "analysis/analyze.h"
#include "analysis/report/references.h"
#include "analysis/report/report.h"
#include "analysis/report/svg_writer.h"
#include "tests/analysis/report/full_result.h"
#include "tests/analysis/report/literal_result.h"
#include "tests/analysis/report/simulated_study.h"
#include "tests/analysis/report/well_formed.h"

namespace isoflop {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

AnalysisResult FullResult() {
  SimulatedStudy study = MakeSimulatedStudy();
  absl::StatusOr<AnalysisResult> result = Analyze(study.observations, study.options);
  EXPECT_TRUE(result.ok()) << result.status();
  FillEverySection(&*result);
  return *result;
}

// One for all tests: it is only read.
const AnalysisResult& Full() {
  static const AnalysisResult* const kResult = new AnalysisResult(FullResult());
  return *kResult;
}

const Report& FullReport() {
  static const Report* const kReport = new Report(BuildReport(Full(), MakeSimulatedStudy().context));
  return *kReport;
}

// What these return lives in the report.
const Table& TableNamed(Report&&, const std::string&) = delete;
const Figure& FigureNamed(Report&&, const std::string&) = delete;

const Table& TableNamed(const Report& report, const std::string& name) {
  for (const Table* table : report.Tables()) {
    if (table->name == name) return *table;
  }
  ADD_FAILURE() << "no table " << name;
  static const Table kNone;
  return kNone;
}

const Figure& FigureNamed(const Report& report, const std::string& number) {
  for (const Figure* figure : report.Figures()) {
    if (figure->number == number) return *figure;
  }
  ADD_FAILURE() << "no figure " << number;
  static const Figure kNone;
  return kNone;
}

const Series& SeriesNamed(const Figure& figure, const std::string& label) {
  for (const Series& series : figure.series) {
    if (series.label == label) return series;
  }
  ADD_FAILURE() << figure.number << " has no series " << label;
  static const Series kNone;
  return kNone;
}

std::string Row(const Table& table, size_t index) {
  std::vector<std::string> cells;
  for (const Cell& cell : table.rows.at(index)) cells.push_back(cell.text);
  return absl::StrJoin(cells, " | ");
}

std::string Words(const Report& report) { return absl::StrJoin(report.verdict, "\n"); }

TEST(SectionsTest, EveryFigureAndTableIsThere) {
  const Report& report = FullReport();
  std::vector<std::string> numbers;
  for (const Figure* figure : report.Figures()) numbers.push_back(figure->number);
  EXPECT_THAT(numbers, ElementsAre("F1", "F2a", "F2b", "F3", "F4", "F5", "F6", "F7", "F8", "F9", "F10", "F11", "F12", "F13", "F14", "F15a", "F15b", "F16", "F17a",
                                   "F17b"));
  for (const char* name :
       {"t1_shapes", "t2_recipe", "t3_data", "t4_budgets", "t5_exponents", "t5_conventions", "agreement", "agreement_costs", "agreement_causes", "t6_optimal",
        "t6_bca", "t7_efficiency", "t7_overtraining", "t7_inference", "t7_repeated_data", "t8_parameters", "t8_correlation", "t8_certificate", "t8_noise",
        "t8_coverage", "t8_profiles", "t8_forms", "t8_nested", "t8_influence", "holdout", "holdout_largest", "next_trials", "t9_sensitivity", "checklist",
        "exclusions", "trials", "references"}) {
    TableNamed(report, name);
  }
  std::set<std::string> names;
  for (const Table* table : report.Tables()) {
    EXPECT_TRUE(names.insert(table->name).second) << table->name << " twice";
    for (const std::vector<Cell>& row : table->rows) EXPECT_EQ(row.size(), table->columns.size()) << table->name;
  }
  for (const Figure* figure : report.Figures()) EXPECT_EQ(XmlFault(RenderSvg(*figure)), "") << figure->number;
}

TEST(SectionsTest, CaptionsSayNAndWhatHasIntervalsSaysLevelAndMethod) {
  const Report& report = FullReport();
  const std::set<std::string> without_n = {"F1", "F15a", "F15b"};  // "50 observations", "200 draws"
  for (const Figure* figure : report.Figures()) {
    if (without_n.count(figure->number) == 0) {
      EXPECT_THAT(figure->caption, HasSubstr("n = ")) << figure->number;
    }
  }
  const std::set<std::string> no_data = {"t2_recipe", "t3_data", "agreement_causes", "checklist", "references", "t8_coverage"};
  for (const Table* table : report.Tables()) {
    if (no_data.count(table->name) == 0) {
      EXPECT_THAT(table->caption, HasSubstr("n = ")) << table->name;
    }
  }
  for (const char* name : {"t5_exponents", "t6_optimal", "t6_bca", "t7_efficiency", "t7_overtraining", "t7_inference", "t7_repeated_data", "agreement"}) {
    EXPECT_THAT(TableNamed(report, name).caption, HasSubstr("95 %")) << name;
    EXPECT_THAT(TableNamed(report, name).caption, HasSubstr("cluster")) << name;
  }
  for (const char* number : {"F3", "F10", "F11", "F12", "F16", "F17b"}) EXPECT_THAT(FigureNamed(report, number).caption, HasSubstr("95 %")) << number;
}

TEST(SectionsTest, ComesBackFromItsJsonAsTheSameBytes) {
  const Report& report = FullReport();
  const std::string json = RenderJson(report);
  const absl::StatusOr<Report> back = ParseReportJson(json);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_TRUE(RenderJson(*back) == json);
  EXPECT_TRUE(RenderHtml(*back, {.plotly_gzip = "x"}) == RenderHtml(report, {.plotly_gzip = "x"}));
  EXPECT_TRUE(RenderMarkdown(*back) == RenderMarkdown(report));
  for (size_t t = 0; t < report.Tables().size(); ++t) {
    EXPECT_EQ(RenderTableCsv(*back->Tables()[t]), RenderTableCsv(*report.Tables()[t]));
    EXPECT_EQ(RenderTableLatex(*back->Tables()[t]), RenderTableLatex(*report.Tables()[t]));
  }
  for (size_t f = 0; f < report.Figures().size(); ++f) EXPECT_TRUE(RenderSvg(*back->Figures()[f]) == RenderSvg(*report.Figures()[f]));
  EXPECT_TRUE(json == RenderJson(BuildReport(FullResult(), MakeSimulatedStudy().context))) << "not deterministic";
}

// --- the verdict -----------------------------------------------------------------

TEST(VerdictTest, SaysWhatTheBoxMustSay) {
  AnalysisResult result = Full();
  result.holdout->demonstrated_decades = 1;
  const Report report = BuildReport(result, ReportContext());
  EXPECT_THAT(report.verdict[0], HasSubstr("(95 %, cluster); compatible with Hoffmann"));
  EXPECT_THAT(report.verdict[1], HasSubstr("The three approaches **agree in practice**: "));
  EXPECT_THAT(report.verdict, Contains(HasSubstr("tokens per parameter are best")));
  EXPECT_THAT(report.verdict, Contains(HasSubstr("Demonstrated to 10x the largest budget")));
  EXPECT_THAT(report.verdict, Contains(HasSubstr("N total, C = 6ND (x1.86, 3.1 SE), 5 dropped (x0.64, 2.2 SE).")));
  EXPECT_THAT(Words(report), Not(HasSubstr("no better than")));
  EXPECT_THAT(RenderHtml(report, {}), HasSubstr("<strong>agree in practice</strong>"));
  EXPECT_THAT(RenderMarkdown(report), HasSubstr("**agree in practice**"));
}

TEST(VerdictTest, NamesTheFirstCauseOfADisagreement) {
  AnalysisResult result = Full();
  result.agreement->verdict = Verdict::kDisagree;
  result.agreement->cause = "edge minima left out";
  EXPECT_THAT(Words(BuildReport(result, ReportContext())), HasSubstr("First cause whose removal mends it: edge minima left out."));
  result.agreement->cause.clear();
  EXPECT_THAT(Words(BuildReport(result, ReportContext())), HasSubstr("No single cause was found"));
}

TEST(VerdictTest, CannotTellIsASentence) {
  AnalysisResult result = Full();
  result.agreement->verdict = Verdict::kCannotTell;
  result.agreement->reason = "the interval of N* is a factor 6 wide";
  EXPECT_THAT(Words(BuildReport(result, ReportContext())), HasSubstr("Whether the three approaches agree the data **cannot tell**: the interval of N* is a factor 6 wide."));
}

TEST(VerdictTest, ASkillOfZeroOrLessIsToldAndTwoStandardErrorsAreTheBound) {
  AnalysisResult result = Full();
  result.holdout->skill = 0;
  for (SensitivityRow& row : result.sensitivity) row.ln_params_in_se = 2.0;  // not over 2
  std::string words = Words(BuildReport(result, ReportContext()));
  EXPECT_THAT(words, HasSubstr("no better than a prediction without a law"));
  EXPECT_THAT(words, Not(HasSubstr("sensitive")));
  result.holdout->skill = 0.01;
  for (SensitivityRow& row : result.sensitivity) row.ln_params_in_se = -2.01;
  words = Words(BuildReport(result, ReportContext()));
  EXPECT_THAT(words, Not(HasSubstr("no better than")));
  EXPECT_THAT(words, HasSubstr("and 4 more (T9)."));
}

TEST(VerdictTest, WithoutAHoldoutEverythingBeyondIsExtrapolated) {
  AnalysisResult result = Full();
  result.holdout->refusal = Refusal{Code::kTooFewPoints, "one budget", "more budgets"};
  result.holdout->demonstrated_decades = 0;
  result.holdout->skill = 0;
  const Report report = BuildReport(result, ReportContext());
  EXPECT_THAT(Words(report), HasSubstr("Everything beyond the largest budget kept, 6e11 FLOPs, is extrapolated."));
  EXPECT_THAT(Words(report), Not(HasSubstr("no better than")));
  EXPECT_THAT(report.refusals.back().text, HasSubstr("Hold-out: one budget"));
}

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

// --- JSON ------------------------------------------------------------------------

TEST(SectionJsonTest, HoldsEveryMember) {
  const nlohmann::json object = nlohmann::json::parse(AnalysisJson(Full()));
  for (const char* key : {"agreement", "bootstrap", "conventions", "count_known", "coverage", "data_exhausted_flops", "design", "efficiency", "envelope", "exclusions",
                          "forms", "frontiers", "holdout", "inference", "influence", "isoflop", "max_flops", "noise", "observations_sha256", "optimal", "options",
                          "overtraining", "parametric", "parametric_refusal", "profiles", "repeated_data", "rows", "rows_read", "schema", "sensitivity",
                          "target_flops", "warnings"}) {
    EXPECT_TRUE(object.contains(key)) << key;
  }
  EXPECT_EQ(object.at("parametric").at("A").at("bca").size(), 2u);
  EXPECT_TRUE(object.at("parametric").at("law").at("repeat_tokens").is_null());  // infinite
  EXPECT_EQ(object.at("noise").at("lack_of_fit").at("df_law"), 21);
  EXPECT_TRUE(object.at("holdout").at("bins").at(3).at("distance_hi").is_null());  // open
  EXPECT_EQ(object.at("agreement").at("verdict"), "agree in practice");
  EXPECT_EQ(object.at("agreement").at("differences").at(0).at("real"), true);
  EXPECT_TRUE(object.at("profiles").at(3).at("lo").is_null());
  EXPECT_EQ(object.at("options").at("holdout_error"), 0.01);
  EXPECT_EQ(object.at("isoflop").at("bias_ln_params_at_target"), -0.031);
}

TEST(SectionJsonTest, ARefusalHasCodeMessageAndCure) {
  const nlohmann::json object = nlohmann::json::parse(AnalysisJson(Full()));
  for (const nlohmann::json& quantity :
       {object.at("sensitivity").back().at("delta_a"), object.at("overtraining").at(0).at("tokens"), object.at("agreement").at("differences").at(2).at("loss_at_target"),
        object.at("conventions").at(0).at("a_envelope"), object.at("forms").at("forms").back().at("holdout_error")}) {
    ASSERT_EQ(quantity.size(), 1u) << quantity;
    const nlohmann::json& refusal = quantity.at("refusal");
    EXPECT_EQ(refusal.size(), 3u);
    EXPECT_EQ(refusal.at("code").get<std::string>()[0], 'k');
    EXPECT_FALSE(refusal.at("message").get<std::string>().empty());
    EXPECT_FALSE(refusal.at("cure").get<std::string>().empty());
  }
}

TEST(SectionJsonTest, WhatWasNotComputedIsNullOrEmpty) {
  const nlohmann::json object = nlohmann::json::parse(AnalysisJson(AnalysisResult()));
  for (const char* key : {"agreement", "coverage", "design", "forms", "holdout", "data_exhausted_flops"}) EXPECT_TRUE(object.at(key).is_null()) << key;
  for (const char* key : {"profiles", "influence", "sensitivity", "conventions", "overtraining"}) EXPECT_TRUE(object.at(key).empty()) << key;
}

// --- the literature ----------------------------------------------------------------

TEST(ReferencesTest, EveryPaperThatTheReportNamesIsInTheBibliography) {
  const Report& report = FullReport();
  std::string words;
  for (const Figure* figure : report.Figures()) absl::StrAppend(&words, figure->caption, "\n");
  for (const Table* table : report.Tables()) {
    if (table->name != "references") absl::StrAppend(&words, table->title, "\n", table->caption, "\n");
  }
  for (const std::vector<Cell>& row : TableNamed(report, "t5_exponents").rows) absl::StrAppend(&words, row.front().text, "\n");
  std::set<std::string> known, cited;
  for (const Reference& reference : References()) known.insert(reference.cite);
  const std::regex cite("[A-Z][a-zä]+(?: et al\\.| and [A-Z][a-z]+)? (?:19|20)\\d\\d");
  for (std::sregex_iterator at(words.begin(), words.end(), cite), end; at != end; ++at) {
    EXPECT_EQ(known.count(at->str()), 1u) << at->str();
    cited.insert(at->str());
  }
  EXPECT_GE(cited.size(), 10u);
  const Table& table = TableNamed(report, "references");
  EXPECT_EQ(table.rows.size(), cited.size());
}

TEST(ReferencesTest, TheBibliographyIsWellFormed) {
  std::set<std::string> keys;
  for (const Reference& reference : References()) {
    const std::string entry = reference.bibtex;
    EXPECT_TRUE(keys.insert(reference.key).second) << reference.key;
    EXPECT_THAT(entry, HasSubstr(absl::StrCat("{", reference.key, ",\n")));
    int depth = 0;
    for (const char c : entry) depth += c == '{' ? 1 : c == '}' ? -1 : 0;
    EXPECT_EQ(depth, 0) << reference.key;
    for (const char* field : {"author = {", "title = {", "year = {"}) EXPECT_THAT(entry, HasSubstr(field)) << reference.key;
    // The year is the one that captions name.
    const std::string year = std::string(reference.cite).substr(std::string(reference.cite).size() - 4);
    EXPECT_THAT(entry, HasSubstr(absl::StrCat("year = {", year, "}"))) << reference.key;
  }
  for (const char* key : {"hoffmann2022", "kaplan2020", "besiroglu2024", "porian2024", "haegele2024", "muennighoff2023", "gadre2024", "sardana2024"}) {
    EXPECT_THAT(ReferencesBib(), HasSubstr(key));
  }
}

}  // namespace
}  // namespace isoflop
