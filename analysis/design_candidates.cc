#include "analysis/design_candidates.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "analysis/prediction.h"

namespace isoflop {
namespace {

constexpr int kPerDecade = 8;
constexpr double kSameSize = 1.02;  // sizes nearer than this are one
constexpr double kWideGap = 1.5;    // neighbours further apart get one between
constexpr double kRatioBeyond = 2;  // D/N over the largest of the rows
constexpr double kBeyond[] = {1.4142135623730951, 2};

bool Near(double x, double y) { return std::abs(x / y - 1) <= 1e-6; }

std::vector<double> DistinctSizes(const AnalysisResult& result) {
  std::vector<double> sizes;
  for (const KeptRow& row : result.rows) sizes.push_back(row.params);
  std::sort(sizes.begin(), sizes.end());
  std::vector<double> distinct;
  for (const double size : sizes) {
    if (distinct.empty() || size > kSameSize * distinct.back()) distinct.push_back(size);
  }
  return distinct;
}

}  // namespace

std::vector<DesignShape> ShapesOf(const AnalysisResult& result, const DesignOptions& options) {
  if (!options.shapes.empty()) return options.shapes;
  const std::vector<double> trained = DistinctSizes(result);
  std::vector<double> sizes;
  for (size_t i = 0; i < trained.size(); ++i) {
    if (i > 0 && trained[i] > kWideGap * trained[i - 1]) sizes.push_back(std::sqrt(trained[i] * trained[i - 1]));
    sizes.push_back(trained[i]);
  }
  if (!trained.empty()) {
    for (const double factor : kBeyond) sizes.push_back(trained.back() * factor);
  }
  std::sort(sizes.begin(), sizes.end());
  const ComputeModel compute = ComputeModelOf(result);
  std::vector<DesignShape> shapes;
  for (const double size : sizes) shapes.push_back({.params = size, .flops_per_token = compute.FlopsAt(size, 1)});
  return shapes;
}

std::vector<DesignCandidate> DesignCandidates(const AnalysisResult& result, const DesignOptions& options,
                                              double most_flops) {
  double least_tokens = std::numeric_limits<double>::infinity(), most_tokens = 0, least_ratio = 1, most_ratio = 0;
  for (const KeptRow& row : result.rows) {
    least_tokens = std::min(least_tokens, row.tokens);
    most_tokens = std::max(most_tokens, row.tokens);
    least_ratio = std::min(least_ratio, row.tokens / row.params);
    most_ratio = std::max(most_ratio, row.tokens / row.params);
  }
  most_ratio *= kRatioBeyond;
  const double cap = options.largest_tokens > 0 ? options.largest_tokens : 2 * most_tokens;
  std::vector<DesignCandidate> candidates;
  for (const DesignShape& shape : ShapesOf(result, options)) {
    const double first = std::max(least_tokens, least_ratio * shape.params);
    const int from = static_cast<int>(std::ceil(kPerDecade * std::log10(first) - 1e-9));
    const double last = std::min(cap, most_ratio * shape.params);
    const int to = static_cast<int>(std::floor(kPerDecade * std::log10(last) + 1e-9));
    for (int k = from; k <= to; ++k) {
      const double tokens = std::pow(10, static_cast<double>(k) / kPerDecade);
      const double flops = shape.flops_per_token * tokens;
      if (flops > most_flops) break;
      candidates.push_back({shape.params, tokens, flops, ""});
    }
    for (const double branch : shape.branch_tokens) {
      const double tokens = branch / (1 - shape.cooldown_share);
      const double flops = shape.flops_per_token * (tokens - branch);
      if (tokens > last * (1 + 1e-9) || flops > most_flops) continue;
      if (tokens < least_ratio * shape.params || IsTrained(result, shape.params, tokens)) continue;
      candidates.push_back({shape.params, tokens, flops, shape.trunk_id});
    }
  }
  return candidates;
}

bool IsTrained(const AnalysisResult& result, double params, double tokens) {
  return std::any_of(result.rows.begin(), result.rows.end(),
                     [&](const KeptRow& row) { return Near(row.params, params) && Near(row.tokens, tokens); });
}

}  // namespace isoflop
