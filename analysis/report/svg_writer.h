// A figure as one SVG: for paper, for the page before its script has run, and
// where there is no WebGL.
//
// Pure: the same figure gives the same bytes.
#ifndef ISOFLOP_ANALYSIS_REPORT_SVG_WRITER_H_
#define ISOFLOP_ANALYSIS_REPORT_SVG_WRITER_H_

#include <string>

#include "analysis/report/figure.h"

namespace isoflop {

// An <svg> element with a viewBox in points and its size in inches; 8 pt text;
// a <title> for screen readers. A surface is drawn in an orthographic view.
std::string RenderSvg(const Figure& figure);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_REPORT_SVG_WRITER_H_
