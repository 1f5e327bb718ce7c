#include "analysis/subset_fit.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "analysis/leverage.h"
#include "analysis/resample.h"

namespace isoflop {

LawFitOptions LawFitOptionsOf(const AnalysisOptions& options) {
  return {options.spec.objective, options.spec.delta, ParseLawForm(options.spec.form).value_or(LawForm::kChinchilla)};
}

std::vector<size_t> AllRows(size_t rows) {
  std::vector<size_t> all(rows);
  for (size_t i = 0; i < rows; ++i) all[i] = i;
  return all;
}

FitRows FitRowsOfSubset(absl::Span<const KeptRow> rows, absl::Span<const size_t> subset) {
  std::vector<double> params, tokens, loss;
  for (const size_t row : subset) {
    params.push_back(rows[row].params);
    tokens.push_back(rows[row].tokens);
    loss.push_back(rows[row].loss);
  }
  FitRows columns = MakeFitRows(params, tokens, loss);
  for (size_t i = 0; i < subset.size(); ++i) columns.weight[i] = rows[subset[i]].weight;
  const bool known = std::any_of(subset.begin(), subset.end(),
                                 [&](size_t row) { return rows[row].observation.unique_tokens.has_value(); });
  for (size_t i = 0; known && i < subset.size(); ++i) {
    const std::optional<double>& unique = rows[subset[i]].observation.unique_tokens;
    columns.ln_unique.push_back(unique ? std::log(*unique) : std::numeric_limits<double>::infinity());
  }
  return columns;
}

std::optional<Refusal> RefuseSubset(absl::Span<const KeptRow> rows, absl::Span<const size_t> subset,
                                    const LawFitOptions& options) {
  if (subset.empty()) return Refusal{Code::kUnderdetermined, "no row is left to fit", "more rows"};
  std::vector<double> weights(rows.size(), 0);
  for (const size_t row : subset) weights[row] = rows[row].weight;
  return RefuseFit(rows, weights, ParameterCount(options.form), HasSeparateExponents(options.form));
}

double PredictedLossOf(const LossLaw& law, const KeptRow& row) {
  const std::optional<double>& unique = row.observation.unique_tokens;
  return unique && *unique > 0 ? law.LossAt(row.params, row.tokens, *unique) : law.LossAt(row.params, row.tokens);
}

}  // namespace isoflop
