#include "analysis/repeated_data_fit.h"

#include <algorithm>
#include <cmath>

#include "analysis/minimize.h"

namespace isoflop {
namespace {

const double kLowest = std::log(1e-2), kHighest = std::log(1e5);

FitRows Part(const FitRows& rows, bool repeated) {
  FitRows part;
  part.n0 = rows.n0;
  part.d0 = rows.d0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const bool again = !rows.ln_unique.empty() && rows.d[i] + rows.d0 > rows.ln_unique[i] + 1e-12;
    if (again != repeated) continue;
    part.n.push_back(rows.n[i]);
    part.d.push_back(rows.d[i]);
    part.loss.push_back(rows.loss[i]);
    part.ln_loss.push_back(rows.ln_loss[i]);
    part.weight.push_back(rows.weight[i]);
    if (!rows.ln_unique.empty()) part.ln_unique.push_back(rows.ln_unique[i]);
  }
  return part;
}

// A coordinate's least value in [kLowest, kHighest]: a grid, then Brent.
double LeastAlong(const std::function<double(double)>& f, bool* open) {
  constexpr int kGrid = 33;
  int best = 0;
  double least = f(kLowest);
  for (int i = 1; i < kGrid; ++i) {
    const double value = f(kLowest + (kHighest - kLowest) * i / (kGrid - 1));
    if (value < least) {
      least = value;
      best = i;
    }
  }
  const double step = (kHighest - kLowest) / (kGrid - 1), at = kLowest + step * best;
  *open = best == 0 || best == kGrid - 1;
  return *open ? at : BrentMinimum(f, at - step, at + step, 1e-12);
}

}  // namespace

FitRows FreshRows(const FitRows& rows) { return Part(rows, false); }
FitRows RepeatedRows(const FitRows& rows) { return Part(rows, true); }

RepeatedDataFit FitRepeats(const FitRows& repeated, const LawFitOptions& options, const LossLaw& law) {
  RepeatedDataFit fit;
  fit.law = law;
  fit.law.form = LawForm::kDataConstrained;
  if (repeated.size() == 0) return fit;
  const auto value = [&](double ln_tokens, double ln_params) {
    LossLaw at = fit.law;
    at.repeat_tokens = std::exp(ln_tokens);
    at.repeat_params = std::exp(ln_params);
    return ObjectiveOf(repeated, options, at);
  };
  // Two numbers, nearly independent: in turn, until neither moves.
  double ln_tokens = std::log(15.0), ln_params = std::log(5.0);
  for (int round = 0; round < 60; ++round) {
    const double before_tokens = ln_tokens, before_params = ln_params;
    ln_tokens = LeastAlong([&](double x) { return value(x, ln_params); }, &fit.tokens_open);
    ln_params = LeastAlong([&](double x) { return value(ln_tokens, x); }, &fit.params_open);
    if (std::abs(ln_tokens - before_tokens) + std::abs(ln_params - before_params) < 1e-10) break;
  }
  fit.law.repeat_tokens = std::exp(ln_tokens);
  fit.law.repeat_params = std::exp(ln_params);
  fit.f = value(ln_tokens, ln_params);
  return fit;
}

}  // namespace isoflop
