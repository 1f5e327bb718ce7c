// T1-T7: shapes, recipe, data, budgets, exponents, optima, compute efficiency.
#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/report/report_parts.h"
#include "analysis/report/table_cells.h"
#include "study/format.h"
#include "study/param_counts.h"

namespace isoflop {
namespace {

// What T1 lists a row of: a shape and its counts, with how often it was trained.
struct ShapeRow {
  ReportTrial trial;
  int trials = 0;
};

ReportTrial TrialOf(const Observation& observation) {
  ReportTrial trial;
  trial.shape.d_model = observation.d_model;
  trial.shape.n_layer = observation.n_layer;
  trial.shape.n_head = observation.n_head;
  trial.shape.d_ff = observation.d_ff;
  trial.shape.vocab_size = observation.vocab_size;
  trial.shape.tied_head = observation.params_head.value_or(0) == 0;
  trial.counts.embedding = std::llround(observation.params_embedding.value_or(0));
  trial.counts.position = std::llround(observation.params_position.value_or(0));
  trial.counts.head = std::llround(observation.params_head.value_or(0));
  trial.counts.blocks = std::llround(observation.params_blocks.value_or(0));
  return trial;
}

}  // namespace

std::optional<Table> ShapesTable(const AnalysisResult& result, const ReportContext& context) {
  std::map<std::tuple<int64_t, int64_t, int64_t, int64_t, std::string>, ShapeRow> shapes;  // by N total, then shape
  const auto add = [&](const ReportTrial& trial) {
    if (trial.counts.total() <= 0) return;
    ShapeRow& row = shapes[{trial.counts.total(), trial.shape.d_model, trial.shape.n_layer, trial.shape.n_head, trial.shape.custom_id}];
    row.trial = trial;
    row.trials += trial.is_trunk ? 0 : 1;
  };
  for (const ReportTrial& trial : context.trials) add(trial);
  if (context.trials.empty()) {
    for (const KeptRow& row : result.rows) {
      // A CSV with one count has no shapes to list.
      if (row.observation.params_blocks.has_value()) add(TrialOf(row.observation));
    }
  }
  if (shapes.empty()) return std::nullopt;
  Table table{.name = "t1_shapes", .number = "T1", .title = "Model shapes and every N"};
  const bool has_shape = std::any_of(shapes.begin(), shapes.end(), [](const auto& s) { return s.second.trial.shape.d_model > 0; });
  if (has_shape) {
    table.columns = {{"d_model", "width"}, {"n_layer", "layers"}, {"n_head", "heads"}, {"d_ff", "d_ff"}};
  } else {
    table.columns = {{"id", "size", false}};
  }
  for (const Column& column : {Column{"params_embedding", "embedding"}, Column{"params_position", "position"},
                               Column{"params_head", "head"}, Column{"params_blocks", "blocks"}, Column{"params_total", "N total"},
                               Column{"params_non_embedding", "N non-embedding"},
                               Column{"params_non_embedding_plus_head", "N non-emb. + head"}, Column{"trials", "trials"}}) {
    table.columns.push_back(column);
  }
  for (const auto& [key, row] : shapes) {
    const ModelShape& shape = row.trial.shape;
    const ParamCounts& counts = row.trial.counts;
    std::vector<Cell> cells;
    if (has_shape) {
      cells = {WholeCell(shape.d_model), WholeCell(shape.n_layer), WholeCell(shape.n_head), WholeCell(shape.d_ff)};
    } else {
      cells = {TextCell(shape.custom_id)};
    }
    const auto count = [&](int64_t value) { cells.push_back({absl::StrCat(WithThousands(value)), absl::StrCat(value)}); };
    count(counts.embedding);
    count(counts.position);
    count(counts.head);
    count(counts.blocks);
    count(counts.total());
    count(counts.non_embedding());
    count(ParamsUnder(CountConvention::kNonEmbeddingPlusHead, counts, shape));
    cells.push_back(WholeCell(row.trials));
    table.rows.push_back(std::move(cells));
  }
  table.caption = absl::StrCat("Parameters by place. This report's N is ", CountWords(result),
                               ": the convention moves the exponent of N* more than any method does.");
  return table;
}

std::optional<Table> RecipeTable(const ReportContext& context) {
  if (context.recipe.empty()) return std::nullopt;
  Table table{.name = "t2_recipe", .number = "T2", .title = "Training recipe"};
  table.columns = {{"what", "", false}, {"value", "value", false}};
  for (const auto& [label, text] : context.recipe) table.rows.push_back({TextCell(label), TextCell(text)});
  return table;
}

std::optional<Table> DataTable(const AnalysisResult& result, const ReportContext& context) {
  if (!context.data.has_value()) return std::nullopt;
  const ReportData& data = *context.data;
  Table table{.name = "t3_data", .number = "T3", .title = "Data"};
  table.columns = {{"what", "", false}, {"value", "value", false}};
  const auto add = [&](const char* label, const std::string& text, const std::string& exact) {
    if (!text.empty()) table.rows.push_back({TextCell(label), {text, exact}});
  };
  const auto tokens = [&](const char* label, double count) {
    if (count > 0) add(label, FormatTokens(count), ExactText(count));
  };
  add("data", data.name, data.name);
  add("tokenizer", data.tokenizer, data.tokenizer);
  tokens("training tokens, unique", data.unique_tokens);
  tokens("evaluation tokens, frozen", data.eval_tokens);
  if (data.eval_bytes > 0) add("evaluation bytes", FormatBytes(data.eval_bytes), ExactText(data.eval_bytes));
  double longest = 0;
  for (const KeptRow& row : result.rows) longest = std::max(longest, row.tokens);
  if (longest > 0 && data.unique_tokens > 0) {
    add("most epochs of a trial", FormatSignificant(longest / data.unique_tokens, 3), ExactText(longest / data.unique_tokens));
  }
  add("data, sha256", data.dataset_sha256.substr(0, 16), data.dataset_sha256);
  add("tokenizer, sha256", data.tokenizer_sha256.substr(0, 16), data.tokenizer_sha256);
  add("evaluation set, sha256", data.eval_sha256.substr(0, 16), data.eval_sha256);
  return table;
}

std::optional<Table> BudgetsTable(const AnalysisResult& result) {
  if (!result.isoflop.has_value() || result.isoflop->budgets.empty()) return std::nullopt;
  const double level = MainLevel(result);
  Table table{.name = "t4_budgets", .number = "T4", .title = "The minimum of each budget"};
  table.columns = {{"budget_flops", "C [FLOPs]"}, {"points", "points"}, {"params_optimal", "N*"}, {"tokens_optimal", "D*"},
                   {"tokens_per_parameter", "D*/N*"}, {"loss_optimal", "loss"}, {"bias_ln_params", "bias of ln N*"},
                   {"params_corrected", "N*, corrected"}, {"used", "used", false}};
  for (const IsoflopBudget& budget : result.isoflop->budgets) {
    const bool dim = budget.rejection.has_value();
    std::vector<Cell> cells = {{FormatFlops(budget.budget_flops), ExactText(budget.budget_flops)},
                               WholeCell(static_cast<int64_t>(budget.rows.size()))};
    cells.push_back(EstimateCell(budget.params_optimal, level, FormatCount));
    cells.push_back(EstimateCell(budget.tokens_optimal, level, FormatTokens));
    const bool both = budget.params_optimal.has_value() && budget.tokens_optimal.has_value();
    cells.push_back(both ? NumberCell(budget.tokens_optimal->value / budget.params_optimal->value, FormatRatio) : Cell{"–", ""});
    cells.push_back(budget.loss_optimal.has_value() ? NumberCell(budget.loss_optimal->value, FormatLoss) : Cell{"–", ""});
    cells.push_back(budget.bias.has_value() ? Cell{absl::StrFormat("%+.3f", *budget.bias), ExactText(*budget.bias)} : Cell{"–", ""});
    cells.push_back(budget.bias.has_value() && budget.params_optimal.has_value()
                        ? NumberCell(budget.params_optimal->value * std::exp(-*budget.bias), FormatCount)
                        : Cell{"–", ""});
    cells.push_back(dim ? TextCell("no: " + ToString(budget.rejection->code)) : TextCell("yes"));
    for (Cell& cell : cells) cell.dim = dim;
    table.rows.push_back(std::move(cells));
  }
  table.folded = table.rows.size() > 15;
  table.caption = absl::StrFormat("Parabolas in log10 N by least squares; spread around them %.4f. Bias: what the same parabola finds on the "
                                  "law of approach 3, noise-free, at the same sizes.",
                                  result.isoflop->pooled_sigma);
  return table;
}

std::optional<Table> ExponentsTable(const AnalysisResult& result) {
  const double level = MainLevel(result);
  Table table{.name = "t5_exponents", .number = "T5", .title = "Exponents of the compute-optimal frontier"};
  table.columns = {{"method", "method", false}, {"exponent_params", "N* as C^a, a"}, {"exponent_tokens", "D* as C^b, b"}, {"points", "n"}};
  const auto law = [&](const std::string& name, const std::optional<PowerLaw>& params, const std::optional<PowerLaw>& tokens) {
    if (!params.has_value()) return;
    table.rows.push_back({TextCell(name), EstimateCell(params->exponent, level, FormatExponent),
                          tokens.has_value() ? EstimateCell(tokens->exponent, level, FormatExponent) : Cell{"–", ""},
                          WholeCell(params->points)});
  };
  if (result.parametric.has_value()) {
    table.rows.push_back({TextCell("approach 3, parametric law"), EstimateCell(result.parametric->a, level, FormatExponent),
                          EstimateCell(result.parametric->b, level, FormatExponent), WholeCell(static_cast<int64_t>(result.rows.size()))});
  }
  if (result.isoflop.has_value()) {
    law("approach 2, parabolas, weighted", result.isoflop->params_law, result.isoflop->tokens_law);
    law("approach 2, unweighted", result.isoflop->params_law_ols, result.isoflop->tokens_law_ols);
  }
  if (result.envelope.has_value()) law("approach 1, envelope", result.envelope->params_law, result.envelope->tokens_law);
  if (table.rows.empty()) return std::nullopt;
  const std::pair<const char*, double> published[] = {{"Kaplan et al. 2020", 0.73},
                                                      {"Hoffmann et al. 2022, approach 1", 0.50},
                                                      {"Hoffmann et al. 2022, approach 2", 0.49},
                                                      {"Hoffmann et al. 2022, approach 3", 0.46}};
  for (const auto& [name, exponent] : published) {
    table.rows.push_back({TextCell(name), NumberCell(exponent, FormatExponent), NumberCell(1 - exponent, FormatExponent), Cell{"–", ""}});
    for (Cell& cell : table.rows.back()) cell.dim = true;
  }
  table.caption = absl::StrCat("N: ", CountWords(result), "; ", result.options.flops == FlopsConvention::k6nd ? "C = 6ND" : "C by architecture",
                               ". Published values (grey) stand under their own conventions: Kaplan counts without embeddings, Hoffmann all.");
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
      return value.has_value() ? Cell{FormatSignificant(*value, 3), ExactText(*value)} : Cell{"–", ""};
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
  table.caption = absl::StrFormat("Approach 3, %g %% intervals. Grey: extrapolated beyond the demonstrated distance. Cmax = %s FLOPs is the "
                                  "largest budget kept. Chinchilla found D of about 20 N, not N of about 20 D.",
                                  level, FormatFlops(result.max_flops));
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
  table.caption = absl::StrFormat("At budget C with D = M N the law gives the loss that an optimal run reaches with \"as good as C\" FLOPs; the rest "
                                  "is wasted (deadweight compute). %g %% intervals.",
                                  level);
  return table;
}

}  // namespace isoflop
