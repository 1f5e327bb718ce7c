// The trials that a design may choose from. Internal to experiment_design.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_DESIGN_CANDIDATES_H_
#define ISOFLOP_ANALYSIS_DESIGN_CANDIDATES_H_

#include <string>
#include <vector>

#include "analysis/analysis_result.h"
#include "analysis/experiment_design.h"

namespace isoflop {

struct DesignCandidate {
  double params = 0, tokens = 0;
  double flops = 0;        // that one seed of it costs now
  std::string from_trunk;  // a cooldown of this trunk: repeated it would be the same run
};

// The shapes of the options; without any, the sizes of the rows with those between
// neighbours and up to a factor 2 above. None below: the smaller, the cheaper, and
// the law would be asked where nobody has seen it hold.
std::vector<DesignShape> ShapesOf(const AnalysisResult& result, const DesignOptions& options);

// Every shape with D on a log grid, eight a decade, from the smallest D of the rows
// to the cap, and D/N from 1, or the smallest of the rows, to twice the largest of the
// rows; and every shape's cooldowns, D = branch/(1 - share), for the FLOPs of their own share alone,
// without those that the rows hold already. None costs over `most_flops`.
std::vector<DesignCandidate> DesignCandidates(const AnalysisResult& result, const DesignOptions& options,
                                              double most_flops);

// Is this cell, to 1e-6, one of the rows'?
bool IsTrained(const AnalysisResult& result, double params, double tokens);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_DESIGN_CANDIDATES_H_
