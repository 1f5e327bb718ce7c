// What the report says of a study whose design cannot answer, and what it refuses.
// Each world has a known law, so a number that is given can be checked against it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <functional>
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
using ::testing::HasSubstr;
using ::testing::Not;

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

// --- the same study well designed: what the bad ones are held against ----------------

TEST(BadDesignTest, AGoodOneIsAnsweredWithoutRefusal) {
  const Told told = Tell("good: 5 budgets x 7 sizes, noise 0.1 %", Grid(1e-3, 5));
  EXPECT_TRUE(told.refused.empty());
  EXPECT_THAT(told.words, Not(HasSubstr("no exponent")));
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
}

// --- (c) noise ---------------------------------------------------------------------------

TEST(BadDesignTest, NoiseOfFivePercent) {
  const Told told = Tell("noise of 5 %: 5 budgets x 7 sizes", Grid(0.05, 8));
}

// --- (d) the largest budget left unfinished ------------------------------------------------

TEST(BadDesignTest, LargestBudgetUnfinished) {
  Rows rows = Grid(1e-3, 5);
  for (Observation& row : rows) {
    if (*row.budget_flops > 9e19) row.outcome = TrialOutcome::kNone;
  }
  const Told told = Tell("largest budget unfinished: its 7 runs still train", rows, 1e21);
}

TEST(BadDesignTest, LargestBudgetHalfFinished) {
  Rows rows = Grid(1e-3, 5);
  int left = 0;
  for (Observation& row : rows) {
    if (*row.budget_flops > 9e19 && ++left > 2) row.outcome = TrialOutcome::kNone;
  }
  const Told told = Tell("largest budget: the two smallest of its 7 runs ended", rows, 1e21);
}

}  // namespace
}  // namespace isoflop
