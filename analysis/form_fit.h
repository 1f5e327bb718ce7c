// The fit of one form: paths down from many starts, bundled where they meet, and the
// certificate of the best. Internal to law_fit.cc.
#ifndef ISOFLOP_ANALYSIS_FORM_FIT_H_
#define ISOFLOP_ANALYSIS_FORM_FIT_H_

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "analysis/lad_certificate.h"
#include "analysis/law_fit.h"
#include "analysis/minimize.h"
#include "analysis/statistics.h"

namespace isoflop {

// Width at which Huber's objective stands for least absolute deviations.
inline constexpr double kLadDelta = 1e-8;

inline double WidthOf(const LawFitOptions& options) {
  switch (options.objective) {
    case FitObjective::kHuber:
      return options.delta;
    case FitObjective::kLad:
      return kLadDelta;
    case FitObjective::kMse:
    case FitObjective::kMseRaw:
      break;
  }
  return std::numeric_limits<double>::infinity();
}

// The widths that lead down from `from` to `delta`, widest first.
inline std::vector<double> Continuation(double delta, double from = 0.1) {
  std::vector<double> widths;
  for (int i = 0; std::isfinite(delta) && i < 40; ++i) {
    const double width = from * std::pow(10, -i / 2) * (i % 2 == 0 ? 1 : 0.3);
    if (width <= delta * (1 + 1e-12)) break;
    widths.push_back(width);
  }
  widths.push_back(delta);
  return widths;
}

template <class Form>
class FormFit {
 public:
  using Vector = typename Form::Vector;
  using Matrix = typename Form::Matrix;
  using Objective = HuberObjective<Form>;

  // One start on its way down: where it stands and which terms are held at zero.
  struct Path {
    Vector theta;
    unsigned frozen = 0;
    NewtonSummary summary;
    int iterations = 0;
  };

  FormFit(const FitRows& rows, const LawFitOptions& options)
      : rows_(rows), options_(options), delta_(WidthOf(options)), on_loss_(options.objective == FitObjective::kMseRaw) {
    min_ln_loss_ = *std::min_element(rows.ln_loss.begin(), rows.ln_loss.end());
  }

  // From all `starts` to the certified best.
  LawFit Fit(const std::vector<Vector>& starts) const {
    std::vector<Bundle> bundles;
    for (const Vector& start : starts) {
      Bundle bundle;
      bundle.path.theta = start;
      bundles.push_back(bundle);
    }
    // Rough on the way, exact at the end.
    const std::vector<double> widths = Continuation(delta_);
    for (size_t stage = 0; stage < widths.size(); ++stage) {
      const bool last = stage + 1 == widths.size();
      for (Bundle& bundle : bundles) {
        Descend(widths[stage], {.max_iterations = last ? options_.max_iterations : 60, .step_tolerance = last ? 1e-10 : 1e-5},
                &bundle.path);
        if (last) TryWithoutConstant(widths[stage], {.max_iterations = options_.max_iterations}, &bundle.path);
      }
      Merge(&bundles, last ? 1e-7 : 1e-4);
    }
    std::stable_sort(bundles.begin(), bundles.end(),
                     [](const Bundle& x, const Bundle& y) { return Finite(x.path.summary.f) < Finite(y.path.summary.f); });
    return Certify(bundles, static_cast<int>(starts.size()));
  }

  // The best local minimum reached from `starts`.
  Refit FitAgain(absl::Span<const Theta> starts) const {
    Refit best;
    best.f = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < starts.size(); ++i) {
      Path path;
      for (int j = 0; j < Form::kParams; ++j) path.theta[j] = starts[i].values[static_cast<size_t>(j)];
      for (const VanishingTerm& term : Form::kVanishing) {
        if (path.theta[term.log_index] < -600) path.frozen |= term.frozen;
      }
      if (options_.objective == FitObjective::kLad) {
        for (const double width : Continuation(delta_, 1e-2)) {
          if (width > delta_) Descend(width, {.max_iterations = 60, .step_tolerance = 1e-4}, &path);
        }
      } else if (std::isfinite(delta_)) {
        Descend(10 * delta_, {.max_iterations = 60, .step_tolerance = 1e-3}, &path);
      }
      Descend(delta_, {.max_iterations = 200, .step_tolerance = 1e-9}, &path);
      TryWithoutConstant(delta_, {.max_iterations = 200, .step_tolerance = 1e-9}, &path);
      if (path.summary.f < best.f * (1 - 1e-12)) {
        best = {ThetaAt(path.theta), path.summary.f, path.summary.end == NewtonEnd::kConverged, static_cast<int>(i)};
      }
    }
    return best;
  }

  // Straight down at the asked width, no continuation: what a start alone is worth.
  Path DescendAlone(const Vector& start) const {
    Path path;
    path.theta = start;
    Descend(delta_, {.max_iterations = 500, .step_tolerance = 1e-9}, &path);
    return path;
  }

  static Theta ThetaAt(const Vector& values) {
    Theta theta;
    theta.form = Form::kForm;
    for (int j = 0; j < Form::kParams; ++j) theta.values[static_cast<size_t>(j)] = values[j];
    return theta;
  }

 private:
  // Paths that meet go on as one: their ends are equal.
  struct Bundle {
    Path path;
    int starts = 1;
  };

  // A term this far below the smallest loss (e^-14 of it) has run to zero.
  static constexpr double kGoneBelow = 14;

  static double Finite(double f) { return std::isfinite(f) ? f : std::numeric_limits<double>::infinity(); }

  // Terms that ran to zero are taken out, and the fit goes on without them.
  bool FreezeWhatVanished(Path* path) const {
    const unsigned before = path->frozen;
    for (const VanishingTerm& term : Form::kVanishing) {
      const double kappa = Form::kFreeKappa ? path->theta[Form::kParams - 1] : 1;
      if ((path->frozen & term.frozen) == 0 && path->theta[term.log_index] < min_ln_loss_ - kappa * kGoneBelow) {
        path->theta[term.log_index] = kLogOfZero;
        path->frozen |= term.frozen;
      }
    }
    return path->frozen != before;
  }

  void Descend(double delta, const NewtonOptions& options, Path* path) const {
    for (int round = 0; round < 4; ++round) {
      path->summary =
          MinimizeNewton<Form::kParams>(Objective(&rows_, delta, on_loss_), &path->theta, options, path->frozen);
      path->iterations += path->summary.iterations;
      if (!FreezeWhatVanished(path)) return;
    }
  }

  // Down to E = 0 the logarithm has an endless way: where E has become small, the
  // optimum without it takes over if it is no worse.
  void TryWithoutConstant(double delta, const NewtonOptions& options, Path* path) const {
    constexpr double kSmallBelow = 4;
    if constexpr (Form::kConstant >= 0) {
      const unsigned bit = 1u << Form::kConstant;
      if ((path->frozen & bit) != 0 || path->theta[Form::kConstant] > min_ln_loss_ - kSmallBelow) return;
      Path without = *path;
      without.theta[Form::kConstant] = kLogOfZero;
      without.frozen |= bit;
      Descend(delta, options, &without);
      if (without.summary.f <= path->summary.f) *path = without;
    }
  }

  static bool SamePoint(const Vector& x, const Vector& y, double tolerance) {
    unsigned gone = 0;  // terms at zero on both sides are equal whatever their exponents
    for (const VanishingTerm& term : Form::kVanishing) {
      if (x[term.log_index] < -600 && y[term.log_index] < -600) gone |= term.frozen;
    }
    for (int j = 0; j < Form::kParams; ++j) {
      if ((gone >> j & 1u) == 0 && std::abs(x[j] - y[j]) > tolerance) return false;
    }
    return true;
  }

  static void Merge(std::vector<Bundle>* bundles, double tolerance) {
    std::vector<Bundle> merged;
    for (const Bundle& bundle : *bundles) {
      const auto same = std::find_if(merged.begin(), merged.end(), [&](const Bundle& other) {
        return other.path.frozen == bundle.path.frozen && SamePoint(other.path.theta, bundle.path.theta, tolerance);
      });
      if (same == merged.end()) {
        merged.push_back(bundle);
      } else {
        same->starts += bundle.starts;
        if (bundle.path.summary.f < same->path.summary.f) same->path = bundle.path;
      }
    }
    *bundles = std::move(merged);
  }

  // Eigenvalues of the Hessian in the raw parameters, rising, of those that are free.
  std::vector<double> RawEigenvalues(const Matrix& hessian, unsigned frozen) const {
    const Matrix T = Form::RawTransform(rows_.n0, rows_.d0);
    const Matrix raw = T.transpose() * hessian * T;
    std::vector<int> free;
    for (int j = 0; j < Form::kParams; ++j) {
      if ((frozen >> j & 1u) == 0) free.push_back(j);
    }
    const Eigen::Index m = static_cast<Eigen::Index>(free.size());
    Eigen::MatrixXd part(m, m);
    for (Eigen::Index i = 0; i < m; ++i) {
      for (Eigen::Index j = 0; j < m; ++j) part(i, j) = raw(free[static_cast<size_t>(i)], free[static_cast<size_t>(j)]);
    }
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(part, Eigen::EigenvaluesOnly);
    return std::vector<double>(solver.eigenvalues().data(), solver.eigenvalues().data() + m);
  }

  // What the optimum lies on the edge of.
  std::vector<std::string> BoundsHit(const Path& path) const {
    std::vector<std::string> bounds;
    for (const VanishingTerm& term : Form::kVanishing) {
      if ((path.frozen & term.frozen) == term.frozen && path.theta[term.log_index] < -600) bounds.push_back(term.bound);
    }
    if constexpr (Form::kConstant >= 0) {
      if (path.theta[Form::kConstant] >= min_ln_loss_) bounds.push_back("E >= the smallest loss");
    }
    for (const NamedExponent& exponent : Form::kExponents) {
      const double value = path.theta[exponent.index];
      const bool held = (path.frozen >> exponent.index & 1u) != 0;
      if (!held && !(value > 0 && value < 3)) bounds.push_back(absl::StrCat(exponent.name, " outside (0, 3)"));
    }
    return bounds;
  }

  LawFit Certify(const std::vector<Bundle>& bundles, int starts_tried) const {
    const Path& best = bundles.front().path;
    LawFit fit;
    fit.theta = ThetaAt(best.theta);
    fit.law = Form::ToLaw(best.theta, rows_.n0, rows_.d0);
    Certificate& certificate = fit.certificate;
    certificate.objective = ObjectiveName(options_);
    certificate.f = best.summary.f;
    certificate.max_gradient = best.summary.max_gradient;
    certificate.max_newton_step = best.summary.max_step;
    certificate.iterations = best.iterations;
    certificate.starts_tried = starts_tried;
    // Least absolute deviations end on a kink, where f is known to the width alone.
    const double same = options_.objective == FitObjective::kLad ? 1e-5 : 1e-6;
    for (const Bundle& bundle : bundles) {
      const double excess = bundle.path.summary.f - best.summary.f;
      if (excess <= same * std::abs(best.summary.f) + 1e-24) {
        certificate.starts_at_best += bundle.starts;
      } else if (bundle.path.summary.end == NewtonEnd::kConverged) {
        if (!certificate.next_basin_f) {
          certificate.next_basin_f = bundle.path.summary.f;
          certificate.next_basin_a = Form::ToLaw(bundle.path.theta, rows_.n0, rows_.d0).a();
        }
        if (fit.other_basins.size() < 2) fit.other_basins.push_back(ThetaAt(bundle.path.theta));
      }
    }

    Vector gradient;
    Matrix hessian;
    Objective(&rows_, delta_, on_loss_).Derivatives(best.theta, &gradient, &hessian);
    certificate.hessian_eigenvalues = RawEigenvalues(hessian, best.frozen);
    std::vector<double> residuals, sizes;
    for (size_t i = 0; i < rows_.size(); ++i) {
      double p[Form::kTerms];
      residuals.push_back(rows_.ln_loss[i] - Objective::LnLoss(best.theta, rows_.n[i], rows_.d[i], p));
      sizes.push_back(std::abs(residuals.back()));
    }
    certificate.rows_within_delta = static_cast<int>(std::count_if(sizes.begin(), sizes.end(), [&](double r) { return r <= delta_; }));
    certificate.sigma = 1.4826 * Median(sizes);
    if (certificate.sigma > 0 && options_.objective == FitObjective::kHuber) {
      certificate.delta_over_sigma = delta_ / certificate.sigma;
    }
    certificate.at_bounds = BoundsHit(best);

    bool definite = !certificate.hessian_eigenvalues.empty() && certificate.hessian_eigenvalues.front() > 0;
    bool converged = best.summary.end == NewtonEnd::kConverged && certificate.max_newton_step <= 1e-9;
    bool singular = best.summary.end == NewtonEnd::kSingular;
    if (options_.objective == FitObjective::kLad) {
      std::vector<Eigen::VectorXd> jacobians;
      for (size_t i = 0; i < rows_.size(); ++i) {
        jacobians.push_back(Objective::Jacobian(best.theta, rows_.n[i], rows_.d[i]));
      }
      const LadCheck check = CheckLad(residuals, rows_.weight, jacobians, best.frozen);
      certificate.f = check.f;
      certificate.max_gradient = check.unbalanced;
      certificate.max_newton_step = 0;
      certificate.rows_within_delta = check.interpolated;
      if (certificate.next_basin_f) *certificate.next_basin_f /= delta_;  // Huber's is delta times |r|
      definite = converged = check.is_optimal;
      singular = false;
    }
    if (!certificate.at_bounds.empty()) {
      certificate.outcome = FitOutcome::kBoundHit;
    } else if (options_.objective != FitObjective::kLad && (!definite || singular)) {
      certificate.outcome = FitOutcome::kSingular;
    } else if (!converged) {
      certificate.outcome = FitOutcome::kMaxIterations;
    } else if (certificate.next_basin_f && *certificate.next_basin_f <= 1.01 * certificate.f &&
               std::abs(*certificate.next_basin_a - fit.law.a()) > 0.01) {
      // A second optimum that the data hardly tell from the first.
      certificate.outcome = FitOutcome::kMultipleBasins;
    }
    return fit;
  }

  const FitRows& rows_;
  const LawFitOptions options_;
  const double delta_;
  const bool on_loss_;
  double min_ln_loss_ = 0;
};

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_FORM_FIT_H_
