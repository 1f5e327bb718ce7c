// Approach 1 (Hoffmann et al. 2022, section 3.1): the lower envelope of all
// training curves, and power laws through the N and D that stand on it.
//
// The points (ln C, ln L) of all curves; their lower convex hull (Andrew's
// monotone chain); a vertex whose L is not below the one before it is dropped;
// least squares of ln N and of ln D on ln C. C of a point is the row's own FLOPs
// a token times the tokens so far, so it follows the row's convention. Valid only
// where the schedule ended at that D: every point of a curve but its last one is
// of a rate that was still on its way.
//
// Runs are resampled, never vertices. A vertex of any sample stands on the lower
// hull of its own curve, so curves are cut down to their hulls and sorted once,
// and a draw is one linear pass. What lies over the hull of the draw's points among
// the candidates nearest the envelope is passed over there.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_ENVELOPE_FIT_H_
#define ISOFLOP_ANALYSIS_ENVELOPE_FIT_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_options.h"
#include "analysis/analysis_result.h"

namespace isoflop {

struct EnvelopeOptions {
  // Train losses are averaged over steps within +-5 %, and taken that far apart.
  double smoothing = 0.05;
  // Only points at which the schedule had ended.
  bool finished_schedules_only = false;
};

// Points that can stand on the envelope of some sample of the rows.
struct EnvelopeCandidates {
  std::vector<EnvelopePoint> points;      // by rising ln C, then L
  std::vector<double> ln_flops, ln_loss;  // of the points
  std::vector<uint32_t> row;              // of the points
  std::vector<size_t> nearest;            // the points that lie least over the envelope, rising
  int curve_points = 0;                   // before each curve was cut down to its hull
  double smallest_params = 0, largest_params = 0;  // N of all curves
};

// The smoothed train losses of the curves of `rows`, each point with its row; a
// row without a train loss gives its final point. Evaluation losses along a curve
// are left out. Losses are in the rows' unit.
EnvelopeCandidates EnvelopePoints(absl::Span<const KeptRow> rows, const EnvelopeOptions& options = {});

// Candidates of given points, all > 0 and finite; points of one row are its curve.
EnvelopeCandidates CandidatesOf(std::vector<EnvelopePoint> points);

// refusal: fewer than three vertices, or vertices of fewer than two N.
EnvelopeFit FitEnvelope(const EnvelopeCandidates& candidates);

// kScheduleNotEnded: vertices where the schedule had not ended, or is not known
// to have. kTooFewPoints: one N holds a third of the vertices. kMinimumAtEdge: the
// smallest and the largest N hold the ends. Empty for a fit that was refused.
std::vector<Warning> EnvelopeWarnings(const EnvelopeFit& fit);

// On another sample: `weights` one a row; points of a row of weight 0 are left out.
// nullopt where FitEnvelope refuses.
struct EnvelopeLaws {
  double params_ln_coefficient = 0, params_exponent = 0;
  double tokens_ln_coefficient = 0, tokens_exponent = 0;
};
std::optional<EnvelopeLaws> RefitEnvelope(const EnvelopeCandidates& candidates, absl::Span<const double> weights);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_ENVELOPE_FIT_H_
