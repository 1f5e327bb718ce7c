#include "analysis/power_law.h"

#include <cmath>

namespace isoflop {

PowerLaw FitPowerLaw(absl::Span<const double> flops, absl::Span<const double> values,
                     absl::Span<const double> variances) {
  const size_t m = flops.size();
  const auto weight = [&](size_t i) { return variances.empty() ? 1.0 : 1 / variances[i]; };
  double w_sum = 0, x_mean = 0, y_mean = 0;
  for (size_t i = 0; i < m; ++i) {
    w_sum += weight(i);
    x_mean += weight(i) * std::log(flops[i]);
    y_mean += weight(i) * std::log(values[i]);
  }
  x_mean /= w_sum;
  y_mean /= w_sum;
  double xx = 0, xy = 0;
  for (size_t i = 0; i < m; ++i) {
    const double x = std::log(flops[i]) - x_mean;
    xx += weight(i) * x * x;
    xy += weight(i) * x * (std::log(values[i]) - y_mean);
  }
  PowerLaw law;
  law.points = static_cast<int>(m);
  law.exponent.value = xy / xx;
  law.ln_coefficient.value = y_mean - law.exponent.value * x_mean;

  double scale = 1;  // of the variance; with known variances they are taken as they are
  if (variances.empty()) {
    if (m < 3) return law;
    double rss = 0;
    for (size_t i = 0; i < m; ++i) {
      const double r = std::log(values[i]) - law.ln_coefficient.value - law.exponent.value * std::log(flops[i]);
      rss += r * r;
    }
    scale = rss / static_cast<double>(m - 2);
  }
  law.exponent.se = std::sqrt(scale / xx);
  law.ln_coefficient.se = std::sqrt(scale * (1 / w_sum + x_mean * x_mean / xx));
  return law;
}

}  // namespace isoflop
