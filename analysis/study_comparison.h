// Two studies, one question: how much more compute does the second need for the same
// loss?
//
//   L_s = E_s + A_s N^-alpha + B_s D^-beta, exponents shared, E shared or free
//   k(l) = C_1(l)/C_2(l), C_s(l) = (K_s/(l - E_s))^(1/gamma)
//
// Study 2 needs 1/k of the compute; (K_1/K_2)^(1/gamma) at every loss if E is shared.
//
// Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_STUDY_COMPARISON_H_
#define ISOFLOP_ANALYSIS_STUDY_COMPARISON_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/analysis_result.h"

namespace isoflop {

struct MultiplierRow {
  double loss = 0;
  Quantity flops_first, flops_second;  // C_1(l), C_2(l)
  Quantity multiplier;                 // k(l)
};

// A smaller model against a larger one, by residual bootstrap under the smaller:
// T = (f_0 - f_1)/f_1, p = (1 + #{T* >= T})/(draws + 1).
struct SharingTest {
  double statistic = 0, p = 1;
  int draws = 0;
};

struct StudyComparison {
  std::string first, second;  // names
  int rows_first = 0, rows_second = 0;
  // What the laws below share: what the tests do not reject at 5 %. Without shared
  // exponents they are the studies' own fits, E and all.
  bool shared_exponents = false, shared_E = false;
  LossLaw law_first, law_second;
  Estimate alpha, beta, E_first, E_second;  // alpha and beta of the first study
  Estimate alpha_second, beta_second;       // the same where shared
  Certificate certificate;                  // of the joint fit with shared exponents
  double shared_exponents_p = 1;            // of the test against free exponents
  double shared_E_p = 1;                    // of the test of one E against two
  SharingTest exponents_test, E_test;
  std::vector<MultiplierRow> multipliers;   // at three losses in the range of both
  std::string method_first, method_second;  // of the bootstraps
  int draws = 0, failed = 0;                // asked for; in which a study could not be fitted
  std::optional<Refusal> refusal;
  std::vector<Warning> warnings;
};

struct ComparisonOptions {
  std::vector<double> losses;  // empty: three in the range of both
  int draws = 2000;
  int test_draws = 999;
  uint64_t seed = 1;
  std::vector<double> levels = {80, 95};
  int threads = 0;
};

// Both analysed already (rows and conventions are read). Refused:
//   kMixedEvaluation    the evaluation sets differ, or the tokenizers do and the loss
//                       is in nats, or one is in nats and one in bits
//   kConventionUnknown  N or C is counted in two ways, or the objectives differ
//   kUnderdetermined, kCollinear  a study's rows carry no law
//   kNoInteriorOptimum  a law has no optimum inside a budget
//   kExtrapolation      the frontiers share no loss, and none was asked for
// kMixedEvaluation also warns where a study does not say its evaluation set;
// kLackOfFit that shared exponents are rejected.
StudyComparison CompareStudies(const AnalysisResult& first, const std::string& first_name, const AnalysisResult& second,
                               const std::string& second_name, const ComparisonOptions& options);

// One JSON object, "schema": "isoflop.compare/1".
std::string ComparisonJson(const StudyComparison& comparison);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_STUDY_COMPARISON_H_
