// The pieces that BuildReport puts together: figures by section, tables, words.
// Internal to analysis/report.
#ifndef ISOFLOP_ANALYSIS_REPORT_REPORT_PARTS_H_
#define ISOFLOP_ANALYSIS_REPORT_REPORT_PARTS_H_

#include <optional>
#include <string>
#include <vector>

#include "analysis/analysis_result.h"
#include "analysis/report/report.h"

namespace isoflop {

// --- report_text.cc: numbers as words -----------------------------------------------

// The level that screens and plots show: the highest that was asked for.
double MainLevel(const AnalysisResult& result);
// "95 %, pairs" of an estimate with that interval; else empty.
std::string LevelAndMethod(const Estimate& estimate, double level);
// `format(value)`, then " [lo, hi]" where the interval is known.
std::string WithInterval(const Estimate& estimate, double level, std::string (*format)(double));
// Two decimals: exponents.
std::string FormatExponent(double value);
// Up to 10 digits; empty when not finite.
std::string ExactText(double value);
// "loss [nats/token]" or "loss [bits/byte]"; "N, non-embedding + head [parameters]";
// "C = 6ND [FLOPs]".
std::string LossLabel(const AnalysisResult& result);
std::string ParamsLabel(const AnalysisResult& result);
std::string FlopsLabel(const AnalysisResult& result);
std::string CountWords(const AnalysisResult& result);  // "non-embedding + head"
std::string CountWords(CountConvention count);
std::string FlopsWords(FlopsConvention flops);  // "6ND" or "by architecture"
std::string FormText(LawForm form);             // "L = E + A N^-alpha + B D^-beta"
// The BCa interval at `level` percent, or nullptr.
const Interval* BcaAt(const Estimate& estimate, double level);
// "n = 46, huber(0.001) on log loss": what stands in captions.
std::string FitWords(const AnalysisResult& result);

// --- verdict.cc -------------------------------------------------------------------------

// The verdict box: the first sentence is its headline. **Bold** is marked so.
std::vector<std::string> VerdictSentences(const AnalysisResult& result, const ReportContext& context);
std::vector<ReportNote> RefusalNotes(const AnalysisResult& result);
// The cure that goes with a warning, empty where the message says all.
std::string CureOf(Code code);

// --- report_json.cc -------------------------------------------------------------------

// Every number of the report in ten digits, so that what is drawn from it and
// what is drawn from its JSON are the same bytes.
void RoundNumbers(Report* report);

// --- marks shared by all figures ---------------------------------------------------------

inline constexpr const char* kColorParametric = "#1f4e8c";
inline constexpr const char* kColorIsoflop = "#c4501b";
inline constexpr const char* kColorEnvelope = "#2e7d4f";
inline constexpr const char* kColorReference = "#777777";
inline constexpr const char* kColorInk = "#333333";
const char* ColorOf(Approach approach);
// A seed's mark, by its place among the seeds of the rows.
Glyph MarkOfSeed(const std::vector<int64_t>& seeds, int64_t seed);
std::vector<int64_t> SeedsOf(const AnalysisResult& result);
// Smallest and largest C of the rows, excluded ones too.
Range FlopsRange(const AnalysisResult& result);
const Frontier* FrontierOf(const AnalysisResult& result, Approach approach);
std::string HoverOf(const KeptRow& row);

// --- figures; nullopt or empty: not enough is known ------------------------------------------

std::optional<Figure> GridFigure(const AnalysisResult& result, const ReportContext& context);          // F1
std::vector<Figure> CurveFigures(const AnalysisResult& result, const ReportContext& context);          // F2a, F2b
std::optional<Figure> FinalLossFigure(const AnalysisResult& result);                                   // F3
std::optional<Figure> SeedNoiseFigure(const AnalysisResult& result);                                   // F4
std::optional<Figure> ContourFigure(const AnalysisResult& result);                                     // F5
std::optional<Figure> SurfaceFigure(const AnalysisResult& result);                                     // F6
std::optional<Figure> LossBySizeFigure(const AnalysisResult& result);                                  // F7
std::optional<Figure> LossByTokensFigure(const AnalysisResult& result);                                // F8
std::optional<Figure> IsoflopFigure(const AnalysisResult& result);                                     // F9
std::vector<Figure> OptimumFigures(const AnalysisResult& result);                                      // F10-F12
std::vector<Figure> FitFigures(const AnalysisResult& result);                                          // F13, F14
std::vector<Figure> DrawFigures(const AnalysisResult& result);                                         // F15a, F15b
std::optional<Figure> ProfileFigure(const AnalysisResult& result);                                     // F16
std::vector<Figure> HoldoutFigures(const AnalysisResult& result);                                      // F17a, F17b

std::optional<Figure> FamiliesFigure(const AnalysisResult& result, const ReportContext& context);      // F20
std::optional<Figure> CountedTokensFigure(const AnalysisResult& result, const ReportContext& context); // F21

// --- tables ------------------------------------------------------------------------------------

std::optional<Table> ShapesTable(const AnalysisResult& result, const ReportContext& context);  // T1
std::optional<Table> RecipeTable(const ReportContext& context);                                // T2
std::optional<Table> DataTable(const AnalysisResult& result, const ReportContext& context);    // T3
std::optional<Table> BudgetsTable(const AnalysisResult& result);                               // T4
std::optional<Table> ExponentsTable(const AnalysisResult& result);                             // T5
std::optional<Table> ConventionsTable(const AnalysisResult& result);                           // T5b
std::optional<Table> OptimalTable(const AnalysisResult& result);                               // T6
std::optional<Table> OptimalBcaTable(const AnalysisResult& result);                            // T6b
std::optional<Table> EfficiencyTable(const AnalysisResult& result);                            // T7
std::optional<Table> OvertrainingTable(const AnalysisResult& result);                          // T7b
std::optional<Table> InferenceTable(const AnalysisResult& result);                             // T7c
std::optional<Table> RepeatedDataTable(const AnalysisResult& result);                          // T7d
std::string DataExhaustedSentence(const AnalysisResult& result);
std::vector<Table> FitTables(const AnalysisResult& result);  // T8: parameters, correlation, certificate
// T8d-T8i: noise and lack of fit, coverage, profiles, forms, nested tests, influence.
std::vector<Table> UncertaintyTables(const AnalysisResult& result);
std::vector<Table> AgreementTables(const AnalysisResult& result);  // differences, costs, causes
std::vector<Table> HoldoutTables(const AnalysisResult& result);    // by distance, the largest budget
std::optional<Table> SensitivityTable(const AnalysisResult& result);                           // T9
std::optional<Table> DesignTable(const AnalysisResult& result);
std::string DesignSentence(const AnalysisResult& result);
// Of families.cc: the counted models, the laws side by side, the multipliers.
std::optional<Table> BaselinesTable(const ReportContext& context);                                 // T11
std::optional<Table> FamiliesTable(const AnalysisResult& result, const ReportContext& context);    // T12
std::optional<Table> MultipliersTable(const ReportContext& context);                               // T13
std::vector<std::string> FamilySentences(const AnalysisResult& result, const ReportContext& context);
Table ChecklistTable(const AnalysisResult& result, const ReportContext& context);
std::optional<Table> ExclusionsTable(const AnalysisResult& result);
std::optional<Table> TrialsTable(const AnalysisResult& result, const ReportContext& context);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_REPORT_REPORT_PARTS_H_
