#include "analysis/analysis_result.h"

#include <algorithm>
#include <cmath>

namespace isoflop {

std::string ToString(Code code) {
  switch (code) {
    case Code::kUnderdetermined: return "kUnderdetermined";
    case Code::kCollinear: return "kCollinear";
    case Code::kWeaklyIdentified: return "kWeaklyIdentified";
    case Code::kBoundHit: return "kBoundHit";
    case Code::kMaxIterations: return "kMaxIterations";
    case Code::kSingular: return "kSingular";
    case Code::kMultipleBasins: return "kMultipleBasins";
    case Code::kDeltaNearLad: return "kDeltaNearLad";
    case Code::kNoInteriorOptimum: return "kNoInteriorOptimum";
    case Code::kMinimumAtEdge: return "kMinimumAtEdge";
    case Code::kNotConvex: return "kNotConvex";
    case Code::kTooFewPoints: return "kTooFewPoints";
    case Code::kBudgetSnapped: return "kBudgetSnapped";
    case Code::kRepeatedData: return "kRepeatedData";
    case Code::kScheduleNotEnded: return "kScheduleNotEnded";
    case Code::kMixedEvaluation: return "kMixedEvaluation";
    case Code::kConventionUnknown: return "kConventionUnknown";
    case Code::kTokensDerived: return "kTokensDerived";
    case Code::kRatioSuspicious: return "kRatioSuspicious";
    case Code::kNoiseUnknown: return "kNoiseUnknown";
    case Code::kFewClusters: return "kFewClusters";
    case Code::kBootstrapJumps: return "kBootstrapJumps";
    case Code::kCoverage: return "kCoverage";
    case Code::kLackOfFit: return "kLackOfFit";
    case Code::kExtrapolation: return "kExtrapolation";
    case Code::kApproachesDisagree: return "kApproachesDisagree";
    case Code::kSensitive: return "kSensitive";
  }
  return "";
}

std::string ToString(ExclusionRule rule) {
  switch (rule) {
    case ExclusionRule::kNotCompleted: return "not_completed";
    case ExclusionRule::kDiverged: return "diverged";
    case ExclusionRule::kNonFinite: return "non_finite";
    case ExclusionRule::kScheduleNotEnded: return "schedule_not_ended";
    case ExclusionRule::kRepeatedData: return "repeated_data";
    case ExclusionRule::kWrongEvalSet: return "wrong_eval_set";
    case ExclusionRule::kDuplicateFingerprint: return "duplicate_fingerprint";
    case ExclusionRule::kUserFilter: return "user_filter";
    case ExclusionRule::kOutlier: return "outlier";
  }
  return "";
}

std::string ToString(FitOutcome outcome) {
  switch (outcome) {
    case FitOutcome::kOptimal: return "optimal";
    case FitOutcome::kBoundHit: return "bound_hit";
    case FitOutcome::kMultipleBasins: return "multiple_basins";
    case FitOutcome::kMaxIterations: return "max_iterations";
    case FitOutcome::kSingular: return "singular";
  }
  return "";
}

std::string ToString(Approach approach) {
  switch (approach) {
    case Approach::kEnvelope: return "approach 1";
    case Approach::kIsoflop: return "approach 2";
    case Approach::kParametric: return "approach 3";
  }
  return "";
}

std::string ToString(Verdict verdict) {
  switch (verdict) {
    case Verdict::kCannotTell: return "cannot tell";
    case Verdict::kAgree: return "agree";
    case Verdict::kAgreeInPractice: return "agree in practice";
    case Verdict::kDisagree: return "disagree";
  }
  return "";
}

const Interval* Estimate::At(double level) const {
  for (const Interval& interval : intervals) {
    if (interval.level == level) return &interval;
  }
  return nullptr;
}

const Estimate* EstimateIn(const Quantity& quantity) { return std::get_if<Estimate>(&quantity); }

double PowerLaw::At(double budget_flops) const {
  return std::exp(ln_coefficient.value + exponent.value * std::log(budget_flops));
}

double SeedNoise::SigmaAt(double loss) const {
  if (!ln_sigma_intercept || !ln_sigma_slope || !(loss > 0)) return sigma;
  return std::exp(*ln_sigma_intercept + *ln_sigma_slope * std::log(loss));
}

double Parabola::LossAt(double params) const {
  const double x = std::log10(params) - center;
  return (p * x + q) * x + r;
}

bool AnalysisResult::HasWarning(Code code) const {
  return std::any_of(warnings.begin(), warnings.end(), [code](const Warning& warning) { return warning.code == code; });
}

}  // namespace isoflop
