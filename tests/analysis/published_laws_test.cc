// Published numbers that need a fit or a formula alone, of forms and objectives
// beside the default (tests/data/README.md).
#include <gtest/gtest.h>

#include <algorithm>

#include "analysis/law_fit.h"
#include "analysis/variable_projection.h"
#include "tests/analysis/published_table.h"
#include "tests/analysis/test_data.h"

namespace isoflop {
namespace {

constexpr char kEpoch[] = "epoch_chinchilla_svg_extracted_data.csv";

// The reference's units: N/1e6 and D/1e9.
TEST(PublishedLawsTest, E8LeastSquaresOnLoss) {
  std::vector<Observation> rows = ReadPublished(kEpoch);
  rows.erase(rows.begin(), rows.begin() + 5);
  std::erase_if(rows, [](const Observation& row) { return 6 * *row.params_unnamed * row.tokens_trained >= 1e21; });
  ASSERT_EQ(rows.size(), 217u);
  for (Observation& row : rows) {
    row.params_unnamed = *row.params_unnamed / 1e6;
    row.tokens_trained /= 1e9;
  }
  const FitRows fit_rows = FitRowsFrom(rows);
  const LawFit fit = FitLossLaw(fit_rows, {FitObjective::kMseRaw});
  EXPECT_EQ(fit.certificate.objective, "mse on loss");
  EXPECT_EQ(fit.certificate.outcome, FitOutcome::kOptimal);
  Demand("E8", "E", 1.905092288, fit.law.E, 1e-5);
  Demand("E8", "A", 4.000522471, fit.law.A, 1e-5);
  Demand("E8", "B", 1.050947686, fit.law.B, 1e-5);
  Demand("E8", "alpha", 0.3510582055, fit.law.alpha, 1e-5);
  Demand("E8", "beta", 0.4587417948, fit.law.beta, 1e-5);
  Demand("E8", "RSS", 0.06241429288, 2 * fit.certificate.f, 1e-5);
  // Variable projection's inner problem, by QR, at these exponents: the same law.
  const LinearFit inner = SolveLinearPartByQr(fit_rows, fit.law.alpha, fit.law.beta);
  Demand("E8", "E by QR", fit.law.E, inner.E, 1e-9);
  Demand("E8", "A by QR", fit.law.A, inner.A * std::exp(inner.alpha * fit_rows.n0), 1e-9);
  Demand("E8", "B by QR", fit.law.B, inner.B * std::exp(inner.beta * fit_rows.d0), 1e-9);
  Demand("E8", "RSS by QR", 2 * fit.certificate.f, inner.rss, 1e-9);
}

TEST(PublishedLawsTest, A1gOvertrainingAndItsPredictions) {
  const absl::StatusOr<CsvTable> table = ParseCsv(ReadTestFile("gadre_overtraining_104.csv"), "gadre");
  ASSERT_TRUE(table.ok());
  const std::vector<double> params = Column(*table, "N"), tokens = Column(*table, "D");
  const std::vector<double> loss = Column(*table, "loss_c4_val");
  const auto dataset = std::find(table->header.begin(), table->header.end(), "dataset") - table->header.begin();
  const auto find = [&](double size, double ratio) {
    for (size_t i = 0; i < params.size(); ++i) {
      const bool is_redpajama = table->rows[i].cells[static_cast<size_t>(dataset)] == "rpj";
      if (is_redpajama && std::abs(params[i] / size - 1) < 0.06 && std::abs(tokens[i] / params[i] / ratio - 1) < 0.02) {
        return i;
      }
    }
    ADD_FAILURE() << "no run of " << size << " at D/N " << ratio;
    return size_t{0};
  };
  std::vector<double> fit_params, fit_tokens, fit_loss;
  for (const size_t i : {find(11e6, 20), find(79e6, 20), find(154e6, 20), find(411e6, 20), find(11e6, 320)}) {
    fit_params.push_back(params[i]);
    fit_tokens.push_back(tokens[i]);
    fit_loss.push_back(loss[i]);
  }
  const LawFit fit = FitLossLaw(MakeFitRows(fit_params, fit_tokens, fit_loss), {FitObjective::kMseRaw, 1e-3, LawForm::kGadre});
  EXPECT_EQ(fit.law.form, LawForm::kGadre);
  EXPECT_EQ(fit.certificate.outcome, FitOutcome::kOptimal);
  Demand("A1g", "SSE", 4.256476704e-4, 2 * fit.certificate.f, 1e-5);
  Demand("A1g", "a", 166.2109847, fit.law.A, 1e-5);
  // c 6^(b/2) = B with b = -alpha.
  Demand("A1g", "c", 366.6871764, fit.law.B * std::pow(6, fit.law.alpha / 2), 1e-5);
  Demand("A1g", "b", -0.2728507029, -fit.law.alpha, 1e-5);
  Demand("A1g", "E", 1.836648382, fit.law.E, 1e-5);
  const auto error_percent = [&](size_t i) { return 100 * std::abs(fit.law.LossAt(params[i], tokens[i]) / loss[i] - 1); };
  // Printed to four digits.
  Demand("A1g", "% error at 1.4B, D/N 640", 0.7103, error_percent(find(1.4e9, 640)), 1e-4);
  Demand("A1g", "% error at 6.9B, D/N 20", 0.7320, error_percent(find(6.9e9, 20)), 1e-4);
}

TEST(PublishedLawsTest, D1DataConstrained) {
  const LossLaw law = {LawForm::kDataConstrained, std::exp(0.6254804),  std::exp(6.255414), std::exp(7.3049974),
                       0.3526596,                 0.3526596, 1,         15.387756,          5.309743};
  Demand("D1", "L(6.34e9, 242e9, 25e9)", 2.2256440889984477, law.LossAt(6.34e9, 242e9, 25e9), 4e-16);
  Demand("D1", "L(8.67e9, 178e9, 25e9)", 2.2269634075087867, law.LossAt(8.67e9, 178e9, 25e9), 4e-16);
}

}  // namespace
}  // namespace isoflop
