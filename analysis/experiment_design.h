// The next trials: which (N, D) narrow the interval of N*(C_T) most a FLOP.
//
//   V = s_eff^2 (Sum w J J')^-1,  s_eff^2 = mean psi^2 / (mean 1{|r| <= delta})^2
//   Var ln N*(C_T) = g' V g; a candidate with Jacobian J_c cuts it by
//   (g' V J_c)^2 / (s_eff^2 + J_c' V J_c)
//
// (Fedorov 1972; the Huber sandwich). Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_EXPERIMENT_DESIGN_H_
#define ISOFLOP_ANALYSIS_EXPERIMENT_DESIGN_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"

namespace isoflop {

// A size that could be trained, and what is already trained of it.
struct DesignShape {
  double params = 0;           // N under the analysis' convention
  double flops_per_token = 0;  // C = flops_per_token D; 6N, or exact
  // A trunk of this shape whose checkpoints a cooldown can go on from: tokens at the
  // branch points that are kept.
  std::string trunk_id;
  std::vector<double> branch_tokens;
  double cooldown_share = 0.2;  // of D
};

struct DesignOptions {
  std::vector<DesignShape> shapes;  // empty: the sizes of the rows and those between and beyond
  double largest_tokens = 0;        // D at most; 0: twice the largest of the rows
  double flops = 0;                 // to spend; 0: half of what the study has spent
  int most_trials = 14;
  int laws = 100;  // bootstrap laws that the score is averaged over
  int sizes_per_budget = 7;
  // The factor hi/lo of the refit before this one, for the rule of two in a row.
  std::vector<double> earlier_factors;
};

// Greedy batches by rank-one updates: the trial with the largest relative cut of
// Var ln N*(C_T) a FLOP, mean over the bootstrap laws, then the next, until the
// FLOPs, the trials or the goal are reached. A cell that is chosen again is another
// seed of it. Where sigma is unknown the first are seeds: 3 at 2 cheap cells. While
// the interval is open, 7 sizes round the present N* of a larger budget come first.
//
// Stops, saying why, when the factor is under the goal on two refits in a row, or no
// candidate cuts the variance by 2 % per 10 % of the FLOPs spent. refusal: no law, no
// optimum, or nothing that could be trained.
ExperimentDesign DesignNextTrials(const AnalysisResult& result, const DesignOptions& options);

// hi/lo of the 95 % interval of N*(C) over the bootstrap laws; infinite where it is
// open, nullopt with too few laws.
std::optional<double> OptimumFactor(const AnalysisResult& result, double budget_flops);

// The sizes round the present N*(C) of one budget: half-width 4, or 8 while the
// interval of N* is wider than a factor 2. Empty: no law, or no optimum.
std::vector<double> RecentredSizes(const AnalysisResult& result, double budget_flops, int sizes);

// ln L that a pending trial is predicted to have, se^2 = J'VJ + sigma^2; and z of a
// loss that arrived. |z| > 3 is a surprise: an event, the point stays in.
struct PendingPrediction {
  double ln_loss = 0, se = 0;
  double Z(double loss) const;
  bool IsSurprise(double loss) const;
};
// nullopt without a law, or without a sigma.
std::optional<PendingPrediction> PredictPending(const AnalysisResult& result, double params, double tokens);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_EXPERIMENT_DESIGN_H_
