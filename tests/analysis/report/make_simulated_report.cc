// Writes the report of a simulated study: make_simulated_report DIR [FINISHED]
// [JS]. Every section is filled where there is a law. For the page test, which opens
// it in a browser, and for looking at figures.
#include <cstdio>
#include <cstdlib>

#include "analysis/analyze.h"
#include "analysis/report/report.h"
#include "tests/analysis/report/full_result.h"
#include "tests/analysis/report/simulated_study.h"

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: make_simulated_report DIR [FINISHED] [JS]\n");
    return 2;
  }
  isoflop::SimulatedStudy study = isoflop::MakeSimulatedStudy(argc > 2 ? std::atoi(argv[2]) : 1 << 20);
  absl::StatusOr<isoflop::AnalysisResult> result = isoflop::Analyze(study.observations, study.options);
  if (!result.ok()) {
    std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
    return 1;
  }
  if (result->parametric.has_value() && !result->frontiers.empty() && result->isoflop.has_value()) isoflop::FillEverySection(&*result);
  std::string storage;
  const absl::StatusOr<absl::string_view> plotly = isoflop::FindPlotly(argc > 3 ? argv[3] : "auto", &storage);
  if (!plotly.ok()) {
    std::fprintf(stderr, "%s\n", plotly.status().ToString().c_str());
    return 1;
  }
  const isoflop::WriteReportOptions options{.html = {.plotly_gzip = *plotly}, .convert = false};
  const absl::StatusOr<isoflop::WrittenReport> written = WriteReport(BuildReport(*result, study.context), argv[1], options);
  if (!written.ok()) {
    std::fprintf(stderr, "%s\n", written.status().ToString().c_str());
    return 1;
  }
  std::printf("%s %lld bytes, %d figures, %d tables, plotly %s\n", written->html_path.c_str(), static_cast<long long>(written->html_bytes), written->figures,
              written->tables, plotly->empty() ? "off" : "on");
  return 0;
}
