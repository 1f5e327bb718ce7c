// The analysis' own fit on a choice of its rows: what hold-out, sensitivity and the
// comparison of conventions do again and again.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_SUBSET_FIT_H_
#define ISOFLOP_ANALYSIS_SUBSET_FIT_H_

#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_options.h"
#include "analysis/analysis_result.h"
#include "analysis/law_fit.h"

namespace isoflop {

// Form, objective and delta that `options` asks for; a form that is no name
// ("auto", not resolved) is chinchilla.
LawFitOptions LawFitOptionsOf(const AnalysisOptions& options);

// Indices 0 .. rows - 1.
std::vector<size_t> AllRows(size_t rows);

// The columns of `subset` (indices of `rows`, not empty), centred on them, with the
// rows' weights.
FitRows FitRowsOfSubset(absl::Span<const KeptRow> rows, absl::Span<const size_t> subset);

// Why `subset` cannot carry the form that `options` asks for; nullopt: it can.
std::optional<Refusal> RefuseSubset(absl::Span<const KeptRow> rows, absl::Span<const size_t> subset,
                                    const LawFitOptions& options);

// L that `law` gives `row`, whose corpus may have few unique tokens.
double PredictedLossOf(const LossLaw& law, const KeptRow& row);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_SUBSET_FIT_H_
