#include "analysis/conventions.h"

#include <optional>
#include <utility>

#include "analysis/bootstrap.h"
#include "analysis/envelope_fit.h"
#include "analysis/isoflop_fit.h"
#include "analysis/selection.h"
#include "analysis/statistics.h"
#include "analysis/subset_fit.h"

namespace isoflop {
namespace {

Quantity ExponentOf(const std::optional<PowerLaw>& law, const std::optional<Refusal>& refusal) {
  if (law) return law->exponent;
  return refusal.value_or(Refusal{Code::kTooFewPoints, "not computed", "more budgets"});
}

ConventionRow ChosenRow(const AnalysisResult& base) {
  const Refusal none{Code::kUnderdetermined, "no law was fitted", "isoflop fit"};
  ConventionRow row{.count = base.options.count, .flops = base.options.flops, .chosen = true};
  if (base.parametric) {
    row.a_parametric = base.parametric->a;
  } else {
    row.a_parametric = base.parametric_refusal.value_or(none);
  }
  row.a_isoflop = base.isoflop ? ExponentOf(base.isoflop->params_law, base.isoflop->refusal)
                               : Quantity(Refusal{Code::kTooFewPoints, "no rows to group by budget", "more rows"});
  row.a_envelope = base.envelope ? ExponentOf(base.envelope->params_law, base.envelope->refusal)
                                 : Quantity(Refusal{Code::kTooFewPoints, "no loss curves", "curves of several sizes"});
  return row;
}

ConventionRow RefittedRow(const std::vector<KeptRow>& rows, const AnalysisOptions& options,
                          const AnalysisResult& base) {
  ConventionRow row{.count = options.count, .flops = options.flops};
  const LawFitOptions fit_options = LawFitOptionsOf(options);
  const std::vector<size_t> all = AllRows(rows.size());
  const FitRows columns = FitRowsOfSubset(rows, all);
  if (std::optional<Refusal> refusal = RefuseSubset(rows, all, fit_options)) {
    row.a_parametric = *std::move(refusal);
  } else {
    row.a_parametric = Estimate{.value = FitLossLaw(columns, fit_options).law.a()};
  }
  IsoflopOptions isoflop_options;
  isoflop_options.budget_tolerance = options.spec.budget_tolerance;
  isoflop_options.flops = options.flops;
  isoflop_options.seed_sigma = base.noise.sigma * Mean(columns.loss);
  isoflop_options.minimum = ParseMinimumMethod(options.spec.isoflop_minimum).value_or(MinimumMethod::kQuadratic);
  const IsoflopFit isoflop = FitIsoflop(rows, isoflop_options);
  // Without draws the delta method's standard error stands beside it.
  row.a_isoflop = ExponentOf(isoflop.params_law, isoflop.refusal);
  if (base.envelope) {
    const EnvelopeFit envelope = FitEnvelope(EnvelopePoints(rows, {}));
    row.a_envelope = ExponentOf(envelope.params_law, envelope.refusal);
  } else {
    row.a_envelope = Refusal{Code::kTooFewPoints, "no loss curves", "curves of several sizes"};
  }
  return row;
}

}  // namespace

std::vector<ConventionRow> CompareConventions(absl::Span<const Observation> observations,
                                              const AnalysisResult& base, int threads) {
  std::vector<AnalysisOptions> others;
  for (const CountConvention count :
       {CountConvention::kNonEmbeddingPlusHead, CountConvention::kNonEmbedding, CountConvention::kTotal}) {
    for (const FlopsConvention flops : {FlopsConvention::k6nd, FlopsConvention::kExact}) {
      if (count == base.options.count && flops == base.options.flops) continue;
      if (!base.count_known && count != base.options.count) continue;
      others.push_back(base.options);
      others.back().count = count;
      others.back().flops = flops;
    }
  }
  std::vector<std::optional<ConventionRow>> refitted(others.size());
  ParallelFor(static_cast<int>(others.size()), threads, [&](int first, int last) {
    for (size_t i = static_cast<size_t>(first); i < static_cast<size_t>(last); ++i) {
      Selection selection = SelectRows(observations, others[i]);
      if (selection.rows.empty() || selection.refusal) continue;
      for (KeptRow& row : selection.rows) row.observation.budget_flops.reset();
      refitted[i] = RefittedRow(selection.rows, others[i], base);
    }
  });
  std::vector<ConventionRow> table = {ChosenRow(base)};
  for (std::optional<ConventionRow>& row : refitted) {
    if (row) table.push_back(*std::move(row));
  }
  return table;
}

}  // namespace isoflop
