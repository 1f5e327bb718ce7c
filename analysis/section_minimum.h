// Where the losses of one budget are least: of a parabola, of a cubic polynomial,
// or of Akima's spline (Akima 1970; Porian et al. 2024 use it).
//
// x is log10 N, or log10 D; y the loss; weights >= 0, a row of weight 0 is not
// there. Pure; thread-safe.
#ifndef ISOFLOP_ANALYSIS_SECTION_MINIMUM_H_
#define ISOFLOP_ANALYSIS_SECTION_MINIMUM_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "analysis/analysis_result.h"

namespace isoflop {

enum class MinimumMethod { kQuadratic, kCubic, kAkima };
std::string ToString(MinimumMethod method);  // "quadratic", "cubic", "akima"
std::optional<MinimumMethod> ParseMinimumMethod(absl::string_view text);
// Distinct sizes that the method needs: 3, 4, 5.
int SizesNeeded(MinimumMethod method);

// The least-squares parabola, centred at the weighted mean of x; nullopt with
// fewer than three distinct x.
struct ParabolaFit {
  Parabola parabola;
  double rss = 0;
  double unit_var_p = 0;       // of p, for noise 1
  double unit_var_vertex = 0;  // of -q/(2p), for noise 1 (delta method)
  double unit_var_minimum = 0; // of the least value, for noise 1 (delta method)
  double vertex = 0;           // x at the least value, not centred
  double minimum = 0;          // the least value
};
std::optional<ParabolaFit> FitParabola(absl::Span<const double> x, absl::Span<const double> y,
                                       absl::Span<const double> weights);

struct SectionMinimum {
  double x = 0;     // not centred; may lie outside the points
  double loss = 0;
  // Variances for noise 1 by the delta method; Akima's spline, which has no
  // parameters, has its jackknife over the sizes instead, whatever the noise.
  double unit_var_x = 0, unit_var_loss = 0;
  std::optional<double> jackknife_var_x, jackknife_var_loss;
  // Of the fit whose scatter tells the noise: a spline has none, there it is the
  // parabola's.
  double rss = 0;
  int parameters = 3;

  double VarianceOfX(double sigma) const { return jackknife_var_x.value_or(sigma * sigma * unit_var_x); }
  double VarianceOfLoss(double sigma) const { return jackknife_var_loss.value_or(sigma * sigma * unit_var_loss); }
};

// nullopt: too few distinct x, or the curve has no minimum (a parabola that opens
// downwards, a monotone cubic). The spline goes through the mean loss of each x;
// its least value on [min x, max x] may be an end.
std::optional<SectionMinimum> MinimumOfSection(MinimumMethod method, absl::Span<const double> x,
                                               absl::Span<const double> y, absl::Span<const double> weights);

// The least value of Akima's spline through (x, y), x rising, three or more points:
// (where, value).
struct SplineMinimum {
  double x = 0, y = 0;
};
SplineMinimum MinimumOfAkimaSpline(absl::Span<const double> x, absl::Span<const double> y);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_SECTION_MINIMUM_H_
