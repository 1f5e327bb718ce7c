// Do the three approaches say the same? One verdict, over the same draws of the
// bootstrap.
//
//   cannot tell         tested first: the 95 % interval of approach 3's N*(C_T) is a
//                       factor 4 or wider, or fewer than two approaches could be
//                       fitted
//   agree               every interval of a difference holds 0
//   agree in practice   a difference is real, but the N*(C_T) of any approach costs
//                       < 2 % deadweight on the surface of approach 3
//   disagree            else, with the first cause whose removal mends it
//
// Compared are the exponent of N*(C), ln N*(C_T), and the loss that the
// allocation reaches at C_T on the surface of approach 3: approaches 1 and 2 have
// no loss of their own. That loss follows from N* alone and is least at approach
// 3's, so whatever is noisier lies above it; it is told, and only the other two
// make a difference real. Approach 2 is compared with its bias taken off, draw by
// draw. Under exact FLOPs approach 3's exponent is the slope of its frontier over
// the C of the rows.
//
// Intervals at 95 % over the draws with Holm's correction (Holm 1979) over the
// pairs: pairs by rising p, the k-th of m at 1 - 0.05/(m - k + 1), until the first
// that holds 0; the rest at that level. A draw in which one of the two finds no
// optimum is left out of the pair; more than 5 % of such draws refuse it.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_AGREEMENT_H_
#define ISOFLOP_ANALYSIS_AGREEMENT_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"
#include "analysis/resample.h"

namespace isoflop {

// A part of a study.
struct StudyPart {
  std::vector<size_t> rows;              // into AnalysisResult::rows, rising
  bool finished_schedules_only = false;  // of approach 1: EnvelopeOptions has the same
};

// What the approaches make of it.
struct PartFits {
  AnalysisResult result;            // rows, fits, max_flops; no sections
  std::vector<ResampledFit> draws;  // by draw number
};

// `result` with its rows, fits and target_flops; `draws` by draw number.
// `reanalyze` fits a part again under the same options, to try a cause; it must be
// pure, and is called only for a disagreement.
Agreement JudgeAgreement(const AnalysisResult& result, absl::Span<const ResampledFit> draws,
                         const std::function<PartFits(const StudyPart&)>& reanalyze);

// The found cause and what its removal did; its name alone where nothing was
// tried; empty where no cause was found.
std::string CauseText(const Agreement& agreement);

// "; nearest comes gaps in N (a factor 1.4 is left of 2.1)", or empty.
std::string NarrowsMost(const Agreement& agreement);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_AGREEMENT_H_
