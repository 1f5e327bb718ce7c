#include "analysis/seed_noise.h"

#include <cmath>
#include <map>
#include <string>

#include "absl/strings/str_format.h"
#include "analysis/statistics.h"

namespace isoflop {
namespace {

std::string CellOf(const KeptRow& row) {
  if (!row.observation.config_id.empty()) return row.observation.config_id;
  return absl::StrFormat("%.17g,%.17g,%d,%d", row.params, row.tokens, row.observation.d_model,
                         row.observation.n_layer);
}

}  // namespace

SeedNoise MeasureSeedNoise(absl::Span<const KeptRow> rows) {
  std::map<std::string, size_t> index;
  std::vector<SeedCell> cells;
  for (const KeptRow& row : rows) {
    const auto [place, is_new] = index.try_emplace(CellOf(row), cells.size());
    if (is_new) cells.push_back({row.params, row.tokens, {}});
    cells[place->second].losses.push_back(row.loss);
  }
  SeedNoise noise;
  double sum = 0;
  for (const SeedCell& cell : cells) {
    if (cell.losses.size() < 2) continue;
    std::vector<double> logs;
    for (const double loss : cell.losses) logs.push_back(std::log(loss));
    const double mean = Mean(logs);
    for (const double y : logs) sum += (y - mean) * (y - mean);
    noise.degrees_of_freedom += static_cast<int>(logs.size()) - 1;
    ++noise.cells;
    noise.replicates.push_back(cell);
  }
  if (noise.degrees_of_freedom > 0) {
    noise.from_replicates = true;
    noise.sigma = std::sqrt(sum / noise.degrees_of_freedom);
  }
  return noise;
}

}  // namespace isoflop
