#include "analysis/loss_law.h"

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

double LossLaw::LossAt(double params, double tokens) const {
  return E + A * std::pow(params, -alpha) + B * std::pow(tokens, -beta);
}

double LossLaw::LossAt(double params, double tokens, double /*unique_tokens*/) const { return LossAt(params, tokens); }

}  // namespace isoflop
