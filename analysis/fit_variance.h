// How well a fit knows its parameters and N*(C), to first order.
//
//   V = s_eff^2 (Sum w J J')^-1,  s_eff^2 = mean psi^2 / (mean 1{|r| <= delta})^2
//   Var ln N*(C) = g' V g,  g = grad ln N*(C)
//
// J is the gradient of ln L in (ln A, ln B, ln E, alpha, beta), A and B taken at
// the centre (n0, d0); at n0 = d0 = 0 these are the raw parameters. s_eff^2 is
// the scale of Huber's sandwich (Huber and Ronchetti 2009, section 7.6); without
// a delta it is the mean squared residual.
//
// g follows from F = 0 at the optimum n of budget C = c(N) D, eps = dln c/dn:
//   F = ln(alpha A) - alpha n - ln eps(n) - ln(beta B) + beta (ln C - ln c(n))
//   g = [1, -1, 0, 1/alpha - n, -1/beta + d] / (alpha + beta eps + eps'/eps)
// which under C = 6ND (eps = 1) is the gradient of (h + beta ln(C/6))/(alpha + beta)
// with h = ln(alpha A) - ln(beta B).
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_FIT_VARIANCE_H_
#define ISOFLOP_ANALYSIS_FIT_VARIANCE_H_

#include <Eigen/Core>
#include <optional>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"
#include "analysis/frontier.h"

namespace isoflop {

using LawVector = Eigen::Matrix<double, 5, 1>;
using LawMatrix = Eigen::Matrix<double, 5, 5>;

// Logs of N and D that A and B are taken at.
struct LawCenter {
  double n0 = 0, d0 = 0;
};
LawCenter CenterOf(absl::Span<const KeptRow> rows);

// grad ln L at N = `params`, D = `tokens`.
LawVector LnLossGradient(const LossLaw& law, const LawCenter& center, double params, double tokens);

// grad ln N*(C). Precondition: HasOptimum(law).
LawVector LnOptimumGradient(const LossLaw& law, const LawCenter& center, const ComputeModel& compute,
                            double budget_flops);

// (Sum w J J')^-1 over the rows; nullopt where they leave a direction open. A term
// that is zero keeps its parameters: they have no variance.
std::optional<LawMatrix> InverseInformation(const LossLaw& law, const LawCenter& center,
                                            absl::Span<const KeptRow> rows);

// s_eff^2 of the residuals of `law`; `delta` infinite for least squares. nullopt
// with no row inside delta.
std::optional<double> EffectiveVariance(const LossLaw& law, absl::Span<const KeptRow> rows, double delta);

// The width of EffectiveVariance under the analysis' objective: delta for Huber and
// LAD, infinite for least squares.
double DeltaOf(const AnalysisOptions& options);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_FIT_VARIANCE_H_
