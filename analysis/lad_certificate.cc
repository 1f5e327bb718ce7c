#include "analysis/lad_certificate.h"

#include <Eigen/QR>
#include <cmath>

namespace isoflop {

LadCheck CheckLad(absl::Span<const double> residuals, absl::Span<const double> weights,
                  absl::Span<const Eigen::VectorXd> jacobians, unsigned frozen) {
  LadCheck check;
  std::vector<Eigen::Index> free;
  const Eigen::Index all = jacobians.empty() ? 0 : jacobians[0].size();
  for (Eigen::Index j = 0; j < all; ++j) {
    if ((frozen >> j & 1u) == 0) free.push_back(j);
  }
  const Eigen::Index P = static_cast<Eigen::Index>(free.size());
  Eigen::VectorXd rest = Eigen::VectorXd::Zero(P), scale = Eigen::VectorXd::Zero(P);
  std::vector<size_t> interpolated;
  const auto part = [&](size_t row) {
    Eigen::VectorXd J(P);
    for (Eigen::Index j = 0; j < P; ++j) J[j] = weights[row] * jacobians[row][free[static_cast<size_t>(j)]];
    return J;
  };
  for (size_t i = 0; i < residuals.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    check.f += weights[i] * std::abs(residuals[i]);
    const Eigen::VectorXd J = part(i);
    scale += J.cwiseAbs();
    if (std::abs(residuals[i]) <= kInterpolated) {
      interpolated.push_back(i);
    } else {
      rest += std::copysign(1.0, residuals[i]) * J;
    }
  }
  check.interpolated = static_cast<int>(interpolated.size());
  Eigen::VectorXd left = rest;
  if (!interpolated.empty()) {
    Eigen::MatrixXd columns(P, static_cast<Eigen::Index>(interpolated.size()));
    for (size_t k = 0; k < interpolated.size(); ++k) columns.col(static_cast<Eigen::Index>(k)) = part(interpolated[k]);
    // The parameters have unlike scales.
    const Eigen::VectorXd unit = scale.cwiseMax(1e-300).cwiseInverse();
    const Eigen::VectorXd v = (unit.asDiagonal() * columns).colPivHouseholderQr().solve(unit.cwiseProduct(-rest));
    check.largest_weight = v.cwiseAbs().maxCoeff();
    left += columns * v;
  }
  for (Eigen::Index j = 0; j < P; ++j) {
    if (scale[j] > 0) check.unbalanced = std::max(check.unbalanced, std::abs(left[j]) / scale[j]);
  }
  check.is_optimal = check.unbalanced <= 1e-6 && check.largest_weight <= 1 + 1e-6;
  return check;
}

}  // namespace isoflop
