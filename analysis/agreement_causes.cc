#include "analysis/agreement_causes.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "analysis/approach_numbers.h"
#include "analysis/bootstrap.h"
#include "analysis/statistics.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr double kNearMinimum = 4;   // factor in N
constexpr double kGap = 2.5;         // of the median step in ln N
constexpr size_t kInfluentialRows = 5;
constexpr double kRunStart = 0.2;    // share of a run's tokens

std::string Rows(size_t count) { return Plural(static_cast<int64_t>(count), "row"); }

// The rows of `result` but those in `left_out`.
StudyPart Without(const AnalysisResult& result, const std::set<size_t>& left_out) {
  StudyPart part;
  for (size_t row = 0; row < result.rows.size(); ++row) {
    if (!left_out.contains(row)) part.rows.push_back(row);
  }
  return part;
}

// ln N of each row of the budget minus that of its minimum.
std::vector<double> Offsets(const AnalysisResult& result, const IsoflopBudget& budget) {
  std::vector<double> offsets;
  for (const size_t row : budget.rows) {
    offsets.push_back(std::log(result.rows[row].params / budget.params_optimal->value));
  }
  return offsets;
}

Cause Bias(const AnalysisResult& result) {
  Cause cause{.name = "approach-2 bias"};
  std::set<size_t> far;
  for (const IsoflopBudget& budget : result.isoflop->budgets) {
    if (!budget.params_optimal) continue;
    const std::vector<double> offsets = Offsets(result, budget);
    for (size_t k = 0; k < offsets.size(); ++k) {
      if (std::abs(offsets[k]) > std::log(kNearMinimum) + 1e-9) far.insert(budget.rows[k]);
    }
  }
  if (far.empty()) {
    cause.removal = "it is taken off already, and no size lies beyond 4x of its budget's minimum";
    return cause;
  }
  cause.removal = absl::StrCat("it is taken off already; without the ", Rows(far.size()),
                               " beyond 4x of their budget's minimum");
  cause.part = Without(result, far);
  return cause;
}

Cause DriftingCenter(const AnalysisResult& result) {
  Cause cause{.name = "drifting centre"};
  std::set<size_t> outside;
  for (const IsoflopBudget& budget : result.isoflop->budgets) {
    if (budget.rejection || !budget.params_optimal) continue;
    const std::vector<double> offsets = Offsets(result, budget);
    const double width = std::min(std::abs(offsets.front()), std::abs(offsets.back()));  // N rises
    // A cell's share of a grid step more, so that a centred grid keeps its ends.
    const double step = (offsets.back() - offsets.front()) / std::max(1, budget.sizes - 1);
    for (size_t k = 0; k < offsets.size(); ++k) {
      if (std::abs(offsets[k]) > width + 0.75 * step) outside.insert(budget.rows[k]);
    }
  }
  if (outside.empty()) {
    cause.removal = "the sizes of each budget lie symmetrically around its minimum";
    return cause;
  }
  cause.removal = absl::StrCat("without the ", Rows(outside.size()), " that have no counterpart on the other side of their "
                               "budget's minimum");
  cause.part = Without(result, outside);
  return cause;
}

// The budgets that `condemned` is true of go with all their rows. `what` each has, as
// "a gap".
template <class Condemned>
Cause WithoutBudgets(const AnalysisResult& result, std::string name, const std::string& what, Condemned condemned) {
  Cause cause{.name = std::move(name)};
  std::set<size_t> rows;
  int budgets = 0;
  for (const IsoflopBudget& budget : result.isoflop->budgets) {
    if (!condemned(budget)) continue;
    ++budgets;
    rows.insert(budget.rows.begin(), budget.rows.end());
  }
  if (budgets == 0) {
    cause.removal = absl::StrCat("no budget has ", what);
    return cause;
  }
  cause.removal = absl::StrCat("without the ", Plural(budgets, "budget"), " with ", what);
  cause.part = Without(result, rows);
  return cause;
}

Cause EdgeMinima(const AnalysisResult& result) {
  return WithoutBudgets(result, "edge minima", "a minimum within one size of an edge",
                        [&](const IsoflopBudget& budget) {
    if (budget.rejection) return budget.rejection->code == Code::kMinimumAtEdge;
    std::set<double> below, above;
    for (const double offset : Offsets(result, budget)) (offset < 0 ? below : above).insert(offset);
    return below.size() < 2 || above.size() < 2;
  });
}

Cause Gaps(const AnalysisResult& result) {
  return WithoutBudgets(result, "gaps in N", "a gap between neighbouring sizes", [&](const IsoflopBudget& budget) {
    std::set<double> sizes;
    for (const size_t row : budget.rows) sizes.insert(std::log(result.rows[row].params));
    std::vector<double> steps;
    for (auto size = sizes.begin(); size != sizes.end() && std::next(size) != sizes.end(); ++size) {
      steps.push_back(*std::next(size) - *size);
    }
    return steps.size() >= 3 && *std::max_element(steps.begin(), steps.end()) > kGap * Median(steps);
  });
}

Cause Schedules(const AnalysisResult& result) {
  Cause cause{.name = "schedules"};
  std::set<size_t> open;
  for (size_t row = 0; row < result.rows.size(); ++row) {
    if (result.rows[row].observation.schedule_ended != true) open.insert(row);
  }
  const int open_vertices = result.envelope ? result.envelope->open_vertices : 0;
  if (open.empty() && open_vertices == 0) {
    cause.removal = "every schedule had ended where a loss was taken";
    return cause;
  }
  if (open.size() == result.rows.size()) {
    cause.removal = "not known for any row, so it cannot be tried";
    return cause;
  }
  std::string what;
  if (!open.empty()) absl::StrAppend(&what, "without the ", Rows(open.size()), " whose schedule is not known to have ended");
  if (open_vertices > 0) {
    absl::StrAppend(&what, what.empty() ? "" : ", and ", "with the envelope through ends of schedules only (it stood on ",
                    open_vertices, " points before one)");
  }
  cause.removal = std::move(what);
  cause.part = Without(result, open);
  cause.part->finished_schedules_only = true;
  return cause;
}

// A run is told by its trial: of a CSV of points along curves.
Cause RunStarts(const AnalysisResult& result) {
  Cause cause{.name = "starts of runs"};
  std::map<std::string, double> longest;
  for (const KeptRow& row : result.rows) {
    double& tokens = longest[row.observation.trial_id];
    tokens = std::max(tokens, row.tokens);
  }
  std::set<size_t> early;
  for (size_t row = 0; row < result.rows.size(); ++row) {
    const std::string& trial = result.rows[row].observation.trial_id;
    if (!trial.empty() && result.rows[row].tokens < kRunStart * longest[trial]) early.insert(row);
  }
  if (early.empty()) {
    cause.removal = "no row lies in the first fifth of a run";
    return cause;
  }
  cause.removal = absl::StrCat("without the ", Rows(early.size()), " in the first fifth of their run");
  cause.part = Without(result, early);
  return cause;
}

FitRows FitRowsOf(const std::vector<KeptRow>& kept) {
  std::vector<double> params, tokens, loss;
  for (const KeptRow& row : kept) {
    params.push_back(row.params);
    tokens.push_back(row.tokens);
    loss.push_back(row.loss);
  }
  FitRows rows = MakeFitRows(params, tokens, loss);
  for (size_t i = 0; i < kept.size(); ++i) rows.weight[i] = kept[i].weight;
  return rows;
}

// ln N*(C_T) of `first` minus `second` without each row, by row; nullopt where one
// has no optimum then.
std::vector<std::optional<double>> LeaveOneOut(const AnalysisResult& result, Approach first, Approach second) {
  const ApproachReader reader(result, result.target_flops);
  const AnalysisSpec& spec = result.options.spec;
  const FitRows rows = FitRowsOf(result.rows);
  const Theta theta = ThetaOf(rows, result.parametric->law);
  const IsoflopOptions isoflop{spec.budget_tolerance, result.options.flops, result.noise.sigma * Mean(rows.loss),
                               ParseMinimumMethod(spec.isoflop_minimum).value_or(MinimumMethod::kQuadratic)};
  const std::vector<BudgetGroup> groups = GroupByBudget(result.rows, isoflop.budget_tolerance);
  const bool with_envelope = first == Approach::kEnvelope || second == Approach::kEnvelope;
  const EnvelopeCandidates curves = with_envelope ? EnvelopePoints(result.rows) : EnvelopeCandidates();
  const ComputeModel compute = ComputeModelOf(result.rows, result.options.flops);
  std::vector<std::optional<double>> left_out(result.rows.size());
  ParallelFor(static_cast<int>(left_out.size()), 0, [&](int from, int to) {
    for (int row = from; row < to; ++row) {
      FitRows sample = rows;
      sample.weight[static_cast<size_t>(row)] = 0;
      ResampledFit fit;
      const Refit refit = RefitLossLaw(sample, {spec.objective, spec.delta}, {theta});
      if (!std::isfinite(refit.f)) continue;
      fit.law = LawOf(sample, refit.theta);
      const IsoflopCorrection correction{&*fit.law, &compute};
      fit.isoflop = RefitIsoflop(result.rows, groups, sample.weight, sample.loss, isoflop, &correction);
      if (with_envelope) fit.envelope = RefitEnvelope(curves, sample.weight);
      const std::optional<ApproachNumbers> x = reader.OfDraw(first, fit), y = reader.OfDraw(second, fit);
      if (x && y) left_out[static_cast<size_t>(row)] = x->ln_params - y->ln_params;
    }
  });
  return left_out;
}

}  // namespace

std::vector<Cause> CausesOfRows(const AnalysisResult& result) {
  std::vector<Cause> causes;
  if (result.isoflop) {
    for (Cause (*cause)(const AnalysisResult&) : {Bias, DriftingCenter, EdgeMinima, Gaps}) {
      causes.push_back(cause(result));
    }
  }
  causes.push_back(Schedules(result));
  causes.push_back(RunStarts(result));
  return causes;
}

Cause InfluentialRows(const AnalysisResult& result, Approach first, Approach second) {
  Cause cause{.name = "the five most influential rows"};
  if (result.rows.size() <= kInfluentialRows) {
    cause.removal = "there are no more than five";
    return cause;
  }
  const ApproachReader reader(result, result.target_flops);
  std::string why;
  const std::optional<ApproachNumbers> x = reader.Full(first, &why), y = reader.Full(second, &why);
  if (!x || !y) {
    cause.removal = why;
    return cause;
  }
  const double difference = x->ln_params - y->ln_params;
  const std::vector<std::optional<double>> left_out = LeaveOneOut(result, first, second);
  std::vector<std::pair<double, size_t>> moved;  // falling; equal ones by row
  for (size_t row = 0; row < left_out.size(); ++row) {
    if (left_out[row]) moved.emplace_back(-std::abs(*left_out[row] - difference), row);
  }
  std::sort(moved.begin(), moved.end());
  moved.resize(std::min(moved.size(), kInfluentialRows));
  std::set<size_t> rows;
  std::string names;
  for (const auto& [influence, row] : moved) {
    rows.insert(row);
    absl::StrAppend(&names, names.empty() ? "" : ", ", result.rows[row].observation.source);
  }
  cause.removal = absl::StrCat("without ", names);
  cause.part = Without(result, rows);
  return cause;
}

}  // namespace isoflop
