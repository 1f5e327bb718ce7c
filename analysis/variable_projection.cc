#include "analysis/variable_projection.h"

#include <Eigen/Core>
#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <limits>

namespace isoflop {
namespace {

constexpr int kGrid = 32;
constexpr double kExponentLow = 0.05, kExponentHigh = 1.5;

double GridExponent(int i) { return kExponentLow + (kExponentHigh - kExponentLow) * i / (kGrid - 1); }

// The normal equations of y on three columns.
struct Normal {
  double xx[3][3] = {};
  double xy[3] = {};
  double yy = 0;
};

// Coefficients >= 0 that minimise c'Xc - 2c'y + yy, of the subset `columns`
// (bits); infinite where the subset's optimum has a negative one.
double SolveSubset(const Normal& normal, unsigned columns, double* c) {
  int index[3], count = 0;
  for (int j = 0; j < 3; ++j) {
    c[j] = 0;
    if (columns >> j & 1u) index[count++] = j;
  }
  if (count == 0) return normal.yy;
  double m[3][4];
  for (int i = 0; i < count; ++i) {
    for (int j = 0; j < count; ++j) m[i][j] = normal.xx[index[i]][index[j]];
    m[i][count] = normal.xy[index[i]];
  }
  for (int i = 0; i < count; ++i) {  // symmetric positive definite or refused: no pivoting
    if (m[i][i] <= 1e-13 * normal.xx[index[i]][index[i]]) return std::numeric_limits<double>::infinity();
    for (int k = i + 1; k < count; ++k) {
      const double factor = m[k][i] / m[i][i];
      for (int j = i; j <= count; ++j) m[k][j] -= factor * m[i][j];
    }
  }
  double rss = normal.yy;
  for (int i = count - 1; i >= 0; --i) {
    double sum = m[i][count];
    for (int j = i + 1; j < count; ++j) sum -= m[i][j] * c[index[j]];
    c[index[i]] = sum / m[i][i];
    if (c[index[i]] < 0) return std::numeric_limits<double>::infinity();
  }
  for (int i = 0; i < count; ++i) rss -= c[index[i]] * normal.xy[index[i]];
  return rss;
}

LinearFit BestActiveSet(const Normal& normal, double alpha, double beta) {
  LinearFit best{.alpha = alpha, .beta = beta, .rss = std::numeric_limits<double>::infinity()};
  for (unsigned columns = 0; columns < 8; ++columns) {
    double c[3];
    const double rss = SolveSubset(normal, columns, c);
    if (rss < best.rss) best = {c[0], c[1], c[2], alpha, beta, rss};
  }
  return best;
}

Normal NormalOf(const FitRows& rows, double alpha, double beta) {
  Normal normal;
  for (size_t i = 0; i < rows.size(); ++i) {
    const double x[3] = {1, std::exp(-alpha * rows.n[i]), std::exp(-beta * rows.d[i])};
    const double y = rows.loss[i], w = rows.weight[i];
    for (int j = 0; j < 3; ++j) {
      for (int k = 0; k < 3; ++k) normal.xx[j][k] += w * x[j] * x[k];
      normal.xy[j] += w * x[j] * y;
    }
    normal.yy += w * y * y;
  }
  return normal;
}

}  // namespace

LinearFit SolveLinearPart(const FitRows& rows, double alpha, double beta) {
  return BestActiveSet(NormalOf(rows, alpha, beta), alpha, beta);
}

LinearFit SolveLinearPartByQr(const FitRows& rows, double alpha, double beta) {
  const Eigen::Index m = static_cast<Eigen::Index>(rows.size());
  Eigen::MatrixXd X(m, 3);
  Eigen::VectorXd y(m);
  for (Eigen::Index i = 0; i < m; ++i) {
    const size_t row = static_cast<size_t>(i);
    const double root = std::sqrt(rows.weight[row]);
    X(i, 0) = root;
    X(i, 1) = root * std::exp(-alpha * rows.n[row]);
    X(i, 2) = root * std::exp(-beta * rows.d[row]);
    y[i] = root * rows.loss[row];
  }
  const Eigen::Vector3d c = X.householderQr().solve(y);
  return {c[0], c[1], c[2], alpha, beta, (y - X * c).squaredNorm()};
}

std::vector<LinearFit> VariableProjectionMinima(const FitRows& rows, int max_minima) {
  // The 2 x 32 power columns once; all products of a pair by one matrix product.
  const Eigen::Index m = static_cast<Eigen::Index>(rows.size());
  Eigen::MatrixXd xn(m, kGrid), xd(m, kGrid);
  Eigen::VectorXd w(m), y(m);
  for (Eigen::Index i = 0; i < m; ++i) {
    const size_t row = static_cast<size_t>(i);
    w[i] = rows.weight[row];
    y[i] = rows.loss[row];
    for (int j = 0; j < kGrid; ++j) {
      xn(i, j) = std::exp(-GridExponent(j) * rows.n[row]);
      xd(i, j) = std::exp(-GridExponent(j) * rows.d[row]);
    }
  }
  const Eigen::VectorXd wy = w.cwiseProduct(y);
  const Eigen::MatrixXd wxd = w.asDiagonal() * xd;
  const Eigen::MatrixXd cross = xn.transpose() * wxd;
  const Eigen::VectorXd sum_n = xn.transpose() * w, sum_d = xd.transpose() * w;
  const Eigen::VectorXd ny = xn.transpose() * wy, dy = xd.transpose() * wy;
  const Eigen::VectorXd nn = xn.cwiseAbs2().transpose() * w, dd = xd.cwiseAbs2().transpose() * w;

  std::vector<LinearFit> grid(kGrid * kGrid);
  for (int i = 0; i < kGrid; ++i) {
    for (int j = 0; j < kGrid; ++j) {
      Normal normal;
      normal.xx[0][0] = w.sum();
      normal.xx[0][1] = normal.xx[1][0] = sum_n[i];
      normal.xx[0][2] = normal.xx[2][0] = sum_d[j];
      normal.xx[1][1] = nn[i];
      normal.xx[2][2] = dd[j];
      normal.xx[1][2] = normal.xx[2][1] = cross(i, j);
      normal.xy[0] = wy.sum();
      normal.xy[1] = ny[i];
      normal.xy[2] = dy[j];
      normal.yy = wy.dot(y);
      grid[static_cast<size_t>(i * kGrid + j)] = BestActiveSet(normal, GridExponent(i), GridExponent(j));
    }
  }

  std::vector<LinearFit> minima;
  for (int i = 0; i < kGrid; ++i) {
    for (int j = 0; j < kGrid; ++j) {
      const LinearFit& here = grid[static_cast<size_t>(i * kGrid + j)];
      bool lowest = std::isfinite(here.rss);
      for (int k = std::max(i - 1, 0); k <= std::min(i + 1, kGrid - 1) && lowest; ++k) {
        for (int l = std::max(j - 1, 0); l <= std::min(j + 1, kGrid - 1); ++l) {
          if (grid[static_cast<size_t>(k * kGrid + l)].rss < here.rss) lowest = false;
        }
      }
      if (lowest) minima.push_back(here);
    }
  }
  std::stable_sort(minima.begin(), minima.end(), [](const auto& x, const auto& z) { return x.rss < z.rss; });
  if (minima.size() > static_cast<size_t>(max_minima)) minima.resize(static_cast<size_t>(max_minima));
  return minima;
}

std::vector<LinearFit> QuasiRandomStarts(const FitRows& rows, int count) {
  // 1/g and 1/g^2 with g^3 = g + 1.
  constexpr double kStep[2] = {0.7548776662466927, 0.5698402909980532};
  std::vector<LinearFit> starts;
  for (int i = 1; i <= count; ++i) {
    double u[2];
    for (int j = 0; j < 2; ++j) u[j] = std::fmod(0.5 + i * kStep[j], 1.0);
    starts.push_back(SolveLinearPart(rows, kExponentLow + (kExponentHigh - kExponentLow) * u[0],
                                       kExponentLow + (kExponentHigh - kExponentLow) * u[1]));
  }
  return starts;
}

}  // namespace isoflop
