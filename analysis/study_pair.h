// Two studies side by side: what they may share, and what they would have said on
// other samples. Internal to study_comparison.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_STUDY_PAIR_H_
#define ISOFLOP_ANALYSIS_STUDY_PAIR_H_

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "analysis/analysis_result.h"
#include "analysis/frontier.h"
#include "analysis/joint_fit.h"
#include "analysis/law_fit.h"
#include "analysis/study_comparison.h"

namespace isoflop {

inline constexpr size_t kStudies = 2;

// One side of the comparison. `result` must outlive it.
struct StudySide {
  const AnalysisResult* result = nullptr;
  std::string name;
  FitRows rows;
  LawFit own;  // the study's separate fit
  ComputeModel compute;
  std::string method;  // of its bootstrap: "pairs" or "cluster"
};
using StudyPair = std::array<StudySide, kStudies>;
using TwoRows = std::array<FitRows, kStudies>;
using TwoLaws = std::array<LossLaw, kStudies>;

// Studies are drawn from the laws of the smaller model with its residuals, each
// study's own, centred; both models are fitted to each draw. T >= 0.
// Shared exponents, E free, against the two separate fits.
SharingTest TestSharedExponents(const StudyPair& sides, const JointFit& joint, const ComparisonOptions& options,
                                const LawFitOptions& fit_options);
// One E against two, exponents shared.
SharingTest TestSharedE(const StudyPair& sides, const JointFit& one, const JointFit& two,
                        const ComparisonOptions& options, const LawFitOptions& fit_options);

// Laws of both, a pair a draw, each study resampled by its own method; nullopt where a
// draw carries no law. `joint` nullptr: separate fits.
std::vector<std::optional<TwoLaws>> ResampleBoth(const StudyPair& sides, const JointFit* joint, bool shared_E,
                                                 const ComparisonOptions& options, const LawFitOptions& fit_options);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_STUDY_PAIR_H_
