// The forms of L(N, D) and their values.
//
// Legend of the formulas: N parameters, D tokens trained, L loss in nats a
// token (or bits a byte, if the analysis was asked for those); logarithms are
// natural.
//
// Pure functions; thread-safe.
#ifndef ISOFLOP_ANALYSIS_LOSS_LAW_H_
#define ISOFLOP_ANALYSIS_LOSS_LAW_H_

#include <limits>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace isoflop {

enum class LawForm {
  kChinchilla,       // E + A N^-alpha + B D^-beta (Hoffmann et al. 2022, eq. 10)
  kTied,             // the same with alpha = beta
  kGadre,            // tied in other coordinates (Gadre et al. 2024)
  kKaplan,           // [(Nc/N)^s + Dc/D]^kappa (Kaplan et al. 2020, eq. 1.5)
  kMultiplicative,   // E + A N^-alpha D^-beta
  kDataConstrained,  // chinchilla with effective N', D' (Muennighoff et al. 2023)
};
// "chinchilla", "tied", "gadre", "kaplan", "multiplicative", "data_constrained".
std::string ToString(LawForm form);
std::optional<LawForm> ParseLawForm(absl::string_view text);
// Free parameters: chinchilla 5, data_constrained 7, the others 4.
int ParameterCount(LawForm form);

// A form with its parameters: a plain value. What each form makes of them:
//   chinchilla, tied, gadre  L = E + A N^-alpha + B D^-beta
//   kaplan                   L = (A N^-alpha + B D^-beta)^kappa, beta = 1, E = 0
//   multiplicative           L = E + A N^-alpha D^-beta, B = 0
//   data_constrained         chinchilla at (N', D') of EffectiveParams and
//                            EffectiveTokens
struct LossLaw {
  LawForm form = LawForm::kChinchilla;
  double E = 0;
  double A = 0;
  double B = 0;
  double alpha = 0;
  double beta = 0;
  double kappa = 1;
  // data_constrained: R_D* and R_N*; infinite: a repeat is worth as much as new.
  double repeat_tokens = std::numeric_limits<double>::infinity();
  double repeat_params = std::numeric_limits<double>::infinity();

  // L at `params` N > 0 and `tokens` D > 0, no token seen twice.
  double LossAt(double params, double tokens) const;
  // The same where the corpus has `unique_tokens` U > 0 tokens; equal to the other
  // for every form but data_constrained.
  double LossAt(double params, double tokens, double unique_tokens) const;

  // Exponents of N*(C), D*(C) and L*(C) - E under C = 6ND, no token seen twice.
  double a() const { return beta / (alpha + beta); }
  double b() const { return alpha / (alpha + beta); }
  double gamma() const { return kappa * alpha * beta / (alpha + beta); }

  friend bool operator==(const LossLaw&, const LossLaw&) = default;
};

// D' = U_D + U_D R (1 - e^(-x)), x = R_D/R, U_D = min(D, U), R_D = D/U_D - 1, R =
// `repeat_tokens`: what D tokens of a corpus of U are worth (Muennighoff et al.
// 2023, eq. 5).
double EffectiveTokens(double tokens, double unique_tokens, double repeat_tokens);
// N' alike, U_N = min(N, G (G U)^(beta/alpha)) the size that is optimal for D = U.
double EffectiveParams(const LossLaw& law, double params, double unique_tokens);

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_LOSS_LAW_H_
