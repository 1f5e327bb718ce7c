#include "analysis/resample.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "analysis/bootstrap.h"
#include "analysis/isoflop_bias.h"
#include "analysis/leverage.h"
#include "analysis/row_draws.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr double kCollinear = 0.98;
constexpr int kTiedParameters = 4;
// Standard deviation of ln(D/N): tokens rounded to whole steps spread one D/N that far.
constexpr double kOneRatio = 0.05;

// Are more than `few` of `values` distinct? It stops when it knows: a draw of a study
// shows that in its first rows.
template <class T>
bool HasMoreThan(int few, const std::vector<T>& values) {
  std::vector<T> seen;
  for (const T& value : values) {
    if (std::find(seen.begin(), seen.end(), value) != seen.end()) continue;
    if (static_cast<int>(seen.size()) == few) return true;
    seen.push_back(value);
  }
  return false;
}

template <class T>
int CountDistinct(std::vector<T> values) {
  std::sort(values.begin(), values.end());
  return static_cast<int>(std::unique(values.begin(), values.end()) - values.begin());
}

// sigma from the seeds, else from the residuals of the fit.
SeedNoise NoiseOrResiduals(SeedNoise noise, const LawFit* full) {
  if (!(noise.sigma > 0) && full != nullptr) noise.sigma = full->certificate.sigma;
  return noise;
}

}  // namespace

std::optional<Refusal> RefuseFit(absl::Span<const KeptRow> rows, absl::Span<const double> weights, int parameters,
                                 bool separate_exponents) {
  std::vector<std::pair<double, double>> cells;
  std::vector<double> sizes, tokens, n, d;
  double w_sum = 0, n_mean = 0, d_mean = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    cells.emplace_back(rows[i].params, rows[i].tokens);
    sizes.push_back(rows[i].params);
    tokens.push_back(rows[i].tokens);
    n.push_back(std::log(rows[i].params));
    d.push_back(std::log(rows[i].tokens));
    w_sum += weights[i];
    n_mean += weights[i] * n.back();
    d_mean += weights[i] * d.back();
  }
  const auto cure = [&](const char* more) {
    const bool tied = parameters > kTiedParameters && !RefuseFit(rows, weights, kTiedParameters, false);
    return absl::StrCat(tied ? "form: tied, or " : "", more);
  };
  if (!HasMoreThan(parameters, cells)) {
    return Refusal{Code::kUnderdetermined,
                   absl::StrCat(Plural(CountDistinct(cells), "cell"), " (N, D) for ", parameters, " parameters"),
                   cure("more sizes and more tokens a size")};
  }
  if (!HasMoreThan(2, sizes) || !HasMoreThan(2, tokens)) {
    return Refusal{Code::kUnderdetermined,
                   absl::StrCat(CountDistinct(sizes), " distinct N and ", CountDistinct(tokens),
                                " distinct D, 3 of each are needed"),
                   cure("more sizes and more tokens a size")};
  }
  n_mean /= w_sum;
  d_mean /= w_sum;
  double nn = 0, dd = 0, nd = 0;
  for (size_t i = 0, at = 0; i < rows.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    const double from_n = n[at] - n_mean, from_d = d[at] - d_mean;
    ++at;
    nn += weights[i] * from_n * from_n;
    dd += weights[i] * from_d * from_d;
    nd += weights[i] * from_n * from_d;
  }
  if (!separate_exponents) {
    // One exponent: A N^-alpha and B D^-alpha differ unless D/N is one number.
    if (nn - 2 * nd + dd > kOneRatio * kOneRatio * w_sum) return std::nullopt;
    return Refusal{Code::kCollinear, "D/N is the same in all rows, within rounding: A and B cannot be told apart",
                   "several D for each N"};
  }
  const double correlation = nd / std::sqrt(nn * dd);
  if (correlation > kCollinear) {
    return Refusal{Code::kCollinear,
                   absl::StrCat("ln N and ln D correlate at ", FormatSignificant(correlation, 4),
                                ": the exponents cannot be told apart"),
                   cure("several D for each N")};
  }
  return std::nullopt;
}

Resampling ResampleFits(absl::Span<const KeptRow> rows, const FitRows& fit_rows, const LawFit* full,
                        const LawFitOptions& fit_options, const IsoflopOptions& isoflop_options,
                        const AnalysisOptions& options, const EnvelopeCandidates& envelope,
                        const SeedNoise& noise) {
  Resampling resampling;
  BootstrapSummary& summary = resampling.summary;
  summary.method = options.spec.bootstrap_method;
  summary.draws = options.spec.draws;
  summary.seed = options.spec.bootstrap_seed;
  const ResampleDesign design =
      MakeResampleDesign(rows, fit_rows, summary.method, BootstrapClusters(rows, summary.method),
                         full != nullptr ? &full->law : nullptr, NoiseOrResiduals(noise, full));
  summary.clusters = static_cast<int>(design.clusters.size());
  if (summary.draws <= 0 || rows.empty()) return resampling;
  resampling.fits.resize(static_cast<size_t>(summary.draws));
  if (design.MovesLosses() && full == nullptr) {
    summary.failed = summary.draws;
    return resampling;
  }

  std::mt19937 generator = GeneratorOf(summary.seed, StreamOf(summary.method));
  const RowDraws draws = DrawRows(design, rows.size(), summary.draws, &generator);
  const std::vector<BudgetGroup> groups = GroupByBudget(rows, isoflop_options.budget_tolerance);
  const ComputeModel compute = ComputeModelOf(rows, isoflop_options.flops);
  const int parameters = ParameterCount(fit_options.form);
  const bool separate = HasSeparateExponents(fit_options.form);
  std::vector<Theta> starts;
  if (full != nullptr) {
    starts.push_back(full->theta);
    starts.insert(starts.end(), full->other_basins.begin(), full->other_basins.end());
  }
  ParallelFor(summary.draws, options.threads, [&](int first, int last) {
    DrawnRows drawn;
    for (int draw = first; draw < last; ++draw) {
      ResampledFit& fit = resampling.fits[static_cast<size_t>(draw)];
      RowsOfDraw(design, draws, draw, fit_rows, &drawn);
      if (!envelope.points.empty() && !design.MovesLosses()) fit.envelope = RefitEnvelope(envelope, drawn.weights);
      if (!starts.empty() && !RefuseFit(rows, drawn.weights, parameters, separate)) {
        const Refit refit = RefitLossLaw(drawn.rows, fit_options, starts);
        if (std::isfinite(refit.f)) {
          fit.law = LawOf(fit_rows, refit.theta);
          fit.basin = refit.basin;
        }
      }
      const IsoflopCorrection correction{fit.law ? &*fit.law : nullptr, &compute};
      fit.isoflop = RefitIsoflop(rows, groups, drawn.weights, drawn.losses, isoflop_options, fit.law ? &correction : nullptr);
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
