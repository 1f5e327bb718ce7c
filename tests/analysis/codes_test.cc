// Every code of the analysis: a small data set that raises it, and one that does not.
// Ten lines unless a row of the table says why it takes more.
#include <gtest/gtest.h>

#include <cstdio>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analysis/analysis_warnings.h"
#include "analysis/analyze.h"
#include "analysis/law_fit.h"
#include "tests/analysis/test_data.h"
#include "tests/analysis/uncertainty_world.h"

namespace isoflop {
namespace {

using Rows = std::vector<Observation>;

struct Outcome {
  std::set<Code> codes;
  std::map<Code, std::string> messages;
  size_t rows = 0;
};

// Warnings and every refusal of a result.
Outcome OutcomeOf(const AnalysisResult& result) {
  Outcome outcome;
  outcome.rows = static_cast<size_t>(result.rows_read);
  const auto add = [&](Code code, const std::string& message) {
    outcome.codes.insert(code);
    outcome.messages.try_emplace(code, message);
  };
  const auto refuse = [&](const std::optional<Refusal>& refusal) {
    if (refusal) add(refusal->code, refusal->message);
  };
  for (const Warning& warning : result.warnings) add(warning.code, warning.message);
  refuse(result.parametric_refusal);
  if (result.isoflop) refuse(result.isoflop->refusal);
  for (const OptimalRow& row : result.optimal) {
    if (const Refusal* refusal = std::get_if<Refusal>(&row.params)) refuse(*refusal);
  }
  return outcome;
}

AnalysisOptions Quick(int draws = 100) {
  AnalysisOptions options;
  options.spec.draws = draws;
  options.spec.coverage = "off";
  options.threads = 1;
  return options;
}

Outcome Of(Rows rows, const AnalysisOptions& options = Quick()) {
  const absl::StatusOr<AnalysisResult> result = Analyze(std::move(rows), options);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? OutcomeOf(*result) : Outcome();
}

AnalysisOptions With(const std::function<void(AnalysisOptions*)>& change, int draws = 100) {
  AnalysisOptions options = Quick(draws);
  change(&options);
  return options;
}

// Two budgets of five sizes around their minima.
Rows Ten(double noise = 5e-4, uint32_t seed = 3, double spread = 4) {
  Rows rows = SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 2, 5, spread, noise, seed);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].trial_id = std::to_string(i + 1);
    rows[i].source = "line " + rows[i].trial_id;
    rows[i].config_id = rows[i].trial_id;
  }
  return rows;
}

Rows Changed(Rows rows, const std::function<void(Observation*, size_t)>& change) {
  for (size_t i = 0; i < rows.size(); ++i) change(&rows[i], i);
  return rows;
}

// Five cells of two seeds each.
Rows Seeded(double noise, double misfit) {
  Rows rows = Ten(0);
  rows.resize(5);
  Rows all;
  for (size_t i = 0; i < rows.size(); ++i) {
    for (int seed = 0; seed < 2; ++seed) {
      all.push_back(rows[i]);
      all.back().trial_id += seed == 0 ? "a" : "b";
      all.back().final_loss_nats *= 1 + noise * (seed == 0 ? 1 : -1) + misfit * (i % 2 == 0 ? 1 : -1);
    }
  }
  return all;
}

// Three budgets of nine runs, with curves of a law whose A is `under_way` of the final one.
Rows WithCurves(double under_way) {
  LossLaw law = HoffmannLaw();
  law.A *= under_way;
  return Changed(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 3, 9, 4, 1e-4, 3), [&](Observation* row, size_t run) {
    constexpr int kPoints = 60;
    row->trial_id = row->config_id = std::to_string(run + 1);
    row->source = "trial " + row->trial_id;
    for (int i = 1; i <= kPoints; ++i) {
      LossPoint point;
      point.step = 100 * i;
      point.tokens = static_cast<int64_t>(row->tokens_trained * std::pow(10, 1.5 * (i / static_cast<double>(kPoints) - 1)));
      point.loss_nats = i < kPoints ? law.LossAt(*row->params_blocks, static_cast<double>(point.tokens)) : row->final_loss_nats;
      row->curve.push_back(point);
    }
  });
}

// What a fit stopped short, or short of rows, says: through the fit and the warnings,
// since an analysis refuses such rows before.
Outcome OfFit(const FitRows& rows, int max_iterations) {
  LawFitOptions options;
  options.max_iterations = max_iterations;
  const LawFit fit = FitLossLaw(rows, options);
  AnalysisResult result;
  result.rows.resize(rows.size());
  result.parametric.emplace();
  result.parametric->law = fit.law;
  result.parametric->certificate = fit.certificate;
  AddWarnings(&result);
  Outcome outcome = OutcomeOf(result);
  outcome.rows = rows.size();
  return outcome;
}

AnalysisOptions Section(bool AnalysisOptions::Sections::* section, int draws = 200) {
  return With([&](AnalysisOptions* options) { options->sections.*section = true; }, draws);
}

struct Case {
  Code code;
  std::function<Outcome()> raises, does_not;
};

const std::vector<Case>& Cases() {
  using S = AnalysisOptions::Sections;
  static const std::vector<Case> cases = {
      {Code::kRepeatedData,
       [] { return Of(Changed(Ten(), [](Observation* row, size_t i) { if (i < 2) row->unique_tokens = row->tokens_trained / 2; })); },
       [] { return Of(Changed(Ten(), [](Observation* row, size_t) { row->unique_tokens = 2 * row->tokens_trained; })); }},
      {Code::kScheduleNotEnded, [] { return Of(Changed(Ten(), [](Observation* row, size_t) { row->schedule_ended.reset(); })); },
       [] { return Of(Ten()); }},
      {Code::kMixedEvaluation,
       [] { return Of(Changed(Ten(), [](Observation* row, size_t i) { row->eval_sha256 = i < 5 ? "one" : "two"; })); },
       [] { return Of(Changed(Ten(), [](Observation* row, size_t) { row->eval_sha256 = "one"; })); }},
      {Code::kConventionUnknown, [] { return Of(Changed(Ten(), [](Observation* row, size_t) { row->params_unnamed = row->params_blocks; })); },
       [] { return Of(Ten()); }},
      {Code::kTokensDerived, [] { return Of(Changed(Ten(), [](Observation* row, size_t i) { row->tokens_derived = i == 0; })); },
       [] { return Of(Ten()); }},
      {Code::kRatioSuspicious,
       [] { return Of(Changed(Ten(), [](Observation* row, size_t) { std::swap(*row->params_blocks, row->tokens_trained); })); },
       [] { return Of(Ten()); }},
      {Code::kUnderdetermined, [] { return Of(Seeded(1e-3, 0)); }, [] { return Of(Ten()); }},
      {Code::kCollinear,
       [] {
         return Of(Changed(Ten(), [](Observation* row, size_t i) {
           row->params_blocks = 1e7 * std::pow(2, static_cast<double>(i));
           row->tokens_trained = 20 * *row->params_blocks;
           row->budget_flops.reset();
           row->final_loss_nats = HoffmannLaw().LossAt(*row->params_blocks, row->tokens_trained);
         }));
       },
       [] { return Of(Ten()); }},
      {Code::kWeaklyIdentified, [] { return Of(Ten(0.05, 11, 2)); }, [] { return Of(Ten(0)); }},
      {Code::kBoundHit,
       [] {
         return Of(Changed(Ten(), [](Observation* row, size_t) {
           row->final_loss_nats = 406.4 * std::pow(*row->params_blocks, -0.34) + 410.7 * std::pow(row->tokens_trained, -0.28);
         }));
       },
       [] { return Of(Ten()); }},
      {Code::kMaxIterations, [] { return OfFit(FitRowsFrom(Ten(0.005, 1)), 1); }, [] { return OfFit(FitRowsFrom(Ten(0.005, 1)), 200); }},
      {Code::kSingular, [] { return OfFit(MakeFitRows({1e8, 2e8, 4e8}, {1e10, 1e10, 3e10}, {3.0, 2.8, 2.5}), 200); },
       [] { return OfFit(FitRowsFrom(Ten()), 200); }},
      // Two optima as good as each other take rows enough to hold both.
      {Code::kMultipleBasins, [] { return Of(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 4, 4, 6, 0.1, 46), Quick(0)); },
       [] { return Of(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 4, 4, 6, 1e-3, 46), Quick(0)); }},
      // Five parameters meet five rows whatever delta: a quarter takes more than twenty.
      {Code::kDeltaNearLad,
       [] {
         return Of(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 3, 8, 4, 1e-2, 3),
                   With([](AnalysisOptions* options) { options->spec.delta = 1e-6; }));
       },
       [] { return Of(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 3, 8, 4, 1e-2, 3)); }},
      {Code::kNoInteriorOptimum, [] { return Of(Ten(), With([](AnalysisOptions* options) { options->spec.form = "multiplicative"; })); },
       [] { return Of(Ten()); }},
      {Code::kMinimumAtEdge,
       [] {
         return Of(Changed(Ten(0), [](Observation* row, size_t i) {
           const double x = static_cast<double>(i);
           if (i < 5) row->final_loss_nats = 3 - 0.1 * x + 0.002 * x * x;
         }));
       },
       [] { return Of(Ten(0)); }},
      {Code::kNotConvex,
       [] {
         return Of(Changed(Ten(0), [](Observation* row, size_t i) {
           if (i < 5) row->final_loss_nats = 3 - 0.01 * std::pow(static_cast<double>(i) - 2, 2);
         }));
       },
       [] { return Of(Ten(0)); }},
      {Code::kTooFewPoints,
       [] {
         Rows rows = Ten(0);
         rows.erase(rows.begin() + 1, rows.begin() + 4);
         return Of(rows);
       },
       [] { return Of(Ten(0)); }},
      {Code::kBudgetSnapped,
       [] {
         return Of(Changed(Ten(), [](Observation* row, size_t i) {
           row->budget_flops.reset();
           if (i % 2 == 0) row->tokens_trained *= 1.03;
         }));
       },
       [] { return Of(Ten()); }},
      {Code::kNoiseUnknown, [] { return Of(Ten()); }, [] { return Of(Seeded(1e-3, 0)); }},
      {Code::kFewClusters, [] { return Of(Changed(Ten(), [](Observation* row, size_t i) { row->config_id = std::to_string(i % 7); }),
                                          With([](AnalysisOptions* options) { options->spec.bootstrap_method = "cluster"; })); },
       [] { return Of(Ten(), With([](AnalysisOptions* options) { options->spec.bootstrap_method = "cluster"; })); }},
      {Code::kBootstrapJumps, [] { return Of(SimulatedStudy(HoffmannLaw(), 1e18, 1e20, 4, 4, 6, 0.1, 46), Quick(200)); },
       [] { return Of(Ten(0), Quick(200)); }},
      // Ten rows are too few for intervals to hold what they say; 180 are not.
      {Code::kCoverage,
       [] {
         return Of(Ten(5e-3), With([](AnalysisOptions* options) {
                     options->sections.uncertainty = true;
                     options->spec.coverage = "fast";
                   }));
       },
       [] {
         return Of(SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 12, 15, 8, 5e-3, 1), With([](AnalysisOptions* options) {
                     options->sections.uncertainty = true;
                     options->spec.coverage = "fast";
                   }));
       }},
      // Nine cells, the law leaves four degrees of freedom; each cell has two seeds.
      {Code::kLackOfFit,
       [] {
         Rows rows = Changed(Ten(0), [](Observation* row, size_t i) { row->final_loss_nats *= i % 2 == 0 ? 1.02 : 0.98; });
         Rows again = Changed(rows, [](Observation* row, size_t) { row->trial_id += "b"; row->final_loss_nats *= 1.0001; });
         rows.insert(rows.end(), again.begin(), again.end());
         return Of(rows);
       },
       [] {
         Rows rows = Ten(1e-3, 5), again = Changed(Ten(1e-3, 6), [](Observation* row, size_t) { row->trial_id += "b"; });
         rows.insert(rows.end(), again.begin(), again.end());
         return Of(rows);
       }},
      {Code::kExtrapolation, [] { return Of(Ten()); },
       [] { return Of(Ten(), With([](AnalysisOptions* options) { options->spec.goal_budget = 1e20; })); }},
      // Until its schedule ends a run follows another law, which approach 1 reads. Of ten
      // runs too many draws have no minimum for a verdict.
      {Code::kApproachesDisagree, [] { return Of(WithCurves(0.25), Section(&S::agreement)); },
       [] { return Of(WithCurves(1), Section(&S::agreement)); }},
      {Code::kSensitive,
       [] {
         return Of(Ten(0.02), Section(&S::sensitivity));
       },
       [] { return Of(Ten(0.01, 3), Section(&S::sensitivity)); }},
  };
  return cases;
}

TEST(EveryCodeTest, IsRaisedByOneSmallSetAndNotByAnother) {
  for (const Case& item : Cases()) {
    const Outcome raised = item.raises(), clean = item.does_not();
    const auto message = raised.messages.find(item.code);
    std::printf("%-20s %3zu lines: %s\n", ToString(item.code).c_str(), raised.rows,
                message != raised.messages.end() ? message->second.c_str() : "NOT RAISED");
    EXPECT_TRUE(raised.codes.contains(item.code)) << ToString(item.code);
    EXPECT_FALSE(clean.codes.contains(item.code)) << ToString(item.code) << ": " << clean.messages.find(item.code)->second;
  }
}

// The last enumerator is kSensitive: a new one must be added here and to the table.
TEST(EveryCodeTest, TheTableHoldsEachCode) {
  std::set<Code> in_table;
  for (const Case& item : Cases()) in_table.insert(item.code);
  for (int i = 0; i <= static_cast<int>(Code::kSensitive); ++i) {
    EXPECT_TRUE(in_table.contains(static_cast<Code>(i))) << ToString(static_cast<Code>(i));
  }
}

}  // namespace
}  // namespace isoflop
