#include "analysis/report/report.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "analysis/report/references.h"
#include "analysis/report/report_parts.h"
#include "study/format.h"

namespace isoflop {
namespace {

Block TextBlock(std::string text) {
  Block block;
  block.kind = Block::Kind::kText;
  block.text = std::move(text);
  return block;
}

Block TableBlock(Table table) {
  Block block;
  block.kind = Block::Kind::kTable;
  block.table = std::move(table);
  return block;
}

// Sections are filled by appending what there is.
class SectionBuilder {
 public:
  SectionBuilder(std::string id, std::string title) : section_{std::move(id), std::move(title), {}} {}
  void Text(std::string text) {
    if (!text.empty()) section_.blocks.push_back(TextBlock(std::move(text)));
  }
  void Code(std::string title, std::string text) {
    Block block;
    block.kind = Block::Kind::kCode;
    block.title = std::move(title);
    block.text = std::move(text);
    section_.blocks.push_back(std::move(block));
  }
  void Add(std::optional<Figure> figure) {
    if (!figure.has_value()) return;
    Block block;
    block.kind = Block::Kind::kFigure;
    block.figure = std::move(*figure);
    section_.blocks.push_back(std::move(block));
  }
  void Add(std::optional<Table> table) {
    if (!table.has_value()) return;
    section_.blocks.push_back(TableBlock(std::move(*table)));
  }
  template <typename T>
  void AddAll(std::vector<T> blocks) {
    for (T& block : blocks) Add(std::optional<T>(std::move(block)));
  }
  bool empty() const { return section_.blocks.empty(); }
  ReportSection Take() { return std::move(section_); }

 private:
  ReportSection section_;
};

// "46 of 60 observations completed, 2 failed": trials by state, or rows of a CSV.
std::string TrialsFact(const AnalysisResult& result, const ReportContext& context) {
  const std::string kept = absl::StrCat(result.rows.size(), " in the fit, ", result.exclusions.size(), " left out");
  if (context.trials.empty()) return absl::StrCat(Plural(result.rows_read, "row"), ": ", kept);
  int observations = 0, trunks = 0, completed = 0;
  for (const ReportTrial& trial : context.trials) {
    (trial.is_trunk ? trunks : observations) += 1;
    completed += !trial.is_trunk && trial.state == TrialState::kCompleted ? 1 : 0;
  }
  return absl::StrCat(completed, " of ", Plural(observations, "observation"), trunks > 0 ? absl::StrCat(" (and ", Plural(trunks, "trunk"), ")") : "", "; ", kept);
}

std::vector<Fact> Facts(const AnalysisResult& result, const ReportContext& context) {
  std::vector<Fact> facts;
  const auto add = [&](const char* label, const std::string& text) {
    if (!text.empty()) facts.emplace_back(label, text);
  };
  if (context.data.has_value()) {
    add("data", absl::StrCat(context.data->name, context.data->unique_tokens > 0 ? absl::StrCat(", ", FormatTokens(context.data->unique_tokens), " tokens") : ""));
    add("tokenizer", context.data->tokenizer);
  }
  add("trials", TrialsFact(result, context));
  double flops = 0, slot_seconds = 0;
  for (const ReportTrial& trial : context.trials) slot_seconds += trial.slot_seconds;
  for (const KeptRow& row : result.rows) flops += row.flops;
  if (flops > 0) add("FLOPs of the runs in the fit", FormatFlops(flops));
  if (slot_seconds > 0) add("slot time", FormatSeconds(slot_seconds));
  add("N", CountWords(result));
  add("C", result.options.flops == FlopsConvention::k6nd ? "6ND" : "by architecture");
  add("last result", context.last_result_at);
  add("isoflop", context.program_version);
  return facts;
}

ReportSection Setup(const AnalysisResult& result, const ReportContext& context) {
  SectionBuilder section("setup", "Setup");
  section.Add(GridFigure(result, context));
  section.Add(ShapesTable(result, context));
  section.Add(RecipeTable(context));
  section.Add(DataTable(result, context));
  if (section.empty()) section.Text("No trial has a place on the grid yet.");
  return section.Take();
}

ReportSection Training(const AnalysisResult& result, const ReportContext& context) {
  SectionBuilder section("training", "Training");
  section.AddAll(CurveFigures(result, context));
  section.Add(FinalLossFigure(result));
  section.Add(SeedNoiseFigure(result));
  return section.Take();
}

ReportSection Isoflop(const AnalysisResult& result) {
  SectionBuilder section("isoflop", "IsoFLOP");
  section.Add(IsoflopFigure(result));
  section.Add(BudgetsTable(result));
  return section.Take();
}

// Other families beside this study's: counted models, and whole studies.
ReportSection Families(const AnalysisResult& result, const ReportContext& context) {
  SectionBuilder section("families", context.families.empty() ? "Beside simpler models" : "Families");
  if (context.baselines.empty() && context.families.empty()) return section.Take();
  for (std::string& sentence : FamilySentences(result, context)) section.Text(std::move(sentence));
  section.Add(FamiliesFigure(result, context));
  section.Add(FamiliesTable(result, context));
  section.Add(MultipliersTable(context));
  section.Add(CountedTokensFigure(result, context));
  section.Add(BaselinesTable(context));
  for (const ReportSample& sample : context.samples) section.Code(absl::StrCat("Written by ", sample.label), sample.text);
  return section.Take();
}

ReportSection Sensitivity(const AnalysisResult& result) {
  SectionBuilder section("sensitivity", "Sensitivity");
  section.Add(SensitivityTable(result));
  return section.Take();
}

ReportSection Surface(const AnalysisResult& result) {
  SectionBuilder section("surface", "Loss surface");
  section.Add(ContourFigure(result));
  section.Add(SurfaceFigure(result));
  section.Add(LossBySizeFigure(result));
  section.Add(LossByTokensFigure(result));
  if (section.empty()) section.Text("There is no law to draw yet; the refusal above says what is missing.");
  return section.Take();
}

ReportSection Optimum(const AnalysisResult& result) {
  SectionBuilder section("optimum", "Compute-optimal size and data");
  if (!result.frontiers.empty()) {
    section.Text("N* and D* minimise the fitted loss at C; the direction comes from the fit. Hoffmann et al. 2022 (Chinchilla) found D of about 20 N: "
                 "about twenty tokens per parameter. Some course notes write N = 20 D, which is the inverse and wrong by a factor of 400.");
  }
  section.AddAll(OptimumFigures(result));
  section.Add(ExponentsTable(result));
  section.Add(ConventionsTable(result));
  section.AddAll(AgreementTables(result));
  section.Add(OptimalTable(result));
  section.Add(OptimalBcaTable(result));
  section.Text(DataExhaustedSentence(result));
  section.Add(EfficiencyTable(result));
  section.Add(OvertrainingTable(result));
  section.Add(InferenceTable(result));
  section.Add(RepeatedDataTable(result));
  if (section.empty()) section.Text("Without a law there is no optimum to give.");
  return section.Take();
}

ReportSection FitSection(const AnalysisResult& result) {
  SectionBuilder section("fit", "The fit");
  section.AddAll(FitTables(result));
  section.AddAll(FitFigures(result));
  section.AddAll(DrawFigures(result));
  section.Add(ProfileFigure(result));
  section.AddAll(UncertaintyTables(result));
  if (!result.parametric.has_value() && result.parametric_refusal.has_value()) {
    section.Text(absl::StrCat("Refused, ", ToString(result.parametric_refusal->code), ": ", result.parametric_refusal->message));
    if (!result.parametric_refusal->cure.empty()) section.Text(absl::StrCat("Cure: ", result.parametric_refusal->cure));
  } else if (section.empty()) {
    section.Text("No fit was made.");
  }
  return section.Take();
}

std::string RefusedSentence(const char* what, const Refusal& refusal) {
  return absl::StrCat(what, " refused, ", ToString(refusal.code), ": ", refusal.message, refusal.cure.empty() ? "" : absl::StrCat(". Cure: ", refusal.cure));
}

ReportSection HoldoutSection(const AnalysisResult& result) {
  SectionBuilder section("holdout", "Hold-out and next trials");
  if (result.holdout.has_value() && result.holdout->refusal.has_value()) section.Text(RefusedSentence("Hold-out", *result.holdout->refusal));
  section.AddAll(HoldoutFigures(result));
  section.AddAll(HoldoutTables(result));
  if (result.design.has_value() && result.design->refusal.has_value()) section.Text(RefusedSentence("Next trials", *result.design->refusal));
  section.Text(DesignSentence(result));
  section.Add(DesignTable(result));
  return section.Take();
}

ReportSection Appendix(const AnalysisResult& result, const ReportContext& context) {
  SectionBuilder section("appendix", "Appendix");
  section.Add(ChecklistTable(result, context));
  section.Add(ExclusionsTable(result));
  section.Add(TrialsTable(result, context));
  if (!context.commands.empty()) {
    std::string commands;
    for (const std::string& command : context.commands) absl::StrAppend(&commands, command, "\n");
    section.Code("Commands", std::move(commands));
  }
  if (!context.resolved_yaml.empty()) section.Code("The study, resolved", context.resolved_yaml);
  return section.Take();
}

}  // namespace

std::vector<const Figure*> Report::Figures() const {
  std::vector<const Figure*> figures;
  for (const ReportSection& section : sections) {
    for (const Block& block : section.blocks) {
      if (block.kind == Block::Kind::kFigure) figures.push_back(&block.figure);
    }
  }
  return figures;
}

std::vector<const Table*> Report::Tables() const {
  std::vector<const Table*> tables;
  for (const ReportSection& section : sections) {
    for (const Block& block : section.blocks) {
      if (block.kind == Block::Kind::kTable) tables.push_back(&block.table);
    }
  }
  return tables;
}

Report BuildReport(const AnalysisResult& result, const ReportContext& context) {
  Report report;
  report.title = context.title;
  report.description = context.description;
  report.program_version = context.program_version;
  report.facts = Facts(result, context);
  report.verdict = VerdictSentences(result, context);
  report.refusals = RefusalNotes(result);
  for (const Warning& warning : result.warnings) report.warnings.push_back({ToString(warning.code), warning.message, CureOf(warning.code)});
  report.analysis_json = AnalysisJson(result);

  const auto add = [&](ReportSection section) {
    if (!section.blocks.empty()) report.sections.push_back(std::move(section));
  };
  add(Setup(result, context));
  add(Training(result, context));
  add(Surface(result));
  add(Isoflop(result));
  add(Optimum(result));
  add(FitSection(result));
  add(HoldoutSection(result));
  add(Families(result, context));
  add(Sensitivity(result));
  add(Appendix(result, context));
  if (std::optional<Table> references = ReferencesTable(report)) report.sections.back().blocks.push_back(TableBlock(std::move(*references)));
  RoundNumbers(&report);
  return report;
}

}  // namespace isoflop
