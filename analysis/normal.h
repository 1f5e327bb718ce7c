// The normal and the F distribution, the same on every machine.
#ifndef ISOFLOP_ANALYSIS_NORMAL_H_
#define ISOFLOP_ANALYSIS_NORMAL_H_

#include <random>

namespace isoflop {

// The quantile of the standard normal at `p` in (0, 1): Wichura's AS 241 (PPND16),
// to about one part in 10^16. Infinite at 0 and 1.
double NormalQuantile(double p);
// Its distribution function.
double NormalCdf(double z);

// P(F > f) with `df1` and `df2` degrees of freedom, by the regularised incomplete
// beta function. Pure; thread-safe.
double FUpperTail(double f, double df1, double df2);

// Uniform in (0, 1) of two calls: ((g >> 5) 2^26 + (g >> 6) + 1/2) / 2^53.
double DrawUniform(std::mt19937* generator);
inline double DrawNormal(std::mt19937* generator) { return NormalQuantile(DrawUniform(generator)); }

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_NORMAL_H_
