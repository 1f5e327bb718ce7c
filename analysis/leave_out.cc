#include "analysis/leave_out.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>

#include "absl/strings/str_cat.h"
#include "analysis/isoflop_fit.h"
#include "analysis/subset_fit.h"
#include "study/format.h"

namespace isoflop {
namespace {

// Rows that all refits of one kind may cost together: some tenths of a second.
constexpr double kRowRefits = 100'000;

// Directions in which a law can move, scaled so that none is much steeper than
// another: logs of E, A, B, and the exponents about the centre of the rows.
using Direction = std::function<LossLaw(LossLaw, double)>;
std::vector<Direction> DirectionsOf(const LossLaw& law, double ln_n0, double ln_d0) {
  std::vector<Direction> directions;
  if (law.E > 0) {
    directions.push_back([](LossLaw x, double h) { x.E *= std::exp(h); return x; });
  }
  if (law.A > 0) {
    directions.push_back([](LossLaw x, double h) { x.A *= std::exp(h); return x; });
    directions.push_back([ln_n0](LossLaw x, double h) {
      x.alpha += h;
      x.A *= std::exp(h * ln_n0);
      return x;
    });
  }
  if (law.B > 0) {
    directions.push_back([](LossLaw x, double h) { x.B *= std::exp(h); return x; });
    directions.push_back([ln_d0](LossLaw x, double h) {
      x.beta += h;
      x.B *= std::exp(h * ln_d0);
      return x;
    });
  }
  return directions;
}

}  // namespace

std::string ToString(LeaveOutKind kind) {
  switch (kind) {
    case LeaveOutKind::kRun: return "run";
    case LeaveOutKind::kSize: return "size";
    case LeaveOutKind::kBudget: return "budget";
    case LeaveOutKind::kSeed: return "seed";
  }
  return "";
}

std::vector<LeaveOutCandidate> LeaveOutCandidates(absl::Span<const KeptRow> rows, LeaveOutKind kind,
                                                  double budget_tolerance) {
  std::vector<LeaveOutCandidate> candidates;
  if (kind == LeaveOutKind::kBudget) {
    for (BudgetGroup& group : GroupByBudget(rows, budget_tolerance)) {
      std::sort(group.rows.begin(), group.rows.end());
      candidates.push_back({FormatFlops(group.budget_flops), std::move(group.rows)});
    }
    return candidates;
  }
  std::map<std::string, size_t> place;  // key -> candidate
  for (size_t i = 0; i < rows.size(); ++i) {
    const Observation& row = rows[i].observation;
    std::string key, name;
    switch (kind) {
      case LeaveOutKind::kRun:
        key = row.trial_id.empty() ? absl::StrCat("row ", i) : absl::StrCat("trial ", row.trial_id);
        name = row.source.empty() ? absl::StrCat("row ", i + 1) : row.source;
        break;
      case LeaveOutKind::kSize:
        key = ExactNumber(rows[i].params);
        name = FormatCount(rows[i].params);
        break;
      case LeaveOutKind::kBudget:
      case LeaveOutKind::kSeed:
        key = name = absl::StrCat(row.seed);
        break;
    }
    const auto [at, is_new] = place.try_emplace(key, candidates.size());
    if (is_new) candidates.push_back({name, {}});
    candidates[at->second].rows.push_back(i);
  }
  return candidates;
}

std::vector<double> RowInfluence(const AnalysisResult& base, const ComputeModel& compute) {
  const LossLaw& law = base.parametric->law;
  const Certificate& certificate = base.parametric->certificate;
  const std::vector<Direction> directions = DirectionsOf(law, std::log(base.parametric->center_params),
                                                         std::log(base.parametric->center_tokens));
  const Eigen::Index m = static_cast<Eigen::Index>(directions.size());
  // Where clipped residuals are the rule (LAD), half a sigma stands for delta.
  const bool clips = base.options.spec.objective == FitObjective::kHuber ||
                     base.options.spec.objective == FitObjective::kLad;
  const double delta = base.options.spec.objective == FitObjective::kHuber ? base.options.spec.delta : 0;
  const double width = clips ? std::max(delta, 0.5 * certificate.sigma) : std::numeric_limits<double>::infinity();
  constexpr double kStep = 1e-5;

  Eigen::VectorXd gradient(m);
  for (Eigen::Index j = 0; j < m; ++j) {
    const auto ln_params = [&](double h) {
      return std::log(compute.OptimumAt(directions[static_cast<size_t>(j)](law, h), base.target_flops).params);
    };
    gradient[j] = (ln_params(kStep) - ln_params(-kStep)) / (2 * kStep);
  }
  std::vector<Eigen::VectorXd> jacobian;
  std::vector<double> psi;
  Eigen::MatrixXd hessian = Eigen::MatrixXd::Zero(m, m);
  for (const KeptRow& row : base.rows) {
    Eigen::VectorXd J(m);
    for (Eigen::Index j = 0; j < m; ++j) {
      const Direction& direction = directions[static_cast<size_t>(j)];
      J[j] = std::log(PredictedLossOf(direction(law, kStep), row) / PredictedLossOf(direction(law, -kStep), row)) /
             (2 * kStep);
    }
    const double r = std::log(row.loss / PredictedLossOf(law, row));
    if (std::abs(r) <= width) hessian += row.weight * J * J.transpose();
    psi.push_back(row.weight * std::clamp(r, -width, width));
    jacobian.push_back(std::move(J));
  }
  hessian.diagonal().array() *= 1 + 1e-9;
  const Eigen::VectorXd direction = hessian.ldlt().solve(gradient);
  std::vector<double> influence;
  for (size_t i = 0; i < jacobian.size(); ++i) {
    const double value = psi[i] * jacobian[i].dot(direction);
    influence.push_back(std::isfinite(value) ? value : 0);
  }
  return influence;
}

std::vector<size_t> Without(size_t rows, absl::Span<const size_t> left_out) {
  std::vector<size_t> rest;
  for (size_t i = 0; i < rows; ++i) {
    if (!std::binary_search(left_out.begin(), left_out.end(), i)) rest.push_back(i);
  }
  return rest;
}

std::optional<size_t> WorstToLeaveOut(const AnalysisResult& base, const ComputeModel& compute,
                                      absl::Span<const LeaveOutCandidate> candidates,
                                      absl::Span<const double> row_influence) {
  std::vector<size_t> order(candidates.size());
  std::vector<double> expected(candidates.size(), 0);
  for (size_t i = 0; i < candidates.size(); ++i) {
    order[i] = i;
    for (const size_t row : candidates[i].rows) expected[i] += row_influence[row];
  }
  const size_t most = static_cast<size_t>(std::max(kRowRefits / static_cast<double>(base.rows.size()), 10.0));
  if (order.size() > most) {
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t x, size_t y) { return std::abs(expected[x]) > std::abs(expected[y]); });
    order.resize(most);
    std::sort(order.begin(), order.end());
  }
  const LawFitOptions options = LawFitOptionsOf(base.options);
  const double at_base = std::log(compute.OptimumAt(base.parametric->law, base.target_flops).params);
  std::optional<size_t> worst;
  double largest = -1;
  for (const size_t i : order) {
    const std::vector<size_t> rest = Without(base.rows.size(), candidates[i].rows);
    if (RefuseSubset(base.rows, rest, options)) continue;
    const FitRows columns = FitRowsOfSubset(base.rows, rest);
    const Theta start = ThetaOf(columns, base.parametric->law);
    const Refit refit = RefitLossLaw(columns, options, {&start, 1});
    if (!std::isfinite(refit.f)) continue;
    const LossLaw law = LawOf(columns, refit.theta);
    const double moved = HasOptimum(law)
                             ? std::abs(std::log(compute.OptimumAt(law, base.target_flops).params) - at_base)
                             : std::numeric_limits<double>::infinity();
    if (moved > largest) {
      largest = moved;
      worst = i;
    }
  }
  return worst;
}

}  // namespace isoflop
