#include "analysis/statistics.h"

#include <algorithm>
#include <cmath>

namespace isoflop {

double Mean(absl::Span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

double StandardDeviation(absl::Span<const double> values) {
  if (values.size() < 2) return 0;
  const double mean = Mean(values);
  double sum = 0;
  for (const double value : values) sum += (value - mean) * (value - mean);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return SortedQuantile(values, 0.5);
}

double SortedQuantile(absl::Span<const double> rising, double p) {
  const double h = static_cast<double>(rising.size() - 1) * p;
  const size_t below = static_cast<size_t>(h);
  if (below + 1 >= rising.size()) return rising.back();
  const double rest = h - static_cast<double>(below);
  if (rest == 0 || rising[below] == rising[below + 1]) return rising[below];  // also between two infinities
  return rising[below] + rest * (rising[below + 1] - rising[below]);
}

}  // namespace isoflop
