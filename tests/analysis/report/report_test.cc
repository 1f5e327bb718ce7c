#include "analysis/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "analysis/analyze.h"
#include "analysis/report/svg_writer.h"
#include "tests/analysis/report/literal_result.h"
#include "tests/analysis/report/simulated_study.h"

namespace isoflop {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

const Table* Find(const Report& report, const std::string& name) {
  for (const Table* table : report.Tables()) {
    if (table->name == name) return table;
  }
  return nullptr;
}

// A page is too long for a failure message.
bool Holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::vector<std::string> FigureNumbers(const Report& report) {
  std::vector<std::string> numbers;
  for (const Figure* figure : report.Figures()) numbers.push_back(figure->number);
  return numbers;
}

Report SimulatedReport(int finished) {
  SimulatedStudy study = MakeSimulatedStudy(finished);
  absl::StatusOr<AnalysisResult> result = Analyze(study.observations, study.options);
  EXPECT_TRUE(result.ok()) << result.status();
  return BuildReport(*result, study.context);
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Compares with tests/golden/report/NAME; ISOFLOP_UPDATE_GOLDENS writes it.
void ExpectGolden(const std::string& name, const std::string& text) {
  const std::string path = absl::StrCat(ISOFLOP_SOURCE_DIR, "/tests/golden/report/", name);
  if (std::getenv("ISOFLOP_UPDATE_GOLDENS") != nullptr) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
  EXPECT_EQ(text, ReadFile(path)) << "tools/update_goldens.sh, then read the difference";
}

TEST(ReportTest, ASimulatedStudyHasEveryFigureAndTable) {
  const Report report = SimulatedReport(1 << 20);
  // Sections that the analysis was not asked for have their own tests (sections_test.cc).
  EXPECT_THAT(FigureNumbers(report), ::testing::IsSupersetOf({"F1", "F2a", "F2b", "F3", "F4", "F5", "F6", "F7", "F8", "F9", "F10", "F11", "F12", "F13", "F14", "F15a", "F15b"}));
  for (const char* name : {"t1_shapes", "t2_recipe", "t3_data", "t4_budgets", "t5_exponents", "t6_optimal", "t7_efficiency", "t8_parameters",
                           "t8_correlation", "t8_certificate", "checklist", "exclusions", "trials"}) {
    EXPECT_NE(Find(report, name), nullptr) << name;
  }
  for (const Table* table : report.Tables()) {
    for (const std::vector<Cell>& row : table->rows) EXPECT_EQ(row.size(), table->columns.size()) << table->name;
  }
  EXPECT_THAT(report.verdict.front(), HasSubstr("N* grows as C^0.4"));
}

TEST(ReportTest, ShapesTellEveryN) {
  const Report report = SimulatedReport(1 << 20);
  const Table* shapes = Find(report, "t1_shapes");
  ASSERT_NE(shapes, nullptr);
  const std::string csv = RenderTableCsv(*shapes);
  // The quickstart's smallest shape, counts as the plan prints them.
  EXPECT_THAT(csv, HasSubstr("16,1,4,64,4096,0,4096,3120,11312,3120,7216"));
}

TEST(ReportTest, BeforeTheEndItSaysHowFar) {
  const Report report = SimulatedReport(40);
  EXPECT_THAT(report.verdict, Contains(HasSubstr("40 of 52 observations are in")));
  const Figure* grid = report.Figures().front();
  EXPECT_TRUE(std::any_of(grid->series.begin(), grid->series.end(), [](const Series& s) { return s.label == "waiting" && s.hollow; }));
  // After three trials of the smallest budget the colours already span the whole grid.
  const Report early = SimulatedReport(3);
  EXPECT_EQ(early.Figures().front()->color_hi, 6e11);
  EXPECT_THAT(early.verdict, ::testing::Not(Contains(HasSubstr("is extrapolated"))));
}

TEST(ReportTest, WithoutAFitItShowsTheRefusalAndItsCure) {
  const Report report = SimulatedReport(3);
  ASSERT_FALSE(report.refusals.empty());
  EXPECT_THAT(report.refusals.front().code, HasSubstr("k"));
  EXPECT_FALSE(report.refusals.front().cure.empty());
  EXPECT_THAT(report.verdict.front(), HasSubstr("No law yet"));
  const std::string html = RenderHtml(report, {});
  EXPECT_TRUE(Holds(html, "Cure: ") && Holds(html, report.refusals.front().code));
  EXPECT_TRUE(Holds(RenderMarkdown(report), report.refusals.front().code));
  EXPECT_EQ(Find(report, "t6_optimal"), nullptr);
}

TEST(ReportTest, WithoutAnyTrialItIsStillAPage) {
  const Report report = SimulatedReport(0);
  EXPECT_TRUE(Holds(RenderHtml(report, {}), "</html>"));
  const absl::StatusOr<Report> back = ParseReportJson(RenderJson(report));
  EXPECT_TRUE(back.ok()) << back.status();
  const Report nothing = BuildReport(AnalysisResult(), ReportContext());
  EXPECT_TRUE(Holds(RenderHtml(nothing, {}), "</html>"));
}

TEST(ReportTest, TheSameInputGivesTheSameBytes) {
  const Report first = SimulatedReport(1 << 20), second = SimulatedReport(1 << 20);
  EXPECT_TRUE(RenderHtml(first, {}) == RenderHtml(second, {}));
  EXPECT_TRUE(RenderJson(first) == RenderJson(second));
  EXPECT_EQ(RenderMarkdown(first), RenderMarkdown(second));
}

TEST(ReportTest, HostileTextStaysText) {
  const std::string hostile = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)>";
  ReportContext context = LiteralContext();
  context.title = hostile;
  context.description = hostile;
  context.resolved_yaml = "a: </pre>" + hostile;
  context.data = ReportData{.name = hostile, .tokenizer = hostile, .unique_tokens = 1, .eval_tokens = 1, .eval_bytes = 1, .dataset_sha256 = hostile,
                            .tokenizer_sha256 = hostile, .eval_sha256 = hostile};
  context.recipe = {{hostile, hostile}};
  context.commands = {hostile};
  AnalysisResult result = LiteralResult();
  result.rows[0].observation.source = hostile;
  result.exclusions[0].source = hostile;
  result.exclusions[0].detail = hostile;
  result.warnings[0].message = hostile;
  const Report report = BuildReport(result, context);
  const std::string html = RenderHtml(report, {.plotly_gzip = "bytes"});
  for (const char* bad : {"<script>alert", "<img", "</title><script", "\\u003cimg", "\\u003cscript"}) EXPECT_FALSE(Holds(html, bad)) << bad;
  std::string markdown;  // but for code, which is indented and shown as it is
  for (const absl::string_view line : absl::StrSplit(RenderMarkdown(report), '\n')) {
    if (!absl::StartsWith(line, "    ")) absl::StrAppend(&markdown, line, "\n");
  }
  for (const char* bad : {"<script", "<img"}) EXPECT_FALSE(Holds(markdown, bad)) << bad;
}

TEST(ReportTest, ThePageAllowsNoRequest) {
  const std::string html = RenderHtml(BuildReport(LiteralResult(), LiteralContext()), {});
  EXPECT_TRUE(Holds(html, "default-src 'none'"));
  for (const char* bad : {"src=\"http", "<link", "@import"}) EXPECT_FALSE(Holds(html, bad)) << bad;
}

TEST(ReportTest, TheRatioCarriesItsRemark) {
  const std::string html = RenderHtml(BuildReport(LiteralResult(), LiteralContext()), {});
  EXPECT_TRUE(Holds(html, "D of about 20 N"));
}

TEST(ReportJsonTest, HasSchemaSortedKeysAndTheAnalysis) {
  const Report report = BuildReport(LiteralResult(), LiteralContext());
  const nlohmann::json object = nlohmann::json::parse(RenderJson(report));
  EXPECT_EQ(object.at("schema"), "isoflop.report/1");
  const nlohmann::json& analysis = object.at("analysis");
  EXPECT_EQ(analysis.at("schema"), "isoflop.fit/1");
  EXPECT_EQ(analysis.at("parametric").at("E").at("value"), 1.69);
  EXPECT_EQ(analysis.at("parametric").at("E").at("intervals").size(), 2u);
  EXPECT_EQ(analysis.at("isoflop").at("refusal").at("code"), "kTooFewPoints");
  EXPECT_EQ(analysis.at("rows").size(), 10u);
  EXPECT_TRUE(analysis.at("rows").at(0).at("budget_flops").is_number());
  EXPECT_TRUE(analysis.at("envelope").is_null());
  // nlohmann's objects are sorted; parsing and dumping again changes nothing.
  EXPECT_TRUE(object.dump(1) + "\n" == RenderJson(report));
}

TEST(ReportJsonTest, ComesBackAsTheSameReport) {
  const Report report = SimulatedReport(1 << 20);
  const std::string json = RenderJson(report);
  const absl::StatusOr<Report> back = ParseReportJson(json);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_TRUE(RenderJson(*back) == json);
  EXPECT_EQ(RenderMarkdown(*back), RenderMarkdown(report));
  EXPECT_TRUE(RenderHtml(*back, {.plotly_gzip = "x"}) == RenderHtml(report, {.plotly_gzip = "x"}));
  ASSERT_EQ(back->Tables().size(), report.Tables().size());
  for (size_t t = 0; t < report.Tables().size(); ++t) EXPECT_EQ(RenderTableCsv(*back->Tables()[t]), RenderTableCsv(*report.Tables()[t]));
  for (size_t f = 0; f < report.Figures().size(); ++f) EXPECT_EQ(FigureCsv(*back->Figures()[f]), FigureCsv(*report.Figures()[f]));
}

TEST(ReportJsonTest, RefusesWhatIsNoReport) {
  for (const char* text : {"", "[]", "{}", "{\"schema\": \"isoflop.fit/1\"}", "{\"schema\": \"isoflop.report/1\"}"}) {
    const absl::StatusOr<Report> report = ParseReportJson(text);
    EXPECT_EQ(report.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(report.status().message()), HasSubstr("cure: ")) << text;
  }
}

TEST(TableWritersTest, QuoteAndEscape) {
  Table table;
  table.title = "50 % & more";
  table.columns = {{"a", "A_1", false}, {"b", "B", true}};
  table.rows = {{{"x, \"y\"", "x, \"y\""}, {"1.2", "1.23456789"}}};
  EXPECT_EQ(RenderTableCsv(table), "a,b\n\"x, \"\"y\"\"\",1.23456789\n");
  const std::string tex = RenderTableLatex(table);
  EXPECT_THAT(tex, AllOf(HasSubstr("\\toprule"), HasSubstr("50 \\% \\& more"), HasSubstr("A\\_1 & B"), HasSubstr("{lr}")));
}

TEST(GoldenTest, MarkdownAndFigure) {
  const Report report = BuildReport(LiteralResult(), LiteralContext());
  ExpectGolden("report.md", RenderMarkdown(report));
  for (const Figure* figure : report.Figures()) {
    if (figure->number == "F10") ExpectGolden("frontier.svg", RenderSvg(*figure));
  }
}

TEST(WriteReportTest, WritesEveryFileAndReplacesAnOlderReport) {
  const std::string folder = ::testing::TempDir() + "/isoflop-report-test";
  std::filesystem::remove_all(folder);
  const Report report = BuildReport(LiteralResult(), LiteralContext());
  for (int round = 0; round < 2; ++round) {
    const absl::StatusOr<WrittenReport> written = WriteReport(report, folder, {.html = {}, .convert = false});
    ASSERT_TRUE(written.ok()) << written.status();
    EXPECT_EQ(written->figures, static_cast<int>(report.Figures().size()));
    EXPECT_EQ(written->html_bytes, static_cast<int64_t>(std::filesystem::file_size(written->html_path)));
  }
  for (const char* name : {"report.html", "report.md", "report.json", "references.bib", "figures/fig06_surface.svg", "figures/fig06_surface.csv", "tables/t6_optimal.csv",
                           "tables/t6_optimal.tex"}) {
    EXPECT_TRUE(std::filesystem::exists(folder + "/" + name)) << name;
  }
  std::filesystem::remove_all(folder);
}

// Cairo dates a PDF: two reports of one study differed in every PDF.
TEST(WriteReportTest, PdfsOfTheSameReportAreTheSameBytes) {
  const std::string folder = ::testing::TempDir() + "/isoflop-report-pdf-test";
  Report report = BuildReport(LiteralResult(), LiteralContext());
  for (ReportSection& section : report.sections) {  // one figure is enough
    std::erase_if(section.blocks, [](const Block& block) { return block.kind == Block::Kind::kFigure && block.figure.number != "F13"; });
  }
  std::string first;
  for (int round = 0; round < 2; ++round) {
    std::filesystem::remove_all(folder);
    const absl::StatusOr<WrittenReport> written = WriteReport(report, folder, {.html = {}, .convert = true});
    ASSERT_TRUE(written.ok()) << written.status();
    if (!written->converted) GTEST_SKIP() << "no rsvg-convert on PATH (Debian's librsvg2-bin)";
    const std::string pdf = ReadFile(folder + "/figures/fig13_predicted.pdf");
    EXPECT_TRUE(absl::StartsWith(pdf, "%PDF"));
    if (round == 0) {
      first = pdf;
      absl::SleepFor(absl::Milliseconds(1100));  // the date counts seconds
    }
    EXPECT_TRUE(pdf == first);
  }
  std::filesystem::remove_all(folder);
}

TEST(WriteReportTest, AFolderThatCannotBeIsAnErrorWithACure) {
  const std::string file = ::testing::TempDir() + "/isoflop-report-file";
  std::ofstream(file) << "a file, no folder";
  const absl::StatusOr<WrittenReport> written = WriteReport(Report(), file, {.html = {}, .convert = false});
  EXPECT_EQ(written.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(written.status().message()), AllOf(HasSubstr(file), HasSubstr("cure: ")));
  std::filesystem::remove(file);
}

TEST(FindPlotlyTest, TakesAutoOffAndAFile) {
  std::string storage;
  EXPECT_TRUE(FindPlotly("off", &storage)->empty());
  EXPECT_TRUE(FindPlotly("auto", &storage).ok());
  const std::string file = ::testing::TempDir() + "/isoflop-plotly.js";
  std::ofstream(file) << "var Plotly = {};";
  const absl::StatusOr<absl::string_view> packed = FindPlotly(file, &storage);
  ASSERT_TRUE(packed.ok());
  EXPECT_EQ(packed->substr(0, 2), "\x1f\x8b");
  EXPECT_EQ(FindPlotly("/nowhere/plotly.js", &storage).status().code(), absl::StatusCode::kNotFound);
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace isoflop
