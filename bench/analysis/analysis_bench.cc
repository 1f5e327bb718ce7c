// Times one job of the analysis and prints one JSON line: seconds of wall and CPU
// time, and the objective that was reached, so that a speed bought by a worse
// optimum is seen. bench/analysis/compare.py runs it beside SciPy.
//
//   analysis_bench fit ROWS.csv                    the certified fit
//   analysis_bench descent ROWS.csv                one descent from the fit's first start
//   analysis_bench refits ROWS.csv DRAWS THREADS   the law's bootstrap refits alone
//   analysis_bench bootstrap ROWS.csv DRAWS THREADS  as an analysis does it: with approach 2's
//   analysis_bench grid ROWS.csv                   grid mode, 4500 starts
//   analysis_bench report BUDGETS SIZES SEEDS THREADS  every section that a report asks for,
//                                                  on a simulated study
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "analysis/analyze.h"
#include "analysis/bootstrap.h"
#include "analysis/law_fit.h"
#include "analysis/law_starts.h"
#include "analysis/observations.h"
#include "analysis/resample.h"
#include "analysis/row_draws.h"
#include "analysis/start_grid.h"
#include "analysis/subset_fit.h"

namespace isoflop {
namespace {

using nlohmann::json;

constexpr int kBootstrapSeed = 42;

// Seconds of one call, the median of `times`, as {"seconds", "cpu_seconds"}.
template <class Job>
json Timed(int times, const Job& job) {
  std::vector<double> wall, cpu;
  for (int i = 0; i < times; ++i) {
    const std::clock_t cpu_begin = std::clock();
    const auto begin = std::chrono::steady_clock::now();
    job();
    wall.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    cpu.push_back(static_cast<double>(std::clock() - cpu_begin) / CLOCKS_PER_SEC);
  }
  const auto median = [](std::vector<double>* values) {
    const auto middle = values->begin() + static_cast<ptrdiff_t>(values->size() / 2);
    std::nth_element(values->begin(), middle, values->end());
    return *middle;
  };
  return {{"seconds", median(&wall)}, {"cpu_seconds", median(&cpu)}};
}

std::vector<KeptRow> ReadRows(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  const auto observations = ReadCsvObservations(text.str(), path);
  if (!observations.ok()) {
    std::fprintf(stderr, "analysis_bench: %s\n", std::string(observations.status().message()).c_str());
    std::exit(1);
  }
  std::vector<KeptRow> rows;
  for (const Observation& observation : *observations) {
    KeptRow row;
    row.observation = observation;
    row.params = *observation.params_unnamed;
    row.tokens = observation.tokens_trained;
    row.flops = 6 * row.params * row.tokens;
    row.loss = observation.final_loss_nats;
    rows.push_back(row);
  }
  return rows;
}

json LawJson(const LossLaw& law) {
  return {{"E", law.E}, {"A", law.A}, {"B", law.B}, {"alpha", law.alpha}, {"beta", law.beta}};
}

// The start that variable projection ranks first.
Theta FirstStart(const FitRows& rows) {
  const ChinchillaForm::Vector values = StartsOf<ChinchillaForm>(rows).front();
  Theta theta;
  std::copy(values.begin(), values.end(), theta.values.begin());
  return theta;
}

json Fit(const FitRows& rows) {
  LawFit fit;
  json result = Timed(51, [&] { fit = FitLossLaw(rows, {}); });
  const Certificate& certificate = fit.certificate;
  result.update({{"f", certificate.f},
                 {"law", LawJson(fit.law)},
                 {"certified", certificate.outcome == FitOutcome::kOptimal},
                 {"max_newton_step", certificate.max_newton_step},
                 {"starts", certificate.starts_tried},
                 {"reached_best", certificate.starts_at_best}});
  return result;
}

json Descent(const FitRows& rows) {
  const Theta start = FirstStart(rows);
  Refit refit;
  json result = Timed(101, [&] { refit = RefitLossLaw(rows, {}, {start}); });
  result.update({{"f", refit.f}, {"law", LawJson(LawOf(rows, refit.theta))}, {"start", LawJson(LawOf(rows, start))}});
  return result;
}

// From the optimum of all rows, the draws of numpy's RandomState(seed).choice.
json Refits(const std::vector<KeptRow>& kept, const FitRows& rows, int draws, int threads) {
  const LawFit full = FitLossLaw(rows, {});
  std::vector<Theta> starts = {full.theta};
  starts.insert(starts.end(), full.other_basins.begin(), full.other_basins.end());
  std::vector<Refit> refits(static_cast<size_t>(draws));
  json result = Timed(1, [&] {
    const ResampleDesign design =
        MakeResampleDesign(kept, rows, "pairs", BootstrapClusters(kept, "pairs"), nullptr, SeedNoise());
    std::mt19937 generator = GeneratorOf(kBootstrapSeed, Stream::kRows);
    const RowDraws drawn_rows = DrawRows(design, rows.size(), draws, &generator);
    ParallelFor(draws, threads, [&](int first, int last) {
      DrawnRows drawn;
      for (int draw = first; draw < last; ++draw) {
        RowsOfDraw(design, drawn_rows, draw, rows, &drawn);
        refits[static_cast<size_t>(draw)] = RefitLossLaw(drawn.rows, {}, starts);
      }
    });
  });
  json f = json::array();
  int converged = 0;
  for (const Refit& refit : refits) {
    f.push_back(refit.f);
    converged += refit.converged;
  }
  result.update({{"f_of_draws", f}, {"law", LawJson(full.law)}, {"starts", starts.size()}, {"converged", converged}});
  return result;
}

json Bootstrap(const std::vector<KeptRow>& kept, const FitRows& rows, int draws, int threads) {
  const LawFit full = FitLossLaw(rows, {});
  AnalysisOptions options;
  options.spec.bootstrap_method = "pairs";
  options.spec.bootstrap_seed = kBootstrapSeed;
  options.spec.draws = draws;
  options.threads = threads;
  Resampling resampling;
  json result = Timed(1, [&] { resampling = ResampleFits(kept, rows, &full, {}, {}, options); });
  result.update({{"laws", resampling.summary.laws.size()}});
  return result;
}

json Grid(const FitRows& rows) {
  GridFit grid;
  json result = Timed(1, [&] { grid = FitFromStartGrid(rows, {}); });
  result.update({{"f", grid.f},
                 {"law", LawJson(grid.law)},
                 {"starts", grid.starts},
                 {"reached_best", grid.reached_best},
                 {"stopped_early", grid.stopped_early},
                 {"elsewhere", grid.elsewhere}});
  return result;
}

// What Analyze gets of a study: `budgets` from 1e18 to 1e21 FLOPs, `sizes` from N*/8 to
// 8 N* each, `seeds` a cell; Hoffmann et al.'s law, log noise 0.5 %, a train-loss curve of
// 100 points a trial.
std::vector<Observation> SimulatedStudy(int budgets, int sizes, int seeds) {
  constexpr LossLaw kTruth = {LawForm::kChinchilla, 1.69, 406.4, 410.7, 0.34, 0.28};
  constexpr double kNoise = 0.005, kVocabulary = 32000, kContext = 2048;
  constexpr int kCurvePoints = 100;
  std::mt19937 generator(1);
  const auto uniform = [&] { return (static_cast<double>(generator()) + 0.5) / 4294967296.0; };
  const auto normal = [&] { return std::sqrt(-2 * std::log(uniform())) * std::cos(6.283185307179586 * uniform()); };
  const double G = std::pow(kTruth.alpha * kTruth.A / (kTruth.beta * kTruth.B), 1 / (kTruth.alpha + kTruth.beta));
  std::vector<Observation> rows;
  for (int i = 0; i < budgets; ++i) {
    const double budget = 1e18 * std::pow(1e3, static_cast<double>(i) / (budgets - 1));
    for (int j = 0; j < sizes; ++j) {
      const double wished = G * std::pow(budget / 6, kTruth.a()) * std::pow(8, -1 + 2.0 * j / (sizes - 1));
      // 12 layers d^2 with d = 64 layers.
      const double layers = std::max(1.0, std::round(std::cbrt(wished / (12 * 64 * 64))));
      const double width = std::round(std::sqrt(wished / (12 * layers)));
      const double params = 12 * layers * width * width, tokens = budget / (6 * params);
      for (int seed = 1; seed <= seeds; ++seed) {
        const double scale = std::exp(kNoise * normal());
        Observation row;
        row.trial_id = std::to_string(rows.size() + 1);
        row.source = "trial " + row.trial_id;
        row.config_id = std::to_string(i * sizes + j);
        row.fingerprint = row.trial_id;
        row.eval_sha256 = row.tokenizer_sha256 = "simulated";
        row.params_blocks = params;
        row.params_embedding = row.params_head = kVocabulary * width;
        row.params_position = 0;
        row.tokens_trained = tokens;
        row.budget_flops = budget;
        row.flops_exact = (6 * params + 12 * layers * kContext * width) * tokens;
        row.d_model = static_cast<int64_t>(width);
        row.n_layer = static_cast<int64_t>(layers);
        row.n_head = std::max<int64_t>(1, row.d_model / 64);
        row.d_ff = 4 * row.d_model;
        row.vocab_size = static_cast<int64_t>(kVocabulary);
        row.sequence_length = static_cast<int64_t>(kContext);
        row.final_loss_nats = scale * kTruth.LossAt(params, tokens);
        row.seed = seed;
        row.is_replicate = seed > 1;
        row.schedule_ended = true;
        for (int point = 1; point <= kCurvePoints; ++point) {
          LossPoint loss;
          loss.step = point * 100;
          loss.tokens = static_cast<int64_t>(tokens * point / kCurvePoints);
          loss.loss_nats = scale * kTruth.LossAt(params, static_cast<double>(loss.tokens));
          row.curve.push_back(loss);
        }
        rows.push_back(row);
      }
    }
  }
  return rows;
}

json Report(int budgets, int sizes, int seeds, int threads) {
  const std::vector<Observation> observations = SimulatedStudy(budgets, sizes, seeds);
  AnalysisOptions options;
  options.count = CountConvention::kNonEmbedding;
  options.sections = AnalysisOptions::Sections();
  options.threads = threads;
  AnalysisResult analysis;
  json result = Timed(1, [&] { analysis = *Analyze(observations, options); });
  result.update({{"rows", analysis.rows.size()}, {"draws", analysis.bootstrap.laws.size()}});
  if (analysis.parametric) {
    const ParametricFit& fit = *analysis.parametric;
    result.update({{"f", fit.certificate.f},
                   {"certified", fit.certificate.outcome == FitOutcome::kOptimal},
                   {"law", LawJson(fit.law)}});
  }
  // A section that refused costs nothing: say which did.
  json missing = json::array();
  const auto need = [&](bool is_there, const char* section) {
    if (!is_there) missing.push_back(section);
  };
  need(analysis.agreement.has_value(), "agreement");
  need(!analysis.sensitivity.empty(), "sensitivity");
  need(analysis.holdout && !analysis.holdout->refusal, "holdout");
  need(!analysis.profiles.empty() && !analysis.influence.empty() && analysis.coverage, "uncertainty");
  need(analysis.forms.has_value(), "forms");
  need(!analysis.conventions.empty(), "conventions");
  need(analysis.design && !analysis.design->refusal, "design");
  need(analysis.isoflop.has_value() && analysis.envelope && !analysis.envelope->refusal, "approaches 1 and 2");
  result["missing"] = missing;
  return result;
}

int Main(int argc, char** argv) {
  const std::string job = argc > 1 ? argv[1] : "";
  const auto number = [&](int i) { return i < argc ? std::atoi(argv[i]) : 1; };
  if (job == "report") {
    std::printf("%s\n", Report(number(2), number(3), number(4), number(5)).dump().c_str());
    return 0;
  }
  if (argc < 3) {
    std::fprintf(stderr, "usage: analysis_bench fit|descent|refits|bootstrap|grid ROWS.csv [DRAWS THREADS]\n");
    return 2;
  }
  const std::vector<KeptRow> kept = ReadRows(argv[2]);
  const FitRows rows = FitRowsOfSubset(kept, AllRows(kept.size()));
  json result;
  if (job == "fit") result = Fit(rows);
  if (job == "descent") result = Descent(rows);
  if (job == "refits") result = Refits(kept, rows, number(3), number(4));
  if (job == "bootstrap") result = Bootstrap(kept, rows, number(3), number(4));
  if (job == "grid") result = Grid(rows);
  std::printf("%s\n", result.dump().c_str());
  return 0;
}

}  // namespace
}  // namespace isoflop

int main(int argc, char** argv) { return isoflop::Main(argc, argv); }
