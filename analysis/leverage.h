// How the parameters of a law move its losses, and how far each row pulls the fit
// towards itself.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_LEVERAGE_H_
#define ISOFLOP_ANALYSIS_LEVERAGE_H_

#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"

namespace isoflop {

// Whether a form has exponents of N and of D that the rows must tell apart.
bool HasSeparateExponents(LawForm form);

// h_i = w_i J_i' (Sum w J J')^-1 J_i in [0, 1], J the gradient of ln L in the free
// parameters of the law's form (central differences, to about 1e-8). Terms that are
// zero are left out: the law is on that bound. The sum of h is the number of
// parameters that the rows determine.
std::vector<double> Leverages(absl::Span<const KeptRow> rows, absl::Span<const double> weights, const LossLaw& law);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_LEVERAGE_H_
