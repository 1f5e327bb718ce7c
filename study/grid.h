// Which cells (N, D) a study's grid asks for, before D is rounded to steps.
//
// Pure; thread-safe.
#ifndef ISOFLOP_STUDY_GRID_H_
#define ISOFLOP_STUDY_GRID_H_

#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "study/model_shape.h"
#include "study/study_spec.h"

namespace isoflop {

struct GridCell {
  size_t size = 0;          // index in the ladder
  double budget_flops = 0;  // C, under the study's conventions
  double tokens = 0;        // D as asked for
};

// The ladder with what the grid needs of each size.
struct SizedLadder {
  std::vector<ModelShape> shapes;  // rising in N
  std::vector<double> params;      // N under the study's count
  std::vector<double> flops_per_token;  // under the study's conventions: 6 N, or exact
};

SizedLadder SizeLadder(const std::vector<ModelShape>& shapes, int64_t sequence_length, CountConvention count,
                       FlopsConvention flops);

// The index of the size nearest to `params` in ln N.
size_t NearestSize(const SizedLadder& ladder, double params);

// The cells, by budget, then size. A list's explicit shapes that are no rung of
// the ladder are put into it (so `ladder` may grow and be sorted anew).
// `optimal_params` gives N*(C) for `center: {law: ...}`.
// InvalidArgument, with places in spec.source: a budget without a size.
absl::StatusOr<std::vector<GridCell>> ExpandGrid(const StudySpec& spec, SizedLadder* ladder, int64_t vocab_size,
                                                 const std::function<double(double)>& optimal_params);

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_GRID_H_
