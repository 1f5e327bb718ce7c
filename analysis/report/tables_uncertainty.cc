// T8d-T8i: whether the law fits and its intervals hold; profiles, other forms, and
// the runs that decide.
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

std::string FormatThree(double value) { return absl::StrFormat("%.3g", value); }
std::string FormatThousandths(double value) { return absl::StrFormat("%.3f", value); }

constexpr size_t kMostInfluences = 5;

// Seed noise, and F of the law against it.
std::optional<Table> NoiseTable(const AnalysisResult& result) {
  const SeedNoise& noise = result.noise;
  if (!(noise.sigma > 0)) return std::nullopt;
  Table table{.name = "t8_noise", .number = "T8d", .title = "Noise of a run, and lack of fit"};
  table.columns = {{"what", "", false}, {"value", "value"}};
  const auto add = [&](const char* label, Cell cell) { table.rows.push_back({TextCell(label), std::move(cell)}); };
  add("sigma of ln L [%]", {FormatSignificant(100 * noise.sigma, 3), ExactText(100 * noise.sigma)});
  add("cells with two or more seeds", {absl::StrCat(noise.cells), absl::StrCat(noise.cells)});
  add("degrees of freedom of sigma", {absl::StrCat(noise.degrees_of_freedom), absl::StrCat(noise.degrees_of_freedom)});
  if (noise.ln_sigma_slope.has_value()) add("slope of ln sigma in ln L", NumberCell(*noise.ln_sigma_slope, FormatThree));
  if (noise.lack_of_fit.has_value()) {
    const LackOfFit& test = *noise.lack_of_fit;
    add("F, law against seeds", NumberCell(test.F, FormatThree));
    add("degrees of freedom", {absl::StrCat(test.df_law, ", ", test.df_seeds), absl::StrCat(test.df_law, "/", test.df_seeds)});
    add("p", NumberCell(test.p, FormatThree));
  }
  table.caption = absl::StrCat("n = ", result.rows.size(), noise.from_replicates ? "; sigma pooled over cells with more than one seed" : "; sigma = 1.4826 median |r| of the fit, no cell has two seeds");
  if (noise.lack_of_fit.has_value()) {
    absl::StrAppend(&table.caption, "; F: scatter of the cells' means around the law over the scatter inside the cells. A p under 0.05 says that the law misses more than seeds explain");
  }
  table.caption += ".";
  return table;
}

std::optional<Table> CoverageTable(const AnalysisResult& result) {
  if (!result.coverage.has_value() || result.coverage->rows.empty()) return std::nullopt;
  Table table{.name = "t8_coverage", .number = "T8e", .title = "Do the intervals hold for this design?"};
  table.columns = {{"quantity", "interval of", false}, {"level", "nominal [%]"}, {"covered_percent", "covers the truth [%]"}, {"holds", "verdict", false}};
  for (const CoverageRow& row : result.coverage->rows) {
    // Stated for 95 %: within [92, 98] %.
    const bool holds = std::abs(row.covered_percent - row.level) <= 3.0 + 1e-9;
    table.rows.push_back({TextCell(row.name), NumberCell(row.level, FormatThree), {absl::StrFormat("%.1f", row.covered_percent), ExactText(row.covered_percent)},
                          {holds ? "holds" : row.covered_percent < row.level ? "too narrow" : "too wide", holds ? "1" : "0"}});
  }
  table.caption = absl::StrCat(result.coverage->studies, " studies simulated at this report's (N, D) from its own law and sigma, ",
                               result.coverage->method == "fast" ? "one bootstrap draw each, pooled (warp speed: Giacomini et al. 2013)" : "a whole bootstrap each",
                               "; holds: within 3 points of the nominal level.");
  return table;
}

const Estimate* EstimateOfProfile(const ParametricFit& fit, const std::string& name) {
  if (name == "alpha") return &fit.alpha;
  if (name == "beta") return &fit.beta;
  if (name == "E") return &fit.E;
  return nullptr;
}

std::optional<Table> ProfilesTable(const AnalysisResult& result) {
  if (result.profiles.empty()) return std::nullopt;
  const double level = MainLevel(result);
  Table table{.name = "t8_profiles", .number = "T8f", .title = "Profile intervals"};
  table.columns = {{"quantity", "quantity", false}, {"best", "best"}, {"lo_95", "95 % from"}, {"hi_95", "to"}, {"bootstrap", absl::StrFormat("bootstrap, %g %%", level)}};
  int open = 0;
  for (const Profile& profile : result.profiles) {
    const auto end = [&](const std::optional<double>& value) {
      open += value.has_value() ? 0 : 1;
      return value.has_value() ? Cell{FormatSignificant(*value, 4), ExactText(*value)} : Cell{"open", ""};
    };
    const Estimate* estimate = result.parametric.has_value() ? EstimateOfProfile(*result.parametric, profile.name) : nullptr;
    const Interval* interval = estimate != nullptr ? estimate->At(level) : nullptr;
    std::vector<Cell> cells = {TextCell(profile.name), {FormatSignificant(profile.at_best, 4), ExactText(profile.at_best)}};
    cells.push_back(end(profile.lo));
    cells.push_back(end(profile.hi));
    cells.push_back(interval != nullptr ? TextCell(absl::StrCat("[", FormatSignificant(interval->lo, 4), ", ", FormatSignificant(interval->hi, 4), "]")) : MissingCell());
    table.rows.push_back(std::move(cells));
  }
  table.caption = absl::StrCat(FitWords(result), "; accepted where the robust likelihood ratio is at most ", FormatThousandths(result.profiles.front().threshold),
                               " (Huber and Ronchetti 2009), all other parameters refitted. C_T = ", FormatFlops(result.target_flops), " FLOPs.",
                               open > 0 ? " Open: the data do not bound that end; such a number is not identified." : "");
  return table;
}

std::optional<Table> FormsTable(const AnalysisResult& result) {
  if (!result.forms.has_value() || result.forms->forms.empty()) return std::nullopt;
  Table table{.name = "t8_forms", .number = "T8g", .title = "Other forms of the law, ranked by what they predict"};
  table.columns = {{"form", "form", false}, {"parameters", "parameters"}, {"holdout_percent", "held-out error [%]"}, {"se_percent", "SE"}, {"f", "objective"},
                   {"certificate", "certificate", false}, {"recommended", "", false}};
  for (const FormScore& score : result.forms->forms) {
    const Estimate* error = EstimateIn(score.holdout_error);
    table.rows.push_back({TextCell(ToString(score.form)), WholeCell(score.parameters),
                          error != nullptr ? PercentCell(error->value, 3) : QuantityCell(score.holdout_error, 95, FormatThree),
                          error != nullptr && error->se.has_value() ? PercentCell(*error->se, 2) : MissingCell(), NumberCell(score.f, +[](double f) { return absl::StrFormat("%.5g", f); }),
                          TextCell(score.certificate.empty() ? "no fit" : score.certificate), {score.recommended ? "recommended" : "", score.recommended ? "1" : "0"}});
  }
  table.caption = absl::StrCat("n = ", result.rows.size(), ", expanding windows, the same held rows for all; mean |relative error|. Recommended: the simplest within one SE of the best. ",
                               "This report's form is ", result.options.spec.form, ".");
  return table;
}

std::optional<Table> NestedTable(const AnalysisResult& result) {
  if (!result.forms.has_value() || result.forms->nested.empty()) return std::nullopt;
  Table table{.name = "t8_nested", .number = "T8h", .title = "Does the larger form fit better than chance?"};
  table.columns = {{"smaller", "smaller form", false}, {"larger", "larger form", false}, {"statistic", "T"}, {"p", "p"}, {"draws", "draws"}};
  for (const NestedTest& test : result.forms->nested) {
    table.rows.push_back({TextCell(ToString(test.smaller)), TextCell(ToString(test.larger)), NumberCell(test.statistic, FormatThree), NumberCell(test.p, FormatThree), WholeCell(test.draws)});
  }
  table.caption = absl::StrCat(FitWords(result), "; T = (f of the smaller − f of the larger)/f of the larger, against residual bootstraps under the smaller; p = (1 + #{T* ≥ T})/(draws + 1).");
  return table;
}

std::optional<Table> InfluenceTable(const AnalysisResult& result) {
  if (result.influence.empty()) return std::nullopt;
  Table table{.name = "t8_influence", .number = "T8i", .title = "The runs, sizes and budgets that decide"};
  table.columns = {{"what", "left out", false}, {"rows", "rows"}, {"delta_a", "change of a"}, {"delta_a_se", "in SE"}, {"delta_ln_params", "change of ln N*"},
                   {"delta_ln_params_se", "in SE"}, {"factor", "N* times"}};
  const auto in_se = [](const std::optional<double>& value) { return value.has_value() ? SignedCell(*value, 2) : MissingCell(); };
  for (size_t i = 0; i < std::min(result.influence.size(), kMostInfluences); ++i) {
    const Influence& row = result.influence[i];
    table.rows.push_back({TextCell(row.what), WholeCell(row.rows), SignedCell(row.delta_a, 4), in_se(row.delta_a_se), SignedCell(row.delta_ln_params_at_target, 3),
                          in_se(row.delta_ln_params_se), NumberCell(std::exp(row.delta_ln_params_at_target), FormatThousandths)});
  }
  table.caption = absl::StrCat(FitWords(result), ". The ", table.rows.size(), " largest of ", result.influence.size(), " refits, by the change of ln N* at ",
                               FormatFlops(result.target_flops), " FLOPs; SE of the bootstrap.");
  return table;
}

}  // namespace

std::vector<Table> UncertaintyTables(const AnalysisResult& result) {
  std::vector<Table> tables;
  for (std::optional<Table>& table : std::vector<std::optional<Table>>{NoiseTable(result), CoverageTable(result), ProfilesTable(result), FormsTable(result),
                                                                       NestedTable(result), InfluenceTable(result)}) {
    if (table.has_value()) tables.push_back(std::move(*table));
  }
  return tables;
}

}  // namespace isoflop
