// Means, quantiles and standard errors of plain columns.
#ifndef ISOFLOP_ANALYSIS_STATISTICS_H_
#define ISOFLOP_ANALYSIS_STATISTICS_H_

#include <vector>

#include "absl/types/span.h"

namespace isoflop {

// 0 for an empty column.
double Mean(absl::Span<const double> values);

// Standard deviation with `ddof` 1; 0 with fewer than two values.
double StandardDeviation(absl::Span<const double> values);

// 0 for an empty column; the mean of the middle two of an even number.
double Median(std::vector<double> values);

// The quantile at `p` in [0, 1] of rising values, linear between neighbours at
// h = (B - 1) p, as numpy's default. Precondition: not empty.
double SortedQuantile(absl::Span<const double> rising, double p);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_STATISTICS_H_
