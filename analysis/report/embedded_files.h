// Files that were built into the program: the page's style and script, and
// plotly. Internal to analysis/report.
#ifndef ISOFLOP_ANALYSIS_REPORT_EMBEDDED_FILES_H_
#define ISOFLOP_ANALYSIS_REPORT_EMBEDDED_FILES_H_

#include "absl/strings/string_view.h"

namespace isoflop {

absl::string_view PageCss();
absl::string_view PageScript();
// plotly.min.js, gzipped; empty where the build found none.
absl::string_view PlotlyGzip();

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_REPORT_EMBEDDED_FILES_H_
