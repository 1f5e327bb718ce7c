// From a study of the store or a CSV to the files of its report: what `report`
// does, and `run` at its end.
#ifndef ISOFLOP_TOOLS_ISOFLOP_REPORT_MAKING_H_
#define ISOFLOP_TOOLS_ISOFLOP_REPORT_MAKING_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/analysis_result.h"
#include "analysis/report/report.h"
#include "tools/isoflop/analysis_input.h"
#include "tools/isoflop/command.h"

namespace isoflop {

struct ReportRequest {
  AnalysisFlags flags;
  std::vector<std::string> beside;  // other studies or CSVs, for the section Families
  std::string output;       // folder; empty: <name>-report
  std::string js = "auto";  // auto | off | FILE
  bool convert = true;      // figures as PDF and PNG too, where rsvg-convert is found
};

struct MadeReport {
  std::string name;  // of the study or CSV
  bool is_newest = false;
  AnalysisResult analysis;
  Report report;
  WrittenReport written;
};

// Loads, analyses, renders and writes. NotFound, InvalidArgument: the source or a
// flag. Unavailable: the folder cannot be written.
absl::StatusOr<MadeReport> MakeReport(const ReportRequest& request, const Context& context);

// What the store knows of the study beside its observations: trials with their
// curves, data, recipe, provenance. For BuildReport. NotFound: no such study.
absl::StatusOr<ReportContext> StudyReportContext(const std::string& study, const std::string& db);

// "report/report.html 2.4 MB, 13 figures".
std::string WrittenLine(const WrittenReport& written);

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_REPORT_MAKING_H_
