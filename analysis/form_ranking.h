// Which form of the law predicts best: each form fitted to the same training rows
// and scored on the same held-out ones.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_FORM_RANKING_H_
#define ISOFLOP_ANALYSIS_FORM_RANKING_H_

#include "absl/types/span.h"
#include "analysis/analysis_options.h"
#include "analysis/analysis_result.h"

namespace isoflop {

// Expanding windows (holdout.h) for every form; recommended is the simplest within
// one standard error of the best. Nested pairs (tied in chinchilla, chinchilla in
// data_constrained) are tested by 999 residual bootstraps under the smaller form:
// T = (f_0 - f_1)/f_1, p = (1 + #{T* >= T})/(B + 1).
FormRanking RankForms(absl::Span<const KeptRow> rows, const AnalysisOptions& options);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_FORM_RANKING_H_
