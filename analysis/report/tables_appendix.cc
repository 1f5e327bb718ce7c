// The appendix: exclusions, trials.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/report/report_parts.h"
#include "analysis/report/table_cells.h"
#include "study/format.h"
#include "study/param_counts.h"

namespace isoflop {

std::optional<Table> ExclusionsTable(const AnalysisResult& result) {
  if (result.exclusions.empty()) return std::nullopt;
  Table table{.name = "exclusions", .title = "Observations left out"};
  table.columns = {{"source", "source", false}, {"rule", "rule", false}, {"detail", "detail", false}, {"params", "N"}, {"tokens", "D"}, {"flops", "C"}, {"loss", "loss"}};
  const auto number = [](const std::optional<double>& value, NumberFormat format) {
    return value.has_value() ? NumberCell(*value, format) : MissingCell();
  };
  for (const Exclusion& exclusion : result.exclusions) {
    table.rows.push_back({TextCell(exclusion.source), TextCell(ToString(exclusion.rule)), TextCell(exclusion.detail), number(exclusion.params, FormatCount),
                          number(exclusion.tokens, FormatTokens), number(exclusion.flops, FormatFlops), number(exclusion.loss, FormatLoss)});
  }
  table.folded = table.rows.size() > 20;
  table.caption = absl::StrCat("n = ", result.exclusions.size(), " of ", result.rows_read, " rows read. The rules were fixed before the fit and are applied in order; figures draw these points hollow.");
  return table;
}

std::optional<Table> TrialsTable(const AnalysisResult& result, const ReportContext& context) {
  Table table{.name = "trials", .title = "All trials"};
  const auto known = [](double value, NumberFormat format) { return value > 0 ? NumberCell(value, format) : MissingCell(); };
  if (!context.trials.empty()) {
    table.columns = {{"trial_id", "trial"}, {"role", "role", false}, {"state", "state", false}, {"seed", "seed"}, {"params", "N"}, {"tokens_planned", "D planned"},
                     {"budget_flops", "C"}, {"final_loss_nats", "loss [nats]"}, {"predicted", "predicted"}, {"attempts", "tries"},
                     {"slot_seconds", "slot time"}, {"tokens_per_second", "tokens/s"}};
    for (const ReportTrial& trial : context.trials) {
      double predicted = 0;
      for (const KeptRow& row : result.rows) {
        if (row.observation.trial_id == trial.id) predicted = row.predicted_loss.value_or(0);
      }
      table.rows.push_back({TextCell(trial.id), TextCell(trial.is_trunk ? "trunk" : "observation"), TextCell(ToString(trial.state)), TextCell(absl::StrCat(trial.seed)),
                            known(static_cast<double>(ParamsUnder(result.options.count, trial.counts, trial.shape)), FormatCount), known(trial.tokens_planned, FormatTokens),
                            known(trial.budget_flops, FormatFlops), known(trial.final_loss_nats.value_or(0), FormatLoss), known(predicted, FormatLoss),
                            WholeCell(trial.attempts), known(trial.slot_seconds, FormatSeconds), known(trial.tokens_per_second, FormatRate)});
    }
  } else {
    table.title = "All observations in the fit";
    table.columns = {{"source", "source", false}, {"params", "N"}, {"tokens", "D"}, {"flops", "C"}, {"loss", "loss"}, {"predicted", "predicted"}, {"residual", "residual [%]"}};
    for (const KeptRow& row : result.rows) {
      table.rows.push_back({TextCell(row.observation.source), NumberCell(row.params, FormatCount), NumberCell(row.tokens, FormatTokens), NumberCell(row.flops, FormatFlops),
                            NumberCell(row.loss, FormatLoss), known(row.predicted_loss.value_or(0), FormatLoss),
                            row.residual.has_value() ? Cell{absl::StrFormat("%+.2f", 100 * *row.residual), ExactText(100 * *row.residual)} : MissingCell()});
    }
  }
  if (table.rows.empty()) return std::nullopt;
  table.caption = absl::StrCat("n = ", table.rows.size(), result.parametric.has_value() ? absl::StrCat("; predicted: ", FitWords(result)) : "", ".");
  table.folded = table.rows.size() > 12;
  return table;
}

}  // namespace isoflop
