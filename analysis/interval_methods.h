// Intervals and checks beside the percentile bootstrap: BCa, profiles, influence,
// lack of fit.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_INTERVAL_METHODS_H_
#define ISOFLOP_ANALYSIS_INTERVAL_METHODS_H_

#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"
#include "analysis/law_fit.h"

namespace isoflop {

// Bias-corrected and accelerated intervals (Efron 1987): z0 from the share of draws
// below the estimate (ties half), acceleration Sum u^3 / (6 (Sum u^2)^1.5) with u =
// mean - theta_(-g) over the jackknife values. Empty with fewer than 20 finite draws or 3
// jackknife values.
std::vector<Interval> BcaIntervals(double value, std::vector<double> draws, absl::Span<const double> jackknife,
                                   absl::Span<const double> levels);

// The laws with each cluster of the bootstrap left out, in the clusters' order;
// nullopt where the rest does not carry a law.
std::vector<std::optional<LossLaw>> JackknifeLaws(const AnalysisResult& result);

// Fills `bca` of the skewed numbers: A, B, G of result.parametric, and N*, D*, D/N of
// result.optimal.
void AddBca(absl::Span<const std::optional<LossLaw>> jackknife, AnalysisResult* result);

// Profiles of alpha, beta, alpha - beta, E and ln N*(C_T): accepted where 2 (f_p - f)
// Sum 1{|r| <= delta} / Sum psi^2 <= 3.841 (robust likelihood ratio, Huber and
// Ronchetti 2009); MSE: 2 (f_p - f)/s^2. Chinchilla form only.
std::vector<Profile> ProfileLaw(const AnalysisResult& result);

// Each run, size and budget left out, the largest |delta ln N*(C_T)| first.
std::vector<Influence> MeasureInfluence(const AnalysisResult& result);

// F test of the cells' means against the law; nullopt without replicates or law.
std::optional<LackOfFit> TestLackOfFit(const AnalysisResult& result);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_INTERVAL_METHODS_H_
