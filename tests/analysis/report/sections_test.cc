// The sections beside the fit, drawn from a result in which every one is filled: that
// all are there, their words, JSON and literature.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "absl/strings/str_cat.h"
#include "analysis/report/references.h"
#include "analysis/report/report.h"
#include "analysis/report/svg_writer.h"
#include "tests/analysis/report/full_report.h"
#include "tests/analysis/report/well_formed.h"

namespace isoflop {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

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
  result.agreement->cause = "edge minima";
  result.agreement->causes_tried = {"gaps in N: no budget has one", "edge minima: without 2 budgets the approaches agree"};
  EXPECT_THAT(Words(BuildReport(result, ReportContext())), HasSubstr("The first cause whose removal mends it: edge minima: without 2 budgets the approaches agree."));
  result.agreement->cause.clear();
  EXPECT_THAT(Words(BuildReport(result, ReportContext())), HasSubstr("No cause was found"));
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
