// A known law of each form, and its losses on a design.
#ifndef ISOFLOP_TESTS_ANALYSIS_FORM_WORLDS_H_
#define ISOFLOP_TESTS_ANALYSIS_FORM_WORLDS_H_

#include <cmath>
#include <vector>

#include "analysis/law_fit.h"
#include "tests/analysis/test_data.h"

namespace isoflop {

constexpr LawForm kFreshForms[] = {LawForm::kChinchilla, LawForm::kTied, LawForm::kGadre, LawForm::kKaplan,
                                   LawForm::kMultiplicative};

inline LossLaw WorldOf(LawForm form) {
  LossLaw law = HoffmannLaw();
  law.form = form;
  switch (form) {
    case LawForm::kChinchilla:
      break;
    case LawForm::kTied:
    case LawForm::kGadre:
      law.beta = law.alpha = 0.31;
      break;
    case LawForm::kKaplan: {
      const double s = 0.076 / 0.103;
      law.E = 0;
      law.A = std::pow(6.4e13, s);
      law.B = 1.8e13;
      law.alpha = s;
      law.beta = 1;
      law.kappa = 0.103;
      break;
    }
    case LawForm::kMultiplicative:
      law.A = 3e4;
      law.B = 0;
      law.alpha = 0.24;
      law.beta = 0.2;
      break;
    case LawForm::kDataConstrained:
      law.repeat_tokens = 15.4;
      law.repeat_params = 5.3;
      break;
  }
  return law;
}

struct Design {
  std::vector<double> params, tokens, unique;  // unique: data_constrained only
};

// Six budgets by eight sizes on the Hoffmann frontier; data_constrained: the same at
// budgets and sizes with plenty of tokens, then again where U tokens are repeated 2 to
// 60 times, with sizes on both sides of what U is worth.
inline Design DesignOf(LawForm form) {
  Design design;
  for (const Observation& row : SimulatedStudy(HoffmannLaw(), 1e18, 1e21, 6, 8, 6)) {
    design.params.push_back(*row.params_blocks);
    design.tokens.push_back(row.tokens_trained);
    design.unique.push_back(1e15);
  }
  if (form != LawForm::kDataConstrained) {
    design.unique.clear();
    return design;
  }
  for (const double unique : {1e8, 1e9}) {
    for (const double epochs : {2.0, 5.0, 12.0, 25.0, 60.0}) {
      for (const double params : {3e7, 3e8, 3e9}) {
        design.params.push_back(params);
        design.tokens.push_back(epochs * unique);
        design.unique.push_back(unique);
      }
    }
  }
  return design;
}

inline FitRows RowsOf(const Design& design, const std::vector<double>& loss) {
  FitRows rows = MakeFitRows(design.params, design.tokens, loss);
  for (const double unique : design.unique) rows.ln_unique.push_back(std::log(unique));
  return rows;
}

// Losses of `law` times exp(noise z), z standard normal from `seed`.
inline std::vector<double> LossesOf(const LossLaw& law, const Design& design, double noise = 0, uint32_t seed = 5) {
  std::mt19937 generator(seed);
  const auto uniform = [&] { return (static_cast<double>(generator()) + 0.5) / 4294967296.0; };
  std::vector<double> loss;
  for (size_t i = 0; i < design.params.size(); ++i) {
    const double z = std::sqrt(-2 * std::log(uniform())) * std::cos(6.283185307179586 * uniform());
    const double exact = design.unique.empty() ? law.LossAt(design.params[i], design.tokens[i])
                                               : law.LossAt(design.params[i], design.tokens[i], design.unique[i]);
    loss.push_back(exact * std::exp(noise * z));
  }
  return loss;
}

inline FitRows WorldRows(LawForm form, double noise = 0, uint32_t seed = 5) {
  const Design design = DesignOf(form);
  return RowsOf(design, LossesOf(WorldOf(form), design, noise, seed));
}

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_ANALYSIS_FORM_WORLDS_H_
