#include "analysis/row_draws.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "analysis/leverage.h"
#include "analysis/normal.h"
#include "analysis/subset_fit.h"

namespace isoflop {
namespace {

// sqrt(3/2), 1, sqrt(1/2) and their negatives: mean 0, variance 1.
constexpr double kWebb[6] = {-1.2247448713915890491, -1, -0.70710678118654752440,
                             0.70710678118654752440, 1,  1.2247448713915890491};
// A row that the law was made to pass through says nothing of its own noise.
constexpr double kLeastFreedom = 0.01;

}  // namespace

ResampleDesign MakeResampleDesign(absl::Span<const KeptRow> rows, const FitRows& fit_rows, const std::string& method,
                                  std::vector<std::vector<size_t>> clusters, const LossLaw* law,
                                  const SeedNoise& noise) {
  ResampleDesign design;
  design.method = method;
  design.clusters = std::move(clusters);
  if (!design.MovesLosses() || law == nullptr) return design;
  std::vector<double> leverages;
  if (method == "wild") leverages = Leverages(rows, fit_rows.weight, *law);
  for (size_t i = 0; i < rows.size(); ++i) {
    const double fitted = std::log(PredictedLossOf(*law, rows[i]));
    design.fitted_ln_loss.push_back(fitted);
    design.scale.push_back(method == "wild" ? (fit_rows.ln_loss[i] - fitted) /
                                                  std::sqrt(std::max(1 - leverages[i], kLeastFreedom))
                                            : noise.SigmaAt(std::exp(fitted)));
  }
  return design;
}

Stream StreamOf(const std::string& method) {
  if (method == "wild") return Stream::kWild;
  if (method == "parametric") return Stream::kParametric;
  return Stream::kRows;
}

RowDraws DrawRows(const ResampleDesign& design, size_t rows, int draws, std::mt19937* generator) {
  RowDraws result;
  result.draws = draws;
  if (!design.MovesLosses()) {
    result.counts = DrawCountsFrom(design.clusters, rows, draws, generator);
    return result;
  }
  result.numbers.resize(static_cast<size_t>(draws) * design.clusters.size());
  for (double& number : result.numbers) {
    number = design.method == "wild" ? kWebb[DrawIndex(generator, 6)] : DrawNormal(generator);
  }
  return result;
}

FitRows RowsOfWeight(const FitRows& rows, absl::Span<const double> weights) {
  FitRows kept;
  kept.n0 = rows.n0;
  kept.d0 = rows.d0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    kept.n.push_back(rows.n[i]);
    kept.d.push_back(rows.d[i]);
    kept.loss.push_back(rows.loss[i]);
    kept.ln_loss.push_back(rows.ln_loss[i]);
    kept.weight.push_back(weights[i]);
    if (!rows.ln_unique.empty()) kept.ln_unique.push_back(rows.ln_unique[i]);
  }
  return kept;
}

void RowsOfDraw(const ResampleDesign& design, const RowDraws& draws, int draw, const FitRows& fit_rows,
                DrawnRows* drawn) {
  const size_t m = fit_rows.size();
  if (design.MovesLosses()) {
    drawn->rows = fit_rows;
    drawn->weights = fit_rows.weight;
    const double* numbers = draws.numbers.data() + static_cast<size_t>(draw) * design.clusters.size();
    for (size_t cluster = 0; cluster < design.clusters.size(); ++cluster) {
      for (const size_t row : design.clusters[cluster]) {
        drawn->rows.ln_loss[row] = design.fitted_ln_loss[row] + design.scale[row] * numbers[cluster];
        drawn->rows.loss[row] = std::exp(drawn->rows.ln_loss[row]);
      }
    }
    drawn->losses = drawn->rows.loss;
    return;
  }
  const uint16_t* counts = draws.counts.data() + static_cast<size_t>(draw) * m;
  drawn->weights.resize(m);
  drawn->losses = fit_rows.loss;
  for (size_t i = 0; i < m; ++i) drawn->weights[i] = counts[i] * fit_rows.weight[i];
  drawn->rows = RowsOfWeight(fit_rows, drawn->weights);
}

}  // namespace isoflop
