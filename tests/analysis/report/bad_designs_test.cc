// What the report says of a study whose design cannot answer, and what it refuses.
// Each world has a known law, so a number that is given can be checked against it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "analysis/analyze.h"
#include "analysis/report/report.h"
#include "tests/analysis/test_data.h"

namespace isoflop {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

using Rows = std::vector<Observation>;

struct Told {
  AnalysisResult result;
  Report report;
  std::string words;            // the verdict box
  std::set<std::string> refused, warned;  // codes
};

// Everything that `isoflop report` computes, printed as the page's first screen says it.
Told Tell(const std::string& design, Rows rows, std::optional<double> goal_budget = std::nullopt) {
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].trial_id = rows[i].config_id = std::to_string(i + 1);
    rows[i].source = "trial " + rows[i].trial_id;
  }
  AnalysisOptions options;
  options.sections = AnalysisOptions::Sections();
  options.spec.draws = 500;
  options.spec.goal_budget = goal_budget;
  absl::StatusOr<AnalysisResult> result = Analyze(std::move(rows), options);
  EXPECT_TRUE(result.ok()) << result.status();
  Told told;
  if (!result.ok()) return told;
  told.result = *std::move(result);
  ReportContext context;
  context.title = design;
  context.source = "study";
  told.report = BuildReport(told.result, context);
  told.words = absl::StrJoin(told.report.verdict, "\n");
  std::printf("\n%s: %zu of %d rows\n", design.c_str(), told.result.rows.size(), told.result.rows_read);
  for (const std::string& sentence : told.report.verdict) std::printf("  says     %s\n", sentence.c_str());
  for (const ReportNote& note : told.report.refusals) {
    std::printf("  refuses  %s: %s\n           cure: %s\n", note.code.c_str(), note.text.c_str(), note.cure.c_str());
    told.refused.insert(note.code);
    EXPECT_FALSE(note.cure.empty()) << note.code;
  }
  for (const ReportNote& note : told.report.warnings) {
    std::printf("  warns    %s: %s\n", note.code.c_str(), note.text.c_str());
    told.warned.insert(note.code);
  }
  for (const OptimalRow& row : told.result.optimal) {
    if (const Refusal* refusal = std::get_if<Refusal>(&row.params)) {
      std::printf("  N*(%.3g)  refused, %s: %s\n", row.budget_flops, ToString(refusal->code).c_str(), refusal->message.c_str());
    } else {
      const Estimate& params = std::get<Estimate>(row.params);
      const Interval* interval = params.At(95);
      std::printf("  N*(%.3g)  %.4g [%.4g, %.4g]%s\n", row.budget_flops, params.value, interval ? interval->lo : NAN, interval ? interval->hi : NAN,
                  row.extrapolated ? ", extrapolated" : "");
    }
  }
  return told;
}

Rows Grid(double noise, uint32_t seed) { return SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 5, 7, 4, noise, seed); }

double TrueOptimum(double budget_flops) {
  const LossLaw law = HoffmannLaw();
  return std::pow(law.alpha * law.A / (law.beta * law.B), 1 / (law.alpha + law.beta)) * std::pow(budget_flops / 6, law.a());
}

// N* of the optima table at `budget_flops`: the estimate, or null where it is refused.
const Estimate* OptimumAt(const Told& told, double budget_flops) {
  for (const OptimalRow& row : told.result.optimal) {
    if (std::abs(row.budget_flops / budget_flops - 1) < 1e-9) return std::get_if<Estimate>(&row.params);
  }
  return nullptr;
}

bool Holds(const Interval& interval, double value) { return interval.lo <= value && value <= interval.hi; }

double FactorOf(const Interval& interval) { return interval.hi / interval.lo; }

// No exponent, no optimum, no agreement: nothing that one could act on.
void ExpectNoNumber(const Told& told) {
  EXPECT_FALSE(told.result.parametric.has_value());
  EXPECT_TRUE(told.result.frontiers.empty());
  EXPECT_TRUE(told.result.optimal.empty());
  EXPECT_TRUE(told.result.efficiency.empty());
  EXPECT_THAT(told.words, HasSubstr("No law yet: the observations do not carry a fit."));
  EXPECT_THAT(told.words, HasSubstr("**cannot tell**"));
  EXPECT_THAT(told.words, Not(HasSubstr("N* grows")));
  EXPECT_THAT(told.words, Not(HasSubstr("Demonstrated")));
}

std::map<ExclusionRule, int> LeftOut(const Told& told) {
  std::map<ExclusionRule, int> counts;
  for (const Exclusion& exclusion : told.result.exclusions) ++counts[exclusion.rule];
  return counts;
}

// --- the same study well designed: what the bad ones are held against ----------------

TEST(BadDesignTest, AGoodOneIsAnsweredWithoutRefusal) {
  const Told told = Tell("good: 5 budgets x 7 sizes, noise 0.1 %", Grid(1e-3, 5));
  EXPECT_TRUE(told.refused.empty());
  EXPECT_THAT(told.words, HasSubstr("The two approaches **agree**"));
  EXPECT_THAT(told.words, Not(HasSubstr("largest budget, ")));
  for (const double budget : {1e18, 1e19, 1e20, 1e21}) {
    const Estimate* params = OptimumAt(told, budget);
    ASSERT_NE(params, nullptr) << budget;
    EXPECT_NEAR(params->value / TrueOptimum(budget), 1, 0.05) << budget;
    EXPECT_LT(FactorOf(*params->At(95)), 1.2) << budget;
  }
}

// --- (a) one D/N for all ---------------------------------------------------------------

TEST(BadDesignTest, OneRatioForAll) {
  Rows rows;
  for (const Observation& run : SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 16, 2, 4, 1e-3, 6)) {
    const double params = std::sqrt(*run.budget_flops / 120);
    if (!rows.empty() && params == *rows.back().params_blocks) continue;
    const double noise = run.final_loss_nats / HoffmannLaw().LossAt(*run.params_blocks, run.tokens_trained);
    rows.push_back(MakeObservation(params, 20 * params, noise * HoffmannLaw().LossAt(params, 20 * params)));
    rows.back().budget_flops = run.budget_flops;
  }
  const Told told = Tell("one D/N: 16 budgets, D = 20 N in each", rows);
  ExpectNoNumber(told);
  EXPECT_THAT(told.refused, UnorderedElementsAre("kCollinear", "kTooFewPoints"));
  EXPECT_THAT(told.words, HasSubstr("ln N and ln D correlate at 1.000: the exponents cannot be told apart"));
}

// Eleven published optima (Porian et al. 2024), one N a budget: the first nine would
// just pass as a grid and all of them do not, so nothing is demonstrated.
TEST(BadDesignTest, OptimaOfOneSizeEach) {
  Rows rows;
  const std::vector<Observation> pairs = ReadPublished("porian_refinedweb_optimal_pairs.csv");
  rows.assign(pairs.begin(), pairs.begin() + 11);
  const Told told = Tell("optima: 11 budgets, one N in each", rows);
  ExpectNoNumber(told);
  EXPECT_THAT(told.refused, UnorderedElementsAre("kCollinear", "kTooFewPoints"));
}

// --- (b) two sizes -----------------------------------------------------------------------

TEST(BadDesignTest, TwoSizes) {
  Rows rows;
  for (const Observation& run : SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 8, 2, 2, 1e-3, 7)) {
    const double params = rows.size() % 2 == 0 ? 1e8 : 4e8;
    const double tokens = *run.budget_flops / (6 * params);
    const double noise = run.final_loss_nats / HoffmannLaw().LossAt(*run.params_blocks, run.tokens_trained);
    rows.push_back(MakeObservation(params, tokens, noise * HoffmannLaw().LossAt(params, tokens)));
    rows.back().budget_flops = run.budget_flops;
  }
  const Told told = Tell("two sizes: 8 budgets, 100M and 400M in each", rows);
  ExpectNoNumber(told);
  EXPECT_THAT(told.refused, UnorderedElementsAre("kUnderdetermined", "kTooFewPoints"));
  EXPECT_THAT(told.words, HasSubstr("2 distinct N and 16 distinct D, 3 of each are needed"));
}

// --- (c) noise ---------------------------------------------------------------------------

TEST(BadDesignTest, NoiseOfFivePercent) {
  const Told told = Tell("noise of 5 %: 5 budgets x 7 sizes", Grid(0.05, 8));
  EXPECT_THAT(told.refused, ElementsAre("kTooFewPoints"));  // approach 2: no parabola has a minimum
  EXPECT_THAT(told.warned, IsSupersetOf({"kWeaklyIdentified", "kNotConvex", "kExtrapolation"}));
  EXPECT_THAT(told.words, HasSubstr("**cannot tell**"));
  EXPECT_THAT(told.words, HasSubstr("**no better than a prediction without a law**"));
  // Inside the data a number that is honest about itself; beyond it none at all.
  for (const double budget : {1e18, 1e19, 1e20}) {
    const Estimate* params = OptimumAt(told, budget);
    ASSERT_NE(params, nullptr) << budget;
    EXPECT_TRUE(Holds(*params->At(95), TrueOptimum(budget))) << budget;
    EXPECT_GT(FactorOf(*params->At(95)), 3) << budget;
  }
  EXPECT_TRUE(Holds(*told.result.parametric->a.At(95), HoffmannLaw().a()));
  EXPECT_EQ(OptimumAt(told, 1e21), nullptr);
}

// --- (d) the largest budget left unfinished ------------------------------------------------

TEST(BadDesignTest, LargestBudgetUnfinished) {
  Rows rows = Grid(1e-3, 5);
  for (Observation& row : rows) {
    if (*row.budget_flops > 9e19) row.outcome = TrialOutcome::kNone;
  }
  const Told told = Tell("largest budget unfinished: its 7 runs still train", rows, 1e21);
  EXPECT_THAT(LeftOut(told), ElementsAre(std::pair(ExclusionRule::kNotCompleted, 7)));
  EXPECT_THAT(told.words, HasSubstr("Of the largest budget, 1e20 FLOPs, **none of 7 observations** could be fitted (7 not_completed)."));
  // Everything is read from what there is: the law's reach and the optima beyond it.
  EXPECT_NEAR(told.result.max_flops, std::pow(10, 19.5), 1e16);
  EXPECT_THAT(told.warned, Contains("kExtrapolation"));
  for (const OptimalRow& row : told.result.optimal) EXPECT_EQ(row.extrapolated, row.budget_flops > 3.2e20) << row.budget_flops;
  const Estimate* goal = OptimumAt(told, 1e21);
  ASSERT_NE(goal, nullptr);
  EXPECT_TRUE(Holds(*goal->At(95), TrueOptimum(1e21)));
}

TEST(BadDesignTest, LargestBudgetHalfFinished) {
  Rows rows = Grid(1e-3, 5);
  int left = 0;
  for (Observation& row : rows) {
    if (*row.budget_flops > 9e19 && ++left > 2) row.outcome = TrialOutcome::kNone;
  }
  const Told told = Tell("largest budget: the two smallest of its 7 runs ended", rows, 1e21);
  EXPECT_THAT(LeftOut(told), ElementsAre(std::pair(ExclusionRule::kNotCompleted, 5)));
  EXPECT_THAT(told.words, HasSubstr("Of the largest budget, 1e20 FLOPs, **only 2 of 7 observations** could be fitted (5 not_completed)."));
  // Its section is left out with the reason: two sizes have no minimum.
  EXPECT_THAT(told.warned, Contains("kTooFewPoints"));
  ASSERT_TRUE(told.result.isoflop.has_value());
  EXPECT_EQ(told.result.isoflop->accepted, 4);
  ASSERT_EQ(told.result.isoflop->budgets.size(), 5u);
  const Estimate* goal = OptimumAt(told, 1e21);
  ASSERT_NE(goal, nullptr);
  EXPECT_TRUE(Holds(*goal->At(95), TrueOptimum(1e21)));
}

}  // namespace
}  // namespace isoflop
