// The bootstrap of an analysis: approaches 3 and 2 on the same draws of rows.
#ifndef ISOFLOP_ANALYSIS_RESAMPLE_H_
#define ISOFLOP_ANALYSIS_RESAMPLE_H_

#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_options.h"
#include "analysis/analysis_result.h"
#include "analysis/envelope_fit.h"
#include "analysis/isoflop_fit.h"
#include "analysis/law_fit.h"

namespace isoflop {

struct ResampledFit {
  std::optional<LossLaw> law;  // nullopt: the draw's rows do not determine one
  int basin = 0;               // 0: the optimum of all rows; else another won
  std::optional<IsoflopLaws> isoflop;
  std::optional<EnvelopeLaws> envelope;
};

struct Resampling {
  std::vector<ResampledFit> fits;  // by draw number
  BootstrapSummary summary;
};

// Refits `options.spec.draws` draws; approach 3 from the optimum and the other
// basins of `full` (nullptr: approach 2 only). Equal for any number of threads.
Resampling ResampleFits(absl::Span<const KeptRow> rows, const FitRows& fit_rows, const LawFit* full,
                        const LawFitOptions& fit_options, const IsoflopOptions& isoflop_options,
                        const AnalysisOptions& options);

// Why rows with these weights cannot carry the chinchilla form: too few cells
// (N, D), too few distinct N or D, N and D in lockstep. nullopt: they can.
std::optional<Refusal> RefuseFit(absl::Span<const KeptRow> rows, absl::Span<const double> weights);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_RESAMPLE_H_
