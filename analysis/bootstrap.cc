#include "analysis/bootstrap.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <numeric>
#include <thread>

#include "analysis/statistics.h"

namespace isoflop {
namespace {

// Rows joined by an equal, not empty key become one cluster.
class Clusters {
 public:
  explicit Clusters(size_t rows) : parent_(rows) { std::iota(parent_.begin(), parent_.end(), size_t{0}); }

  size_t Root(size_t row) {
    while (parent_[row] != row) row = parent_[row] = parent_[parent_[row]];
    return row;
  }
  // The lower root stays: clusters are named by their first row.
  void Join(size_t x, size_t y) {
    x = Root(x);
    y = Root(y);
    parent_[std::max(x, y)] = std::min(x, y);
  }

 private:
  std::vector<size_t> parent_;
};

}  // namespace

std::mt19937 GeneratorOf(uint64_t seed, Stream stream) {
  return std::mt19937(static_cast<uint32_t>(seed) + static_cast<uint32_t>(stream));
}

uint32_t DrawIndex(std::mt19937* generator, uint32_t m) {
  uint32_t mask = 0;
  while (mask < m - 1) mask = mask << 1 | 1;
  uint32_t index;
  do {
    index = static_cast<uint32_t>((*generator)()) & mask;
  } while (index > m - 1);
  return index;
}

std::vector<std::vector<size_t>> BootstrapClusters(absl::Span<const KeptRow> rows, const std::string& method) {
  Clusters clusters(rows.size());
  const bool by_config_too = method == "cluster" || method == "wild";
  if (by_config_too || method == "parametric") {
    std::map<std::string, size_t> by_trial, by_config;
    for (size_t i = 0; i < rows.size(); ++i) {
      const Observation& row = rows[i].observation;
      if (!row.trial_id.empty()) clusters.Join(i, by_trial.try_emplace(row.trial_id, i).first->second);
      if (by_config_too && !row.config_id.empty()) {
        clusters.Join(i, by_config.try_emplace(row.config_id, i).first->second);
      }
    }
  }
  std::map<size_t, std::vector<size_t>> by_root;
  for (size_t i = 0; i < rows.size(); ++i) by_root[clusters.Root(i)].push_back(i);
  std::vector<std::vector<size_t>> result;
  for (auto& [root, members] : by_root) result.push_back(std::move(members));
  return result;
}

std::string AutoBootstrapMethod(absl::Span<const KeptRow> rows) {
  return BootstrapClusters(rows, "cluster").size() < rows.size() ? "cluster" : "pairs";
}

std::vector<uint16_t> DrawCounts(absl::Span<const std::vector<size_t>> clusters, size_t rows, int draws,
                                 uint64_t seed) {
  std::mt19937 generator = GeneratorOf(seed, Stream::kRows);
  return DrawCountsFrom(clusters, rows, draws, &generator);
}

std::vector<uint16_t> DrawCountsFrom(absl::Span<const std::vector<size_t>> clusters, size_t rows, int draws,
                                     std::mt19937* generator) {
  std::vector<uint16_t> counts(static_cast<size_t>(draws) * rows, 0);
  const uint32_t m = static_cast<uint32_t>(clusters.size());
  for (int draw = 0; draw < draws; ++draw) {
    uint16_t* row_counts = counts.data() + static_cast<size_t>(draw) * rows;
    for (uint32_t i = 0; i < m; ++i) {
      for (const size_t row : clusters[DrawIndex(generator, m)]) ++row_counts[row];
    }
  }
  return counts;
}

void ParallelFor(int count, int threads, const std::function<void(int, int)>& body) {
  constexpr int kSharesPerThread = 16;  // few enough for one share's scratch memory to pay, enough to end together
  if (threads <= 0) threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  threads = std::min(threads, std::max(count, 1));
  const int size = std::max(1, count / (threads * kSharesPerThread));
  std::atomic<int64_t> next = 0;
  const auto work = [&] {
    for (int64_t first = next.fetch_add(size); first < count; first = next.fetch_add(size)) {
      body(static_cast<int>(first), static_cast<int>(std::min<int64_t>(first + size, count)));
    }
  };
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
}

Estimate EstimateFromDraws(double value, std::vector<double> draws, absl::Span<const double> levels,
                           const std::string& method) {
  Estimate estimate;
  estimate.value = value;
  draws.erase(std::remove_if(draws.begin(), draws.end(), [](double x) { return std::isnan(x); }), draws.end());
  if (draws.size() < 20) return estimate;
  estimate.method = method;
  std::sort(draws.begin(), draws.end());
  if (std::isfinite(draws.front()) && std::isfinite(draws.back())) estimate.se = StandardDeviation(draws);
  for (const double level : levels) {
    const double tail = 0.5 * (1 - level / 100);
    estimate.intervals.push_back({level, SortedQuantile(draws, tail), SortedQuantile(draws, 1 - tail)});
  }
  return estimate;
}

}  // namespace isoflop
