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

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/analysis_result.h"

namespace isoflop {

struct MultiplierRow {
  double loss = 0;
  Quantity flops_first, flops_second;  // C_1(l), C_2(l)
  Quantity multiplier;                 // k(l)
};

struct StudyComparison {
  std::string first, second;        // names
  int rows_first = 0, rows_second = 0;
  bool shared_E = false;
  LossLaw law_first, law_second;    // of the joint fit
  Estimate alpha, beta, E_first, E_second;
  Certificate certificate;
  double shared_exponents_p = 1;    // of the test against free exponents
  double shared_E_p = 1;            // of the test of one E against two
  std::vector<MultiplierRow> multipliers;  // at three losses in the range of both
  std::optional<Refusal> refusal;
  std::vector<Warning> warnings;
};

struct ComparisonOptions {
  std::vector<double> losses;  // empty: three in the range of both
  int draws = 2000;
  uint64_t seed = 1;
  std::vector<double> levels = {80, 95};
  int threads = 0;
};

// Both analysed already (rows, exclusions, noise). refusal, kMixedEvaluation: the
// evaluation sets differ, or the tokenizers do and the loss is in nats.
StudyComparison CompareStudies(const AnalysisResult& first, const std::string& first_name,
                               const AnalysisResult& second, const std::string& second_name,
                               const ComparisonOptions& options);

// One JSON object, "schema": "isoflop.compare/1".
std::string ComparisonJson(const StudyComparison& comparison);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_STUDY_COMPARISON_H_
