// What each approach says of N*(C): its exponent, and N* at the target; of all
// rows and of each draw. The differences between approaches, with Holm's intervals.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_APPROACH_NUMBERS_H_
#define ISOFLOP_ANALYSIS_APPROACH_NUMBERS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"
#include "analysis/frontier.h"
#include "analysis/resample.h"

namespace isoflop {

struct ApproachNumbers {
  double exponent = 0;   // of N*(C)
  double ln_params = 0;  // ln N*(C_T)
};

// Numbers that only the convention of C and the target tell.
class ApproachReader {
 public:
  // `result` must outlive it.
  ApproachReader(const AnalysisResult& result, double target_flops);

  // Of all rows; nullopt with the reason in `*why` when the approach could not be
  // fitted.
  std::optional<ApproachNumbers> Full(Approach approach, std::string* why) const;
  // Of a draw; nullopt: it found no optimum.
  std::optional<ApproachNumbers> OfDraw(Approach approach, const ResampledFit& draw) const;
  // L at (N, D) with C(N, D) = C_T, and 1 - C_eq/C_T, on the surface of approach 3.
  // Precondition of both: Full(kParametric).
  double LossOf(double ln_params) const;
  double WastedFractionOf(double ln_params) const;

  double target_flops() const { return target_flops_; }

 private:
  std::optional<ApproachNumbers> OfLaw(const LossLaw& law) const;

  const AnalysisResult& result_;
  const double target_flops_;
  const ComputeModel compute_;
  double min_flops_ = 0, max_flops_ = 0;  // of the rows
};

// The pairs of `approaches`, in their order, over `draws`. Every approach must have
// full numbers.
std::vector<ApproachDifference> CompareApproaches(const ApproachReader& reader, absl::Span<const Approach> approaches,
                                                  absl::Span<const ResampledFit> draws, const std::string& method);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_APPROACH_NUMBERS_H_
