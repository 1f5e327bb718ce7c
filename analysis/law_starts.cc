#include "analysis/law_starts.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "analysis/variable_projection.h"

namespace isoflop {
namespace {

constexpr size_t kMostMinima = 10;

double MinLoss(const FitRows& rows) { return *std::min_element(rows.loss.begin(), rows.loss.end()); }

// A term that least squares left out starts small, but not on a plateau.
double FlooredLog(double value, double min_loss) { return std::log(std::max(value, 0.03 * min_loss)); }

// The best y = first x + second z with coefficients >= 0, by weights.
struct TwoColumns {
  double xx = 0, xz = 0, zz = 0, xy = 0, zy = 0, yy = 0;
  void Add(double w, double x, double z, double y) {
    xx += w * x * x;
    xz += w * x * z;
    zz += w * z * z;
    xy += w * x * y;
    zy += w * z * y;
    yy += w * y * y;
  }
  // Coefficients and residual sum of squares.
  void Solve(double* first, double* second, double* rss) const {
    const double det = xx * zz - xz * xz;
    *first = det > 1e-13 * xx * zz ? (xy * zz - zy * xz) / det : -1;
    *second = det > 1e-13 * xx * zz ? (zy * xx - xy * xz) / det : -1;
    if (*first < 0 || *second < 0) {
      const bool with_first = xx > 0 && (zz <= 0 || xy * xy / xx >= zy * zy / zz);
      *first = with_first ? std::max(0.0, xy / xx) : 0;
      *second = !with_first && zz > 0 ? std::max(0.0, zy / zz) : 0;
    }
    *rss = yy - *first * xy - *second * zy;
  }
};

// Points of a grid that are lower than their neighbours, lowest first.
template <class Vector>
std::vector<Vector> GridMinima(const std::vector<std::pair<double, Vector>>& grid, int columns) {
  const int rows = static_cast<int>(grid.size()) / columns;
  std::vector<std::pair<double, Vector>> minima;
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) {
      const double here = grid[static_cast<size_t>(i * columns + j)].first;
      bool lowest = std::isfinite(here);
      for (int k = std::max(i - 1, 0); k <= std::min(i + 1, rows - 1); ++k) {
        for (int l = std::max(j - 1, 0); l <= std::min(j + 1, columns - 1); ++l) {
          lowest = lowest && grid[static_cast<size_t>(k * columns + l)].first >= here;
        }
      }
      if (lowest) minima.push_back(grid[static_cast<size_t>(i * columns + j)]);
    }
  }
  std::stable_sort(minima.begin(), minima.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
  if (minima.size() > kMostMinima) minima.resize(kMostMinima);
  std::vector<Vector> starts;
  for (const auto& [rss, start] : minima) starts.push_back(start);
  return starts;
}

double Between(double lo, double hi, int i, int count) { return lo + (hi - lo) * i / (count - 1); }

}  // namespace

template <>
std::vector<ChinchillaForm::Vector> StartsOf<ChinchillaForm>(const FitRows& rows) {
  const double min_loss = MinLoss(rows);
  std::vector<LinearFit> fits = VariableProjectionMinima(rows);
  for (const LinearFit& fit : QuasiRandomStarts(rows)) fits.push_back(fit);
  std::vector<ChinchillaForm::Vector> starts;
  for (const LinearFit& fit : fits) {
    ChinchillaForm::Vector theta;
    theta << FlooredLog(fit.A, min_loss), FlooredLog(fit.B, min_loss), FlooredLog(fit.E, min_loss), fit.alpha, fit.beta;
    starts.push_back(theta);
  }
  return starts;
}

template <>
std::vector<TiedForm::Vector> StartsOf<TiedForm>(const FitRows& rows) {
  constexpr int kGrid = 32;
  const double min_loss = MinLoss(rows);
  std::vector<std::pair<double, TiedForm::Vector>> grid;
  for (int i = 0; i < kGrid; ++i) {
    const double alpha = Between(0.03, 1.5, i, kGrid);
    const LinearFit fit = SolveLinearPart(rows, alpha, alpha);
    TiedForm::Vector theta;
    theta << FlooredLog(fit.A, min_loss), FlooredLog(fit.B, min_loss), FlooredLog(fit.E, min_loss), alpha;
    grid.emplace_back(fit.rss, theta);
  }
  std::vector<TiedForm::Vector> starts = GridMinima(grid, kGrid);
  for (int i = 1; i < kGrid; i += 4) starts.push_back(grid[static_cast<size_t>(i)].second);
  return starts;
}

template <>
std::vector<MultiplicativeForm::Vector> StartsOf<MultiplicativeForm>(const FitRows& rows) {
  constexpr int kGrid = 20;
  const double min_loss = MinLoss(rows);
  std::vector<std::pair<double, MultiplicativeForm::Vector>> grid;
  for (int i = 0; i < kGrid; ++i) {
    for (int j = 0; j < kGrid; ++j) {
      const double alpha = Between(0.02, 1.2, i, kGrid), beta = Between(0.02, 1.2, j, kGrid);
      TwoColumns columns;
      for (size_t row = 0; row < rows.size(); ++row) {
        columns.Add(rows.weight[row], 1, std::exp(-alpha * rows.n[row] - beta * rows.d[row]), rows.loss[row]);
      }
      double E, A, rss;
      columns.Solve(&E, &A, &rss);
      MultiplicativeForm::Vector theta;
      theta << FlooredLog(A, min_loss), FlooredLog(E, min_loss), alpha, beta;
      grid.emplace_back(rss, theta);
    }
  }
  std::vector<MultiplicativeForm::Vector> starts = GridMinima(grid, kGrid);
  for (int i = 1; i < kGrid; i += 6) {
    for (int j = 1; j < kGrid; j += 6) starts.push_back(grid[static_cast<size_t>(i * kGrid + j)].second);
  }
  return starts;
}

// L^(1/kappa) is linear in Nc^s and Dc: relative least squares there.
template <>
std::vector<KaplanForm::Vector> StartsOf<KaplanForm>(const FitRows& rows) {
  constexpr int kGrid = 20;
  std::vector<std::pair<double, KaplanForm::Vector>> grid;
  for (int i = 0; i < kGrid; ++i) {
    for (int j = 0; j < kGrid; ++j) {
      const double s = Between(0.1, 2.5, i, kGrid), kappa = 0.01 * std::pow(100, static_cast<double>(j) / (kGrid - 1));
      TwoColumns columns;
      for (size_t row = 0; row < rows.size(); ++row) {
        const double shrink = std::exp(-rows.ln_loss[row] / kappa);
        columns.Add(rows.weight[row], std::exp(-s * rows.n[row]) * shrink, std::exp(-rows.d[row]) * shrink, 1);
      }
      double first, second, rss;
      columns.Solve(&first, &second, &rss);
      const double small = 1e-3 * std::max(first, second);
      KaplanForm::Vector theta;
      theta << kappa * std::log(std::max(first, small)), kappa * std::log(std::max(second, small)), kappa * s, kappa;
      // In logs of L again.
      grid.emplace_back(std::isfinite(theta[0]) && std::isfinite(theta[1]) ? rss * kappa * kappa
                                                                           : std::numeric_limits<double>::infinity(),
                        theta);
    }
  }
  std::vector<KaplanForm::Vector> starts = GridMinima(grid, kGrid);
  for (int i = 1; i < kGrid; i += 6) {
    for (int j = 1; j < kGrid; j += 6) {
      if (std::isfinite(grid[static_cast<size_t>(i * kGrid + j)].first)) starts.push_back(grid[static_cast<size_t>(i * kGrid + j)].second);
    }
  }
  return starts;
}

}  // namespace isoflop
