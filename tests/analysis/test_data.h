// Rows for the tests of the analysis: published files and small worlds with a
// known law.
#ifndef ISOFLOP_TESTS_ANALYSIS_TEST_DATA_H_
#define ISOFLOP_TESTS_ANALYSIS_TEST_DATA_H_

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "analysis/analysis_result.h"
#include "analysis/csv_table.h"
#include "analysis/law_fit.h"
#include "analysis/observations.h"

namespace isoflop {

inline std::string ReadTestFile(const std::string& name) {
  std::ifstream in(std::string(ISOFLOP_SOURCE_DIR) + "/tests/data/" + name);
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_TRUE(in.good()) << name;
  return text.str();
}

inline std::vector<Observation> ReadPublished(const std::string& name, const CsvOptions& options = {}) {
  absl::StatusOr<std::vector<Observation>> rows = ReadCsvObservations(ReadTestFile(name), name, options);
  EXPECT_TRUE(rows.ok()) << rows.status();
  return rows.ok() ? *std::move(rows) : std::vector<Observation>();
}

// The columns of a file as numbers; empty cells NaN.
inline std::vector<double> Column(const CsvTable& table, const std::string& header) {
  std::vector<double> values;
  for (size_t i = 0; i < table.header.size(); ++i) {
    if (table.header[i] != header) continue;
    for (const CsvRow& row : table.rows) values.push_back(row.cells[i].empty() ? NAN : std::stod(row.cells[i]));
  }
  EXPECT_EQ(values.size(), table.rows.size()) << header;
  return values;
}

// F2's constants (Hoffmann et al. 2022).
inline LossLaw HoffmannLaw() { return {LawForm::kChinchilla, 1.69, 406.4, 410.7, 0.34, 0.28}; }

inline Observation MakeObservation(double params, double tokens, double loss) {
  Observation row;
  row.source = "row";
  row.params_blocks = params;
  row.params_embedding = 0;
  row.params_head = 0;
  row.tokens_trained = tokens;
  row.final_loss_nats = loss;
  row.schedule_ended = true;
  return row;
}

// `sizes` log-spaced from N*/spread to N* spread at each of `budgets` log-spaced
// budgets; the loss of `law` times exp(noise z), z normal from `seed` (Box-Muller
// on mt19937: the same everywhere).
inline std::vector<Observation> SimulatedStudy(const LossLaw& law, double from, double to, int budgets, int sizes,
                                               double spread, double noise = 0, uint32_t seed = 1) {
  std::mt19937 generator(seed);
  const auto uniform = [&] { return (static_cast<double>(generator()) + 0.5) / 4294967296.0; };
  std::vector<Observation> rows;
  for (int i = 0; i < budgets; ++i) {
    const double budget = from * std::pow(to / from, budgets > 1 ? static_cast<double>(i) / (budgets - 1) : 0);
    const double G = std::pow(law.alpha * law.A / (law.beta * law.B), 1 / (law.alpha + law.beta));
    const double optimum = G * std::pow(budget / 6, law.a());
    for (int j = 0; j < sizes; ++j) {
      const double params = optimum * std::pow(spread, -1 + 2.0 * j / (sizes - 1));
      const double tokens = budget / (6 * params);
      const double z = std::sqrt(-2 * std::log(uniform())) * std::cos(6.283185307179586 * uniform());
      rows.push_back(MakeObservation(params, tokens, law.LossAt(params, tokens) * std::exp(noise * z)));
      rows.back().budget_flops = budget;
    }
  }
  return rows;
}

inline FitRows FitRowsFrom(const std::vector<Observation>& observations) {
  std::vector<double> params, tokens, loss;
  for (const Observation& row : observations) {
    params.push_back(row.params_unnamed.value_or(row.params_blocks.value_or(0)));
    tokens.push_back(row.tokens_trained);
    loss.push_back(row.final_loss_nats);
  }
  return MakeFitRows(params, tokens, loss);
}

inline double RelativeDifference(double ours, double required) { return std::abs(ours / required - 1); }

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_ANALYSIS_TEST_DATA_H_
