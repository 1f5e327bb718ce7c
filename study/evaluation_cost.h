// What evaluations cost beside training: one rule for the trainer, which obeys it,
// and for the planner, which tells the time.
#ifndef ISOFLOP_STUDY_EVALUATION_COST_H_
#define ISOFLOP_STUDY_EVALUATION_COST_H_

#include <algorithm>
#include <cstdint>

namespace isoflop {

// A training token costs as much as this many evaluated ones (forward and
// backward against forward alone).
inline constexpr double kEvalTokensPerTrainToken = 3;

// The share of the training since the last one that a periodic evaluation may
// cost. The one at the end sees the whole set, whatever that costs.
inline constexpr double kPeriodicEvalShare = 0.05;

// Tokens of the frozen set of `eval_tokens` that a periodic evaluation looks at,
// after `tokens_since` tokens of training: at most the whole set.
inline double PeriodicEvalTokens(double tokens_since, double eval_tokens) {
  return std::min(eval_tokens, tokens_since * kEvalTokensPerTrainToken * kPeriodicEvalShare);
}

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_EVALUATION_COST_H_
