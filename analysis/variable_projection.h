// Starting points for the fit of E + A N^-alpha + B D^-beta: for given (alpha,
// beta) the law is linear in E, A, B, so only two parameters need a grid (Golub
// and Pereyra 1973).
#ifndef ISOFLOP_ANALYSIS_VARIABLE_PROJECTION_H_
#define ISOFLOP_ANALYSIS_VARIABLE_PROJECTION_H_

#include <vector>

#include "analysis/objective.h"

namespace isoflop {

// A law in centred coordinates (A and B at the centre of the rows).
struct LinearFit {
  double E = 0, A = 0, B = 0;  // all >= 0
  double alpha = 0, beta = 0;
  double rss = 0;  // weighted residual sum of squares of L
};

// Weighted least squares on L with columns 1, e^(-alpha n), e^(-beta d) and
// coefficients >= 0: the best of the eight active sets.
LinearFit SolveLinearPart(const FitRows& rows, double alpha, double beta);

// The same by QR, coefficients of any sign: what the normal equations lose in digits
// shows beside it.
LinearFit SolveLinearPartByQr(const FitRows& rows, double alpha, double beta);

// The cells of a 32 x 32 grid over [0.05, 1.5]^2 of (alpha, beta) that are lower
// than their neighbours, lowest first, at most `max_minima`.
std::vector<LinearFit> VariableProjectionMinima(const FitRows& rows, int max_minima = 10);

// `count` quasi-random points of that square (Roberts' R2 sequence: the same
// for everyone, always), each with its best linear part.
std::vector<LinearFit> QuasiRandomStarts(const FitRows& rows, int count = 32);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_VARIABLE_PROJECTION_H_
