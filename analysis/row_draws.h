// The samples of a bootstrap: other weights on the same rows (pairs, cluster), or
// other losses at the same rows (wild, parametric).
//
//   wild        ln L* = ln L(law) + v_g r_i / sqrt(1 - h_i), r the residual, h the
//               leverage (HC2), v one of +-sqrt(3/2), +-1, +-sqrt(1/2) a cluster
//               (Webb 2014)
//   parametric  ln L* = ln L(law) + sigma(L) z, z normal, one a run
//
// Random numbers are drawn serially, draw by draw; RowsOfDraw is pure and
// thread-safe.
#ifndef ISOFLOP_ANALYSIS_ROW_DRAWS_H_
#define ISOFLOP_ANALYSIS_ROW_DRAWS_H_

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "analysis/analysis_result.h"
#include "analysis/bootstrap.h"
#include "analysis/objective.h"

namespace isoflop {

// What stays the same over the draws.
struct ResampleDesign {
  std::string method;
  std::vector<std::vector<size_t>> clusters;
  // Wild and parametric, one a row: ln L* = fitted + scale * (number of the cluster).
  std::vector<double> fitted_ln_loss, scale;

  bool MovesLosses() const { return method == "wild" || method == "parametric"; }
};

// `law` may be nullptr for pairs and cluster; sigma of `noise` is used by
// parametric alone.
ResampleDesign MakeResampleDesign(absl::Span<const KeptRow> rows, const FitRows& fit_rows, const std::string& method,
                                  std::vector<std::vector<size_t>> clusters, const LossLaw* law,
                                  const SeedNoise& noise);

struct RowDraws {
  int draws = 0;
  std::vector<uint16_t> counts;  // draws x rows: how often; pairs and cluster
  std::vector<double> numbers;   // draws x clusters; wild and parametric
};
RowDraws DrawRows(const ResampleDesign& design, size_t rows, int draws, std::mt19937* generator);
// The stream that the method's draws come from.
Stream StreamOf(const std::string& method);

// `rows` under `weights`, without those of weight 0, which cost time and add
// nothing.
FitRows RowsOfWeight(const FitRows& rows, absl::Span<const double> weights);

// One sample.
struct DrawnRows {
  FitRows rows;                 // without rows of weight 0
  std::vector<double> weights;  // one a row of the data
  std::vector<double> losses;   // one a row of the data
};
void RowsOfDraw(const ResampleDesign& design, const RowDraws& draws, int draw, const FitRows& fit_rows,
                DrawnRows* drawn);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_ROW_DRAWS_H_
