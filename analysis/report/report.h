// The report of a study: from what the analysis found to files that can go into
// a paper.
//
//   BuildReport(result, context) -> Report -> RenderHtml / RenderMarkdown /
//   RenderJson / RenderSvg (svg_writer.h), or all of them by WriteReport
//
// A Report is the report as data: sections of text, tables and figures. Every
// renderer reads the same struct, so page, paper and table cannot disagree.
//
// Pure, but for WriteReport: no clock, path or locale is read; the same result and
// context give the same bytes. A study that has not ended, and one that allows
// no fit, give a report too: it says what is missing and the cure. Thread-safe.
#ifndef ISOFLOP_ANALYSIS_REPORT_REPORT_H_
#define ISOFLOP_ANALYSIS_REPORT_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "analysis/analysis_result.h"
#include "analysis/report/figure.h"
#include "analysis/study_comparison.h"
#include "study/model_shape.h"
#include "study/observation.h"
#include "study/trial_outcome.h"

namespace isoflop {

// --- what the report is told beside the analysis -------------------------------

// A trial of the study in whatever state it is; trunks too.
struct ReportTrial {
  std::string id;  // as in KeptRow::observation.trial_id
  TrialState state = TrialState::kQueued;
  std::string outcome_detail;
  bool is_trunk = false;
  int64_t seed = 0;
  ModelShape shape;             // zeros where a CSV does not know it
  int64_t sequence_length = 0;
  ParamCounts counts;
  double budget_flops = 0;      // planned C of its cell; 0: a trunk
  double tokens_planned = 0;
  double flops_6nd = 0;         // training FLOPs under the study's N
  double flops_exact = 0;
  std::optional<double> tokens_trained;
  std::optional<double> final_loss_nats;
  int attempts = 0;
  double slot_seconds = 0;      // 0: not known
  double tokens_per_second = 0;
  std::vector<LossPoint> curve;  // of the attempt that counts
};

struct ReportData {
  std::string name;         // "austen.txt.xz"
  std::string tokenizer;    // "bytes"
  double unique_tokens = 0;
  double eval_tokens = 0;
  double eval_bytes = 0;
  std::string dataset_sha256, tokenizer_sha256, eval_sha256;
};

// A counted model of `baselines:`, beside the law and never in it.
struct ReportBaseline {
  std::string trial_id;
  int64_t order = 0;      // of the n-gram model
  std::string smoothing;  // "kneser_ney"
  double tokens = 0;      // counted
  double loss_nats = 0;   // on the same frozen evaluation set
  std::optional<double> loss_se, bits_per_byte;
};

// What a finished trial wrote, at its own seed.
struct ReportSample {
  std::string label;  // "transformer, N 65.8K, D 1.2M, loss 1.71 (trial 17)"
  std::string text;   // valid UTF-8
};

// Another study, analysed and compared with this one.
struct ReportFamily {
  std::string name;             // of the study
  std::string family;           // "lstm"
  AnalysisResult analysis;
  StudyComparison comparison;   // this report's study is the first
};

using Fact = std::pair<std::string, std::string>;  // label, text

struct ReportContext {
  std::string title;            // the study's name, or the CSV's file name
  std::string description;
  std::string source;           // "study", "CSV"; which tables make sense
  std::string program_version;  // of the isoflop that renders
  std::string last_result_at;   // ISO UTC, of the newest finished trial; empty: none or a CSV
  std::string resolved_yaml;    // empty for a CSV
  std::optional<ReportData> data;
  std::vector<Fact> recipe;     // T2: schedule, optimiser, batch, precision, ...
  std::vector<Fact> provenance; // the checklist's: commit of the trainer, Torch, hardware, ...
  std::vector<std::string> commands;  // that give this report again
  std::vector<ReportTrial> trials;    // by number; empty for a CSV; no baselines
  std::string family;                 // of the study's models: "transformer"; empty for a CSV
  std::vector<ReportBaseline> baselines;  // finished ones, by loss from the worst
  std::vector<ReportFamily> families;     // the studies beside this one
  std::vector<ReportSample> samples;
};

// --- the report as data -----------------------------------------------------------

struct Column {
  std::string key{};    // "params_optimal": the CSV's header
  std::string label{};  // "N*"
  bool numeric = true;
};

struct Cell {
  std::string text{};   // as a person reads it
  std::string exact{};  // as CSV holds it: up to 10 digits, empty when unknown
  bool dim = false;   // extrapolated or left out
};

struct Table {
  std::string name{};    // "t6_optimal": the file's name
  std::string number{};  // "T6"; empty: of the appendix
  std::string title{};
  std::string caption{};
  std::vector<Column> columns{};
  std::vector<std::vector<Cell>> rows{};
  bool folded = false;  // long: the page shows it behind a click
};

struct Block {
  enum class Kind { kText, kFigure, kTable, kCode };
  Kind kind = Kind::kText;
  std::string text;   // kText: plain; kCode: verbatim
  std::string title;  // kCode
  Figure figure;
  Table table;
};

struct ReportSection {
  std::string id;  // "optimum"
  std::string title;
  std::vector<Block> blocks;
};

struct ReportNote {
  std::string code;  // "kTokensDerived"; a stable name
  std::string text;
  std::string cure;  // empty: none
};

struct Report {
  std::string title;
  std::string description;
  std::string program_version;
  std::vector<Fact> facts;             // under the title
  std::vector<std::string> verdict;    // sentences; the first is the headline; **bold**
  std::vector<ReportNote> refusals;    // what could not be given, and the cure
  std::vector<ReportNote> warnings;
  std::vector<ReportSection> sections;
  std::string analysis_json;           // the AnalysisResult: isoflop.fit/1, one object

  std::vector<const Figure*> Figures() const;
  std::vector<const Table*> Tables() const;
};

// Puts everything into words, tables and figures.
Report BuildReport(const AnalysisResult& result, const ReportContext& context);

// The AnalysisResult as one JSON object, "schema": "isoflop.fit/1": sorted keys,
// results in 10 digits, observations in 17, null for unknown. A refusal is
// {"refusal": {"code", "message", "cure"}}.
std::string AnalysisJson(const AnalysisResult& result);

// --- renderers ------------------------------------------------------------------------

struct HtmlOptions {
  // plotly.min.js, gzipped; empty: figures stay SVG.
  absl::string_view plotly_gzip;
};

// One page that loads nothing: a content security policy forbids it to.
std::string RenderHtml(const Report& report, const HtmlOptions& options);

// GitHub's Markdown; figures are links to figures/NAME.svg.
std::string RenderMarkdown(const Report& report);

// "schema": "isoflop.report/1": the whole Report, the analysis inside.
std::string RenderJson(const Report& report);

// Back from RenderJson. InvalidArgument: not such an object, with the place.
absl::StatusOr<Report> ParseReportJson(const std::string& json);

std::string RenderTableCsv(const Table& table);
// booktabs; longtable from 40 rows on. What the caption cites stands in a comment,
// by its key in references.bib.
std::string RenderTableLatex(const Table& table);

// --- files ------------------------------------------------------------------------------

struct WriteReportOptions {
  HtmlOptions html;
  bool convert = true;  // PDF and PNG of the figures where rsvg-convert is on PATH
};

struct WrittenReport {
  std::string html_path;  // DIR/report.html
  int64_t html_bytes = 0;
  int figures = 0;
  int tables = 0;
  bool converted = false;  // PDF and PNG were made
};

// report.{html,md,json}, references.bib, figures/NAME.{svg,csv[,pdf,png]}, tables/NAME.{csv,tex}
// into `directory`, which is made; files of an older report are replaced.
// Unavailable: a file could not be written, with its name.
absl::StatusOr<WrittenReport> WriteReport(const Report& report, const std::string& directory,
                                          const WriteReportOptions& options);

// What `--js` names: "auto" the plotly that was built in (empty when none
// was), "off" none, else a file plotly.min.js[.gz], which is gzipped if need be.
// NotFound: no such file. `storage` holds the bytes of a file.
absl::StatusOr<absl::string_view> FindPlotly(const std::string& choice, std::string* storage);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_REPORT_REPORT_H_
