// What approach 2 makes of one budget: the section of the loss at constant C, its
// minimum, and why it may not count. Shared by the fit, its refits and its bias.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_ISOFLOP_SECTION_H_
#define ISOFLOP_ANALYSIS_ISOFLOP_SECTION_H_

#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"
#include "analysis/budget_groups.h"
#include "analysis/section_minimum.h"

namespace isoflop {

struct IsoflopOptions {
  double budget_tolerance = 0.1;  // rows of C that near are one budget
  FlopsConvention flops = FlopsConvention::k6nd;
  // Standard deviation of the loss between seeds, for data whose parabolas have
  // no degree of freedom; 0: not known.
  double seed_sigma = 0;
  MinimumMethod minimum = MinimumMethod::kQuadratic;
};

struct IsoflopSection {
  double budget_flops = 0;
  MinimumMethod method = MinimumMethod::kQuadratic;
  bool with_tokens = false;  // exact FLOPs: D* comes of its own section
  std::optional<ParabolaFit> parabola;  // in log10 N, under every method
  std::optional<SectionMinimum> by_params, by_tokens;
  int points = 0;  // of weight > 0
  int sizes = 0;   // distinct N among them
  double lowest = 0, highest = 0;  // log10 N of the extreme sizes
};

// `weights` and `losses` have one entry a row.
IsoflopSection FitSection(absl::Span<const KeptRow> rows, const BudgetGroup& group, absl::Span<const double> weights,
                          absl::Span<const double> losses, const IsoflopOptions& options);

// Noise of the loss around the sections' curves, pooled over budgets; 0 without a
// degree of freedom.
double PooledSigma(absl::Span<const IsoflopSection> sections);

// Noise that the curvature of one budget is judged by: its own scatter where
// three or more degrees of freedom tell it, for noise differs between budgets.
double SigmaOf(const IsoflopSection& section, double pooled);

// kTooFewPoints, kNotConvex, kMinimumAtEdge; nullopt: the minimum counts.
std::optional<Refusal> RejectSection(const IsoflopSection& section, double pooled);

// The minima that count, as columns for FitPowerLaw.
struct IsoflopMinima {
  std::vector<double> flops, params, tokens;
  std::vector<double> params_variance, tokens_variance;  // of the logs; 0 where noise is not known
};
// Precondition: RejectSection gave nullopt.
void AddMinimum(const IsoflopSection& section, double sigma, IsoflopMinima* minima);

// Weighted by 1/variance where every variance is known, else ordinary least
// squares; two or more minima (precondition). Under C = 6ND the law of D* is that
// of C/(6N*), so the exponents add up to 1.
struct IsoflopPowerLaws {
  PowerLaw params, tokens;
};
IsoflopPowerLaws FitMinima(const IsoflopMinima& minima, bool with_tokens, bool weighted = true);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_ISOFLOP_SECTION_H_
