// A figure as plotly.js takes it: data and layout, for the page.
//
// Pure: the same figure gives the same bytes.
#ifndef ISOFLOP_ANALYSIS_REPORT_PLOTLY_WRITER_H_
#define ISOFLOP_ANALYSIS_REPORT_PLOTLY_WRITER_H_

#include <string>

#include "analysis/report/figure.h"

namespace isoflop {

// {"name", "kind", "data", "layout"[, "offset", "offset_label"]}: one JSON object
// with sorted keys, numbers in 7 digits, safe inside a <script> element.
std::string RenderPlotly(const Figure& figure);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_REPORT_PLOTLY_WRITER_H_
