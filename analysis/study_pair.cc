#include "analysis/study_pair.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "analysis/bootstrap.h"
#include "analysis/resample.h"
#include "analysis/statistics.h"

namespace isoflop {
namespace {

// Streams: seed + offset, one a procedure and study.
constexpr uint64_t kResamplingOffset[] = {0, 101};
constexpr uint64_t kExponentsOffset[] = {201, 202};
constexpr uint64_t kSharedEOffset[] = {301, 302};

using RowPointers = std::array<const FitRows*, kStudies>;
RowPointers PointersTo(const TwoRows& rows) { return {&rows[0], &rows[1]}; }

// The best separate fits from the studies' own optima and from a joint point: never
// above the joint f.
std::array<Refit, kStudies> RefitApart(const TwoRows& rows, const StudyPair& sides, const JointTheta* joint,
                                       const LawFitOptions& options) {
  std::array<Refit, kStudies> fits;
  for (size_t s = 0; s < kStudies; ++s) {
    std::vector<Theta> starts = {sides[s].own.theta};
    starts.insert(starts.end(), sides[s].own.other_basins.begin(), sides[s].own.other_basins.end());
    if (joint != nullptr) starts.push_back(ThetaOf(rows[s], LawOfStudy(rows[s], *joint, static_cast<int>(s))));
    fits[s] = RefitLossLaw(rows[s], options, starts);
  }
  return fits;
}

// Studies drawn from the laws of `null` with residuals of it, each study's own.
// `statistic` gives T of such a pair.
SharingTest ResidualTest(const StudyPair& sides, const JointTheta& null, double f_null, double f_free, int draws,
                         uint64_t seed, const uint64_t* offsets, bool least_squares, int threads,
                         const std::function<double(const TwoRows&)>& statistic) {
  SharingTest test;
  test.draws = draws;
  const size_t rows = sides[0].rows.size() + sides[1].rows.size();
  const double nothing = 1e-14 * static_cast<double>(rows);
  if (f_free <= nothing) {  // no noise to draw from
    test.p = f_null <= nothing ? 1 : 1.0 / (draws + 1);
    test.statistic = f_null <= nothing ? 0 : std::numeric_limits<double>::infinity();
    return test;
  }
  test.statistic = std::max(0.0, (f_null - f_free) / f_free);

  std::array<std::vector<double>, kStudies> fitted, residuals;
  std::array<std::vector<uint32_t>, kStudies> indices;  // draw after draw
  for (size_t s = 0; s < kStudies; ++s) {
    const FitRows& study = sides[s].rows;
    const ChinchillaForm::Vector point = StudyPoint(null, static_cast<int>(s));
    for (size_t i = 0; i < study.size(); ++i) {
      double p[ChinchillaForm::kTerms];
      fitted[s].push_back(HuberObjective<ChinchillaForm>::LnLoss(point, study.n[i], study.d[i], p));
      residuals[s].push_back(study.ln_loss[i] - fitted[s].back());
    }
    const double middle = least_squares ? Mean(residuals[s]) : Median(residuals[s]);
    for (double& r : residuals[s]) r -= middle;
    std::mt19937 generator(static_cast<uint32_t>(seed + offsets[s]));
    const uint32_t m = static_cast<uint32_t>(study.size());
    for (size_t i = 0; i < m * static_cast<size_t>(draws); ++i) indices[s].push_back(DrawIndex(&generator, m));
  }
  std::vector<double> drawn(static_cast<size_t>(draws));
  ParallelFor(draws, threads, [&](int first, int last) {
    TwoRows pair = {sides[0].rows, sides[1].rows};
    for (int draw = first; draw < last; ++draw) {
      for (size_t s = 0; s < kStudies; ++s) {
        const size_t m = pair[s].size();
        for (size_t i = 0; i < m; ++i) {
          pair[s].ln_loss[i] = fitted[s][i] + residuals[s][indices[s][static_cast<size_t>(draw) * m + i]];
          pair[s].loss[i] = std::exp(pair[s].ln_loss[i]);
        }
      }
      drawn[static_cast<size_t>(draw)] = statistic(pair);
    }
  });
  int beyond = 0;
  for (const double t : drawn) beyond += !(t < test.statistic);
  test.p = (1.0 + beyond) / (draws + 1);
  return test;
}

std::vector<JointTheta> StartsOf(const JointFit& fit) {
  std::vector<JointTheta> starts = {fit.theta};
  starts.insert(starts.end(), fit.other_basins.begin(), fit.other_basins.end());
  return starts;
}

double RelativeGain(double f_null, double f_free) { return f_free > 0 ? std::max(0.0, (f_null - f_free) / f_free) : 0; }

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

SharingTest TestSharedExponents(const StudyPair& sides, const JointFit& joint, const ComparisonOptions& options,
                                const LawFitOptions& fit_options) {
  const TwoRows rows = {sides[0].rows, sides[1].rows};
  const std::array<Refit, kStudies> apart = RefitApart(rows, sides, &joint.theta, fit_options);
  const std::vector<JointTheta> starts = StartsOf(joint);
  return ResidualTest(sides, joint.theta, joint.certificate.f, apart[0].f + apart[1].f, options.test_draws,
                      options.seed, kExponentsOffset, fit_options.objective == FitObjective::kMse, options.threads,
                      [&](const TwoRows& drawn) {
                        const JointRefit null = RefitJointly(PointersTo(drawn), false, fit_options, starts);
                        const std::array<Refit, kStudies> free = RefitApart(drawn, sides, &null.theta, fit_options);
                        return RelativeGain(null.f, free[0].f + free[1].f);
                      });
}

SharingTest TestSharedE(const StudyPair& sides, const JointFit& one, const JointFit& two,
                        const ComparisonOptions& options, const LawFitOptions& fit_options) {
  const std::vector<JointTheta> starts = StartsOf(one);
  const double f_two = std::min(two.certificate.f, one.certificate.f);
  return ResidualTest(sides, one.theta, one.certificate.f, f_two, options.test_draws, options.seed, kSharedEOffset,
                      fit_options.objective == FitObjective::kMse, options.threads, [&](const TwoRows& drawn) {
                        const JointRefit null = RefitJointly(PointersTo(drawn), true, fit_options, starts);
                        const std::array<JointTheta, 2> free_starts = {two.theta, null.theta};
                        const JointRefit free = RefitJointly(PointersTo(drawn), false, fit_options, free_starts);
                        return RelativeGain(null.f, free.f);
                      });
}

std::vector<std::optional<TwoLaws>> ResampleBoth(const StudyPair& sides, const JointFit* joint, bool shared_E,
                                                 const ComparisonOptions& options, const LawFitOptions& fit_options) {
  std::array<std::vector<uint16_t>, kStudies> counts;
  for (size_t s = 0; s < kStudies; ++s) {
    const std::vector<KeptRow>& rows = sides[s].result->rows;
    counts[s] = DrawCounts(BootstrapClusters(rows, sides[s].method), rows.size(), options.draws,
                           options.seed + kResamplingOffset[s]);
  }
  std::vector<std::optional<TwoLaws>> laws(static_cast<size_t>(std::max(options.draws, 0)));
  const std::vector<JointTheta> starts = joint == nullptr ? std::vector<JointTheta>() : StartsOf(*joint);
  ParallelFor(options.draws, options.threads, [&](int first, int last) {
    for (int draw = first; draw < last; ++draw) {
      TwoRows rows;
      bool refused = false;
      for (size_t s = 0; s < kStudies; ++s) {
        const std::vector<KeptRow>& kept = sides[s].result->rows;
        std::vector<double> weights(kept.size());
        for (size_t i = 0; i < kept.size(); ++i) {
          weights[i] = counts[s][static_cast<size_t>(draw) * kept.size() + i] * kept[i].weight;
        }
        refused = refused || RefuseFit(kept, weights);
        if (!refused) rows[s] = RowsInDraw(sides[s].rows, weights);
      }
      if (refused) continue;
      TwoLaws pair;
      double f = 0;
      if (joint != nullptr) {
        const JointRefit refit = RefitJointly(PointersTo(rows), shared_E, fit_options, starts);
        f = refit.f;
        for (size_t s = 0; s < kStudies; ++s) pair[s] = LawOfStudy(rows[s], refit.theta, static_cast<int>(s));
      } else {
        const std::array<Refit, kStudies> refits = RefitApart(rows, sides, nullptr, fit_options);
        for (size_t s = 0; s < kStudies; ++s) {
          f += refits[s].f;
          pair[s] = LawOf(rows[s], refits[s].theta);
        }
      }
      if (std::isfinite(f)) laws[static_cast<size_t>(draw)] = pair;
    }
  });
  return laws;
}

}  // namespace isoflop
