// The sections `grid`, `seeds` and `replicates`.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "study/study_yaml_sections.h"

namespace isoflop {
namespace {

bool ReadAmounts(YamlReader& reader, const std::string& key, NumberKind kind, std::vector<double>* out) {
  const YamlTree* value = reader.Take(key);
  if (value == nullptr) return false;
  const std::vector<YamlTree>* items = reader.ListValue(*value, key, 1);
  if (items == nullptr) return false;
  for (const YamlTree& item : *items) {
    double amount = 0;
    if (!reader.AmountValue(item, &amount, kind)) continue;
    if (std::find(out->begin(), out->end(), amount) != out->end()) {
      reader.Error(item.mark, absl::StrCat(reader.Path(key), " holds ", Describe(item), " twice"), "state it once");
    } else {
      out->push_back(amount);
    }
  }
  return true;
}

// [1e17, 3e17], or {from: 1e17, to: 1e19, points: 5}, log-spaced.
void ReadBudgets(YamlReader& grid, std::vector<double>* budgets) {
  const YamlTree* value = grid.Require("budgets", "budgets: [1e17, 3e17, 1e18]");
  if (value == nullptr) return;
  if (!value->is_map()) {
    ReadAmounts(grid, "budgets", kFlopsKind, budgets);
    std::sort(budgets->begin(), budgets->end());
    return;
  }
  YamlReader range = grid.Child(*value, "budgets");
  double from = 0;
  double to = 0;
  int points = 0;
  range.Require("from", "{from: 1e17, to: 1e19, points: 5}");
  range.Require("to", "{from: 1e17, to: 1e19, points: 5}");
  range.Require("points", "{from: 1e17, to: 1e19, points: 5}");
  const bool read = range.Amount("from", &from, kFlopsKind) && range.Amount("to", &to, kFlopsKind) &&
                    range.Int("points", &points, 2, 1000);
  range.Finish();
  if (!read) return;
  if (from >= to) {
    grid.Error(range.Take("to")->mark, "'to' is not above 'from'", "{from: 1e17, to: 1e19, points: 5}");
    return;
  }
  for (int i = 0; i < points; ++i) {
    // The ends as written, not as the logarithm returns them.
    const double at = static_cast<double>(i) / (points - 1);
    budgets->push_back(i == 0 ? from : i == points - 1 ? to : from * std::pow(to / from, at));
  }
}

void ReadCenter(YamlReader& grid, GridCenter* center) {
  const YamlTree* value = grid.Take("center");
  if (value == nullptr) return;
  YamlReader reader = grid.Child(*value, "center");
  const bool by_ratio = reader.Number("tokens_per_parameter", &center->tokens_per_parameter, 1e-3, 1e7);
  const bool by_law = reader.Text("law", &center->law);
  if (by_ratio && by_law) {
    grid.Error(value->mark, "center has both tokens_per_parameter and law", "one of the two");
  } else if (!by_ratio && !by_law && !reader.Has("tokens_per_parameter")) {
    grid.Error(value->mark, "center is empty", "{tokens_per_parameter: 20} or {law: STUDY}");
  }
  reader.Finish();
}

void ReadIsoflop(YamlReader& grid, GridSpec* spec) {
  ReadBudgets(grid, &spec->budgets);
  if (const YamlTree* sizes = grid.Take("sizes_per_budget")) {
    if (sizes->is_scalar() && sizes->scalar == "all") {
      spec->sizes_per_budget = std::nullopt;
    } else {
      int64_t count = 0;
      if (grid.CountValue(*sizes, &count, 1, 1000, {"a number of sizes", "7 or all"})) {
        spec->sizes_per_budget = static_cast<int>(count);
      }
    }
  }
  grid.Number("spread", &spec->spread, 1, 1e6);
  ReadCenter(grid, &spec->center);
  for (const char* key : {"params", "tokens", "tokens_per_parameter"}) grid.Misplaced(key, "belongs to kind: product");
  grid.Misplaced("points", "belongs to kind: list");
}

void ReadProduct(YamlReader& grid, GridSpec* spec) {
  if (const YamlTree* params = grid.Require("params", "params: [10M, 30M] or all")) {
    if (!(params->is_scalar() && params->scalar == "all")) {
      spec->params.emplace();
      ReadAmounts(grid, "params", kParamsKind, &*spec->params);
    }
  }
  const bool by_tokens = ReadAmounts(grid, "tokens", kTokensKind, &spec->tokens);
  const bool by_ratio = ReadAmounts(grid, "tokens_per_parameter", kPlainKind, &spec->tokens_per_parameter);
  if (by_tokens == by_ratio) {
    grid.Error(grid.mark(),
               by_tokens ? "grid has both tokens and tokens_per_parameter" : "a product grid without tokens",
               "tokens: [0.2B, 0.8B], or tokens_per_parameter: [10, 20, 40]");
  }
  std::sort(spec->tokens.begin(), spec->tokens.end());
  std::sort(spec->tokens_per_parameter.begin(), spec->tokens_per_parameter.end());
  for (const char* key : {"budgets", "sizes_per_budget", "spread", "center"}) {
    grid.Misplaced(key, "belongs to kind: isoflop");
  }
  grid.Misplaced("points", "belongs to kind: list");
}

void ReadPoint(YamlReader& grid, const YamlTree& value, size_t index, Family family, GridSpec* spec) {
  YamlReader reader = grid.Child(value, absl::StrCat("points[", index, "]"));
  GridPoint point;
  double amount = 0;
  if (reader.Amount("params", &amount, kParamsKind)) point.params = amount;
  if (const YamlTree* shape = reader.Take("shape")) {
    LadderShape read;
    const bool has_heads = family != Family::kLstm;
    if (shape->is_list() && shape->list.size() == (has_heads ? 3 : 2)) {
      read.n_head = 1;
      const bool whole =
          reader.CountValue(shape->list[0], &read.d_model, 1, 1 << 20, kCountKind) &&
          reader.CountValue(shape->list[1], &read.n_layer, 1, 1000, kCountKind) &&
          (!has_heads || reader.CountValue(shape->list[2], &read.n_head, 1, 1 << 20, kCountKind));
      if (whole) point.shape = read;
    } else if (shape->is_scalar()) {
      point.custom_id = shape->scalar;
    } else {
      reader.Error(shape->mark, absl::StrCat(Describe(*shape), " is not a shape"),
                   has_heads ? "[d_model, n_layer, n_head]" : "[d_model, n_layer]");
    }
  }
  if (reader.Amount("tokens", &amount, kTokensKind)) point.tokens = amount;
  if (reader.Amount("flops", &amount, kFlopsKind)) point.flops = amount;
  const bool one_size = reader.Has("params") != reader.Has("shape");
  const bool one_length = reader.Has("tokens") != reader.Has("flops");
  if (!one_size || !one_length) {
    grid.Error(value.mark, "a point has one of params and shape, and one of tokens and flops",
               "{params: 125M, tokens: 2.5B} or {shape: [768, 12, 12], flops: 1e19}");
  }
  reader.Finish();
  spec->points.push_back(point);
}

void ReadList(YamlReader& grid, Family family, GridSpec* spec) {
  if (const YamlTree* points = grid.Require("points", "points: [{params: 125M, tokens: 2.5B}]")) {
    if (const auto* items = grid.ListValue(*points, "points", 1)) {
      for (size_t i = 0; i < items->size(); ++i) ReadPoint(grid, (*items)[i], i, family, spec);
    }
  }
  for (const char* key : {"budgets", "sizes_per_budget", "spread", "center"}) {
    grid.Misplaced(key, "belongs to kind: isoflop");
  }
  for (const char* key : {"params", "tokens", "tokens_per_parameter"}) grid.Misplaced(key, "belongs to kind: product");
}

}  // namespace

void ReadGridSection(YamlReader& root, StudySpec* spec) {
  const YamlTree* section = root.Require("grid", "grid: {kind: isoflop, budgets: [1e17, 3e17, 1e18]}");
  if (section == nullptr) return;
  YamlReader reader = root.Child(*section, "grid");
  GridSpec& grid = spec->grid;
  reader.Require("kind", "kind: isoflop, product or list");
  reader.Choice("kind", &grid.kind);
  switch (grid.kind) {
    case GridKind::kIsoflop: ReadIsoflop(reader, &grid); break;
    case GridKind::kProduct: ReadProduct(reader, &grid); break;
    case GridKind::kList: ReadList(reader, spec->model.family, &grid); break;
  }
  reader.Choice("count", &grid.count);
  reader.Choice("flops", &grid.flops);
  reader.Share("tolerance", &grid.tolerance, 1e-6, 0.5);
  reader.Finish();
}

void ReadSeedsSections(YamlReader& root, StudySpec* spec) {
  if (const YamlTree* seeds = root.Take("seeds")) {
    if (const auto* items = root.ListValue(*seeds, "seeds", 1)) {
      spec->seeds.clear();
      for (const YamlTree& item : *items) {
        int64_t seed = 0;
        if (!root.CountValue(item, &seed, 0, int64_t{1} << 31, {"a seed", "seeds: [1, 2]"})) continue;
        if (std::find(spec->seeds.begin(), spec->seeds.end(), seed) != spec->seeds.end()) {
          root.Error(item.mark, absl::StrCat("seed ", seed, " twice"), "seeds: [1, 2]");
        } else {
          spec->seeds.push_back(seed);
        }
      }
    }
  }
  const YamlTree* replicates = root.Take("replicates");
  if (replicates == nullptr) return;
  YamlReader reader = root.Child(*replicates, "replicates");
  reader.Require("cells", "replicates: {cells: 2, seeds: 3}");
  reader.Require("seeds", "replicates: {cells: 2, seeds: 3}");
  reader.Int("cells", &spec->replicates.cells, 0, 10'000);
  reader.Int("seeds", &spec->replicates.seeds, 2, 1000);
  reader.Finish();
}

}  // namespace isoflop
