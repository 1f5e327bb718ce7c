// Resampling: what the law would have been on other samples of the same study.
//
// Stream: std::mt19937 seeded by the user; an index below m is g() & mask, mask
// the smallest 2^k - 1 >= m - 1, drawn again while it is above m - 1. That is
// numpy's RandomState(seed).choice(m). Indices are drawn serially; the refits run
// in parallel by draw number, so the number of threads never changes a byte.
#ifndef ISOFLOP_ANALYSIS_BOOTSTRAP_H_
#define ISOFLOP_ANALYSIS_BOOTSTRAP_H_

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"

namespace isoflop {

// A procedure's own stream: the user's seed plus a fixed offset. The draws of pairs
// and clusters have none: they are the published ones.
enum class Stream : uint32_t {
  kRows = 0,
  kWild = 0x1f3a5b71,
  kParametric = 0x2c9d07e3,
  kCoverage = 0x47b1c6d5,
};
std::mt19937 GeneratorOf(uint64_t seed, Stream stream);

// An index in [0, m), m >= 1, from the stream above.
uint32_t DrawIndex(std::mt19937* generator, uint32_t m);

// Which rows are drawn together, or share a random number. Under "pairs" each row
// alone; under "cluster" and "wild" the rows of one run, and of all seeds of one
// configuration; under "parametric", whose numbers stand for seeds, the rows of one
// run. In the order of their first row.
std::vector<std::vector<size_t>> BootstrapClusters(absl::Span<const KeptRow> rows, const std::string& method);

// "cluster" when a run or a configuration has several rows, else "pairs".
std::string AutoBootstrapMethod(absl::Span<const KeptRow> rows);

// How often each row is in each draw: draws x rows, row after row of that table.
std::vector<uint16_t> DrawCounts(absl::Span<const std::vector<size_t>> clusters, size_t rows, int draws, uint64_t seed);

// The same from a stream that is under way.
std::vector<uint16_t> DrawCountsFrom(absl::Span<const std::vector<size_t>> clusters, size_t rows, int draws,
                                     std::mt19937* generator);

// Calls body(first, last) on contiguous shares of [0, count) in up to `threads`
// threads (0: one a core) and waits. `body` must not throw.
void ParallelFor(int count, int threads, const std::function<void(int first, int last)>& body);

// `value` with standard error (ddof 1) and percentile intervals of `draws` at
// `levels` percent. NaN draws are left out; infinite ones count, so an interval
// may be open (infinite). Fewer than 20 draws: no interval.
Estimate EstimateFromDraws(double value, std::vector<double> draws, absl::Span<const double> levels,
                           const std::string& method);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_BOOTSTRAP_H_
