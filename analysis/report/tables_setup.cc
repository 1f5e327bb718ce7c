// T1-T3: shapes, recipe, data.
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
  table.caption = absl::StrCat("n = ", table.rows.size(), " shapes; parameters by place. This report's N is ", CountWords(result),
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

}  // namespace isoflop
