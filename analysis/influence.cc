// What one run, size or budget does to the law: it is left out and the rest refitted.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "analysis/bootstrap.h"
#include "analysis/frontier.h"
#include "analysis/interval_methods.h"
#include "analysis/leave_out.h"
#include "analysis/leverage.h"
#include "analysis/prediction.h"
#include "analysis/resample.h"
#include "analysis/row_draws.h"
#include "analysis/statistics.h"
#include "analysis/subset_fit.h"

namespace isoflop {
namespace {

// Row refits that one kind may cost: some tenths of a second.
constexpr double kRowRefits = 300'000;
constexpr size_t kAtLeast = 20;

struct Candidate {
  std::string what;
  std::vector<size_t> rows;
};

// Runs are named by their source ("trial 17", "runs.csv:18"), the others by what
// they are. A size or budget of one run is that run.
std::vector<Candidate> CandidatesOf(const AnalysisResult& result, absl::Span<const double> row_influence) {
  std::vector<Candidate> candidates;
  std::set<std::vector<size_t>> seen;
  for (const LeaveOutKind kind : {LeaveOutKind::kRun, LeaveOutKind::kSize, LeaveOutKind::kBudget}) {
    std::vector<LeaveOutCandidate> of_kind =
        LeaveOutCandidates(result.rows, kind, result.options.spec.budget_tolerance);
    const size_t affordable =
        std::max(kAtLeast, static_cast<size_t>(kRowRefits / static_cast<double>(result.rows.size())));
    if (of_kind.size() > affordable && !row_influence.empty()) {
      const auto moved = [&](const LeaveOutCandidate& candidate) {
        double sum = 0;
        for (const size_t row : candidate.rows) sum += row_influence[row];
        return std::abs(sum);
      };
      std::stable_sort(of_kind.begin(), of_kind.end(), [&](const LeaveOutCandidate& x, const LeaveOutCandidate& y) {
        return moved(x) > moved(y);
      });
      of_kind.resize(affordable);
    }
    for (LeaveOutCandidate& candidate : of_kind) {
      if (candidate.rows.size() == result.rows.size() || !seen.insert(candidate.rows).second) continue;
      const std::string what = kind == LeaveOutKind::kRun ? candidate.name
                                                          : absl::StrCat(ToString(kind), " ", candidate.name);
      candidates.push_back({what, std::move(candidate.rows)});
    }
  }
  return candidates;
}

double StandardErrorOf(std::vector<double> draws) {
  std::erase_if(draws, [](double x) { return !std::isfinite(x); });
  return draws.size() < 20 ? 0 : StandardDeviation(draws);
}

}  // namespace

std::vector<Influence> MeasureInfluence(const AnalysisResult& result, int threads) {
  if (!result.parametric || !HasOptimum(result.parametric->law)) return {};
  const LossLaw& law = result.parametric->law;
  const ComputeModel compute = ComputeModelOf(result);
  const auto ln_params_at_target = [&](const LossLaw& x) {
    return std::log(compute.OptimumAt(x, result.target_flops).params);
  };
  const double ln_params = ln_params_at_target(law);
  std::vector<double> a_draws, ln_params_draws;
  for (const LossLaw& draw : result.bootstrap.laws) {
    if (!HasOptimum(draw)) continue;
    a_draws.push_back(draw.a());
    ln_params_draws.push_back(ln_params_at_target(draw));
  }
  const double a_se = StandardErrorOf(std::move(a_draws)), ln_params_se = StandardErrorOf(std::move(ln_params_draws));

  const FitRows rows = FitRowsOfSubset(result.rows, AllRows(result.rows.size()));
  const LawFitOptions options = LawFitOptionsOf(result.options);
  const std::vector<Theta> starts = {ThetaOf(rows, law)};
  const std::vector<Candidate> candidates = CandidatesOf(result, RowInfluence(result, compute));
  std::vector<std::optional<Influence>> found(candidates.size());
  ParallelFor(static_cast<int>(candidates.size()), threads, [&](int first, int last) {
    for (int i = first; i < last; ++i) {
      const Candidate& candidate = candidates[static_cast<size_t>(i)];
      std::vector<double> weights = rows.weight;
      for (const size_t row : candidate.rows) weights[row] = 0;
      if (RefuseFit(result.rows, weights, ParameterCount(options.form), HasSeparateExponents(options.form))) continue;
      const Refit refit = RefitLossLaw(RowsOfWeight(rows, weights), options, starts);
      if (!std::isfinite(refit.f)) continue;
      const LossLaw without = LawOf(rows, refit.theta);
      if (!HasOptimum(without)) continue;
      Influence influence{.what = candidate.what, .rows = static_cast<int>(candidate.rows.size())};
      influence.delta_a = without.a() - law.a();
      influence.delta_ln_params_at_target = ln_params_at_target(without) - ln_params;
      if (a_se > 0) influence.delta_a_se = influence.delta_a / a_se;
      if (ln_params_se > 0) influence.delta_ln_params_se = influence.delta_ln_params_at_target / ln_params_se;
      found[static_cast<size_t>(i)] = std::move(influence);
    }
  });
  std::vector<Influence> influences;
  for (std::optional<Influence>& influence : found) {
    if (influence) influences.push_back(*std::move(influence));
  }
  std::stable_sort(influences.begin(), influences.end(), [](const Influence& x, const Influence& y) {
    return std::abs(x.delta_ln_params_at_target) > std::abs(y.delta_ln_params_at_target);
  });
  return influences;
}

}  // namespace isoflop
