#include "analysis/resample.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "analysis/bootstrap.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr int kParameters = ChinchillaForm::kParams;
constexpr double kCollinear = 0.98;

// The weights of draw `draw`: how often each row is in it, times its own weight.
std::vector<double> WeightsOfDraw(const std::vector<uint16_t>& counts, size_t draw, absl::Span<const KeptRow> rows) {
  std::vector<double> weights(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) weights[i] = counts[draw * rows.size() + i] * rows[i].weight;
  return weights;
}

// `rows` without those of weight 0, which cost time and add nothing.
FitRows RowsInDraw(const FitRows& rows, absl::Span<const double> weights) {
  FitRows drawn;
  drawn.n0 = rows.n0;
  drawn.d0 = rows.d0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    drawn.n.push_back(rows.n[i]);
    drawn.d.push_back(rows.d[i]);
    drawn.loss.push_back(rows.loss[i]);
    drawn.ln_loss.push_back(rows.ln_loss[i]);
    drawn.weight.push_back(weights[i]);
  }
  return drawn;
}

}  // namespace

std::optional<Refusal> RefuseFit(absl::Span<const KeptRow> rows, absl::Span<const double> weights) {
  std::vector<std::pair<double, double>> cells;
  std::vector<double> sizes, tokens;
  double w_sum = 0, n_mean = 0, d_mean = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    cells.emplace_back(rows[i].params, rows[i].tokens);
    sizes.push_back(rows[i].params);
    tokens.push_back(rows[i].tokens);
    w_sum += weights[i];
    n_mean += weights[i] * std::log(rows[i].params);
    d_mean += weights[i] * std::log(rows[i].tokens);
  }
  const auto distinct = [](auto& values) {
    std::sort(values.begin(), values.end());
    return static_cast<int>(std::unique(values.begin(), values.end()) - values.begin());
  };
  const int cell_count = distinct(cells), size_count = distinct(sizes), tokens_count = distinct(tokens);
  const std::string cure = "more sizes and more tokens a size";
  if (cell_count <= kParameters) {
    return Refusal{Code::kUnderdetermined,
                   absl::StrCat(Plural(cell_count, "cell"), " (N, D) for ", kParameters, " parameters"), cure};
  }
  if (size_count < 3 || tokens_count < 3) {
    return Refusal{Code::kUnderdetermined,
                   absl::StrCat(size_count, " distinct N and ", tokens_count, " distinct D, 3 of each are needed"), cure};
  }
  n_mean /= w_sum;
  d_mean /= w_sum;
  double nn = 0, dd = 0, nd = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const double n = std::log(rows[i].params) - n_mean, d = std::log(rows[i].tokens) - d_mean;
    nn += weights[i] * n * n;
    dd += weights[i] * d * d;
    nd += weights[i] * n * d;
  }
  const double correlation = nd / std::sqrt(nn * dd);
  if (correlation > kCollinear) {
    return Refusal{Code::kCollinear,
                   absl::StrCat("ln N and ln D correlate at ", FormatSignificant(correlation, 4),
                                ": the exponents cannot be told apart"),
                   "several D for each N"};
  }
  return std::nullopt;
}

Resampling ResampleFits(absl::Span<const KeptRow> rows, const FitRows& fit_rows, const LawFit* full,
                        const LawFitOptions& fit_options, const IsoflopOptions& isoflop_options,
                        const AnalysisOptions& options) {
  Resampling resampling;
  BootstrapSummary& summary = resampling.summary;
  summary.method = options.spec.bootstrap_method;
  summary.draws = options.spec.draws;
  summary.seed = options.spec.bootstrap_seed;
  const std::vector<std::vector<size_t>> clusters = BootstrapClusters(rows, summary.method);
  summary.clusters = static_cast<int>(clusters.size());
  if (summary.draws <= 0 || rows.empty()) return resampling;

  const std::vector<uint16_t> counts = DrawCounts(clusters, rows.size(), summary.draws, summary.seed);
  const std::vector<BudgetGroup> groups = GroupByBudget(rows, isoflop_options.budget_tolerance);
  std::vector<Theta> starts;
  if (full != nullptr) {
    starts.push_back(full->theta);
    starts.insert(starts.end(), full->other_basins.begin(), full->other_basins.end());
  }
  resampling.fits.resize(static_cast<size_t>(summary.draws));
  ParallelFor(summary.draws, options.threads, [&](int first, int last) {
    for (int draw = first; draw < last; ++draw) {
      ResampledFit& fit = resampling.fits[static_cast<size_t>(draw)];
      const std::vector<double> weights = WeightsOfDraw(counts, static_cast<size_t>(draw), rows);
      fit.isoflop = RefitIsoflop(rows, groups, weights, fit_rows.loss, isoflop_options);
      if (starts.empty() || RefuseFit(rows, weights)) continue;
      const Refit refit = RefitLossLaw(RowsInDraw(fit_rows, weights), fit_options, starts);
      if (!std::isfinite(refit.f)) continue;
      fit.law = LawOf(fit_rows, refit.theta);
      fit.basin = refit.basin;
    }
  });

  int jumps = 0;
  for (const ResampledFit& fit : resampling.fits) {
    if (!fit.law) {
      ++summary.failed;
      continue;
    }
    summary.laws.push_back(*fit.law);
    jumps += fit.basin != 0;
  }
  if (!summary.laws.empty()) summary.jump_share = static_cast<double>(jumps) / static_cast<double>(summary.laws.size());
  return resampling;
}

}  // namespace isoflop
