// How much ln L moves when nothing but the seed does.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_SEED_NOISE_H_
#define ISOFLOP_ANALYSIS_SEED_NOISE_H_

#include "absl/types/span.h"
#include "analysis/analysis_result.h"

namespace isoflop {

// Pools over the cells with several seeds: sigma^2 = Sum (y - mean of the cell)^2
// / Sum (m - 1), y = ln L. Rows are one cell when they share config_id or, where
// that is empty, shape, N and D. Without replicates sigma is 0 and
// from_replicates false.
SeedNoise MeasureSeedNoise(absl::Span<const KeptRow> rows);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_SEED_NOISE_H_
