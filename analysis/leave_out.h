// Of all runs, sizes, budgets or seeds the one whose absence moves the law most.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_LEAVE_OUT_H_
#define ISOFLOP_ANALYSIS_LEAVE_OUT_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"
#include "analysis/frontier.h"

namespace isoflop {

enum class LeaveOutKind { kRun, kSize, kBudget, kSeed };
std::string ToString(LeaveOutKind kind);  // "run", "size", "budget", "seed"

struct LeaveOutCandidate {
  std::string name;           // "trial 17", "20.6K", "6e11", "3"
  std::vector<size_t> rows;   // that it takes away, rising
};

// A run is the rows of one trial id, without ids a row; a size the rows of one N;
// a budget as approach 2 groups them.
std::vector<LeaveOutCandidate> LeaveOutCandidates(absl::Span<const KeptRow> rows, LeaveOutKind kind,
                                                  double budget_tolerance);

// How far leaving out each row would move ln N*(C_T) by one step of the fit's
// influence function, dg H^-1 w psi J, derivatives by differences of the law. For
// ranking: which candidates are worth a refit. Precondition: base.parametric, with
// an optimum.
std::vector<double> RowInfluence(const AnalysisResult& base, const ComputeModel& compute);

// The index in `candidates` whose absence moves ln N*(C_T) most: all are refitted
// from the optimum of all rows where that is cheap, else those which RowInfluence
// ranks highest. Candidates without which no law can be fitted are passed over; one
// without which the law has no optimum wins. nullopt when none can be left out.
std::optional<size_t> WorstToLeaveOut(const AnalysisResult& base, const ComputeModel& compute,
                                      absl::Span<const LeaveOutCandidate> candidates,
                                      absl::Span<const double> row_influence);

// All rows but those of `left_out` (rising).
std::vector<size_t> Without(size_t rows, absl::Span<const size_t> left_out);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_LEAVE_OUT_H_
