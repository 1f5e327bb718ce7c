// T8, the law's parameters with correlation and certificate, and the appendix:
// checklist, exclusions, trials.
#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "analysis/report/report_parts.h"
#include "analysis/report/table_cells.h"
#include "study/format.h"
#include "study/param_counts.h"

namespace isoflop {
namespace {

std::string FormatParameter(double value) { return FormatSignificant(value, 6); }

Table ParametersTable(const AnalysisResult& result) {
  const ParametricFit& fit = *result.parametric;
  Table table{.name = "t8_parameters", .number = "T8", .title = "The law: L = E + A N^-alpha + B D^-beta"};
  table.columns = {{"parameter", "parameter", false}, {"estimate", "estimate"}, {"se", "SE"}};
  const std::vector<double>& levels = result.options.spec.levels;
  for (const double level : levels) {
    table.columns.push_back({absl::StrFormat("lo_%g", level), absl::StrFormat("%g %% from", level)});
    table.columns.push_back({absl::StrFormat("hi_%g", level), "to"});
  }
  const std::pair<const char*, const Estimate*> rows[] = {
      {"E", &fit.E},         {"A", &fit.A}, {"B", &fit.B}, {"alpha", &fit.alpha}, {"beta", &fit.beta}, {"a = beta/(alpha+beta)", &fit.a},
      {"b = 1 - a", &fit.b}, {"gamma", &fit.gamma}, {"G", &fit.optimum_coefficient}, {"A N0^-alpha", &fit.A_centered}, {"B D0^-beta", &fit.B_centered}};
  std::string method;
  for (const auto& [name, estimate] : rows) {
    std::vector<Cell> cells = {TextCell(name), NumberCell(estimate->value, FormatParameter)};
    cells.push_back(estimate->se.has_value() ? Cell{FormatSignificant(*estimate->se, 3), ExactText(*estimate->se)} : Cell{"–", ""});
    for (const double level : levels) {
      const Interval* interval = estimate->At(level);
      for (const bool low : {true, false}) {
        const double end = interval == nullptr ? NAN : low ? interval->lo : interval->hi;
        cells.push_back(interval == nullptr ? Cell{"–", ""} : Cell{FormatSignificant(end, 4), ExactText(end)});
      }
    }
    if (method.empty()) method = estimate->method;
    table.rows.push_back(std::move(cells));
  }
  table.caption = absl::StrCat(FitWords(result));
  if (!method.empty()) {
    absl::StrAppend(&table.caption, "; intervals: ", method, ", ", result.bootstrap.draws, " draws, seed ", result.bootstrap.seed, ", percentiles");
  }
  absl::StrAppend(&table.caption, ". N* = G (C/6)^a. Centre of the rows: N0 = ", FormatCount(fit.center_params), ", D0 = ", FormatTokens(fit.center_tokens),
                  "; A and alpha move together, A N0^-alpha is what the data determine.");
  return table;
}

std::optional<Table> CorrelationTable(const AnalysisResult& result) {
  const std::vector<double>& correlation = result.parametric->correlation;
  const std::vector<std::string> names = {"ln A", "ln B", "ln E", "alpha", "beta"};
  if (correlation.size() != names.size() * names.size()) return std::nullopt;
  Table table{.name = "t8_correlation", .number = "T8b", .title = "Correlation of the parameters"};
  table.columns.push_back({"parameter", "", false});
  for (const std::string& name : names) table.columns.push_back({name, name});
  for (size_t i = 0; i < names.size(); ++i) {
    std::vector<Cell> cells = {TextCell(names[i])};
    for (size_t j = 0; j < names.size(); ++j) {
      const double r = correlation[i * names.size() + j];
      cells.push_back({absl::StrFormat("%.3f", r), ExactText(r)});
    }
    table.rows.push_back(std::move(cells));
  }
  table.caption = absl::StrCat("Over ", result.bootstrap.laws.size(), " bootstrap draws.");
  return table;
}

Table CertificateTable(const AnalysisResult& result) {
  const Certificate& c = result.parametric->certificate;
  Table table{.name = "t8_certificate", .number = "T8c", .title = "Certificate: what shows that this is the optimum"};
  table.columns = {{"what", "", false}, {"value", "value", false}};
  const auto add = [&](const std::string& label, const std::string& text, const std::string& exact) {
    table.rows.push_back({TextCell(label), {text, exact}});
  };
  const auto number = [&](const std::string& label, double value) { add(label, absl::StrFormat("%.4g", value), ExactText(value)); };
  add("outcome", ToString(c.outcome), ToString(c.outcome));
  add("objective", c.objective, c.objective);
  add("f, a sum over rows", absl::StrFormat("%.10g", c.f), ExactText(c.f));
  number("largest |gradient|", c.max_gradient);
  number("largest Newton step (at most 1e-9 is demanded)", c.max_newton_step);
  std::vector<std::string> shown, exact;
  for (const double value : c.hessian_eigenvalues) {
    shown.push_back(absl::StrFormat("%.4g", value));
    exact.push_back(ExactText(value));
  }
  add("eigenvalues of the Hessian (all above 0)", absl::StrJoin(shown, "  "), absl::StrJoin(exact, " "));
  add("starts that reached the best f", absl::StrCat(c.starts_at_best, " of ", c.starts_tried), absl::StrCat(c.starts_at_best, "/", c.starts_tried));
  if (c.next_basin_f.has_value()) number("f of the next basin", *c.next_basin_f);
  if (c.next_basin_a.has_value()) number("a of the next basin", *c.next_basin_a);
  if (!c.at_bounds.empty()) add("at a bound", absl::StrJoin(c.at_bounds, ", "), absl::StrJoin(c.at_bounds, ", "));
  add("rows with |residual| within delta", absl::StrCat(c.rows_within_delta, " of ", result.rows.size()), absl::StrCat(c.rows_within_delta));
  number("sigma of ln L, robust", c.sigma);
  number("delta / sigma", c.delta_over_sigma);
  return table;
}

}  // namespace

std::vector<Table> FitTables(const AnalysisResult& result) {
  if (!result.parametric.has_value()) return {};
  std::vector<Table> tables = {ParametersTable(result)};
  if (std::optional<Table> correlation = CorrelationTable(result)) tables.push_back(std::move(*correlation));
  tables.push_back(CertificateTable(result));
  return tables;
}

Table ChecklistTable(const AnalysisResult& result, const ReportContext& context) {
  Table table{.name = "checklist", .title = "Checklist"};
  table.columns = {{"known", "", false}, {"what", "item", false}, {"value", "answer", false}};
  const auto add = [&](const std::string& label, const std::string& text) {
    const bool known = !text.empty();
    table.rows.push_back({{known ? "☑" : "☐", known ? "1" : "0"}, TextCell(label), {known ? text : "not known", text}});
  };
  const AnalysisSpec& spec = result.options.spec;
  add("isoflop that rendered this", context.program_version);
  for (const auto& [label, text] : context.provenance) add(label, text);
  add("observations, sha256", result.observations_sha256);
  add("data, sha256", context.data.has_value() ? context.data->dataset_sha256 : "");
  add("tokenizer, sha256", context.data.has_value() ? context.data->tokenizer_sha256 : "");
  std::set<std::string> eval_sets;
  for (const KeptRow& row : result.rows) eval_sets.insert(row.observation.eval_sha256);
  eval_sets.erase("");
  add("evaluation set, one for all", eval_sets.empty() ? (context.data.has_value() ? context.data->eval_sha256 : "")
                                                       : absl::StrJoin(eval_sets, ", "));
  add("N counts", result.count_known ? CountWords(result) : "");
  add("C is", result.options.flops == FlopsConvention::k6nd ? "6ND" : "by architecture, attention over the full square");
  add("loss in", spec.loss == LossUnit::kNats ? "nats a token" : "bits a byte");
  int ended = 0, unknown = 0, derived = 0;
  double most_epochs = 0;
  for (const KeptRow& row : result.rows) {
    ended += row.observation.schedule_ended.value_or(false) ? 1 : 0;
    unknown += row.observation.schedule_ended.has_value() ? 0 : 1;
    derived += row.observation.tokens_derived ? 1 : 0;
    if (row.observation.unique_tokens.value_or(0) > 0) most_epochs = std::max(most_epochs, row.tokens / *row.observation.unique_tokens);
  }
  const size_t n = result.rows.size();
  add("learning rate reached its end", n > 0 && unknown == static_cast<int>(n) ? "" : absl::StrCat(ended, " of ", n, " rows"));
  add("D measured", derived > 0 ? absl::StrCat("derived as C/(6N) in ", derived, " of ", n, " rows") : absl::StrCat("in all ", n, " rows"));
  add("most epochs", most_epochs > 0 ? FormatSignificant(most_epochs, 3) : "");
  add("seeds", absl::StrJoin(SeedsOf(result), ", "));
  add("seed noise of ln L", !(result.noise.sigma > 0)       ? ""
                            : result.noise.from_replicates ? absl::StrFormat("%.3g from %d replicated cells", result.noise.sigma, result.noise.cells)
                                                           : absl::StrFormat("%.3g, from the residuals", result.noise.sigma));
  add("rows read, kept, left out", absl::StrCat(result.rows_read, ", ", n, ", ", result.exclusions.size()));
  add("objective", result.parametric.has_value() ? result.parametric->certificate.objective : ToString(spec.objective));
  add("outliers dropped by rule", absl::StrCat(spec.outliers));
  add("certificate", result.parametric.has_value() ? ToString(result.parametric->certificate.outcome) : "");
  add("bootstrap", result.bootstrap.method.empty() ? ""
                                                   : absl::StrCat(result.bootstrap.method, ", ", result.bootstrap.draws, " draws, ", result.bootstrap.failed,
                                                                  " failed, seed ", result.bootstrap.seed));
  add("this report again", context.commands.empty() ? "" : absl::StrJoin(context.commands, "; "));
  return table;
}

std::optional<Table> ExclusionsTable(const AnalysisResult& result) {
  if (result.exclusions.empty()) return std::nullopt;
  Table table{.name = "exclusions", .title = "Observations left out"};
  table.columns = {{"source", "source", false}, {"rule", "rule", false}, {"detail", "detail", false}, {"params", "N"}, {"tokens", "D"}, {"flops", "C"}, {"loss", "loss"}};
  const auto number = [](const std::optional<double>& value, NumberFormat format) {
    return value.has_value() ? NumberCell(*value, format) : Cell{"–", ""};
  };
  for (const Exclusion& exclusion : result.exclusions) {
    table.rows.push_back({TextCell(exclusion.source), TextCell(ToString(exclusion.rule)), TextCell(exclusion.detail), number(exclusion.params, FormatCount),
                          number(exclusion.tokens, FormatTokens), number(exclusion.flops, FormatFlops), number(exclusion.loss, FormatLoss)});
  }
  table.folded = table.rows.size() > 20;
  table.caption = "The rules were fixed before the fit and are applied in order; figures draw these points hollow.";
  return table;
}

std::optional<Table> TrialsTable(const AnalysisResult& result, const ReportContext& context) {
  Table table{.name = "trials", .title = "All trials"};
  const auto known = [](double value, NumberFormat format) { return value > 0 ? NumberCell(value, format) : Cell{"–", ""}; };
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
                            row.residual.has_value() ? Cell{absl::StrFormat("%+.2f", 100 * *row.residual), ExactText(100 * *row.residual)} : Cell{"–", ""}});
    }
  }
  if (table.rows.empty()) return std::nullopt;
  table.folded = table.rows.size() > 12;
  return table;
}

}  // namespace isoflop
