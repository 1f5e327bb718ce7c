// T4-T7: budgets, exponents, optima, compute efficiency.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/report/report_parts.h"
#include "analysis/report/table_cells.h"
#include "study/format.h"

namespace isoflop {
namespace {

int CountRows(const AnalysisResult& result) {
  size_t rows = 0;
  for (const IsoflopBudget& budget : result.isoflop->budgets) rows += budget.rows.size();
  return static_cast<int>(rows);
}

std::string MinimumWords(const AnalysisResult& result) {
  const std::string& minimum = result.options.spec.isoflop_minimum;
  if (minimum == "akima") return "Akima splines (Akima 1970)";
  if (minimum == "cubic") return "cubics";
  return "parabolas";
}

}  // namespace

std::optional<Table> BudgetsTable(const AnalysisResult& result) {
  if (!result.isoflop.has_value() || result.isoflop->budgets.empty()) return std::nullopt;
  const double level = MainLevel(result);
  const bool is_6nd = result.options.flops == FlopsConvention::k6nd;
  Table table{.name = "t4_budgets", .number = "T4", .title = "The minimum of each budget, raw and bias-corrected"};
  table.columns = {{"budget_flops", "C [FLOPs]"}, {"points", "points"}, {"params_optimal", "N*"}, {"tokens_optimal", "D*"},
                   {"tokens_per_parameter", "D*/N*"}, {"loss_optimal", "loss"}, {"bias_ln_params", "bias of ln N*"},
                   {"params_corrected", "N*, corrected"}, {"tokens_corrected", "D*, corrected"}, {"used", "used", false}};
  bool any_bias = false;
  for (const IsoflopBudget& budget : result.isoflop->budgets) {
    const bool dim = budget.rejection.has_value();
    std::vector<Cell> cells = {{FormatFlops(budget.budget_flops), ExactText(budget.budget_flops)},
                               WholeCell(static_cast<int64_t>(budget.rows.size()))};
    cells.push_back(EstimateCell(budget.params_optimal, level, FormatCount));
    cells.push_back(EstimateCell(budget.tokens_optimal, level, FormatTokens));
    const bool both = budget.params_optimal.has_value() && budget.tokens_optimal.has_value();
    cells.push_back(both ? NumberCell(budget.tokens_optimal->value / budget.params_optimal->value, FormatRatio) : MissingCell());
    cells.push_back(budget.loss_optimal.has_value() ? NumberCell(budget.loss_optimal->value, FormatLoss) : MissingCell());
    any_bias = any_bias || budget.bias.has_value();
    cells.push_back(budget.bias.has_value() ? SignedCell(*budget.bias, 3) : MissingCell());
    cells.push_back(budget.bias.has_value() && budget.params_optimal.has_value()
                        ? NumberCell(budget.params_optimal->value * std::exp(-*budget.bias), FormatCount)
                        : MissingCell());
    // Under C = 6ND what N loses D gains.
    cells.push_back(budget.bias.has_value() && budget.tokens_optimal.has_value() && is_6nd
                        ? NumberCell(budget.tokens_optimal->value * std::exp(*budget.bias), FormatTokens)
                        : MissingCell());
    cells.push_back(dim ? TextCell("no: " + ToString(budget.rejection->code)) : TextCell("yes"));
    for (Cell& cell : cells) cell.dim = dim;
    table.rows.push_back(std::move(cells));
  }
  if (!any_bias || !is_6nd) DropColumn(&table, "tokens_corrected");
  if (!any_bias) DropColumn(&table, "params_corrected"), DropColumn(&table, "bias_ln_params");
  table.folded = table.rows.size() > 15;
  table.caption = absl::StrFormat("n = %d in %s; %s in log10 N by least squares; spread around them %.4f; %g %% intervals by the delta method.",
                                  CountRows(result), Plural(static_cast<int64_t>(result.isoflop->budgets.size()), "budget"),
                                  MinimumWords(result), result.isoflop->pooled_sigma, level);
  if (any_bias) {
    absl::StrAppend(&table.caption, " Bias: ln N* that the same procedure finds on the law of approach 3, noise-free, at the same sizes, minus that law's own.");
  }
  if (result.isoflop->bias_at_target.has_value()) {
    absl::StrAppend(&table.caption, absl::StrFormat(" At %s FLOPs the power law's bias of ln N* is %+.3f.", FormatFlops(result.target_flops), *result.isoflop->bias_at_target));
  }
  return table;
}

std::optional<Table> ExponentsTable(const AnalysisResult& result) {
  const double level = MainLevel(result);
  Table table{.name = "t5_exponents", .number = "T5", .title = "Exponents of the compute-optimal frontier"};
  table.columns = {{"method", "method", false}, {"exponent_params", "N* as C^a, a"}, {"exponent_tokens", "D* as C^b, b"}, {"points", "n"},
                   {"conventions", "N and C", false}, {"source", "source", false}};
  const std::string ours = absl::StrCat(CountWords(result), ", ", FlopsWords(result.options.flops));
  const auto law = [&](const std::string& name, const std::optional<PowerLaw>& params, const std::optional<PowerLaw>& tokens) {
    if (!params.has_value()) return;
    table.rows.push_back({TextCell(name), EstimateCell(params->exponent, level, FormatExponent),
                          tokens.has_value() ? EstimateCell(tokens->exponent, level, FormatExponent) : MissingCell(), WholeCell(params->points),
                          TextCell(ours), TextCell("this report")});
  };
  std::string method;
  if (result.parametric.has_value()) {
    method = LevelAndMethod(result.parametric->a, level);
    table.rows.push_back({TextCell("approach 3, parametric law"), EstimateCell(result.parametric->a, level, FormatExponent),
                          EstimateCell(result.parametric->b, level, FormatExponent), WholeCell(static_cast<int64_t>(result.rows.size())),
                          TextCell(ours), TextCell("this report")});
  }
  if (result.isoflop.has_value()) {
    law("approach 2, parabolas, weighted", result.isoflop->params_law, result.isoflop->tokens_law);
    law("approach 2, bias taken off", result.isoflop->params_law_corrected, result.isoflop->tokens_law_corrected);
    law("approach 2, unweighted", result.isoflop->params_law_ols, result.isoflop->tokens_law_ols);
  }
  if (result.envelope.has_value()) law("approach 1, envelope", result.envelope->params_law, result.envelope->tokens_law);
  if (table.rows.empty()) return std::nullopt;
  struct Published {
    const char* name;
    double params, tokens;
    const char* conventions;
    const char* source;
  };
  // As printed by the papers; Besiroglu et al. and Porian et al. are also recomputed
  // by this project's tests from the data that they published.
  static constexpr Published kPublished[] = {
      {"Kaplan et al. 2020", 0.73, 0.27, "non-embedding, 6ND", "section 6, from L(N, S_min)"},
      {"Hoffmann et al. 2022, approach 1", 0.50, 0.50, "total, by architecture", "table 2"},
      {"Hoffmann et al. 2022, approach 2", 0.49, 0.51, "total, by architecture", "table 2"},
      {"Hoffmann et al. 2022, approach 3", 0.46, 0.54, "total, by architecture", "table 2"},
      {"Besiroglu et al. 2024, approach 3 again", 0.513, 0.487, "total, 6ND", "the same runs, 240 of 245"},
      {"Porian et al. 2024, approach 2", 0.497, 0.503, "non-embedding + head", "RefinedWeb, every correction"},
  };
  for (const Published& row : kPublished) {
    const NumberFormat format = row.params == 0.513 || row.params == 0.497 ? +[](double value) { return absl::StrFormat("%.3f", value); } : FormatExponent;
    table.rows.push_back({TextCell(row.name), NumberCell(row.params, format), NumberCell(row.tokens, format), MissingCell(), TextCell(row.conventions),
                          TextCell(row.source)});
    for (Cell& cell : table.rows.back()) cell.dim = true;
  }
  table.caption = absl::StrCat(FitWords(result), "; N: ", CountWords(result), "; ", result.options.flops == FlopsConvention::k6nd ? "C = 6ND" : "C by architecture",
                               method.empty() ? "" : absl::StrCat("; intervals: ", method),
                               ". Published values (grey or italic) stand under their own conventions: the count of N alone moves an exponent by 0.2.");
  return table;
}

std::optional<Table> ConventionsTable(const AnalysisResult& result) {
  if (result.conventions.empty()) return std::nullopt;
  const double level = MainLevel(result);
  Table table{.name = "t5_conventions", .number = "T5b", .title = "The exponent a under every convention of N and C"};
  table.columns = {{"count", "N counts", false}, {"flops", "C", false}, {"a_parametric", "approach 3"}, {"a_isoflop", "approach 2"},
                   {"a_envelope", "approach 1"}, {"chosen", "this report's", false}};
  bool has_envelope = false;
  for (const ConventionRow& row : result.conventions) {
    has_envelope = has_envelope || EstimateIn(row.a_envelope) != nullptr;
    table.rows.push_back({{result.count_known ? CountWords(row.count) : "convention unknown", result.count_known ? ToString(row.count) : ""}, {FlopsWords(row.flops), ToString(row.flops)},
                          QuantityCell(row.a_parametric, level, FormatExponent), QuantityCell(row.a_isoflop, level, FormatExponent),
                          QuantityCell(row.a_envelope, level, FormatExponent), {row.chosen ? "yes" : "", row.chosen ? "1" : "0"}});
  }
  if (!has_envelope) DropColumn(&table, "a_envelope");
  table.caption = absl::StrCat("n = ", result.rows.size(), ", the same runs counted differently",
                               result.bootstrap.method.empty() ? "" : absl::StrFormat("; %g %% intervals where they were computed", level),
                               ". Kaplan et al. 2020 count without embeddings, Hoffmann et al. 2022 all parameters, Porian et al. 2024 with the head.");
  return table;
}

std::optional<Table> OptimalTable(const AnalysisResult& result) {
  if (result.optimal.empty()) return std::nullopt;
  const double level = MainLevel(result);
  Table table{.name = "t6_optimal", .number = "T6", .title = "Optimal size and data by compute"};
  table.columns = {{"budget_flops", "C [FLOPs]"}, {"params_optimal", "N*"}, {"tokens_optimal", "D*"}, {"tokens_per_parameter", "D*/N*"},
                   {"loss", "loss"}, {"epochs", "epochs"}, {"slot_hours", "slot hours"}, {"log10_over_max", "log10 C/Cmax"}};
  bool has_epochs = false, has_hours = false;
  for (const OptimalRow& row : result.optimal) {
    const auto number = [](const std::optional<double>& value) {
      return value.has_value() ? Cell{FormatSignificant(*value, 3), ExactText(*value)} : MissingCell();
    };
    has_epochs = has_epochs || row.epochs.has_value();
    has_hours = has_hours || row.hours.has_value();
    std::vector<Cell> cells = {{FormatFlops(row.budget_flops), ExactText(row.budget_flops)},
                               QuantityCell(row.params, level, FormatCount),
                               QuantityCell(row.tokens, level, FormatTokens),
                               QuantityCell(row.tokens_per_parameter, level, FormatRatio),
                               QuantityCell(row.loss, level, FormatLoss),
                               number(row.epochs),
                               number(row.hours),
                               {absl::StrFormat("%+.2f", row.log10_over_max), ExactText(row.log10_over_max)}};
    for (Cell& cell : cells) cell.dim = row.extrapolated;
    table.rows.push_back(std::move(cells));
  }
  if (!has_hours) DropColumn(&table, "slot_hours");
  if (!has_epochs) DropColumn(&table, "epochs");
  table.caption = absl::StrFormat("%s; approach 3, %g %% intervals%s. Grey or italic: extrapolated beyond the demonstrated distance. Cmax = %s FLOPs is the "
                                  "largest budget kept. Chinchilla found D of about 20 N, not N of about 20 D.",
                                  FitWords(result), level, result.bootstrap.method.empty() ? "" : ", " + result.bootstrap.method,
                                  FormatFlops(result.max_flops));
  return table;
}

std::optional<Table> OptimalBcaTable(const AnalysisResult& result) {
  const double level = MainLevel(result);
  Table table{.name = "t6_bca", .number = "T6b", .title = "Optimal size and data: percentile and BCa intervals"};
  table.columns = {{"budget_flops", "C [FLOPs]"}, {"quantity", "", false}, {"estimate", "estimate"}, {"lo", "percentile from"}, {"hi", "to"},
                   {"bca_lo", "BCa from"}, {"bca_hi", "to"}};
  for (const OptimalRow& row : result.optimal) {
    struct Entry {
      const char* name;
      const Quantity& quantity;
      NumberFormat format;
    };
    for (const Entry& entry : {Entry{"N*", row.params, FormatCount}, Entry{"D*", row.tokens, FormatTokens}, Entry{"D*/N*", row.tokens_per_parameter, FormatRatio}}) {
      const Estimate* estimate = EstimateIn(entry.quantity);
      const Interval* bca = estimate != nullptr ? BcaAt(*estimate, level) : nullptr;
      if (bca == nullptr) continue;
      const Interval* percentile = estimate->At(level);
      std::vector<Cell> cells = {{FormatFlops(row.budget_flops), ExactText(row.budget_flops)}, TextCell(entry.name), NumberCell(estimate->value, entry.format),
                                 percentile != nullptr ? NumberCell(percentile->lo, entry.format) : MissingCell(),
                                 percentile != nullptr ? NumberCell(percentile->hi, entry.format) : MissingCell(), NumberCell(bca->lo, entry.format),
                                 NumberCell(bca->hi, entry.format)};
      for (Cell& cell : cells) cell.dim = row.extrapolated;
      table.rows.push_back(std::move(cells));
    }
  }
  if (table.rows.empty()) return std::nullopt;
  table.folded = true;
  table.caption = absl::StrFormat("%s; %g %%, %s, %d draws. BCa: bias-corrected and accelerated (Efron 1987).", FitWords(result), level,
                                  result.bootstrap.method, result.bootstrap.draws);
  return table;
}

std::optional<Table> EfficiencyTable(const AnalysisResult& result) {
  if (result.efficiency.empty()) return std::nullopt;
  const double level = MainLevel(result);
  Table table{.name = "t7_efficiency", .number = "T7", .title = "Compute efficiency of other ratios"};
  table.columns = {{"budget_flops", "C [FLOPs]"}, {"tokens_per_parameter", "D/N"}, {"params", "N"}, {"tokens", "D"}, {"loss", "loss"},
                   {"excess_loss", "over the optimum"}, {"equivalent_flops", "as good as C ="}, {"wasted_percent", "wasted [%]"},
                   {"wasted_flops", "wasted [FLOPs]"}};
  const auto percent = +[](double fraction) { return absl::StrFormat("%.1f", 100 * fraction); };
  const auto excess = +[](double loss) { return absl::StrFormat("%.4f", loss); };
  for (const EfficiencyRow& row : result.efficiency) {
    Cell wasted = EstimateCell(row.wasted_fraction, level, percent);
    wasted.exact = ExactText(100 * row.wasted_fraction.value);
    table.rows.push_back({{FormatFlops(row.budget_flops), ExactText(row.budget_flops)},
                          NumberCell(row.tokens_per_parameter, FormatRatio),
                          NumberCell(row.params, FormatCount),
                          NumberCell(row.tokens, FormatTokens),
                          NumberCell(row.loss.value, FormatLoss),
                          NumberCell(row.excess_loss.value, excess),
                          NumberCell(row.equivalent_flops.value, FormatFlops),
                          wasted,
                          NumberCell(row.wasted_flops, FormatFlops)});
  }
  table.caption = absl::StrFormat("%s. At budget C with D = M N the law gives the loss that an optimal run reaches with \"as good as C\" FLOPs; the rest "
                                  "is wasted (deadweight compute). %g %% intervals%s.",
                                  FitWords(result), level, result.bootstrap.method.empty() ? "" : ", " + result.bootstrap.method);
  return table;
}

}  // namespace isoflop
