// A fit as lines of text, and the number forms that `fit` and `predict` share.
#ifndef ISOFLOP_TOOLS_ISOFLOP_FIT_TEXT_H_
#define ISOFLOP_TOOLS_ISOFLOP_FIT_TEXT_H_

#include <string>
#include <vector>

#include "analysis/analysis_result.h"

namespace isoflop {

// The interval a screen shows: 95 % where it was asked for, else the widest;
// nullptr without intervals.
const Interval* ShownInterval(const Estimate& estimate);

// " [2.42, 3.29]" in the unit that FormatCount gives the value; "" without an
// interval.
std::string CountInterval(const Estimate& estimate);
// The same in plain numbers with `digits` significant digits.
std::string PlainInterval(const Estimate& estimate, int digits);

// "N* 2.79B [2.42, 3.29]".
std::string NamedCount(const std::string& name, const Estimate& estimate);

// "compatible with Hoffmann (0.46-0.50), not with Kaplan (0.73)": the published
// exponents against the 95 % interval of a. Empty without an interval.
std::string CompatibleWith(const Estimate& a);

// What `isoflop fit` prints, line by line.
std::vector<std::string> FitLines(const AnalysisResult& result);

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_FIT_TEXT_H_
