#include "analysis/coverage.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "analysis/bootstrap.h"
#include "analysis/frontier.h"
#include "analysis/law_fit.h"
#include "analysis/leverage.h"
#include "analysis/normal.h"
#include "analysis/prediction.h"
#include "analysis/resample.h"
#include "analysis/row_draws.h"
#include "analysis/statistics.h"
#include "analysis/subset_fit.h"

namespace isoflop {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kLevel = 95;

constexpr int kNumbers = 6;
constexpr const char* kNames[kNumbers] = {"a", "E", "alpha", "beta", "ln N*(C_T)", "L*(C_T)"};
using Numbers = std::array<double, kNumbers>;

Numbers NumbersOf(const LossLaw& law, const ComputeModel& compute, double target_flops) {
  Numbers numbers = {law.a(), law.E, law.alpha, law.beta, kNan, kNan};
  if (!HasOptimum(law)) return numbers;
  const OptimalPoint point = compute.OptimumAt(law, target_flops);
  numbers[4] = std::log(point.params);
  numbers[5] = point.loss;
  return numbers;
}

constexpr Numbers kNone = {kNan, kNan, kNan, kNan, kNan, kNan};

// What all studies share.
struct World {
  absl::Span<const KeptRow> rows;
  FitRows fit_rows;
  LawFitOptions fit_options;
  SeedNoise noise;
  std::string method;
  std::vector<std::vector<size_t>> runs, clusters;
  std::vector<double> ln_loss, sigma;  // of the law, one a row
  std::vector<Theta> starts;           // the law and the other basins
  ComputeModel compute;
  double target_flops = 0;
};

struct Study {
  Numbers fitted = kNone;
  std::vector<Numbers> draws;
};

Study Simulate(const World& world, int draw_count, std::mt19937 generator) {
  Study study;
  FitRows rows = world.fit_rows;
  for (const std::vector<size_t>& run : world.runs) {
    const double z = DrawNormal(&generator);
    for (const size_t row : run) {
      rows.ln_loss[row] = world.ln_loss[row] + world.sigma[row] * z;
      rows.loss[row] = std::exp(rows.ln_loss[row]);
    }
  }
  const Refit fit = RefitLossLaw(rows, world.fit_options, world.starts);
  if (!std::isfinite(fit.f)) return study;
  const LossLaw law = LawOf(rows, fit.theta);
  study.fitted = NumbersOf(law, world.compute, world.target_flops);

  const ResampleDesign design =
      MakeResampleDesign(world.rows, rows, world.method, world.clusters, &law, world.noise);
  const RowDraws draws = DrawRows(design, rows.size(), draw_count, &generator);
  std::vector<Theta> starts = world.starts;
  starts.front() = fit.theta;
  DrawnRows drawn;
  for (int draw = 0; draw < draw_count; ++draw) {
    study.draws.push_back(kNone);
    RowsOfDraw(design, draws, draw, rows, &drawn);
    if (RefuseFit(world.rows, drawn.weights, ParameterCount(world.fit_options.form),
                  HasSeparateExponents(world.fit_options.form))) {
      continue;
    }
    const Refit refit = RefitLossLaw(drawn.rows, world.fit_options, starts);
    if (std::isfinite(refit.f)) {
      study.draws.back() = NumbersOf(LawOf(rows, refit.theta), world.compute, world.target_flops);
    }
  }
  return study;
}

// The quantiles of `draws` at the ends of the level; NaN with fewer than 20.
std::pair<double, double> EndsOf(std::vector<double> draws) {
  std::erase_if(draws, [](double x) { return std::isnan(x); });
  if (draws.size() < 20) return {kNan, kNan};
  std::sort(draws.begin(), draws.end());
  constexpr double kTail = 0.5 * (1 - kLevel / 100);
  return {SortedQuantile(draws, kTail), SortedQuantile(draws, 1 - kTail)};
}

bool IsConstant(const std::vector<Study>& studies, size_t number) {
  return std::all_of(studies.begin(), studies.end(), [&](const Study& study) {
    return study.fitted[number] == studies.front().fitted[number];
  });
}

double CoveredPercent(const std::vector<Study>& studies, size_t number, double truth, bool nested) {
  std::pair<double, double> pooled = {0, 0};
  if (!nested) {
    std::vector<double> differences;
    for (const Study& study : studies) {
      for (const Numbers& draw : study.draws) differences.push_back(draw[number] - study.fitted[number]);
    }
    pooled = EndsOf(std::move(differences));
  }
  int covered = 0;
  for (const Study& study : studies) {
    double lo = study.fitted[number] + pooled.first, hi = study.fitted[number] + pooled.second;
    if (nested) {
      std::vector<double> draws;
      for (const Numbers& draw : study.draws) draws.push_back(draw[number]);
      std::tie(lo, hi) = EndsOf(std::move(draws));
    }
    covered += lo <= truth && truth <= hi;
  }
  return 100.0 * covered / static_cast<double>(studies.size());
}

}  // namespace

std::optional<Coverage> SimulateCoverage(const AnalysisResult& result, const CoverageOptions& options) {
  if (!result.parametric || result.bootstrap.method.empty() || options.studies < 1) return std::nullopt;
  const LossLaw& law = result.parametric->law;
  if (!(result.noise.sigma > 0) || !HasOptimum(law)) return std::nullopt;
  World world{.rows = result.rows, .fit_rows = FitRowsOfSubset(result.rows, AllRows(result.rows.size()))};
  world.fit_options = LawFitOptionsOf(result.options);
  world.noise = result.noise;
  world.method = result.bootstrap.method;
  world.runs = BootstrapClusters(result.rows, "parametric");
  world.clusters = BootstrapClusters(result.rows, world.method);
  for (const KeptRow& row : result.rows) {
    const double loss = PredictedLossOf(law, row);
    world.ln_loss.push_back(std::log(loss));
    world.sigma.push_back(result.noise.SigmaAt(loss));
  }
  world.starts = {ThetaOf(world.fit_rows, law)};
  const LawFit full = FitLossLaw(world.fit_rows, world.fit_options);
  world.starts.insert(world.starts.end(), full.other_basins.begin(), full.other_basins.end());
  world.compute = ComputeModelOf(result);
  world.target_flops = result.target_flops;

  // A generator of its own for each study: any thread can simulate any of them.
  std::vector<Study> studies(static_cast<size_t>(options.studies));
  ParallelFor(options.studies, options.threads, [&](int first, int last) {
    for (int i = first; i < last; ++i) {
      studies[static_cast<size_t>(i)] = Simulate(world, options.nested ? options.draws : 1,
                                                 GeneratorOf(options.seed + static_cast<uint64_t>(i), Stream::kCoverage));
    }
  });

  Coverage coverage{.method = options.nested ? "nested" : "fast", .studies = options.studies};
  const Numbers truth = NumbersOf(law, world.compute, world.target_flops);
  for (size_t number = 0; number < kNumbers; ++number) {
    if (IsConstant(studies, number)) continue;
    coverage.rows.push_back({kNames[number], kLevel, CoveredPercent(studies, number, truth[number], options.nested)});
  }
  return coverage;
}

}  // namespace isoflop
