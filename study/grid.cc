#include "study/grid.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "study/did_you_mean.h"
#include "study/format.h"
#include "study/ladders.h"

namespace isoflop {
namespace {

// A size that lies on the very end of the spread belongs to it.
constexpr double kEdge = 1 + 1e-9;

std::vector<GridCell> Isoflop(const GridSpec& grid, const SizedLadder& ladder,
                              const std::function<double(double)>& optimal_params, ErrorList* errors) {
  std::vector<GridCell> cells;
  for (const double budget : grid.budgets) {
    const double center = grid.center.law.empty() ? std::sqrt(budget / (6 * grid.center.tokens_per_parameter))
                                                  : optimal_params(budget);
    std::set<size_t> sizes;
    if (!grid.sizes_per_budget) {
      for (size_t i = 0; i < ladder.params.size(); ++i) {
        if (ladder.params[i] * kEdge >= center / grid.spread && ladder.params[i] <= center * grid.spread * kEdge) {
          sizes.insert(i);
        }
      }
    } else {
      const int count = *grid.sizes_per_budget;
      for (int i = 0; i < count; ++i) {
        const double at = count == 1 ? 0.5 : static_cast<double>(i) / (count - 1);
        sizes.insert(NearestSize(ladder, center * std::pow(grid.spread, 2 * at - 1)));
      }
    }
    if (sizes.empty()) {
      errors->AddAt("grid.budgets",
                    absl::StrCat("no size of the ladder (", FormatCount(ladder.params.front()), " - ",
                                 FormatCount(ladder.params.back()), ") is within a factor ",
                                 ExactNumber(grid.spread), " of ", FormatCount(center), ", the centre of budget ",
                                 FormatFlops(budget)),
                    "another ladder, a wider grid.spread, or other budgets");
    }
    for (const size_t size : sizes) cells.push_back(GridCell{size, budget, budget / ladder.flops_per_token[size]});
  }
  return cells;
}

std::vector<GridCell> Product(const GridSpec& grid, const SizedLadder& ladder) {
  std::set<size_t> sizes;
  if (grid.params) {
    for (const double params : *grid.params) sizes.insert(NearestSize(ladder, params));
  } else {
    for (size_t i = 0; i < ladder.params.size(); ++i) sizes.insert(i);
  }
  std::vector<GridCell> cells;
  for (const size_t size : sizes) {
    const auto add = [&](double tokens) {
      cells.push_back(GridCell{size, tokens * ladder.flops_per_token[size], tokens});
    };
    for (const double tokens : grid.tokens) add(tokens);
    for (const double ratio : grid.tokens_per_parameter) add(ratio * ladder.params[size]);
  }
  return cells;
}

// The shapes that a list states outright join the ladder.
void AddListShapes(const StudySpec& spec, SizedLadder* ladder, int64_t vocab_size) {
  std::vector<ModelShape> shapes = ladder->shapes;
  for (const GridPoint& point : spec.grid.points) {
    if (!point.shape || spec.model.family == Family::kCustom) continue;
    const ModelShape shape = MakeShape(spec.model, *point.shape, vocab_size);
    if (std::find(shapes.begin(), shapes.end(), shape) == shapes.end()) shapes.push_back(shape);
  }
  if (shapes.size() == ladder->shapes.size()) return;
  *ladder = SizeLadder(shapes, spec.model.sequence_length, spec.grid.count, spec.grid.flops);
}

std::vector<GridCell> List(const StudySpec& spec, const SizedLadder& ladder, int64_t vocab_size, ErrorList* errors) {
  std::vector<GridCell> cells;
  for (size_t i = 0; i < spec.grid.points.size(); ++i) {
    const GridPoint& point = spec.grid.points[i];
    const std::string path = absl::StrCat("grid.points[", i, "]");
    size_t size = 0;
    if (point.params) {
      size = NearestSize(ladder, *point.params);
    } else if (point.custom_id) {
      std::vector<std::string> ids;
      for (const ModelShape& shape : ladder.shapes) ids.push_back(shape.custom_id);
      const auto found = std::find(ids.begin(), ids.end(), *point.custom_id);
      if (found == ids.end()) {
        errors->AddAt(path, absl::StrCat("no size '", *point.custom_id, "' in the ladder",
                                         DidYouMeanClause(*point.custom_id, ids)),
                      "the id of a size of model.ladder");
        continue;
      }
      size = static_cast<size_t>(found - ids.begin());
    } else if (point.shape) {
      const ModelShape shape = MakeShape(spec.model, *point.shape, vocab_size);
      size = static_cast<size_t>(std::find(ladder.shapes.begin(), ladder.shapes.end(), shape) - ladder.shapes.begin());
      if (size == ladder.shapes.size()) {
        errors->AddAt(path, "a shape by widths, but the sizes of family custom have ids", "shape: ID");
        continue;
      }
    }
    const double flops_per_token = ladder.flops_per_token[size];
    const double tokens = point.tokens ? *point.tokens : point.flops.value_or(0) / flops_per_token;
    cells.push_back(GridCell{size, tokens * flops_per_token, tokens});
  }
  return cells;
}

}  // namespace

SizedLadder SizeLadder(const std::vector<ModelShape>& shapes, int64_t sequence_length, CountConvention count,
                       FlopsConvention flops) {
  SizedLadder ladder;
  ladder.shapes = shapes;
  const auto params_of = [&](const ModelShape& shape) {
    return static_cast<double>(ParamsUnder(count, CountParams(shape, sequence_length), shape));
  };
  std::stable_sort(ladder.shapes.begin(), ladder.shapes.end(),
                   [&](const ModelShape& a, const ModelShape& b) { return params_of(a) < params_of(b); });
  for (const ModelShape& shape : ladder.shapes) {
    ladder.params.push_back(params_of(shape));
    ladder.flops_per_token.push_back(flops == FlopsConvention::k6nd ? 6 * params_of(shape)
                                                                   : CountFlopsPerToken(shape, sequence_length).exact);
  }
  return ladder;
}

size_t NearestSize(const SizedLadder& ladder, double params) {
  size_t nearest = 0;
  for (size_t i = 1; i < ladder.params.size(); ++i) {
    if (std::fabs(std::log(ladder.params[i] / params)) < std::fabs(std::log(ladder.params[nearest] / params))) {
      nearest = i;
    }
  }
  return nearest;
}

absl::StatusOr<std::vector<GridCell>> ExpandGrid(const StudySpec& spec, SizedLadder* ladder, int64_t vocab_size,
                                                 const std::function<double(double)>& optimal_params) {
  ErrorList errors(&spec.source);
  std::vector<GridCell> cells;
  switch (spec.grid.kind) {
    case GridKind::kIsoflop:
      if (!spec.grid.center.law.empty() && !optimal_params) {
        errors.AddAt("grid.center", absl::StrCat("study '", spec.grid.center.law, "' has no fitted law"),
                     "center: {tokens_per_parameter: 20}");
      } else {
        cells = Isoflop(spec.grid, *ladder, optimal_params, &errors);
      }
      break;
    case GridKind::kProduct:
      cells = Product(spec.grid, *ladder);
      break;
    case GridKind::kList:
      AddListShapes(spec, ladder, vocab_size);
      cells = List(spec, *ladder, vocab_size, &errors);
      break;
  }
  if (!errors.empty()) return errors.ToStatus();
  std::stable_sort(cells.begin(), cells.end(), [](const GridCell& a, const GridCell& b) {
    return std::tie(a.budget_flops, a.size) < std::tie(b.budget_flops, b.size);
  });
  return cells;
}

}  // namespace isoflop
