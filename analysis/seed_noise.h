// How much ln L moves when nothing but the seed does.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_SEED_NOISE_H_
#define ISOFLOP_ANALYSIS_SEED_NOISE_H_

#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"

namespace isoflop {

// The rows of each cell, in the order of their first row. Rows are one cell when
// they share config_id or, where that is empty, shape, N and D.
std::vector<std::vector<size_t>> SeedCells(absl::Span<const KeptRow> rows);

// Pools over the cells with several seeds: sigma^2 = Sum (y - mean of the cell)^2
// / Sum (m - 1), y = ln L. Without replicates sigma is 0 and from_replicates false: the caller takes 1.4826 median |r| of the fit.
//
// From three cells on also ln sigma = intercept + slope ln L: the maximum of the
// likelihood of the cells' variances s_c^2 ~ sigma_c^2 chi^2_k / k, k = m - 1,
//   Sum k [ln sigma_c^2 + s_c^2 / sigma_c^2] -> min,
// for ln s of a cell of two seeds would lie 0.64 low. Cells without any scatter do
// not count, and cells of one loss give no line.
SeedNoise MeasureSeedNoise(absl::Span<const KeptRow> rows);

// Weights 1 / sigma(L)^2 of the rows, normalised to a mean of 1; all 1 where sigma
// is not from replicates.
std::vector<double> InverseVarianceWeights(absl::Span<const KeptRow> rows, const SeedNoise& noise);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_SEED_NOISE_H_
