// Approach 1 (Hoffmann et al. 2022, section 3.1): the lower envelope of all
// training curves, and power laws through the N and D that stand on it.
//
// The points (ln C, ln L) of all curves; their lower convex hull; a vertex whose L
// is not below the one before it is dropped; least squares of ln N and of ln D on
// ln C. Valid only where the schedule ended at that D.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_ENVELOPE_FIT_H_
#define ISOFLOP_ANALYSIS_ENVELOPE_FIT_H_

#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_options.h"
#include "analysis/analysis_result.h"

namespace isoflop {

struct EnvelopeOptions {
  FlopsConvention flops = FlopsConvention::k6nd;
  double smoothing = 0.05;  // train losses are averaged over steps within +-5 %
};

// The points of the curves of `rows`, smoothed, each with the row that it belongs
// to; a row without a curve gives its final point. Evaluation losses are left out.
std::vector<EnvelopePoint> EnvelopePoints(absl::Span<const KeptRow> rows, const EnvelopeOptions& options);

// refusal: fewer than three vertices, or vertices of fewer than two N.
// kScheduleNotEnded: points of a schedule that had not ended, or is not known to
// have, take part (every point of a curve but its last is such a one).
EnvelopeFit FitEnvelope(absl::Span<const EnvelopePoint> points);

// On another sample: `weights` one a row; points of a row of weight 0 are left out.
// nullopt where FitEnvelope refuses.
struct EnvelopeLaws {
  double params_ln_coefficient = 0, params_exponent = 0;
  double tokens_ln_coefficient = 0, tokens_exponent = 0;
};
std::optional<EnvelopeLaws> RefitEnvelope(absl::Span<const EnvelopePoint> points, absl::Span<const double> weights);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_ENVELOPE_FIT_H_
