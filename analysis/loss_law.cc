#include "analysis/loss_law.h"

#include <algorithm>
#include <cmath>

namespace isoflop {
namespace {

struct FormName {
  LawForm form;
  const char* name;
};
constexpr FormName kForms[] = {
    {LawForm::kChinchilla, "chinchilla"},         {LawForm::kTied, "tied"},
    {LawForm::kGadre, "gadre"},                   {LawForm::kKaplan, "kaplan"},
    {LawForm::kMultiplicative, "multiplicative"}, {LawForm::kDataConstrained, "data_constrained"},
};

}  // namespace

std::string ToString(LawForm form) {
  for (const FormName& row : kForms) {
    if (row.form == form) return row.name;
  }
  return "";
}

std::optional<LawForm> ParseLawForm(absl::string_view text) {
  for (const FormName& row : kForms) {
    if (text == row.name) return row.form;
  }
  return std::nullopt;
}

int ParameterCount(LawForm form) {
  switch (form) {
    case LawForm::kChinchilla:
      return 5;
    case LawForm::kDataConstrained:
      return 7;
    case LawForm::kTied:
    case LawForm::kGadre:
    case LawForm::kKaplan:
    case LawForm::kMultiplicative:
      return 4;
  }
  return 5;
}

double LossLaw::LossAt(double params, double tokens) const {
  if (form == LawForm::kMultiplicative) return E + A * std::pow(params, -alpha) * std::pow(tokens, -beta);
  const double terms = A * std::pow(params, -alpha) + B * std::pow(tokens, -beta);
  return E + (kappa == 1 ? terms : std::pow(terms, kappa));
}

double LossLaw::LossAt(double params, double tokens, double unique_tokens) const {
  if (form != LawForm::kDataConstrained) return LossAt(params, tokens);
  return LossAt(EffectiveParams(*this, params, unique_tokens), EffectiveTokens(tokens, unique_tokens, repeat_tokens));
}

namespace {

// U + U R (1 - e^(-(x/U - 1)/R)); an infinite R: x itself.
double Effective(double amount, double unique, double repeats) {
  const double excess = amount / unique - 1;
  if (excess <= 0) return amount;
  return std::isinf(repeats) ? amount : unique + unique * repeats * -std::expm1(-excess / repeats);
}

}  // namespace

double EffectiveTokens(double tokens, double unique_tokens, double repeat_tokens) {
  return Effective(tokens, std::min(tokens, unique_tokens), repeat_tokens);
}

double EffectiveParams(const LossLaw& law, double params, double unique_tokens) {
  // Without one of the terms no size is optimal, and none too large.
  if (!(law.A > 0 && law.B > 0 && law.alpha > 0 && law.beta > 0)) return params;
  const double G = std::pow(law.alpha * law.A / (law.beta * law.B), 1 / (law.alpha + law.beta));
  return Effective(params, std::min(params, G * std::pow(G * unique_tokens, law.beta / law.alpha)), law.repeat_params);
}

}  // namespace isoflop
