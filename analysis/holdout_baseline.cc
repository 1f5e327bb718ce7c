#include "analysis/holdout_baseline.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "analysis/minimize.h"

namespace isoflop {
namespace {

struct Points {
  double ln_center = 0;       // mean of ln C
  std::vector<double> x, y;   // ln C - ln_center, L
};

// E and K >= 0 that fit best with y = E + K e^(-gamma x); returns the residual sum
// of squares.
double SolveOffsetPower(const Points& points, double gamma, double* E, double* K) {
  const size_t m = points.x.size();
  double u_mean = 0, y_mean = 0;
  std::vector<double> u(m);
  for (size_t i = 0; i < m; ++i) {
    u[i] = std::exp(-gamma * points.x[i]);
    u_mean += u[i] / static_cast<double>(m);
    y_mean += points.y[i] / static_cast<double>(m);
  }
  double uu = 0, uy = 0, u2 = 0, u_y = 0;
  for (size_t i = 0; i < m; ++i) {
    uu += (u[i] - u_mean) * (u[i] - u_mean);
    uy += (u[i] - u_mean) * (points.y[i] - y_mean);
    u2 += u[i] * u[i];
    u_y += u[i] * points.y[i];
  }
  *K = uu > 0 ? uy / uu : 0;
  *E = y_mean - *K * u_mean;
  if (*K < 0) {
    *K = 0;
    *E = y_mean;
  } else if (*E < 0) {
    *E = 0;
    *K = u_y / u2;
  }
  double rss = 0;
  for (size_t i = 0; i < m; ++i) {
    const double r = points.y[i] - *E - *K * u[i];
    rss += r * r;
  }
  return rss;
}

}  // namespace

double NearestLoss(absl::Span<const KeptRow> rows, absl::Span<const size_t> train, const KeptRow& row) {
  double best = std::numeric_limits<double>::infinity(), loss = 0;
  for (const size_t i : train) {
    const double n = std::log(rows[i].params / row.params), d = std::log(rows[i].tokens / row.tokens);
    const double distance = n * n + d * d;
    if (distance < best) {
      best = distance;
      loss = rows[i].loss;
    }
  }
  return loss;
}

double EnvelopeBaseline::LossAt(double flops) const { return E + K * std::pow(flops, -gamma); }

std::optional<EnvelopeBaseline> FitEnvelopeBaseline(absl::Span<const KeptRow> rows,
                                                    absl::Span<const BudgetGroup> groups,
                                                    absl::Span<const size_t> train) {
  std::vector<bool> is_train(rows.size(), false);
  for (const size_t row : train) is_train[row] = true;
  Points points;
  double lowest = std::numeric_limits<double>::infinity();
  for (const BudgetGroup& group : groups) {
    const KeptRow* best = nullptr;
    for (const size_t row : group.rows) {
      if (is_train[row] && (best == nullptr || rows[row].loss < best->loss)) best = &rows[row];
    }
    if (best == nullptr || best->loss >= lowest) continue;
    lowest = best->loss;
    points.x.push_back(std::log(best->flops));
    points.y.push_back(best->loss);
  }
  if (points.x.size() < 3) return std::nullopt;
  for (const double x : points.x) points.ln_center += x / static_cast<double>(points.x.size());
  for (double& x : points.x) x -= points.ln_center;

  // gamma on a grid in logs, then Brent.
  constexpr int kSteps = 60;
  const double from = std::log(0.01), to = std::log(1.5), step = (to - from) / kSteps;
  double E, K;
  const auto rss_at = [&](double ln_gamma) { return SolveOffsetPower(points, std::exp(ln_gamma), &E, &K); };
  double best = from, best_rss = rss_at(from);
  for (int i = 1; i <= kSteps; ++i) {
    const double rss = rss_at(from + i * step);
    if (rss < best_rss) {
      best = from + i * step;
      best_rss = rss;
    }
  }
  const double ln_gamma = BrentMinimum(rss_at, std::max(from, best - step), std::min(to, best + step), 1e-8);
  rss_at(ln_gamma);
  EnvelopeBaseline baseline{.E = E, .gamma = std::exp(ln_gamma)};
  baseline.K = K * std::exp(baseline.gamma * points.ln_center);
  return baseline;
}

}  // namespace isoflop
