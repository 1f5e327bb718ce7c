#include "analysis/seed_noise.h"

#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "analysis/statistics.h"

namespace isoflop {
namespace {

std::string CellOf(const KeptRow& row) {
  if (!row.observation.config_id.empty()) return row.observation.config_id;
  return absl::StrFormat("%.17g,%.17g,%d,%d", row.params, row.tokens, row.observation.d_model,
                         row.observation.n_layer);
}

// What a cell of several seeds tells of the noise.
struct CellScatter {
  double ln_loss = 0;     // mean
  double variance = 0;    // of ln L
  double freedom = 0;
};

// The gamma regression of the header by Newton's method; convex in (intercept,
// slope) of ln sigma^2 on centred ln L.
void FitLine(std::vector<CellScatter> cells, SeedNoise* noise) {
  std::erase_if(cells, [](const CellScatter& cell) { return !(cell.variance > 0); });
  if (cells.size() < 3) return;
  double freedom = 0, center = 0, variance = 0;
  for (const CellScatter& cell : cells) {
    freedom += cell.freedom;
    center += cell.freedom * cell.ln_loss;
    variance += cell.freedom * cell.variance;
  }
  center /= freedom;
  double spread = 0;
  for (const CellScatter& cell : cells) spread += cell.freedom * std::pow(cell.ln_loss - center, 2);
  if (!(spread / freedom > 1e-12)) return;
  double intercept = std::log(variance / freedom), slope = 0;
  const auto value = [&](double at_center, double by_loss) {
    double sum = 0;
    for (const CellScatter& cell : cells) {
      const double eta = at_center + by_loss * (cell.ln_loss - center);
      sum += cell.freedom * (eta + cell.variance * std::exp(-eta));
    }
    return sum;
  };
  double best = value(intercept, slope);
  for (int i = 0; i < 100; ++i) {
    double g0 = 0, g1 = 0, h00 = 0, h01 = 0, h11 = 0;
    for (const CellScatter& cell : cells) {
      const double x = cell.ln_loss - center;
      const double ratio = cell.variance * std::exp(-intercept - slope * x);
      g0 += cell.freedom * (1 - ratio);
      g1 += cell.freedom * (1 - ratio) * x;
      h00 += cell.freedom * ratio;
      h01 += cell.freedom * ratio * x;
      h11 += cell.freedom * ratio * x * x;
    }
    const double determinant = h00 * h11 - h01 * h01;
    if (!(determinant > 0)) return;
    const double step0 = (h01 * g1 - h11 * g0) / determinant, step1 = (h01 * g0 - h00 * g1) / determinant;
    double share = 1;
    while (share > 1e-10 && !(value(intercept + share * step0, slope + share * step1) <= best)) share /= 2;
    intercept += share * step0;
    slope += share * step1;
    best = value(intercept, slope);
    if (std::abs(step0) < 1e-12 && std::abs(step1) < 1e-10) break;
  }
  if (!std::isfinite(intercept) || !std::isfinite(slope)) return;
  noise->ln_sigma_slope = 0.5 * slope;
  noise->ln_sigma_intercept = 0.5 * (intercept - slope * center);
}

}  // namespace

std::vector<std::vector<size_t>> SeedCells(absl::Span<const KeptRow> rows) {
  std::map<std::string, size_t> index;
  std::vector<std::vector<size_t>> cells;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto [place, is_new] = index.try_emplace(CellOf(rows[i]), cells.size());
    if (is_new) cells.emplace_back();
    cells[place->second].push_back(i);
  }
  return cells;
}

SeedNoise MeasureSeedNoise(absl::Span<const KeptRow> rows) {
  std::vector<SeedCell> cells;
  for (const std::vector<size_t>& cell : SeedCells(rows)) {
    cells.push_back({rows[cell.front()].params, rows[cell.front()].tokens, {}});
    for (const size_t row : cell) cells.back().losses.push_back(rows[row].loss);
  }
  SeedNoise noise;
  double sum = 0;
  std::vector<CellScatter> scatter;
  for (const SeedCell& cell : cells) {
    if (cell.losses.size() < 2) continue;
    std::vector<double> logs;
    for (const double loss : cell.losses) logs.push_back(std::log(loss));
    const double mean = Mean(logs);
    double of_cell = 0;
    for (const double y : logs) of_cell += (y - mean) * (y - mean);
    sum += of_cell;
    const double freedom = static_cast<double>(logs.size() - 1);
    scatter.push_back({mean, of_cell / freedom, freedom});
    noise.degrees_of_freedom += static_cast<int>(logs.size()) - 1;
    ++noise.cells;
    noise.replicates.push_back(cell);
  }
  if (noise.degrees_of_freedom > 0) {
    noise.from_replicates = true;
    noise.sigma = std::sqrt(sum / noise.degrees_of_freedom);
    FitLine(std::move(scatter), &noise);
  }
  return noise;
}

std::vector<double> InverseVarianceWeights(absl::Span<const KeptRow> rows, const SeedNoise& noise) {
  std::vector<double> weights(rows.size(), 1);
  if (!noise.from_replicates || !(noise.sigma > 0)) return weights;
  double sum = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    weights[i] = std::pow(noise.SigmaAt(rows[i].loss), -2);
    sum += weights[i];
  }
  for (double& weight : weights) weight *= static_cast<double>(rows.size()) / sum;
  return weights;
}

}  // namespace isoflop
