// y = exp(k) C^x by least squares in logs: approaches 1 and 2.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_POWER_LAW_H_
#define ISOFLOP_ANALYSIS_POWER_LAW_H_

#include "absl/types/span.h"
#include "analysis/analysis_result.h"

namespace isoflop {

// Fits ln y on ln C. All > 0, of equal length >= 2 with two distinct C
// (precondition). With `variances` of ln y (empty: ordinary least squares) the
// weights are 1/variance and the standard errors follow from the variances;
// else from the residuals (none with two points).
PowerLaw FitPowerLaw(absl::Span<const double> flops, absl::Span<const double> values,
                     absl::Span<const double> variances = {});

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_POWER_LAW_H_
