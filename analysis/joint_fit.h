// One fit of two studies that share exponents, and perhaps E:
//   L_s = E_s + A_s N^-alpha + B_s D^-beta,  s = 1, 2
// under the objective of one study's fit, summed over both.
//
//   starts: minima over (alpha, beta) of both studies' linear parts, and the
//   studies' own exponents -> damped Newton at falling delta -> certificate
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_JOINT_FIT_H_
#define ISOFLOP_ANALYSIS_JOINT_FIT_H_

#include <array>
#include <vector>

#include "absl/types/span.h"
#include "analysis/law_fit.h"
#include "analysis/objective.h"

namespace isoflop {

// (ln A_1, ln B_1, ln A_2, ln B_2, alpha, beta, ln E_1, ln E_2), A and B centred at
// each study's own (n0, d0). With one E its seven parameters end in ln E.
using JointTheta = Eigen::Matrix<double, 8, 1>;  // the last equals the one before with one E

struct JointFit {
  JointTheta theta = JointTheta::Zero();
  std::array<LossLaw, 2> laws;
  Certificate certificate;
  std::vector<JointTheta> other_basins;  // up to one, the next best
};

// `rows[s]` of study s. `own` are the laws of the studies' separate fits.
JointFit FitJointly(const std::array<const FitRows*, 2>& rows, const std::array<LossLaw, 2>& own, bool shared_E,
                    const LawFitOptions& options);

// The best local minimum from `starts`; f infinite where none was found.
struct JointRefit {
  JointTheta theta = JointTheta::Zero();
  double f = 0;
};
JointRefit RefitJointly(const std::array<const FitRows*, 2>& rows, bool shared_E, const LawFitOptions& options,
                        absl::Span<const JointTheta> starts);

// Study `s` of a joint point: (ln A, ln B, ln E, alpha, beta) at the centre of its rows,
// and the law.
ChinchillaForm::Vector StudyPoint(const JointTheta& theta, int s);
LossLaw LawOfStudy(const FitRows& rows, const JointTheta& theta, int s);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_JOINT_FIT_H_
