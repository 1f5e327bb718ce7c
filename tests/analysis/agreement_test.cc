#include "analysis/agreement.h"

#include <gtest/gtest.h>

#include <random>

#include "analysis/agreement_causes.h"
#include "analysis/approach_numbers.h"
#include "tests/analysis/approach_fits.h"

namespace isoflop {
namespace {

constexpr double kTarget = 1e21;

AnalysisOptions Options(int draws = 300) {
  AnalysisOptions options;
  options.spec.draws = draws;
  return options;
}

double TrueCurve(double params, double tokens, double) { return HoffmannLaw().LossAt(params, tokens); }

void Print(const char* what, const Agreement& agreement) {
  std::printf("%s: %s: %s\n", what, ToString(agreement.verdict).c_str(), agreement.reason.c_str());
  for (const std::string& tried : agreement.causes_tried) std::printf("    %s\n", tried.c_str());
}

std::vector<Observation> Study(double noise, double spread = 8, uint32_t seed = 1) {
  std::vector<Observation> study = SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 5, 11, spread, noise, seed);
  for (size_t i = 0; i < study.size(); ++i) study[i].source = "trial " + std::to_string(i);
  return study;
}

// A world by hand: laws of all rows, and draws around them.
struct Numbers {
  double exponent, params_at_target;
};
void SetPowerLaw(const Numbers& numbers, std::optional<PowerLaw>* law) {
  law->emplace();
  (*law)->exponent.value = numbers.exponent;
  (*law)->ln_coefficient.value = std::log(numbers.params_at_target) - numbers.exponent * std::log(kTarget);
}

class HandMadeTest : public testing::Test {
 protected:
  HandMadeTest() {
    result_.target_flops = kTarget;
    result_.parametric.emplace().law = HoffmannLaw();
    result_.bootstrap.method = "pairs";
    SetPowerLaw(truth_, &result_.isoflop.emplace().params_law_corrected);
    SetPowerLaw(truth_, &result_.isoflop->params_law);
    SetPowerLaw(truth_, &result_.envelope.emplace().params_law);
  }

  // Draws whose ln N*(C_T) scatter by `noise` around those of all rows; approach 2
  // misses in the first `missing`.
  void MakeDraws(int draws, double noise, int missing = 0) {
    std::mt19937 generator(1);
    const auto normal = [&] {
      return StandardNormalAt((static_cast<double>(generator()) + 0.5) / 4294967296.0);
    };
    for (int k = 0; k < draws; ++k) {
      ResampledFit draw;
      LossLaw law = result_.parametric->law;
      law.A *= std::exp(noise * normal() * (law.alpha + law.beta));  // ln N* moves by noise z
      draw.law = law;
      const PowerLaw& two = *result_.isoflop->params_law_corrected;
      if (k >= missing) {
        draw.isoflop.emplace().corrected.emplace();
        draw.isoflop->corrected->params_exponent = two.exponent.value + 0.01 * noise * normal();
        draw.isoflop->corrected->params_ln_coefficient =
            std::log(two.At(kTarget)) - draw.isoflop->corrected->params_exponent * std::log(kTarget) + noise * normal();
      }
      const PowerLaw& one = *result_.envelope->params_law;
      draw.envelope.emplace();
      draw.envelope->params_exponent = one.exponent.value + 0.01 * noise * normal();
      draw.envelope->params_ln_coefficient =
          std::log(one.At(kTarget)) - draw.envelope->params_exponent * std::log(kTarget) + noise * normal();
      draws_.push_back(draw);
    }
  }

  Agreement Judge() {
    return JudgeAgreement(result_, draws_, [this](const StudyPart&) {
      ++reanalyses_;
      return PartFits{result_, draws_};
    });
  }

  const Numbers truth_ = {HoffmannLaw().a(), OptimumAt(HoffmannLaw(), kTarget).params};
  AnalysisResult result_;
  std::vector<ResampledFit> draws_;
  int reanalyses_ = 0;
};

TEST_F(HandMadeTest, EqualApproachesAgree) {
  MakeDraws(400, 0.02);
  const Agreement agreement = Judge();
  Print("equal", agreement);
  EXPECT_EQ(agreement.verdict, Verdict::kAgree);
  ASSERT_EQ(agreement.differences.size(), 3u);
  for (const ApproachDifference& difference : agreement.differences) {
    EXPECT_FALSE(difference.real);
    EXPECT_EQ(difference.missing_share, 0);
    ASSERT_NE(EstimateIn(difference.ln_params_at_target), nullptr);
    EXPECT_NE(EstimateIn(difference.ln_params_at_target)->At(95), nullptr);
  }
  ASSERT_EQ(agreement.costs.size(), 3u);
  for (const ApproachCost& cost : agreement.costs) EXPECT_NEAR(cost.wasted_fraction, 0, 1e-9);
  EXPECT_TRUE(agreement.causes_tried.empty());
}

TEST_F(HandMadeTest, SmallRealDifferenceAgreesInPractice) {
  SetPowerLaw({truth_.exponent, 1.1 * truth_.params_at_target}, &result_.isoflop->params_law_corrected);
  MakeDraws(400, 0.01);
  const Agreement agreement = Judge();
  Print("10 % apart", agreement);
  EXPECT_EQ(agreement.verdict, Verdict::kAgreeInPractice);
  EXPECT_EQ(reanalyses_, 0);
}

TEST_F(HandMadeTest, CostlyDifferenceDisagrees) {
  SetPowerLaw({truth_.exponent, 3 * truth_.params_at_target}, &result_.isoflop->params_law_corrected);
  MakeDraws(400, 0.02);
  const Agreement agreement = Judge();
  Print("3x apart", agreement);
  EXPECT_EQ(agreement.verdict, Verdict::kDisagree);
  EXPECT_TRUE(agreement.cause.empty());
  EXPECT_FALSE(agreement.causes_tried.empty());
  // 1 - C_eq/C_T of 3 N* by hand.
  const double params = 3 * truth_.params_at_target;
  const double loss = HoffmannLaw().LossAt(params, kTarget / (6 * params));
  ASSERT_EQ(agreement.costs[1].approach, Approach::kIsoflop);
  EXPECT_NEAR(agreement.costs[1].wasted_fraction, 1 - FlopsForLoss(HoffmannLaw(), loss) / kTarget, 1e-9);
}

// A removal that leaves less of the difference is told where none mends it.
TEST_F(HandMadeTest, WhatNarrowsMostIsTold) {
  SetPowerLaw({truth_.exponent, 3 * truth_.params_at_target}, &result_.isoflop->params_law_corrected);
  MakeDraws(400, 0.02);
  for (int i = 0; i < 10; ++i) {  // one run of ten rows: a start to remove
    KeptRow& row = result_.rows.emplace_back();
    row.observation.trial_id = "run";
    row.observation.schedule_ended = true;
    row.params = 1e8;
    row.tokens = 1e9 * (i + 1);
    row.flops = 6 * row.params * row.tokens;
    row.loss = HoffmannLaw().LossAt(row.params, row.tokens);
  }
  const AnalysisResult whole = result_;
  const std::vector<ResampledFit> draws = draws_;
  draws_.clear();
  SetPowerLaw({truth_.exponent, 2 * truth_.params_at_target}, &result_.isoflop->params_law_corrected);
  MakeDraws(400, 0.02);
  const Agreement agreement = JudgeAgreement(whole, draws, [&](const StudyPart& part) {
    return part.rows.size() == 9 ? PartFits{result_, draws_} : PartFits{whole, draws};
  });
  Print("3x apart, 2x without starts", agreement);
  EXPECT_EQ(agreement.verdict, Verdict::kDisagree);
  EXPECT_EQ(agreement.cause, "");
  EXPECT_EQ(agreement.narrows_most, "starts of runs (a factor 2 is left of 3)");
}

// Tested before anything else: also where a difference is real.
TEST_F(HandMadeTest, FactorFourCannotTell) {
  SetPowerLaw({truth_.exponent, 30 * truth_.params_at_target}, &result_.isoflop->params_law_corrected);
  MakeDraws(400, 0.5);  // 95 %: a factor exp(3.92 * 0.5) = 7.1
  const Agreement agreement = Judge();
  Print("noisy", agreement);
  EXPECT_EQ(agreement.verdict, Verdict::kCannotTell);
  EXPECT_EQ(reanalyses_, 0);
}

TEST_F(HandMadeTest, TooFewApproachesOrDrawsCannotTell) {
  EXPECT_EQ(Judge().verdict, Verdict::kCannotTell);  // no draws
  MakeDraws(100, 0.02);
  EXPECT_EQ(Judge().verdict, Verdict::kAgree);
  result_.envelope.reset();
  EXPECT_EQ(Judge().verdict, Verdict::kAgree);
  result_.isoflop->params_law_corrected.reset();
  const Agreement one = Judge();
  EXPECT_EQ(one.verdict, Verdict::kCannotTell);
  EXPECT_NE(one.reason.find("only approach 3"), std::string::npos) << one.reason;
  result_.parametric.reset();
  result_.parametric_refusal = Refusal{Code::kUnderdetermined, "4 cells (N, D) for 5 parameters", ""};
  const Agreement none = Judge();
  EXPECT_EQ(none.verdict, Verdict::kCannotTell);
  EXPECT_NE(none.reason.find("4 cells (N, D) for 5 parameters"), std::string::npos) << none.reason;
}

TEST_F(HandMadeTest, MoreThanFivePercentMissingDrawsRefuseThePair) {
  MakeDraws(400, 0.02, /*missing=*/20);  // 5 %: still judged
  Agreement agreement = Judge();
  EXPECT_NE(EstimateIn(agreement.differences[0].exponent), nullptr);
  EXPECT_NEAR(agreement.differences[0].missing_share, 0.05, 1e-12);
  draws_.clear();
  MakeDraws(400, 0.02, /*missing=*/21);
  agreement = Judge();
  Print("missing", agreement);
  ASSERT_EQ(agreement.differences.size(), 3u);
  EXPECT_EQ(EstimateIn(agreement.differences[0].exponent), nullptr);  // 1 and 2
  EXPECT_NE(EstimateIn(agreement.differences[1].exponent), nullptr);  // 1 and 3
  EXPECT_EQ(EstimateIn(agreement.differences[2].exponent), nullptr);  // 2 and 3
  EXPECT_EQ(agreement.verdict, Verdict::kAgree);
  EXPECT_NE(agreement.reason.find("approach 1 or 2 finds no optimum in 5.2% of 400 draws"), std::string::npos)
      << agreement.reason;
  result_.envelope.reset();
  EXPECT_EQ(Judge().verdict, Verdict::kCannotTell);
}

// Approach 2 is z standard deviations off the two others. At z = 2.2, p = .028 >
// .05/3: not real, though plain 95 % intervals leave out 0. At 2.6, p = .009.
TEST_F(HandMadeTest, HolmStopsAtTheFirstIntervalThatHoldsZero) {
  const double sd = 0.1;
  const auto draws_at = [&](double z_of_isoflop) {
    draws_.clear();
    SetPowerLaw({truth_.exponent, truth_.params_at_target * std::exp(z_of_isoflop * sd)},
                &result_.isoflop->params_law_corrected);
    for (int k = 0; k < 999; ++k) {
      ResampledFit draw;
      draw.law = HoffmannLaw();  // approach 3 stands still, 1 as well
      draw.envelope.emplace();
      draw.envelope->params_exponent = truth_.exponent;
      draw.envelope->params_ln_coefficient = std::log(truth_.params_at_target) - truth_.exponent * std::log(kTarget);
      draw.isoflop.emplace().corrected.emplace();
      draw.isoflop->corrected->params_exponent = truth_.exponent;
      draw.isoflop->corrected->params_ln_coefficient = draw.envelope->params_ln_coefficient +
                                                       sd * (z_of_isoflop + StandardNormalAt((k + 0.5) / 999));
      draws_.push_back(draw);
    }
    return CompareApproaches(ApproachReader(result_, kTarget),
                             {Approach::kEnvelope, Approach::kIsoflop, Approach::kParametric}, draws_, "pairs");
  };
  // z = 2.2: p = 2 (1 - Phi(2.2)) = .0278 for both pairs of approach 2.
  std::vector<ApproachDifference> differences = draws_at(2.2);
  EXPECT_FALSE(differences[0].real);
  EXPECT_FALSE(differences[2].real);
  const Interval* interval = EstimateIn(differences[2].ln_params_at_target)->At(95);
  EXPECT_NEAR(interval->hi, sd * (2.2 + 2.394), 0.02 * sd * 5);  // z at 1 - .05/6
  EXPECT_LT(interval->lo, 0);
  // z = 2.6: p = .0093 < .05/3, then .0093 < .05/2.
  differences = draws_at(2.6);
  EXPECT_TRUE(differences[0].real);
  EXPECT_FALSE(differences[1].real);  // approaches 1 and 3 are one
  EXPECT_TRUE(differences[2].real);
}

// Curves as of runs that had all ended: three approaches, one frontier.
TEST(AgreementTest, ThreeApproachesAgreeOnAKnownWorld) {
  std::vector<Observation> study = Study(0.002);
  AddCurves(40, HoffmannLaw(), TrueCurve, &study);
  const PartFits fits = FitApproaches(KeptRowsOf(study), kTarget, Options());
  const Agreement agreement = JudgeFits(fits);
  Print("three agree", agreement);
  EXPECT_EQ(agreement.costs.size(), 3u);
  EXPECT_TRUE(agreement.verdict == Verdict::kAgree || agreement.verdict == Verdict::kAgreeInPractice);
  for (const ApproachCost& cost : agreement.costs) EXPECT_LT(cost.wasted_fraction, 0.02);
}

// Of 20 noisy studies of one truth nearly all agree: Holm holds the false alarms.
TEST(AgreementTest, OneTruthSeldomDisagrees) {
  int agree = 0, disagree = 0;
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    PartFits fits = FitApproaches(KeptRowsOf(Study(0.004, 8, seed)), kTarget, Options(200));
    fits.result.envelope.reset();  // final points are few; approaches 2 and 3
    const Agreement agreement = JudgeAgreement(fits.result, fits.draws, [&](const StudyPart&) { return fits; });
    agree += agreement.verdict == Verdict::kAgree;
    disagree += agreement.verdict == Verdict::kDisagree;
  }
  std::printf("20 studies of one truth: %d agree, %d disagree\n", agree, disagree);
  EXPECT_GE(agree, 16);
  EXPECT_EQ(disagree, 0);
}

// Raw, approach 2 would be apart from approach 3; its bias taken off, it is not.
TEST(AgreementTest, BiasOfADriftingCenterIsTakenOffBeforeTheVerdict) {
  std::vector<Observation> study = Study(0, 16);
  for (Observation& row : study) {
    const double factor = std::pow(3, std::log(*row.budget_flops / 1e18) / std::log(100.0) * 2 - 1);
    row.params_blocks = *row.params_blocks * factor;
    row.tokens_trained /= factor;
    std::mt19937 generator(static_cast<uint32_t>(&row - study.data()) + 5);
    const double z = StandardNormalAt((static_cast<double>(generator()) + 0.5) / 4294967296.0);
    row.final_loss_nats = HoffmannLaw().LossAt(*row.params_blocks, row.tokens_trained) * std::exp(5e-4 * z);
  }
  PartFits fits = FitApproaches(KeptRowsOf(study), kTarget, Options());
  fits.result.envelope.reset();
  const Agreement agreement = JudgeFits(fits);
  Print("drifting centre", agreement);
  EXPECT_EQ(agreement.verdict, Verdict::kAgree);
  // The same with the raw law in its place.
  fits.result.isoflop->params_law_corrected = fits.result.isoflop->params_law;
  for (ResampledFit& draw : fits.draws) {
    draw.isoflop->corrected->params_exponent = draw.isoflop->params_exponent;
    draw.isoflop->corrected->params_ln_coefficient = draw.isoflop->params_ln_coefficient;
  }
  const Agreement raw = JudgeAgreement(fits.result, fits.draws, [&](const StudyPart&) { return fits; });
  Print("drifting centre, raw", raw);
  EXPECT_NE(raw.verdict, Verdict::kAgree);
}

// Until its schedule ends a run follows another law, whose optimum is a tenth in N.
TEST(AgreementTest, UnfinishedSchedulesSpoilApproachOne) {
  std::vector<Observation> study = Study(0.001);
  LossLaw under_way = HoffmannLaw();
  under_way.A *= 0.25;
  AddCurves(40, HoffmannLaw(), [&](double params, double tokens, double share) {
    return (share < 1 ? under_way : HoffmannLaw()).LossAt(params, tokens);
  }, &study);
  const PartFits fits = FitApproaches(KeptRowsOf(study), kTarget, Options());
  const Agreement agreement = JudgeFits(fits);
  Print("schedules", agreement);
  EXPECT_EQ(agreement.verdict, Verdict::kDisagree);
  EXPECT_EQ(agreement.cause, "schedules");
}

// Rows along curves: while a run warms up its loss lies over the law, which the
// envelope passes by and approach 3 fits.
TEST(AgreementTest, StartsOfRunsSpoilApproachThree) {
  std::vector<Observation> study;
  std::mt19937 generator(3);
  for (int size = 0; size < 24; ++size) {
    const double params = 1e7 * std::pow(2, 0.25 * size), longest = 1e11;
    for (int point = 0; point < 16; ++point) {
      const double share = std::pow(2, -0.25 * point), tokens = longest * share;  // budgets meet exactly
      const double z = StandardNormalAt((static_cast<double>(generator()) + 0.5) / 4294967296.0);
      const double start = std::exp(-share / 0.05);
      study.push_back(MakeObservation(params, tokens, HoffmannLaw().LossAt(params, tokens) * std::exp(start + 0.002 * z)));
      study.back().trial_id = "run " + std::to_string(size);
      study.back().source = "curves.csv:" + std::to_string(study.size() + 1);
    }
  }
  AnalysisOptions options = Options();
  options.spec.bootstrap_method = "cluster";
  const PartFits fits = FitApproaches(KeptRowsOf(study), kTarget, options);
  const Agreement agreement = JudgeFits(fits);
  Print("starts of runs", agreement);
  EXPECT_EQ(agreement.verdict, Verdict::kDisagree);
  EXPECT_EQ(agreement.cause, "starts of runs");
  EXPECT_NE(CauseText(agreement).find("without the 144 rows in the first fifth of their run"), std::string::npos);
}

TEST(AgreementTest, TooNoisyCannotTell) {
  PartFits fits = FitApproaches(KeptRowsOf(Study(0.05, 4)), kTarget, Options());
  const Agreement agreement = JudgeFits(fits);
  Print("noise of 5 %", agreement);
  EXPECT_EQ(agreement.verdict, Verdict::kCannotTell);
}

// One row of a wrong loss drags a parabola, not the Huber fit.
TEST(AgreementTest, InfluentialRowsAreFoundByName) {
  std::vector<Observation> study = Study(0.0005);
  study[44].final_loss_nats *= 1.08;  // the smallest size of the largest budget
  study[35].final_loss_nats *= 0.95;
  const PartFits fits = FitApproaches(KeptRowsOf(study), kTarget, Options(100));
  const Cause cause = InfluentialRows(fits.result, Approach::kIsoflop, Approach::kParametric);
  std::printf("influential: %s\n", cause.removal.c_str());
  ASSERT_TRUE(cause.part);
  EXPECT_EQ(cause.part->rows.size(), study.size() - 5);
  EXPECT_NE(cause.removal.find("trial 44"), std::string::npos);
  EXPECT_NE(cause.removal.find("trial 35"), std::string::npos);
}

const Cause& Named(const std::vector<Cause>& causes, const std::string& name) {
  for (const Cause& cause : causes) {
    if (cause.name == name) return cause;
  }
  ADD_FAILURE() << name;
  return causes.front();
}

TEST(AgreementCausesTest, CleanStudyHasNothingToRemove) {
  const PartFits fits = FitApproaches(KeptRowsOf(Study(0, 3.9)), kTarget, Options(0));
  const std::vector<Cause> causes = CausesOfRows(fits.result);
  ASSERT_EQ(causes.size(), 6u);
  const char* const order[] = {"approach-2 bias", "drifting centre", "edge minima", "gaps in N", "schedules", "starts of runs"};
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(causes[i].name, order[i]);
    EXPECT_FALSE(causes[i].part) << order[i] << ": " << causes[i].removal;
    EXPECT_FALSE(causes[i].removal.empty());
  }
}

TEST(AgreementCausesTest, EachCauseRemovesItsRows) {
  std::vector<Observation> study, whole = Study(0);
  for (size_t i = 0; i < whole.size(); ++i) {
    const size_t budget = i / 11, size = i % 11;
    if (budget == 1 && size > 5) continue;               // nothing beyond the minimum at 5: an edge
    if (budget == 2 && (size == 2 || size == 3)) continue;  // a gap of three steps
    study.push_back(whole[i]);
    if (budget == 3) study.back().schedule_ended = std::nullopt;
  }
  const PartFits fits = FitApproaches(KeptRowsOf(study), kTarget, Options(0));
  const std::vector<Cause> causes = CausesOfRows(fits.result);
  const auto removed = [&](const char* name) {
    const Cause& cause = Named(causes, name);
    std::printf("%-16s %s\n", name, cause.removal.c_str());
    return cause.part ? study.size() - cause.part->rows.size() : 0;
  };
  EXPECT_GT(removed("approach-2 bias"), 0u);   // 8x wide
  EXPECT_GT(removed("drifting centre"), 0u);   // budget 1 is one-sided
  EXPECT_EQ(removed("edge minima"), 6u);
  EXPECT_EQ(removed("gaps in N"), 9u);
  EXPECT_EQ(removed("schedules"), 11u);
  EXPECT_TRUE(Named(causes, "schedules").part->finished_schedules_only);
}

// Budgets whose minimum lies outside are rejected, and the rest still agrees.
TEST(AgreementTest, EdgeMinimaAreLeftOutOfApproachTwo) {
  std::vector<Observation> study, whole = Study(0.001);
  for (size_t i = 0; i < whole.size(); ++i) {
    if (i / 11 == 4 && i % 11 < 6) continue;
    study.push_back(whole[i]);
  }
  PartFits fits = FitApproaches(KeptRowsOf(study), kTarget, Options());
  ASSERT_TRUE(fits.result.isoflop->budgets[4].rejection);
  EXPECT_EQ(fits.result.isoflop->budgets[4].rejection->code, Code::kMinimumAtEdge);
  fits.result.envelope.reset();
  const Agreement agreement = JudgeFits(fits);
  Print("edge minimum", agreement);
  EXPECT_EQ(agreement.verdict, Verdict::kAgree);
}

// Under exact FLOPs no exponent of the closed form may be compared.
TEST(AgreementTest, ExactFlopsAgreeOnAKnownWorld) {
  std::vector<Observation> study = Study(0);
  std::mt19937 generator(11);
  for (Observation& row : study) {
    const double params = *row.params_blocks;
    row.flops_exact = row.budget_flops;
    row.tokens_trained = *row.budget_flops / (6 * params + 900 * std::pow(params, 0.8));
    const double z = StandardNormalAt((static_cast<double>(generator()) + 0.5) / 4294967296.0);
    row.final_loss_nats = HoffmannLaw().LossAt(params, row.tokens_trained) * std::exp(0.002 * z);
  }
  AnalysisOptions options = Options();
  options.flops = FlopsConvention::kExact;
  PartFits fits = FitApproaches(KeptRowsOf(study, FlopsConvention::kExact), kTarget, options);
  fits.result.envelope.reset();
  const Agreement agreement = JudgeFits(fits);
  Print("exact FLOPs", agreement);
  EXPECT_TRUE(agreement.verdict == Verdict::kAgree || agreement.verdict == Verdict::kAgreeInPractice);
}

}  // namespace
}  // namespace isoflop
