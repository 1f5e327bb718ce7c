#include "analysis/law_fit.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/minimize.h"
#include "analysis/statistics.h"
#include "analysis/variable_projection.h"

namespace isoflop {
namespace {

using Form = ChinchillaForm;
using Objective = HuberObjective<Form>;
constexpr int kP = Form::kParams;
constexpr unsigned kFreezeE = 1u << 2;
constexpr unsigned kFreezeA = 1u << 0 | 1u << 3;  // without A, alpha means nothing
constexpr unsigned kFreezeB = 1u << 1 | 1u << 4;
// A term this far below the smallest loss (e^-14 of it) has run to zero.
constexpr double kGoneBelow = 14;

double Delta(const LawFitOptions& options) {
  return options.objective == FitObjective::kHuber ? options.delta : std::numeric_limits<double>::infinity();
}

// The widths that lead down to `delta`, widest first.
std::vector<double> Continuation(double delta) {
  std::vector<double> widths;
  for (const double width : {1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4}) {
    if (width > delta * (1 + 1e-12)) widths.push_back(width);
  }
  widths.push_back(delta);
  return widths;
}

double MinLnLoss(const FitRows& rows) { return *std::min_element(rows.ln_loss.begin(), rows.ln_loss.end()); }

// One start on its way down: where it stands and which terms are held at zero.
struct Path {
  Theta theta;
  unsigned frozen = 0;
  NewtonSummary summary;
  int iterations = 0;
};

// Terms that ran to zero are taken out, and the fit goes on without them.
bool FreezeWhatVanished(const FitRows& rows, Path* path) {
  const double gone = MinLnLoss(rows) - kGoneBelow;
  const unsigned before = path->frozen;
  const auto check = [&](int index, unsigned bits) {
    if ((path->frozen & bits) == 0 && path->theta[index] < gone) {
      path->theta[index] = kLogOfZero;
      path->frozen |= bits;
    }
  };
  check(2, kFreezeE);
  check(0, kFreezeA);
  check(1, kFreezeB);
  return path->frozen != before;
}

void Descend(const FitRows& rows, double delta, const NewtonOptions& options, Path* path) {
  for (int round = 0; round < 4; ++round) {
    path->summary = MinimizeNewton<kP>(Objective(&rows, delta), &path->theta, options, path->frozen);
    path->iterations += path->summary.iterations;
    if (!FreezeWhatVanished(rows, path)) return;
  }
}

// Down to E = 0 the logarithm has an endless way: where E has become small, the
// optimum without it takes over if it is no worse.
void TryWithoutE(const FitRows& rows, double delta, const NewtonOptions& options, Path* path) {
  constexpr double kSmallBelow = 4;
  if ((path->frozen & kFreezeE) != 0 || path->theta[2] > MinLnLoss(rows) - kSmallBelow) return;
  Path without = *path;
  without.theta[2] = kLogOfZero;
  without.frozen |= kFreezeE;
  Descend(rows, delta, options, &without);
  if (without.summary.f <= path->summary.f) *path = without;
}

Path StartAt(const FitRows& rows, const LinearFit& start) {
  // A term that least squares left out starts small, but not on a plateau.
  const double floor = 0.03 * std::exp(MinLnLoss(rows));
  Path path;
  path.theta << std::log(std::max(start.A, floor)), std::log(std::max(start.B, floor)),
      std::log(std::max(start.E, floor)), start.alpha, start.beta;
  return path;
}

bool SamePoint(const Theta& x, const Theta& y, double tolerance) {
  for (int j = 0; j < kP; ++j) {
    // Two terms at zero are equal whatever their exponents.
    if (x[j] < -600 && y[j] < -600) continue;
    if ((j == 3 && x[0] < -600 && y[0] < -600) || (j == 4 && x[1] < -600 && y[1] < -600)) continue;
    if (std::abs(x[j] - y[j]) > tolerance) return false;
  }
  return true;
}

// Paths that meet go on as one: their ends are equal.
struct Bundle {
  Path path;
  int starts = 1;
};

void Merge(std::vector<Bundle>* bundles, double tolerance) {
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

// Eigenvalues of the Hessian in the raw parameters: theta = T raw with
// ln A_centred = a_ - alpha n0 and ln B_centred = b_ - beta d0.
std::vector<double> RawEigenvalues(const FitRows& rows, const Form::Matrix& hessian, unsigned frozen) {
  Form::Matrix T = Form::Matrix::Identity();
  T(0, 3) = -rows.n0;
  T(1, 4) = -rows.d0;
  const Form::Matrix raw = T.transpose() * hessian * T;
  std::vector<int> free;
  for (int j = 0; j < kP; ++j) {
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
std::vector<std::string> BoundsHit(const FitRows& rows, const Path& path) {
  std::vector<std::string> bounds;
  if (path.frozen & kFreezeE) bounds.push_back("E = 0");
  if (path.frozen & kFreezeA) bounds.push_back("A = 0");
  if (path.frozen & kFreezeB) bounds.push_back("B = 0");
  if (path.theta[2] >= MinLnLoss(rows)) bounds.push_back("E >= the smallest loss");
  const char* names[] = {"alpha", "beta"};
  for (int j = 0; j < 2; ++j) {
    const double exponent = path.theta[3 + j];
    const bool held = (path.frozen >> (3 + j) & 1u) != 0;
    if (!held && !(exponent > 0 && exponent < 3)) bounds.push_back(absl::StrCat(names[j], " outside (0, 3)"));
  }
  return bounds;
}

}  // namespace

FitRows MakeFitRows(absl::Span<const double> params, absl::Span<const double> tokens, absl::Span<const double> loss) {
  FitRows rows;
  const size_t m = params.size();
  for (size_t i = 0; i < m; ++i) {
    rows.n.push_back(std::log(params[i]));
    rows.d.push_back(std::log(tokens[i]));
  }
  rows.n0 = Mean(rows.n);
  rows.d0 = Mean(rows.d);
  for (size_t i = 0; i < m; ++i) {
    rows.n[i] -= rows.n0;
    rows.d[i] -= rows.d0;
    rows.loss.push_back(loss[i]);
    rows.ln_loss.push_back(std::log(loss[i]));
    rows.weight.push_back(1);
  }
  return rows;
}

LossLaw LawOf(const FitRows& rows, const Theta& theta) {
  const auto exp_or_zero = [](double log, double shift) { return log < -600 ? 0.0 : std::exp(log + shift); };
  return {.E = exp_or_zero(theta[2], 0),
          .A = exp_or_zero(theta[0], theta[3] * rows.n0),
          .B = exp_or_zero(theta[1], theta[4] * rows.d0),
          .alpha = theta[3],
          .beta = theta[4]};
}

Theta ThetaOf(const FitRows& rows, const LossLaw& law) {
  const auto log_or_zero = [](double value, double shift) { return value > 0 ? std::log(value) - shift : kLogOfZero; };
  Theta theta;
  theta << log_or_zero(law.A, law.alpha * rows.n0), log_or_zero(law.B, law.beta * rows.d0), log_or_zero(law.E, 0),
      law.alpha, law.beta;
  return theta;
}

std::string ObjectiveName(const LawFitOptions& options) {
  switch (options.objective) {
    case FitObjective::kHuber:
      return absl::StrFormat("huber(%g) on log loss", options.delta);
    case FitObjective::kLad:
      return "lad on log loss";
    case FitObjective::kMse:
      return "mse on log loss";
    case FitObjective::kMseRaw:
      return "mse on loss";
  }
  return "";
}

LawFit FitLossLaw(const FitRows& rows, const LawFitOptions& options) {
  const double delta = Delta(options);
  std::vector<Bundle> bundles;
  for (const LinearFit& start : VariableProjectionMinima(rows)) bundles.push_back({StartAt(rows, start)});
  for (const LinearFit& start : QuasiRandomStarts(rows)) bundles.push_back({StartAt(rows, start)});
  const int starts_tried = static_cast<int>(bundles.size());

  // Rough on the way, exact at the end.
  const std::vector<double> widths = Continuation(delta);
  for (size_t stage = 0; stage < widths.size(); ++stage) {
    const bool last = stage + 1 == widths.size();
    for (Bundle& bundle : bundles) {
      Descend(rows, widths[stage], {.max_iterations = last ? 300 : 60, .step_tolerance = last ? 1e-10 : 1e-5},
              &bundle.path);
      if (last) TryWithoutE(rows, delta, {.max_iterations = 300}, &bundle.path);
    }
    Merge(&bundles, last ? 1e-7 : 1e-4);
  }
  std::stable_sort(bundles.begin(), bundles.end(), [](const Bundle& x, const Bundle& y) {
    return (std::isfinite(x.path.summary.f) ? x.path.summary.f : std::numeric_limits<double>::infinity()) <
           (std::isfinite(y.path.summary.f) ? y.path.summary.f : std::numeric_limits<double>::infinity());
  });

  const Path& best = bundles.front().path;
  LawFit fit;
  fit.theta = best.theta;
  fit.law = LawOf(rows, best.theta);
  Certificate& certificate = fit.certificate;
  certificate.objective = ObjectiveName(options);
  certificate.f = best.summary.f;
  certificate.max_gradient = best.summary.max_gradient;
  certificate.max_newton_step = best.summary.max_step;
  certificate.iterations = best.iterations;
  certificate.starts_tried = starts_tried;
  for (const Bundle& bundle : bundles) {
    const double excess = bundle.path.summary.f - best.summary.f;
    if (excess <= 1e-6 * std::abs(best.summary.f) + 1e-24) {
      certificate.starts_at_best += bundle.starts;
    } else if (bundle.path.summary.end == NewtonEnd::kConverged) {
      if (!certificate.next_basin_f) {
        certificate.next_basin_f = bundle.path.summary.f;
        certificate.next_basin_a = LawOf(rows, bundle.path.theta).a();
      }
      if (fit.other_basins.size() < 2) fit.other_basins.push_back(bundle.path.theta);
    }
  }

  Theta gradient;
  Form::Matrix hessian;
  Objective(&rows, delta).Derivatives(best.theta, &gradient, &hessian);
  certificate.hessian_eigenvalues = RawEigenvalues(rows, hessian, best.frozen);
  std::vector<double> sizes;
  for (size_t i = 0; i < rows.size(); ++i) {
    double p[Form::kTerms];
    sizes.push_back(std::abs(rows.ln_loss[i] - Objective::LnLoss(best.theta, rows.n[i], rows.d[i], p)));
  }
  certificate.rows_within_delta =
      static_cast<int>(std::count_if(sizes.begin(), sizes.end(), [delta](double r) { return r <= delta; }));
  certificate.sigma = 1.4826 * Median(sizes);
  if (certificate.sigma > 0 && std::isfinite(delta)) certificate.delta_over_sigma = delta / certificate.sigma;
  certificate.at_bounds = BoundsHit(rows, best);

  const bool definite = !certificate.hessian_eigenvalues.empty() && certificate.hessian_eigenvalues.front() > 0;
  if (!certificate.at_bounds.empty()) {
    certificate.outcome = FitOutcome::kBoundHit;
  } else if (!definite || best.summary.end == NewtonEnd::kSingular) {
    certificate.outcome = FitOutcome::kSingular;
  } else if (best.summary.end != NewtonEnd::kConverged || certificate.max_newton_step > 1e-9) {
    certificate.outcome = FitOutcome::kMaxIterations;
  } else if (certificate.next_basin_f && *certificate.next_basin_f <= 1.01 * certificate.f &&
             std::abs(*certificate.next_basin_a - fit.law.a()) > 0.01) {
    // A second optimum that the data hardly tell from the first.
    certificate.outcome = FitOutcome::kMultipleBasins;
  }
  return fit;
}

Refit RefitLossLaw(const FitRows& rows, const LawFitOptions& options, absl::Span<const Theta> starts) {
  const double delta = Delta(options);
  Refit best;
  best.f = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < starts.size(); ++i) {
    Path path;
    path.theta = starts[i];
    if (path.theta[2] < -600) path.frozen |= kFreezeE;
    if (path.theta[0] < -600) path.frozen |= kFreezeA;
    if (path.theta[1] < -600) path.frozen |= kFreezeB;
    if (std::isfinite(delta)) Descend(rows, 10 * delta, {.max_iterations = 60, .step_tolerance = 1e-3}, &path);
    Descend(rows, delta, {.max_iterations = 200, .step_tolerance = 1e-9}, &path);
    TryWithoutE(rows, delta, {.max_iterations = 200, .step_tolerance = 1e-9}, &path);
    if (path.summary.f < best.f * (1 - 1e-12)) {
      best = {path.theta, path.summary.f, path.summary.end == NewtonEnd::kConverged, static_cast<int>(i)};
    }
  }
  return best;
}

}  // namespace isoflop
