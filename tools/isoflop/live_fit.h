// The law of a study's observations while it still runs.
#ifndef ISOFLOP_TOOLS_ISOFLOP_LIVE_FIT_H_
#define ISOFLOP_TOOLS_ISOFLOP_LIVE_FIT_H_

#include <optional>
#include <string>
#include <vector>

#include "analysis/analysis_options.h"
#include "analysis/loss_law.h"
#include "proto/study_admin.pb.h"

namespace isoflop {

struct LiveFit {
  LossLaw law;
  double sigma = 0;  // spread of ln L around the law
  std::vector<LossLaw> draws;  // of the bootstrap
  int rows = 0;

  // How far `loss` lies from the law at (params, tokens), in standard errors of
  // its logarithm: the spread around the law and the law's own. 0: not known.
  double Z(double params, double tokens, double loss) const;
  // " fit (n 21): a 0.39 [0.29, 0.48]   E 1.36 [1.22, 1.44]   D/N at 6e11: 43 [28, 66]"
  std::string line;
  std::string exponent;  // "a 0.39 [0.29, 0.48]"
};

// A tenth of the draws of the final fit: an interval for the eye.
inline constexpr int kLiveDraws = 200;

// Fits the law to the completed trials of `trials` that are no trunks, under
// `options` but with kLiveDraws draws. nullopt: there are too few of them, or
// the fit refuses. Takes some tenths of a second of one core.
std::optional<LiveFit> FitLive(const std::vector<wire::Trial>& trials, AnalysisOptions options);

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_LIVE_FIT_H_
