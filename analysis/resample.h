// The bootstrap of an analysis: the three approaches on the same draws.
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
  // Under pairs and cluster only: wild and parametric draws move final losses, and
  // say nothing of the curves that lead to them.
  std::optional<EnvelopeLaws> envelope;
};

struct Resampling {
  std::vector<ResampledFit> fits;  // by draw number
  BootstrapSummary summary;
};

// Refits `options.spec.draws` draws; approach 3 from the optimum and the other
// basins of `full` (nullptr: approaches 2 and 1 only), approach 1 where `envelope`
// has points. `noise` gives sigma to parametric draws; where it knows none, the
// residuals of `full` do. Wild and parametric draws start from a law: without
// `full` all of them fail. Equal for any number of threads.
Resampling ResampleFits(absl::Span<const KeptRow> rows, const FitRows& fit_rows, const LawFit* full,
                        const LawFitOptions& fit_options, const IsoflopOptions& isoflop_options,
                        const AnalysisOptions& options, const EnvelopeCandidates& envelope = {},
                        const SeedNoise& noise = {});

// Why rows with these weights cannot carry a form of so many `parameters`: too few
// cells (N, D), too few distinct N or D, or, where it has an exponent of N and one
// of D, N and D in lockstep (else: one D/N for all). nullopt: they can. The cure offers `tied` where that
// is determined.
std::optional<Refusal> RefuseFit(absl::Span<const KeptRow> rows, absl::Span<const double> weights, int parameters = 5,
                                 bool separate_exponents = true);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_RESAMPLE_H_
