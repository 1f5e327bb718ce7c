// The report of full_result.h's result, and ways to find things in a report.
#ifndef ISOFLOP_TESTS_ANALYSIS_REPORT_FULL_REPORT_H_
#define ISOFLOP_TESTS_ANALYSIS_REPORT_FULL_REPORT_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "analysis/analyze.h"
#include "analysis/report/report.h"
#include "tests/analysis/report/full_result.h"
#include "tests/analysis/report/simulated_study.h"

namespace isoflop {

inline AnalysisResult FullResult() {
  SimulatedStudy study = MakeSimulatedStudy();
  absl::StatusOr<AnalysisResult> result = Analyze(study.observations, study.options);
  EXPECT_TRUE(result.ok()) << result.status();
  FillEverySection(&*result);
  return *result;
}

// One for all tests: it is only read.
inline const AnalysisResult& Full() {
  static const AnalysisResult* const kResult = new AnalysisResult(FullResult());
  return *kResult;
}

inline const Report& FullReport() {
  static const Report* const kReport = new Report(BuildReport(Full(), MakeSimulatedStudy().context));
  return *kReport;
}

// What these return lives in the report.
const Table& TableNamed(Report&&, const std::string&) = delete;
const Figure& FigureNamed(Report&&, const std::string&) = delete;

inline const Table& TableNamed(const Report& report, const std::string& name) {
  for (const Table* table : report.Tables()) {
    if (table->name == name) return *table;
  }
  ADD_FAILURE() << "no table " << name;
  static const Table kNone;
  return kNone;
}

inline const Figure& FigureNamed(const Report& report, const std::string& number) {
  for (const Figure* figure : report.Figures()) {
    if (figure->number == number) return *figure;
  }
  ADD_FAILURE() << "no figure " << number;
  static const Figure kNone;
  return kNone;
}

inline const Series& SeriesNamed(const Figure& figure, const std::string& label) {
  for (const Series& series : figure.series) {
    if (series.label == label) return series;
  }
  ADD_FAILURE() << figure.number << " has no series " << label;
  static const Series kNone;
  return kNone;
}

inline std::string Row(const Table& table, size_t index) {
  std::vector<std::string> cells;
  for (const Cell& cell : table.rows.at(index)) cells.push_back(cell.text);
  return absl::StrJoin(cells, " | ");
}

inline std::string Words(const Report& report) { return absl::StrJoin(report.verdict, "\n"); }

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_ANALYSIS_REPORT_FULL_REPORT_H_
