// What a reader must be told beside the numbers: the codes of a finished result.
#ifndef ISOFLOP_ANALYSIS_ANALYSIS_WARNINGS_H_
#define ISOFLOP_ANALYSIS_ANALYSIS_WARNINGS_H_

#include "analysis/analysis_result.h"

namespace isoflop {

// Adds the warnings of fit, approaches, uncertainty, verdict, hold-out and
// sensitivity to result->warnings, which holds those of the inputs, and sorts them
// by code.
void AddWarnings(AnalysisResult* result);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_ANALYSIS_WARNINGS_H_
