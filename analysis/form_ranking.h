// Which form of the law predicts best: each form fitted to the same training rows
// and scored on the same held-out ones.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_FORM_RANKING_H_
#define ISOFLOP_ANALYSIS_FORM_RANKING_H_

#include "absl/types/span.h"
#include "analysis/analysis_options.h"
#include "analysis/analysis_result.h"
#include "analysis/holdout.h"

namespace isoflop {

// Expanding windows (holdout.h) for every form; recommended is the simplest within
// one standard error of the best. Nested pairs (tied in chinchilla, chinchilla in
// data_constrained) are tested by 999 residual bootstraps under the smaller form:
// T = (f_0 - f_1)/f_1, p = (1 + #{T* >= T})/(B + 1).
//
// The objective is the analysis' own, but for gadre, which was published with least
// squares on the loss. data_constrained is ranked where a row saw tokens twice.
FormRanking RankForms(absl::Span<const KeptRow> rows, const AnalysisOptions& options);

// The same on given splits. Those whose training rows do not carry every form that the
// whole table carries are left out, for all forms alike. The error's SE has each held
// row as a cluster, since several windows predict it. Equal for any number of
// options.threads.
FormRanking RankFormsOn(absl::Span<const KeptRow> rows, const AnalysisOptions& options,
                        absl::Span<const HoldoutSplit> splits);

// Why `subset` cannot carry `form`: no more cells (N, D) than parameters, fewer than
// three N or D, or exponents of N and D that cannot be told apart (tied, gadre: can).
std::optional<Refusal> RefuseForm(absl::Span<const KeptRow> rows, absl::Span<const size_t> subset, LawForm form);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_FORM_RANKING_H_
