#include "analysis/law_fit.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/form_fit.h"
#include "analysis/law_starts.h"
#include "analysis/repeated_data_fit.h"
#include "analysis/statistics.h"

namespace isoflop {
namespace {

// Calls `use` with the form's terms. gadre is tied in other coordinates; of
// data_constrained the law of fresh data is meant.
template <class Use>
auto WithForm(LawForm form, const Use& use) {
  switch (form) {
    case LawForm::kTied:
    case LawForm::kGadre:
      return use(TiedForm());
    case LawForm::kKaplan:
      return use(KaplanForm());
    case LawForm::kMultiplicative:
      return use(MultiplicativeForm());
    case LawForm::kChinchilla:
    case LawForm::kDataConstrained:
      break;
  }
  return use(ChinchillaForm());
}

template <class Form>
typename Form::Vector ValuesOf(const Theta& theta) {
  typename Form::Vector values;
  for (int j = 0; j < Form::kParams; ++j) values[j] = theta.values[static_cast<size_t>(j)];
  return values;
}

LawFit FitForm(const FitRows& rows, const LawFitOptions& options) {
  LawFit fit = WithForm(options.form, [&](auto form) {
    using Form = decltype(form);
    return FormFit<Form>(rows, options).Fit(StartsOf<Form>(rows));
  });
  fit.law.form = fit.theta.form = options.form;
  for (Theta& basin : fit.other_basins) basin.form = options.form;
  return fit;
}

// The law of fresh data and what a repeat is worth, on two disjoint sets of rows.
LawFit FitDataConstrained(const FitRows& rows, const LawFitOptions& options) {
  const FitRows fresh = FreshRows(rows), repeated = RepeatedRows(rows);
  LawFitOptions base = options;
  base.form = LawForm::kChinchilla;
  LawFit fit = FitForm(fresh.size() > 0 ? fresh : rows, base);
  const RepeatedDataFit repeats = FitRepeats(repeated, options, fit.law);
  fit.law = repeats.law;
  fit.theta = ThetaOf(rows, fit.law);
  for (Theta& basin : fit.other_basins) {
    LossLaw law = LawOf(rows, basin);
    law.form = LawForm::kDataConstrained;
    law.repeat_tokens = fit.law.repeat_tokens;
    law.repeat_params = fit.law.repeat_params;
    basin = ThetaOf(rows, law);
  }
  if (repeated.size() == 0) return fit;
  fit.certificate.f += repeats.f;
  const auto limit = [&](const RepeatLimits& limits, const char* name) {
    if (!limits.open()) return;
    fit.certificate.outcome = FitOutcome::kBoundHit;
    fit.certificate.at_bounds.push_back(
        limits.lo ? absl::StrFormat("%s >= %.3g, open above", name, *limits.lo)
                  : limits.hi ? absl::StrFormat("%s <= %.3g, open below", name, *limits.hi)
                              : absl::StrCat(name, " open on both sides"));
  };
  limit(repeats.tokens, "R_D*");
  limit(repeats.params, "R_N*");
  if (!repeats.converged && fit.certificate.outcome == FitOutcome::kOptimal) {
    fit.certificate.outcome = FitOutcome::kMaxIterations;
  }
  return fit;
}

}  // namespace

FitRows MakeFitRows(absl::Span<const double> params, absl::Span<const double> tokens, absl::Span<const double> loss) {
  FitRows rows;
  const size_t m = params.size();
  for (size_t i = 0; i < m; ++i) {
    rows.n.push_back(std::log(params[i]));
    rows.d.push_back(std::log(tokens[i]));
  }
  rows.n0 = Mean(rows.n);
  rows.d0 = Mean(rows.d);
  for (size_t i = 0; i < m; ++i) {
    rows.n[i] -= rows.n0;
    rows.d[i] -= rows.d0;
    rows.loss.push_back(loss[i]);
    rows.ln_loss.push_back(std::log(loss[i]));
    rows.weight.push_back(1);
  }
  return rows;
}

LossLaw LawOf(const FitRows& rows, const Theta& theta) {
  LossLaw law = WithForm(theta.form, [&](auto form) {
    using Form = decltype(form);
    return Form::ToLaw(ValuesOf<Form>(theta), rows.n0, rows.d0);
  });
  law.form = theta.form;
  if (theta.form == LawForm::kDataConstrained) {
    law.repeat_tokens = std::exp(theta.values[5]);
    law.repeat_params = std::exp(theta.values[6]);
  }
  return law;
}

Theta ThetaOf(const FitRows& rows, const LossLaw& law) {
  Theta theta = WithForm(law.form, [&](auto form) {
    using Form = decltype(form);
    return FormFit<Form>::ThetaAt(Form::FromLaw(law, rows.n0, rows.d0));
  });
  theta.form = law.form;
  if (law.form == LawForm::kDataConstrained) {
    theta.values[5] = std::log(law.repeat_tokens);
    theta.values[6] = std::log(law.repeat_params);
  }
  return theta;
}

double ObjectiveOf(const FitRows& rows, const LawFitOptions& options, const LossLaw& law) {
  const double delta = WidthOf(options);
  double f = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const double params = std::exp(rows.n[i] + rows.n0), tokens = std::exp(rows.d[i] + rows.d0);
    const double predicted = rows.ln_unique.empty() ? law.LossAt(params, tokens)
                                                    : law.LossAt(params, tokens, std::exp(rows.ln_unique[i]));
    if (options.objective == FitObjective::kMseRaw) {
      f += rows.weight[i] * 0.5 * (rows.loss[i] - predicted) * (rows.loss[i] - predicted);
      continue;
    }
    const double size = std::abs(rows.ln_loss[i] - std::log(predicted));
    if (options.objective == FitObjective::kLad) {
      f += rows.weight[i] * size;
    } else {
      f += rows.weight[i] * (size <= delta ? 0.5 * size * size : delta * (size - 0.5 * delta));
    }
  }
  return f;
}

std::string ObjectiveName(const LawFitOptions& options) {
  switch (options.objective) {
    case FitObjective::kHuber:
      return absl::StrFormat("huber(%g) on log loss", options.delta);
    case FitObjective::kLad:
      return "lad on log loss";
    case FitObjective::kMse:
      return "mse on log loss";
    case FitObjective::kMseRaw:
      return "mse on loss";
  }
  return "";
}

LawFit FitLossLaw(const FitRows& rows, const LawFitOptions& options) {
  return options.form == LawForm::kDataConstrained ? FitDataConstrained(rows, options) : FitForm(rows, options);
}

Refit RefitLossLaw(const FitRows& rows, const LawFitOptions& options, absl::Span<const Theta> starts) {
  const bool constrained = options.form == LawForm::kDataConstrained;
  const FitRows fresh = constrained ? FreshRows(rows) : FitRows();
  const FitRows& fitted = constrained && fresh.size() > 0 ? fresh : rows;
  Refit refit = WithForm(options.form, [&](auto form) {
    return FormFit<decltype(form)>(fitted, options).FitAgain(starts);
  });
  refit.theta.form = options.form;
  if (constrained && std::isfinite(refit.f)) {
    LossLaw base = LawOf(rows, refit.theta);
    base.form = LawForm::kChinchilla;
    // Where no row repeats, nothing limits them.
    base.repeat_tokens = base.repeat_params = std::numeric_limits<double>::infinity();
    const RepeatedDataFit repeats = FitRepeats(RepeatedRows(rows), options, base, /*with_limits=*/false);
    refit.theta = ThetaOf(rows, repeats.law);
    refit.f += repeats.f;
  }
  return refit;
}

}  // namespace isoflop
