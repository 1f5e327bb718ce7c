#include "analysis/start_grid.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "analysis/form_fit.h"
#include "analysis/minimize.h"

namespace isoflop {
namespace {

using Form = ChinchillaForm;
using Vector = Form::Vector;

// All 4500, in the centred coordinates of `rows`.
std::vector<Vector> GridStarts(const FitRows& rows) {
  std::vector<Vector> starts;
  for (const double alpha : {0.0, 0.5, 1.0, 1.5, 2.0}) {
    for (const double beta : {0.0, 0.5, 1.0, 1.5, 2.0}) {
      for (const double ln_E : {-1.0, -0.5, 0.0, 0.5, 1.0}) {
        for (const double ln_A : {0.0, 5.0, 10.0, 15.0, 20.0, 25.0}) {
          for (const double ln_B : {0.0, 5.0, 10.0, 15.0, 20.0, 25.0}) {
            Vector theta;
            theta << ln_A - alpha * rows.n0, ln_B - beta * rows.d0, ln_E, alpha, beta;
            starts.push_back(theta);
          }
        }
      }
    }
  }
  return starts;
}

// Starts that have met.
struct Bunch {
  Vector theta;
  NewtonSummary summary;
  int starts = 1;
};

void AddTo(std::vector<Bunch>* bunches, const Bunch& bunch, double tolerance) {
  for (Bunch& other : *bunches) {
    if ((other.theta - bunch.theta).cwiseAbs().maxCoeff() > tolerance) continue;
    other.starts += bunch.starts;
    return;
  }
  bunches->push_back(bunch);
}

// Has a term of `theta` no weight at any row (e^-14 of the smallest loss)? Nothing
// pulls it back: a plateau, where an optimiser stops.
class Plateau {
 public:
  explicit Plateau(const FitRows& rows) {
    const auto [n_lo, n_hi] = std::minmax_element(rows.n.begin(), rows.n.end());
    const auto [d_lo, d_hi] = std::minmax_element(rows.d.begin(), rows.d.end());
    n_[0] = *n_lo, n_[1] = *n_hi, d_[0] = *d_lo, d_[1] = *d_hi;
    gone_ = *std::min_element(rows.ln_loss.begin(), rows.ln_loss.end()) - 14;
  }
  bool Holds(const Vector& theta) const {
    return theta[0] - std::min(theta[3] * n_[0], theta[3] * n_[1]) < gone_ ||
           theta[1] - std::min(theta[4] * d_[0], theta[4] * d_[1]) < gone_ || theta[2] < gone_;
  }

 private:
  double n_[2], d_[2], gone_;
};

}  // namespace

GridFit FitFromStartGrid(const FitRows& rows, const LawFitOptions& options) {
  const bool on_loss = options.objective == FitObjective::kMseRaw;
  const std::vector<double> widths = Continuation(WidthOf(options), 1);
  const Plateau plateau(rows);
  std::vector<Bunch> bunches;
  for (const Vector& theta : GridStarts(rows)) bunches.push_back({theta, {}, 1});
  GridFit fit;
  for (size_t stage = 0; stage < widths.size(); ++stage) {
    const bool last = stage + 1 == widths.size();
    const NewtonOptions newton = {.max_iterations = last ? 200 : 40, .step_tolerance = last ? 1e-9 : 1e-3};
    std::vector<Bunch> merged;
    for (Bunch& bunch : bunches) {
      if (plateau.Holds(bunch.theta)) {
        fit.starts += bunch.starts;
        fit.stopped_early += bunch.starts;
        continue;
      }
      bunch.summary = MinimizeNewton<Form::kParams>(HuberObjective<Form>(&rows, widths[stage], on_loss), &bunch.theta, newton);
      AddTo(&merged, bunch, last ? 1e-7 : 1e-4);
    }
    bunches = std::move(merged);
  }

  if (bunches.empty()) return fit;
  const auto value = [](const Bunch& bunch) {
    return std::isfinite(bunch.summary.f) ? bunch.summary.f : std::numeric_limits<double>::infinity();
  };
  const Bunch& best = *std::min_element(bunches.begin(), bunches.end(),
                                        [&](const Bunch& x, const Bunch& y) { return value(x) < value(y); });
  fit.law = Form::ToLaw(best.theta, rows.n0, rows.d0);
  fit.f = best.summary.f;
  for (const Bunch& bunch : bunches) {
    fit.starts += bunch.starts;
    if (value(bunch) - fit.f <= 1e-6 * std::abs(fit.f) + 1e-24) {
      fit.reached_best += bunch.starts;
    } else if (bunch.summary.end != NewtonEnd::kConverged) {
      fit.stopped_early += bunch.starts;
    } else {
      fit.elsewhere += bunch.starts;
    }
  }
  return fit;
}

}  // namespace isoflop
