#include "analysis/fit_variance.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <limits>

namespace isoflop {

LawCenter CenterOf(absl::Span<const KeptRow> rows) {
  LawCenter center;
  for (const KeptRow& row : rows) {
    center.n0 += std::log(row.params) / static_cast<double>(rows.size());
    center.d0 += std::log(row.tokens) / static_cast<double>(rows.size());
  }
  return center;
}

LawVector LnLossGradient(const LossLaw& law, const LawCenter& center, double params, double tokens) {
  const double n = std::log(params), d = std::log(tokens);
  const double size_term = law.A > 0 ? std::exp(std::log(law.A) - law.alpha * n) : 0;
  const double data_term = law.B > 0 ? std::exp(std::log(law.B) - law.beta * d) : 0;
  const double loss = law.E + size_term + data_term;
  const double pa = size_term / loss, pb = data_term / loss;
  LawVector J;
  J << pa, pb, law.E / loss, -pa * (n - center.n0), -pb * (d - center.d0);
  return J;
}

LawVector LnOptimumGradient(const LossLaw& law, const LawCenter& center, const ComputeModel& compute,
                            double budget_flops) {
  const OptimalPoint best = compute.OptimumAt(law, budget_flops);
  const double n = std::log(best.params), d = std::log(best.tokens);
  double eps = 1, eps_slope = 0;
  if (!compute.is_6nd()) {
    constexpr double kStep = 0.02;
    const auto ln_c = [&](double x) { return std::log(compute.FlopsAt(std::exp(x), 1)); };
    const double below = ln_c(n - kStep), at = ln_c(n), above = ln_c(n + kStep);
    eps = (above - below) / (2 * kStep);
    eps_slope = (above - 2 * at + below) / (kStep * kStep);
  }
  LawVector g;
  g << 1, -1, 0, 1 / law.alpha - (n - center.n0), -1 / law.beta + (d - center.d0);
  return g / (law.alpha + law.beta * eps + eps_slope / eps);
}

std::optional<LawMatrix> InverseInformation(const LossLaw& law, const LawCenter& center,
                                            absl::Span<const KeptRow> rows) {
  LawMatrix information = LawMatrix::Zero();
  for (const KeptRow& row : rows) {
    const LawVector J = LnLossGradient(law, center, row.params, row.tokens);
    information += row.weight * J * J.transpose();
  }
  for (int j = 0; j < LawVector::RowsAtCompileTime; ++j) {
    if (!(information(j, j) > 0)) information(j, j) = 1;
  }
  // Scaled to a unit diagonal: a pivot says how much of a direction the others leave.
  const LawVector scale = information.diagonal().cwiseSqrt().cwiseInverse();
  const LawMatrix scaled = scale.asDiagonal() * information * scale.asDiagonal();
  const Eigen::LLT<LawMatrix> factor(scaled);
  if (factor.info() != Eigen::Success || factor.rcond() < 1e-13) return std::nullopt;
  const LawMatrix inverse = factor.solve(LawMatrix::Identity());
  return LawMatrix(scale.asDiagonal() * inverse * scale.asDiagonal());
}

std::optional<double> EffectiveVariance(const LossLaw& law, absl::Span<const KeptRow> rows, double delta) {
  double weight = 0, psi_squares = 0, inside = 0;
  for (const KeptRow& row : rows) {
    const double r = std::log(row.loss / law.LossAt(row.params, row.tokens));
    const double psi = std::clamp(r, -delta, delta);
    weight += row.weight;
    psi_squares += row.weight * psi * psi;
    inside += row.weight * (std::abs(r) <= delta ? 1 : 0);
  }
  if (!(inside > 0)) return std::nullopt;
  const double share = inside / weight;
  return psi_squares / weight / (share * share);
}

double DeltaOf(const AnalysisOptions& options) {
  switch (options.spec.objective) {
    case FitObjective::kHuber:
    case FitObjective::kLad:  // 1/(4 f(0)^2), f the density of residuals: the share inside +-delta tells it
      return options.spec.delta;
    case FitObjective::kMse:
    case FitObjective::kMseRaw:
      break;
  }
  return std::numeric_limits<double>::infinity();
}

}  // namespace isoflop
