#include "analysis/joint_fit.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "analysis/minimize.h"
#include "analysis/statistics.h"
#include "analysis/variable_projection.h"

namespace isoflop {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kStudies = 2;
constexpr int kGrid = 16;          // of (alpha, beta) in [0.05, 1.5]^2
constexpr double kGoneBelow = 14;  // ln E this far below the smallest ln L has run to zero
constexpr double kSmallBelow = 4;

// Where (ln A, ln B, ln E, alpha, beta) of study s stand among P parameters.
template <int P>
constexpr int Place(int s, int j) {
  constexpr int kOfFirst[] = {0, 1, 6, 4, 5};
  constexpr int kOfSecond[] = {2, 3, P == 8 ? 7 : 6, 4, 5};
  return s == 0 ? kOfFirst[j] : kOfSecond[j];
}

// The sum of both studies' objectives in the joint parameters.
template <int P>
class JointObjective {
 public:
  using Vector = Eigen::Matrix<double, P, 1>;
  using Matrix = Eigen::Matrix<double, P, P>;
  JointObjective(const std::array<const FitRows*, 2>& rows, double delta) : rows_(rows), delta_(delta) {}

  double Derivatives(const Vector& x, Vector* gradient, Matrix* hessian) const {
    gradient->setZero();
    hessian->setZero();
    double f = 0;
    for (int s = 0; s < kStudies; ++s) {
      ChinchillaForm::Vector theta, g;
      ChinchillaForm::Matrix H;
      for (int j = 0; j < 5; ++j) theta[j] = x[Place<P>(s, j)];
      f += HuberObjective<ChinchillaForm>(rows_[static_cast<size_t>(s)], delta_).Derivatives(theta, &g, &H);
      for (int j = 0; j < 5; ++j) {
        (*gradient)[Place<P>(s, j)] += g[j];
        for (int k = 0; k < 5; ++k) (*hessian)(Place<P>(s, j), Place<P>(s, k)) += H(j, k);
      }
    }
    return f;
  }

 private:
  const std::array<const FitRows*, 2> rows_;
  const double delta_;
};

template <int P>
struct Path {
  Eigen::Matrix<double, P, 1> x;
  unsigned frozen = 0;
  NewtonSummary summary;
  int iterations = 0;
};

double WidthOf(const LawFitOptions& options) {
  return options.objective == FitObjective::kMse ? kInfinity : options.delta;
}

double MinLnLossOf(const std::array<const FitRows*, 2>& rows, int P, int index) {
  double least = kInfinity;
  for (int s = 0; s < kStudies; ++s) {
    if (P == 8 && index != 6 + s) continue;
    const std::vector<double>& ln_loss = rows[static_cast<size_t>(s)]->ln_loss;
    least = std::min(least, *std::min_element(ln_loss.begin(), ln_loss.end()));
  }
  return least;
}

template <int P>
void Descend(const std::array<const FitRows*, 2>& rows, double delta, const NewtonOptions& options, Path<P>* path) {
  for (int round = 0; round < 3; ++round) {
    path->summary = MinimizeNewton<P>(JointObjective<P>(rows, delta), &path->x, options, path->frozen);
    path->iterations += path->summary.iterations;
    bool again = false;
    for (int j = 6; j < P; ++j) {  // an E that ran to zero is taken out
      if ((path->frozen >> j & 1u) != 0 || path->x[j] > MinLnLossOf(rows, P, j) - kGoneBelow) continue;
      path->x[j] = kLogOfZero;
      path->frozen |= 1u << j;
      again = true;
    }
    if (!again) return;
  }
}

// Where an E has become small, the optimum without it takes over if it is no worse.
template <int P>
void TryWithoutE(const std::array<const FitRows*, 2>& rows, double delta, const NewtonOptions& options, Path<P>* path) {
  for (int j = 6; j < P; ++j) {
    if ((path->frozen >> j & 1u) != 0 || path->x[j] > MinLnLossOf(rows, P, j) - kSmallBelow) continue;
    Path<P> without = *path;
    without.x[j] = kLogOfZero;
    without.frozen |= 1u << j;
    Descend(rows, delta, options, &without);
    if (without.summary.f <= path->summary.f) *path = without;
  }
}

template <int P>
JointTheta Widen(const Eigen::Matrix<double, P, 1>& x) {
  JointTheta theta;
  theta.template head<P>() = x;
  if (P == 7) theta[7] = theta[6];
  return theta;
}

// The joint point with exponents (alpha, beta) and the least squares rest.
template <int P>
Path<P> StartAt(const std::array<const FitRows*, 2>& rows, double alpha, double beta, double* rss) {
  Path<P> path;
  *rss = 0;
  double ln_E[2];
  for (int s = 0; s < kStudies; ++s) {
    const FitRows& study = *rows[static_cast<size_t>(s)];
    const LinearFit fit = SolveLinearPart(study, alpha, beta);
    const double least = 0.03 * std::exp(*std::min_element(study.ln_loss.begin(), study.ln_loss.end()));
    path.x[2 * s] = std::log(std::max(fit.A, least));
    path.x[2 * s + 1] = std::log(std::max(fit.B, least));
    ln_E[s] = std::log(std::max(fit.E, least));
    *rss += fit.rss;
  }
  path.x[4] = alpha;
  path.x[5] = beta;
  if (P == 8) {
    path.x[6] = ln_E[0];
    path.x[P - 1] = ln_E[1];
  } else {
    path.x[6] = 0.5 * (ln_E[0] + ln_E[1]);
  }
  return path;
}

template <int P>
std::vector<Path<P>> Starts(const std::array<const FitRows*, 2>& rows, const std::array<LossLaw, 2>& own) {
  std::vector<Path<P>> starts;
  double rss;
  for (int s = 0; s < 3; ++s) {  // the studies' own exponents, and their mean
    const double first = s == 0 ? 1 : s == 1 ? 0 : 0.5;
    starts.push_back(StartAt<P>(rows, first * own[0].alpha + (1 - first) * own[1].alpha,
                                first * own[0].beta + (1 - first) * own[1].beta, &rss));
  }
  std::vector<double> table(kGrid * kGrid);
  const auto exponent = [](int i) { return 0.05 + 1.45 * i / (kGrid - 1); };
  for (int i = 0; i < kGrid; ++i) {
    for (int j = 0; j < kGrid; ++j) {
      StartAt<P>(rows, exponent(i), exponent(j), &table[static_cast<size_t>(i * kGrid + j)]);
    }
  }
  std::vector<int> minima;
  for (int i = 0; i < kGrid; ++i) {
    for (int j = 0; j < kGrid; ++j) {
      bool lowest = true;
      for (int di = -1; di <= 1; ++di) {
        for (int dj = -1; dj <= 1; ++dj) {
          const int k = i + di, l = j + dj;
          if (k < 0 || l < 0 || k >= kGrid || l >= kGrid) continue;
          lowest = lowest && table[static_cast<size_t>(i * kGrid + j)] <= table[static_cast<size_t>(k * kGrid + l)];
        }
      }
      if (lowest) minima.push_back(i * kGrid + j);
    }
  }
  for (const int cell : minima)
    starts.push_back(StartAt<P>(rows, exponent(cell / kGrid), exponent(cell % kGrid), &rss));
  return starts;
}

// Eigenvalues of the Hessian in the raw parameters, without the frozen ones.
template <int P>
std::vector<double> RawEigenvalues(const std::array<const FitRows*, 2>& rows, double delta, const Path<P>& path) {
  Eigen::Matrix<double, P, 1> gradient;
  Eigen::Matrix<double, P, P> hessian, T = Eigen::Matrix<double, P, P>::Identity();
  JointObjective<P>(rows, delta).Derivatives(path.x, &gradient, &hessian);
  for (int s = 0; s < kStudies; ++s) {
    T(2 * s, 4) = -rows[static_cast<size_t>(s)]->n0;
    T(2 * s + 1, 5) = -rows[static_cast<size_t>(s)]->d0;
  }
  const Eigen::MatrixXd raw = T.transpose() * hessian * T;
  std::vector<int> free;
  for (int j = 0; j < P; ++j) {
    if ((path.frozen >> j & 1u) == 0) free.push_back(j);
  }
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(raw(free, free), Eigen::EigenvaluesOnly);
  return std::vector<double>(solver.eigenvalues().data(), solver.eigenvalues().data() + solver.eigenvalues().size());
}

template <int P>
JointFit Fit(const std::array<const FitRows*, 2>& rows, const std::array<LossLaw, 2>& own,
             const LawFitOptions& options) {
  const double delta = WidthOf(options);
  std::vector<Path<P>> paths = Starts<P>(rows, own);
  for (Path<P>& path : paths) {
    for (const double width : {1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4}) {
      if (width > delta * (1 + 1e-12)) Descend(rows, width, {.max_iterations = 60, .step_tolerance = 1e-5}, &path);
    }
    Descend(rows, delta, {.max_iterations = 300}, &path);
    TryWithoutE(rows, delta, {.max_iterations = 300}, &path);
  }
  const auto value = [](const Path<P>& path) { return std::isfinite(path.summary.f) ? path.summary.f : kInfinity; };
  std::stable_sort(paths.begin(), paths.end(), [&](const Path<P>& x, const Path<P>& y) { return value(x) < value(y); });
  const Path<P>& best = paths.front();

  JointFit fit;
  fit.theta = Widen<P>(best.x);
  for (int s = 0; s < kStudies; ++s)
    fit.laws[static_cast<size_t>(s)] = LawOfStudy(*rows[static_cast<size_t>(s)], fit.theta, s);
  Certificate& certificate = fit.certificate;
  LawFitOptions named = options;
  if (options.objective != FitObjective::kMse) named.objective = FitObjective::kHuber;
  certificate.objective = ObjectiveName(named);
  certificate.f = best.summary.f;
  certificate.max_gradient = best.summary.max_gradient;
  certificate.max_newton_step = best.summary.max_step;
  certificate.iterations = best.iterations;
  certificate.starts_tried = static_cast<int>(paths.size());
  for (const Path<P>& path : paths) {
    if (value(path) - best.summary.f <= 1e-6 * std::abs(best.summary.f) + 1e-24) {
      ++certificate.starts_at_best;
    } else if (path.summary.end == NewtonEnd::kConverged && !certificate.next_basin_f) {
      certificate.next_basin_f = path.summary.f;
      certificate.next_basin_a = path.x[5] / (path.x[4] + path.x[5]);
      fit.other_basins.push_back(Widen<P>(path.x));
    }
  }
  certificate.hessian_eigenvalues = RawEigenvalues<P>(rows, delta, best);
  std::vector<double> sizes;
  for (int s = 0; s < kStudies; ++s) {
    const FitRows& study = *rows[static_cast<size_t>(s)];
    const ChinchillaForm::Vector point = StudyPoint(fit.theta, s);
    for (size_t i = 0; i < study.size(); ++i) {
      double p[ChinchillaForm::kTerms];
      sizes.push_back(
          std::abs(study.ln_loss[i] - HuberObjective<ChinchillaForm>::LnLoss(point, study.n[i], study.d[i], p)));
    }
  }
  certificate.rows_within_delta =
      static_cast<int>(std::count_if(sizes.begin(), sizes.end(), [&](double r) { return r <= delta; }));
  certificate.sigma = 1.4826 * Median(sizes);
  if (certificate.sigma > 0 && std::isfinite(delta)) certificate.delta_over_sigma = delta / certificate.sigma;
  for (int j = 6; j < P; ++j) {
    const std::string name = P == 7 ? "E" : absl::StrCat("E of study ", j - 5);
    if ((best.frozen >> j & 1u) != 0) certificate.at_bounds.push_back(absl::StrCat(name, " = 0"));
    if (best.x[j] >= MinLnLossOf(rows, P, j))
      certificate.at_bounds.push_back(absl::StrCat(name, " >= the smallest loss"));
  }
  const char* names[] = {"alpha", "beta"};
  for (int j = 4; j < 6; ++j) {
    if (!(best.x[j] > 0 && best.x[j] < 3))
      certificate.at_bounds.push_back(absl::StrCat(names[j - 4], " outside (0, 3)"));
  }
  const bool definite = !certificate.hessian_eigenvalues.empty() && certificate.hessian_eigenvalues.front() > 0;
  if (!certificate.at_bounds.empty()) {
    certificate.outcome = FitOutcome::kBoundHit;
  } else if (!definite || best.summary.end == NewtonEnd::kSingular) {
    certificate.outcome = FitOutcome::kSingular;
  } else if (best.summary.end != NewtonEnd::kConverged || certificate.max_newton_step > 1e-9) {
    certificate.outcome = FitOutcome::kMaxIterations;
  } else if (certificate.next_basin_f && *certificate.next_basin_f <= 1.01 * certificate.f &&
             std::abs(*certificate.next_basin_a - fit.laws[0].a()) > 0.01) {
    certificate.outcome = FitOutcome::kMultipleBasins;
  }
  return fit;
}

template <int P>
JointRefit RefitFrom(const std::array<const FitRows*, 2>& rows, const LawFitOptions& options,
                     absl::Span<const JointTheta> starts) {
  const double delta = WidthOf(options);
  JointRefit best;
  best.f = kInfinity;
  for (const JointTheta& start : starts) {
    Path<P> path;
    path.x = start.template head<P>();
    for (int j = 6; j < P; ++j) {
      if (path.x[j] < -600) path.frozen |= 1u << j;
    }
    if (std::isfinite(delta)) Descend(rows, 10 * delta, {.max_iterations = 60, .step_tolerance = 1e-3}, &path);
    Descend(rows, delta, {.max_iterations = 200, .step_tolerance = 1e-9}, &path);
    TryWithoutE(rows, delta, {.max_iterations = 200, .step_tolerance = 1e-9}, &path);
    if (path.summary.f < best.f * (1 - 1e-12)) best = {Widen<P>(path.x), path.summary.f};
  }
  return best;
}

}  // namespace

ChinchillaForm::Vector StudyPoint(const JointTheta& theta, int s) {
  ChinchillaForm::Vector point;
  for (int j = 0; j < 5; ++j) point[j] = theta[Place<8>(s, j)];
  return point;
}

LossLaw LawOfStudy(const FitRows& rows, const JointTheta& theta, int s) {
  const ChinchillaForm::Vector point = StudyPoint(theta, s);
  const auto exp_or_zero = [](double log, double shift) { return log < -600 ? 0.0 : std::exp(log + shift); };
  return {.E = exp_or_zero(point[2], 0),
          .A = exp_or_zero(point[0], point[3] * rows.n0),
          .B = exp_or_zero(point[1], point[4] * rows.d0),
          .alpha = point[3],
          .beta = point[4]};
}

JointFit FitJointly(const std::array<const FitRows*, 2>& rows, const std::array<LossLaw, 2>& own, bool shared_E,
                    const LawFitOptions& options) {
  return shared_E ? Fit<7>(rows, own, options) : Fit<8>(rows, own, options);
}

JointRefit RefitJointly(const std::array<const FitRows*, 2>& rows, bool shared_E, const LawFitOptions& options,
                        absl::Span<const JointTheta> starts) {
  return shared_E ? RefitFrom<7>(rows, options, starts) : RefitFrom<8>(rows, options, starts);
}

}  // namespace isoflop
