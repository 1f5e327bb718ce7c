// Approach 3: the parameters of a law of the loss that minimise the objective
// over all rows, and the certificate that they do.
//
//   starts: minima of variable projection, quasi-random ones
//   -> damped Newton at delta 1e-1, 3e-2, 1e-2, 3e-3, ... down to the asked one
//   -> Newton polish with the exact Hessian -> certificate
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_LAW_FIT_H_
#define ISOFLOP_ANALYSIS_LAW_FIT_H_

#include <array>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"
#include "analysis/loss_law.h"
#include "analysis/objective.h"
#include "study/study_spec.h"

namespace isoflop {

struct LawFitOptions {
  // Options that affect results.
  FitObjective objective = FitObjective::kHuber;
  double delta = 1e-3;  // of log loss, Huber only
  LawForm form = LawForm::kChinchilla;
  int max_iterations = 300;  // Newton steps at the last width; FitLossLaw only
};

// A point of a fit, centred at (n0, d0) of its rows; only ThetaOf and LawOf look
// inside.
struct Theta {
  LawForm form = LawForm::kChinchilla;
  std::array<double, 7> values = {};
  friend bool operator==(const Theta&, const Theta&) = default;
};

struct LawFit {
  LossLaw law;
  Theta theta;
  Certificate certificate;
  std::vector<Theta> other_basins;  // up to two next best local minima, best first
};

// Centred columns of `params`, `tokens`, `loss`, all > 0 and finite, of equal
// length >= 1; weights 1.
FitRows MakeFitRows(absl::Span<const double> params, absl::Span<const double> tokens, absl::Span<const double> loss);

// The fit with its certificate. Always returns one: how far to trust it stands
// in certificate.outcome. `rows` must have at least one row of weight > 0.
//
// data_constrained: the chinchilla form on the rows with D <= U, then R_D* and R_N*
// on the others with that law held (Muennighoff et al. 2023, section 5); both
// infinite without such rows.
LawFit FitLossLaw(const FitRows& rows, const LawFitOptions& options);

// One refit of a bootstrap: the best local minimum reached from `starts`.
// `basin` takes the index of the start that won.
struct Refit {
  Theta theta;
  double f = 0;
  bool converged = false;
  int basin = 0;
};
Refit RefitLossLaw(const FitRows& rows, const LawFitOptions& options, absl::Span<const Theta> starts);

// Between centred parameters and the law. E = 0 is ln E = kLogOfZero.
LossLaw LawOf(const FitRows& rows, const Theta& theta);
Theta ThetaOf(const FitRows& rows, const LossLaw& law);

// f of `law` on `rows` under `options`.
double ObjectiveOf(const FitRows& rows, const LawFitOptions& options, const LossLaw& law);

// "huber(0.001) on log loss" and so on: the estimator's name in every output.
std::string ObjectiveName(const LawFitOptions& options);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_LAW_FIT_H_
