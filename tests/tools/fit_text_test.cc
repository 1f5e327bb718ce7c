#include "tools/isoflop/fit_text.h"

#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"

namespace isoflop {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Estimate ValueOf(double value) {
  Estimate estimate;
  estimate.value = value;
  return estimate;
}

// A result as Analyze might give it, with every section.
AnalysisResult FullResult() {
  AnalysisResult result;
  result.rows_read = 30;
  result.rows.resize(30);
  result.target_flops = 1e22;
  ParametricFit& fit = result.parametric.emplace();
  fit.law = {.E = 1.7, .A = 400, .B = 410, .alpha = 0.34, .beta = 0.28};
  fit.E.value = 1.7;
  fit.A.value = 400;
  fit.B.value = 410;
  fit.alpha.value = 0.34;
  fit.beta.value = 0.28;
  fit.a.value = fit.law.a();
  fit.optimum_coefficient.value = 0.1;
  fit.certificate.objective = "huber(0.001) on log loss";

  const auto power = [](double coefficient, double exponent) {
    PowerLaw law;
    law.exponent.value = exponent;
    law.ln_coefficient.value = std::log(coefficient);
    return law;
  };
  IsoflopFit& isoflop = result.isoflop.emplace();
  isoflop.budgets.resize(4);
  isoflop.accepted = 4;
  isoflop.params_law = isoflop.params_law_ols = power(0.1, 0.49);
  isoflop.tokens_law = isoflop.tokens_law_ols = power(1.6, 0.51);
  isoflop.params_law_corrected = power(0.11, 0.5);
  isoflop.tokens_law_corrected = power(1.5, 0.5);
  isoflop.bias_at_target = std::log(0.95);
  EnvelopeFit& envelope = result.envelope.emplace();
  envelope.hull.resize(21);
  envelope.curve_points = 1100;
  envelope.params_law = power(0.2, 0.499);
  envelope.params_law->exponent.intervals = {{95, 0.46, 0.54}};
  envelope.tokens_law = power(0.9, 0.481);

  Agreement& agreement = result.agreement.emplace();
  agreement.verdict = Verdict::kAgreeInPractice;
  agreement.reason = "the costliest N* wastes 0.8% of 1e22 FLOPs";
  Holdout& holdout = result.holdout.emplace();
  holdout.windows.resize(2);
  holdout.windows[0].distance_decades = 0.4;
  holdout.windows[0].relative_error = 0.003;
  holdout.windows[1].distance_decades = 0.6;
  holdout.windows[1].relative_error = -0.005;
  holdout.skill = 0.7;
  holdout.demonstrated_decades = 1;
  result.sensitivity.resize(3);
  result.sensitivity[0].name = "form kaplan";
  result.sensitivity[0].delta_ln_params = Refusal{Code::kUnderdetermined, "no fit", ""};
  result.sensitivity[1].name = "outliers 5";
  result.sensitivity[1].delta_a = ValueOf(-0.051);
  result.sensitivity[1].delta_ln_params = ValueOf(std::log(1.6));
  result.sensitivity[1].ln_params_in_se = 2.3;
  result.sensitivity[2].name = "delta 1e-1";
  result.sensitivity[2].delta_ln_params = ValueOf(0.01);
  return result;
}

TEST(FitTextTest, EachSectionHasItsLine) {
  const std::vector<std::string> lines = FitLines(FullResult());
  EXPECT_EQ(lines[0], "30 rows, 30 kept  huber(0.001) on log loss  certified, f 0.000000e0");
  EXPECT_THAT(lines, Contains("  without the bias: N* = 0.11 C^0.500000  D* = 1.5 C^0.500000"));
  EXPECT_THAT(lines, Contains(" approach 1: N* = 0.2 C^0.499000 [0.460, 0.540]  D* = 0.9 C^0.481000"
                              "  21 of 1100 points on the envelope"));
  EXPECT_THAT(lines, Contains(" the approaches: agree in practice, the costliest N* wastes 0.8% of 1e22 FLOPs"));
  EXPECT_THAT(lines, Contains(" held out: error 0.4% at 0.5 decades; demonstrated to 10x the largest budget"));
  EXPECT_THAT(lines, Contains(" most sensitive to outliers 5: N* at 1e22 x1.60 (2.3 SE, a -0.051)"));
}

TEST(FitTextTest, WhatIsNotThereHasNoLine) {
  AnalysisResult result = FullResult();
  result.envelope.reset();
  result.agreement.reset();
  result.holdout.reset();
  result.sensitivity.clear();
  result.isoflop->params_law_corrected.reset();
  for (const std::string& line : FitLines(result)) {
    for (const char* word : {"approach 1", "the approaches", "held out", "most sensitive", "without the bias"}) {
      EXPECT_THAT(line, Not(HasSubstr(word)));
    }
  }
  EXPECT_FALSE(FitLines(AnalysisResult()).empty()) << "a result without anything is text too";
}

TEST(FitTextTest, DoubtIsTold) {
  AnalysisResult result = FullResult();
  result.agreement->verdict = Verdict::kDisagree;
  result.agreement->reason = "approach 2 costs 5% at 1e22";
  result.agreement->cause = "edge minima";
  result.holdout->demonstrated_decades = 0;
  result.holdout->skill = -0.2;
  std::vector<std::string> lines = FitLines(result);
  EXPECT_THAT(lines, Contains(" the approaches: disagree, approach 2 costs 5% at 1e22"));
  EXPECT_THAT(lines, Contains("   the first cause whose removal mends it: edge minima"));
  EXPECT_THAT(lines, Contains(" held out: error 0.4% at 0.5 decades; nothing demonstrated beyond the largest budget;"
                              " no better than the baselines"));
  result.holdout->refusal = Refusal{Code::kTooFewPoints, "one budget cannot be held out", ""};
  result.envelope->refusal = Refusal{Code::kScheduleNotEnded, "the curves are of open schedules", ""};
  result.agreement->causes_tried = {"gaps in N: no budget has one", "edge minima: without 2 budgets the approaches agree"};
  lines = FitLines(result);
  EXPECT_THAT(lines, Contains("   the first cause whose removal mends it: edge minima: without 2 budgets the approaches agree"));
  EXPECT_THAT(lines, Contains(" held out: kTooFewPoints, one budget cannot be held out"));
  EXPECT_THAT(lines, Contains(" approach 1: kScheduleNotEnded, the curves are of open schedules"));
}

TEST(FitTextTest, AFormShowsItsOwnParameters) {
  AnalysisResult result = FullResult();
  LossLaw& law = result.parametric->law;
  law.form = LawForm::kKaplan;
  law.kappa = 0.1;
  EXPECT_THAT(FitLines(result)[0], HasSubstr("form kaplan"));
  EXPECT_THAT(FitLines(result)[1], StartsWith(" A 400.000"));
  EXPECT_THAT(FitLines(result)[1], HasSubstr("kappa 0.100000"));
  law.form = LawForm::kMultiplicative;
  EXPECT_THAT(FitLines(result)[1], Not(HasSubstr("B 410")));
  law.form = LawForm::kDataConstrained;
  law.repeat_tokens = 15.4;
  EXPECT_THAT(FitLines(result)[1], HasSubstr("R_D* 15.4000  R_N* open"));
}

}  // namespace
}  // namespace isoflop
