// T8: the law's parameters with their correlation and the certificate.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "analysis/report/report_parts.h"
#include "analysis/report/table_cells.h"
#include "study/format.h"

namespace isoflop {
namespace {

// A law's parameter spans twenty decades: "8.442e-6" where figures would fill the column.
std::string FormatWide(double value, int digits) {
  const double size = std::abs(value);
  if (!std::isfinite(value) || value == 0 || (size >= 1e-3 && size < 1e6)) return FormatSignificant(value, digits);
  const std::string text = absl::StrFormat("%.*e", digits - 1, value);
  const size_t e = text.find('e');
  return absl::StrCat(text.substr(0, e), "e", std::atoi(text.c_str() + e + 1));
}

std::string FormatParameter(double value) { return FormatWide(value, 6); }

Table ParametersTable(const AnalysisResult& result) {
  const ParametricFit& fit = *result.parametric;
  Table table{.name = "t8_parameters", .number = "T8", .title = absl::StrCat("The law: ", FormText(fit.law.form))};
  table.columns = {{"parameter", "parameter", false}, {"estimate", "estimate"}, {"se", "SE"}};
  const std::vector<double>& levels = result.options.spec.levels;
  const double main_level = MainLevel(result);
  for (const double level : levels) {
    table.columns.push_back({absl::StrFormat("lo_%g", level), absl::StrFormat("%g %% from", level)});
    table.columns.push_back({absl::StrFormat("hi_%g", level), "to"});
  }
  const std::pair<const char*, const Estimate*> rows[] = {
      {"E", &fit.E},         {"A", &fit.A}, {"B", &fit.B}, {"alpha", &fit.alpha}, {"beta", &fit.beta}, {"a = beta/(alpha+beta)", &fit.a},
      {"b = 1 - a", &fit.b}, {"gamma", &fit.gamma}, {"G", &fit.optimum_coefficient}, {"A N0^-alpha", &fit.A_centered}, {"B D0^-beta", &fit.B_centered}};
  const bool has_bca = std::any_of(std::begin(rows), std::end(rows), [&](const auto& row) { return BcaAt(*row.second, main_level) != nullptr; });
  if (has_bca) {
    table.columns.push_back({absl::StrFormat("bca_lo_%g", main_level), absl::StrFormat("BCa %g %% from", main_level)});
    table.columns.push_back({absl::StrFormat("bca_hi_%g", main_level), "to"});
  }
  const auto ends = [](const Interval* interval, std::vector<Cell>* cells) {
    for (const bool low : {true, false}) {
      const double end = interval == nullptr ? NAN : low ? interval->lo : interval->hi;
      cells->push_back(interval == nullptr ? MissingCell() : Cell{FormatWide(end, 4), ExactText(end)});
    }
  };
  std::string method;
  for (const auto& [name, estimate] : rows) {
    std::vector<Cell> cells = {TextCell(name), NumberCell(estimate->value, FormatParameter)};
    cells.push_back(estimate->se.has_value() ? Cell{FormatWide(*estimate->se, 3), ExactText(*estimate->se)} : MissingCell());
    for (const double level : levels) ends(estimate->At(level), &cells);
    if (has_bca) ends(BcaAt(*estimate, main_level), &cells);
    if (method.empty()) method = estimate->method;
    table.rows.push_back(std::move(cells));
  }
  table.caption = absl::StrCat(FitWords(result));
  if (!method.empty()) {
    absl::StrAppend(&table.caption, "; intervals: ", method, ", ", result.bootstrap.draws, " draws, seed ", result.bootstrap.seed, ", percentiles",
                    method == "wild" ? " (weights of Webb 2023)" : "");
  }
  if (has_bca) absl::StrAppend(&table.caption, "; BCa: bias-corrected and accelerated, for skewed numbers (Efron 1987)");
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
  table.caption = absl::StrCat(FitWords(result), "; over ", result.bootstrap.laws.size(), " bootstrap draws, ", result.bootstrap.method, ".");
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
  if (result.bootstrap.draws > 0) {
    add("draws that another basin won", absl::StrFormat("%.1f %%", 100 * result.bootstrap.jump_share), ExactText(100 * result.bootstrap.jump_share));
  }
  table.caption = absl::StrCat(FitWords(result), ". Huber's loss is quadratic within delta and linear beyond (Huber 1964); delta far below sigma is least absolute deviations in fact.");
  if (c.objective.find("huber") == std::string::npos) table.caption = absl::StrCat(FitWords(result), ".");
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

}  // namespace isoflop
