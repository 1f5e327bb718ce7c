// Intervals and checks beside the percentile bootstrap: BCa, profiles, influence,
// lack of fit.
//
// Pure; thread-safe; equal for any number of threads (0: one a core).
#ifndef ISOFLOP_ANALYSIS_INTERVAL_METHODS_H_
#define ISOFLOP_ANALYSIS_INTERVAL_METHODS_H_

#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"
#include "analysis/law_fit.h"

namespace isoflop {

// Bias-corrected and accelerated intervals (Efron 1987): the quantiles of the draws
// at Phi(z0 + (z0 + z) / (1 - a (z0 + z))), z0 from the share of draws below the
// estimate (ties half), acceleration a = Sum u^3 / (6 (Sum u^2)^1.5) with u = mean -
// theta_(-g) over the jackknife values. NaN draws and jackknife values are left out.
// Empty with fewer than 20 finite draws or 3 jackknife values, an infinite jackknife
// value, or an estimate that lies outside all draws: nothing to correct by.
std::vector<Interval> BcaIntervals(double value, std::vector<double> draws, absl::Span<const double> jackknife,
                                   absl::Span<const double> levels);

// The laws with each cluster of the bootstrap left out, in the clusters' order, each
// refitted from the law of all rows; nullopt where the rest does not carry one.
// Empty without a law.
std::vector<std::optional<LossLaw>> JackknifeLaws(const AnalysisResult& result, int threads = 0);

// Fills `bca` of the skewed numbers: A, B, G of result.parametric, and N*, D*, D/N of
// result.optimal.
void AddBca(absl::Span<const std::optional<LossLaw>> jackknife, AnalysisResult* result);

// Profiles of alpha, beta, alpha - beta, E and ln N*(C_T), f minimised over all else:
// accepted where 2 (f_p - f) (Sum w 1{|r| <= delta} - 5) / Sum w^2 psi^2 <= 3.841
// (robust likelihood ratio; Huber and Ronchetti 2009, section 7.6); MSE: 2 (f_p -
// f)/s^2, s^2 with n - 5 degrees of freedom. The 5 makes the first the second as
// delta grows: the fit takes five rows' freedom, and under a small delta runs through
// five rows, which would pass for dense noise and make the region too narrow. Each
// profile goes outwards until the statistic passes the threshold, an exponent leaves
// [0, 3], E reaches 0 or the smallest loss, or N* is a factor e^20 away; an end that
// it did not reach is open (nullopt). Chinchilla form, huber and mse objectives, A and
// B > 0, more than five rows inside delta; else empty.
std::vector<Profile> ProfileLaw(const AnalysisResult& result);

// Each run, size and budget left out, the largest |delta ln N*(C_T)| first. Of more
// runs than can be refitted in some tenths of a second those that the influence
// function ranks highest. Left out of the list is what the law cannot do without
// (no fit, or no optimum inside a budget).
std::vector<Influence> MeasureInfluence(const AnalysisResult& result, int threads = 0);

// F test of the cells' means against the law:
//   F = [Sum_c m_c (mean ln L - ln L(law))^2 / (cells - parameters)] /
//       [Sum_c Sum (ln L - mean)^2 / Sum (m_c - 1)].
// nullopt without replicates or law, or without a degree of freedom on either side.
std::optional<LackOfFit> TestLackOfFit(const AnalysisResult& result);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_INTERVAL_METHODS_H_
