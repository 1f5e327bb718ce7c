// T7b-T7d: what leaving the compute-optimal point costs or saves.
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/report/report_parts.h"
#include "analysis/report/table_cells.h"
#include "study/format.h"

namespace isoflop {
namespace {

std::string FormatPercent(double fraction) { return absl::StrFormat("%.1f", std::abs(fraction) < 5e-4 ? 0.0 : 100 * fraction); }
std::string FormatFactor(double factor) { return absl::StrFormat("%.3g", factor); }

// A fraction in percent, the CSV too.
Cell PercentOf(const Quantity& quantity, double level) {
  Cell cell = QuantityCell(quantity, level, FormatPercent);
  if (const Estimate* estimate = EstimateIn(quantity)) cell.exact = ExactText(100 * estimate->value);
  return cell;
}

std::string Intervals(const AnalysisResult& result, double level) {
  return result.bootstrap.method.empty() ? "" : absl::StrFormat("; %g %% intervals, %s", level, result.bootstrap.method);
}

}  // namespace

std::optional<Table> OvertrainingTable(const AnalysisResult& result) {
  if (result.overtraining.empty()) return std::nullopt;
  const double level = MainLevel(result);
  Table table{.name = "t7_overtraining", .number = "T7b", .title = "Over-training: a smaller model of the same loss"};
  table.columns = {{"budget_flops", "loss of C ="}, {"params_factor", "N/N*"}, {"params", "N"}, {"tokens", "D"}, {"tokens_per_parameter", "D/N"},
                   {"overhead_percent", "more compute [%]"}};
  for (const OvertrainingRow& row : result.overtraining) {
    table.rows.push_back({{FormatFlops(row.budget_flops), ExactText(row.budget_flops)}, NumberCell(row.params_factor, FormatFactor),
                          NumberCell(row.params, FormatCount), QuantityCell(row.tokens, level, FormatTokens),
                          QuantityCell(row.tokens_per_parameter, level, FormatRatio), PercentOf(row.overhead_fraction, level)});
  }
  table.caption = absl::StrCat(FitWords(result), Intervals(result, level),
                               ". D that brings size N to the loss that is optimal at C (Gadre et al. 2024 train such models); the overhead is 6ND/C − 1. "
                               "A code in place of a number: no amount of tokens does.");
  return table;
}

std::optional<Table> InferenceTable(const AnalysisResult& result) {
  if (result.inference.empty()) return std::nullopt;
  const double level = MainLevel(result);
  Table table{.name = "t7_inference", .number = "T7c", .title = "Cheapest over a lifetime of inference"};
  table.columns = {{"inference_tokens", "tokens served"}, {"budget_flops", "loss of C ="}, {"params", "N"}, {"tokens", "D"}, {"tokens_per_parameter", "D/N"},
                   {"saving_percent", "saved [%]"}};
  for (const InferenceRow& row : result.inference) {
    table.rows.push_back({NumberCell(row.inference_tokens, FormatTokens), {FormatFlops(row.budget_flops), ExactText(row.budget_flops)},
                          EstimateCell(row.params, level, FormatCount), EstimateCell(row.tokens, level, FormatTokens),
                          EstimateCell(row.tokens_per_parameter, level, FormatRatio), PercentOf(row.saving_fraction, level)});
  }
  table.caption = absl::StrCat(FitWords(result), Intervals(result, level),
                               ". Least 6ND + 2N x tokens served at the loss that is optimal at C (Sardana et al. 2024); saved against the training optimum.");
  return table;
}

std::optional<Table> RepeatedDataTable(const AnalysisResult& result) {
  if (result.repeated_data.empty()) return std::nullopt;
  const double level = MainLevel(result);
  Table table{.name = "t7_repeated_data", .number = "T7d", .title = "The optimum when data repeat"};
  table.columns = {{"budget_flops", "C [FLOPs]"}, {"unique_tokens", "unique tokens"}, {"params", "N"}, {"tokens", "D"}, {"epochs", "epochs"}, {"loss", "loss"}};
  for (const RepeatedDataRow& row : result.repeated_data) {
    table.rows.push_back({{FormatFlops(row.budget_flops), ExactText(row.budget_flops)}, NumberCell(row.unique_tokens, FormatTokens),
                          EstimateCell(row.params, level, FormatCount), EstimateCell(row.tokens, level, FormatTokens),
                          EstimateCell(row.epochs, level, FormatRatio), EstimateCell(row.loss, level, FormatLoss)});
  }
  table.caption = absl::StrCat(FitWords(result), Intervals(result, level), ". The data-constrained law (Muennighoff et al. 2023) at the unique tokens given.");
  return table;
}

// A sentence, not a table: where the corpus ends.
std::string DataExhaustedSentence(const AnalysisResult& result) {
  if (!result.data_exhausted_flops.has_value()) return "";
  return absl::StrCat("D* passes the unique tokens of the corpus at C = ", FormatFlops(*result.data_exhausted_flops), " FLOPs; beyond that data repeat.");
}

}  // namespace isoflop
