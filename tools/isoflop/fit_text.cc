#include "tools/isoflop/fit_text.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "analysis/agreement.h"
#include "study/format.h"

namespace isoflop {
namespace {

// "1.018274e-3": no zero before the exponent.
std::string Scientific(double value, int digits) {
  std::string text = absl::StrFormat("%.*e", digits - 1, value);
  const size_t e = text.find('e');
  size_t from = e + 2;
  while (from + 1 < text.size() && text[from] == '0') text.erase(from, 1);
  if (text[e + 1] == '+') text.erase(e + 1, 1);
  return text;
}

// A law parameter's interval end: whole above 100, else four digits.
std::string ParameterEnd(double value) {
  if (!std::isfinite(value)) return value > 0 ? "open" : "-open";
  return std::abs(value) >= 100 ? absl::StrFormat("%.0f", value) : FormatSignificant(value, 4);
}

std::string ParameterInterval(const Estimate& estimate) {
  const Interval* interval = ShownInterval(estimate);
  if (interval == nullptr) return "";
  return absl::StrCat(" [", ParameterEnd(interval->lo), ", ", ParameterEnd(interval->hi), "]");
}

std::string ExponentInterval(const Estimate& estimate) {
  const Interval* interval = ShownInterval(estimate);
  return interval == nullptr ? "" : absl::StrFormat(" [%.3f, %.3f]", interval->lo, interval->hi);
}

std::string Kept(const AnalysisResult& result) {
  std::map<ExclusionRule, int> counts;
  for (const Exclusion& exclusion : result.exclusions) ++counts[exclusion.rule];
  std::vector<std::string> parts;
  for (const auto& [rule, count] : counts) {
    parts.push_back(rule == ExclusionRule::kOutlier
                        ? absl::StrCat("outlier(", result.options.spec.outliers, "): ", count)
                        : absl::StrCat(ToString(rule), ": ", count));
  }
  return absl::StrCat(Plural(result.rows_read, "row"), ", ", result.rows.size(), " kept",
                      parts.empty() ? "" : absl::StrCat(" (", absl::StrJoin(parts, ", "), ")"));
}

std::string Certified(const Certificate& certificate) {
  const bool good = certificate.outcome == FitOutcome::kOptimal;
  return absl::StrCat(certificate.objective, "  ",
                      good ? "certified" : absl::StrCat("not certified (", ToString(certificate.outcome), ")"), ", f ",
                      Scientific(certificate.f, 7));
}

// The parameters that the form has; the chinchilla line is the one that papers print.
std::string ParameterLine(const ParametricFit& fit) {
  const LossLaw& law = fit.law;
  const auto with_interval = [](const char* name, const Estimate& estimate) {
    return absl::StrCat("  ", name, " ", FormatSignificant(estimate.value, 6), ParameterInterval(estimate));
  };
  std::string line;
  if (law.form != LawForm::kKaplan) absl::StrAppend(&line, with_interval("E", fit.E));
  absl::StrAppend(&line, with_interval("A", fit.A));
  if (law.form != LawForm::kMultiplicative) absl::StrAppend(&line, with_interval("B", fit.B));
  absl::StrAppend(&line, "  alpha ", FormatSignificant(fit.alpha.value, 6), "  beta ", FormatSignificant(fit.beta.value, 6));
  if (law.form == LawForm::kKaplan) absl::StrAppend(&line, "  kappa ", FormatSignificant(law.kappa, 6));
  if (law.form == LawForm::kDataConstrained) {
    const auto repeats = [](double value) { return std::isfinite(value) ? FormatSignificant(value, 6) : "open"; };
    absl::StrAppend(&line, "  R_D* ", repeats(law.repeat_tokens), "  R_N* ", repeats(law.repeat_params));
  }
  const Estimate& first = law.form == LawForm::kKaplan ? fit.A : fit.E;
  const Interval* shown = ShownInterval(first);
  if (shown != nullptr) absl::StrAppendFormat(&line, "  %g%%, %s", shown->level, first.method);
  return line.substr(1);  // one blank leads
}

void AddParametric(const AnalysisResult& result, std::vector<std::string>* lines) {
  const ParametricFit& fit = *result.parametric;
  lines->push_back(ParameterLine(fit));
  if (fit.optimum_coefficient.value > 0) {
    const std::string c = result.options.flops == FlopsConvention::k6nd ? "" : "  (closed form, C = 6ND)";
    const std::string compatible = CompatibleWith(fit.a);
    lines->push_back(absl::StrCat(" N* = ", FormatSignificant(fit.optimum_coefficient.value, 6), " (C/6)^",
                                  FormatSignificant(fit.a.value, 6), ExponentInterval(fit.a),
                                  compatible.empty() ? "" : "  ", compatible, c));
  }
}

void AddIsoflop(const AnalysisResult& result, std::vector<std::string>* lines) {
  const IsoflopFit& fit = *result.isoflop;
  if (fit.refusal) {
    lines->push_back(absl::StrCat(" approach 2: ", ToString(fit.refusal->code), ", ", fit.refusal->message));
    return;
  }
  const auto law = [](const PowerLaw& power) {
    return absl::StrCat(absl::StrFormat("%.6g", std::exp(power.ln_coefficient.value)), " C^",
                        FormatSignificant(power.exponent.value, 6));
  };
  std::string line = absl::StrCat(" approach 2: N* = ", law(*fit.params_law), ExponentInterval(fit.params_law->exponent),
                                  "  ", fit.accepted, " of ", Plural(static_cast<int64_t>(fit.budgets.size()), "budget"),
                                  " with a minimum");
  if (fit.bias_at_target) {
    absl::StrAppend(&line, absl::StrFormat("  bias of N* at %s %+.1f%%", FormatFlops(result.target_flops),
                                           100 * (std::exp(*fit.bias_at_target) - 1)));
  }
  lines->push_back(line);
  const auto exact = [](const PowerLaw& power) {
    return absl::StrFormat("%.10g C^%.10g", std::exp(power.ln_coefficient.value), power.exponent.value);
  };
  if (fit.params_law_ols && fit.tokens_law_ols) {
    lines->push_back(absl::StrCat("  unweighted: N* = ", exact(*fit.params_law_ols), "  D* = ", exact(*fit.tokens_law_ols)));
  }
  if (fit.params_law_corrected && fit.tokens_law_corrected) {
    lines->push_back(absl::StrCat("  without the bias: N* = ", law(*fit.params_law_corrected),
                                  ExponentInterval(fit.params_law_corrected->exponent), "  D* = ",
                                  law(*fit.tokens_law_corrected)));
  }
}

void AddEnvelope(const EnvelopeFit& fit, std::vector<std::string>* lines) {
  if (fit.refusal || !fit.params_law) {
    if (fit.refusal) {
      lines->push_back(absl::StrCat(" approach 1: ", ToString(fit.refusal->code), ", ", fit.refusal->message));
    }
    return;
  }
  const auto law = [](const PowerLaw& power) {
    return absl::StrFormat("%.6g C^%s", std::exp(power.ln_coefficient.value), FormatSignificant(power.exponent.value, 6));
  };
  std::string line = absl::StrCat(" approach 1: N* = ", law(*fit.params_law), ExponentInterval(fit.params_law->exponent));
  if (fit.tokens_law) absl::StrAppend(&line, "  D* = ", law(*fit.tokens_law));
  lines->push_back(absl::StrCat(line, "  ", fit.hull.size(), " of ", Plural(fit.curve_points, "point"), " on the envelope"));
}

void AddVerdict(const Agreement& agreement, std::vector<std::string>* lines) {
  std::string line = absl::StrCat(" the approaches: ", ToString(agreement.verdict));
  if (!agreement.reason.empty()) absl::StrAppend(&line, ", ", agreement.reason);
  lines->push_back(line);
  if (agreement.verdict != Verdict::kDisagree) return;
  lines->push_back(agreement.cause.empty() ? absl::StrCat("   no cause was found whose removal mends it", NarrowsMost(agreement))
                                           : absl::StrCat("   the first cause whose removal mends it: ", CauseText(agreement)));
}

void AddForms(const FormRanking& ranking, std::vector<std::string>* lines) {
  std::vector<std::string> parts;
  for (const FormScore& score : ranking.forms) {
    const Estimate* error = EstimateIn(score.holdout_error);
    if (error != nullptr) parts.push_back(absl::StrFormat("%s %.2f%%", ToString(score.form), 100 * error->value));
  }
  if (parts.empty()) return;
  lines->push_back(absl::StrCat(" forms by held-out error: ", absl::StrJoin(parts, ", "), "; the simplest within one SE: ",
                                ToString(ranking.recommended)));
}

// "held out: error 0.4% at 0.5 decades; demonstrated to 10x the largest budget"
void AddHoldout(const Holdout& holdout, std::vector<std::string>* lines) {
  if (holdout.refusal) {
    lines->push_back(absl::StrCat(" held out: ", ToString(holdout.refusal->code), ", ", holdout.refusal->message));
    return;
  }
  // The largest budget alone where there are no windows.
  const std::vector<HeldRow>& held = holdout.windows.empty() ? holdout.largest : holdout.windows;
  if (held.empty()) return;
  double error = 0, distance = 0;
  for (const HeldRow& row : held) {
    error += std::abs(row.relative_error) / static_cast<double>(held.size());
    distance += row.distance_decades / static_cast<double>(held.size());
  }
  std::string line = absl::StrFormat(" held out: error %.1f%% at %.1f decades; ", 100 * error, distance);
  if (holdout.demonstrated_decades > 0) {
    absl::StrAppendFormat(&line, "demonstrated to %.2gx the largest budget", std::pow(10, holdout.demonstrated_decades));
  } else {
    absl::StrAppend(&line, "nothing demonstrated beyond the largest budget");
  }
  if (!holdout.windows.empty() && holdout.skill <= 0) absl::StrAppend(&line, "; no better than the baselines");
  lines->push_back(line);
}

// The row that moves N*(C_T) most.
void AddSensitivity(const AnalysisResult& result, std::vector<std::string>* lines) {
  const SensitivityRow* strongest = nullptr;
  double largest = 0;
  for (const SensitivityRow& row : result.sensitivity) {
    const Estimate* moved = EstimateIn(row.delta_ln_params);
    if (moved == nullptr || !(std::abs(moved->value) > largest)) continue;
    strongest = &row;
    largest = std::abs(moved->value);
  }
  if (strongest == nullptr) return;
  std::string line = absl::StrFormat(" most sensitive to %s: N* at %s x%s", strongest->name, FormatFlops(result.target_flops),
                                     FormatSignificant(std::exp(EstimateIn(strongest->delta_ln_params)->value), 3));
  std::vector<std::string> more;
  if (strongest->ln_params_in_se) more.push_back(absl::StrFormat("%.1f SE", std::abs(*strongest->ln_params_in_se)));
  if (const Estimate* a = EstimateIn(strongest->delta_a)) more.push_back(absl::StrFormat("a %+.3f", a->value));
  if (!more.empty()) absl::StrAppend(&line, " (", absl::StrJoin(more, ", "), ")");
  lines->push_back(line);
}

// Rows whose numbers are none, by name: the first three.
void AddBadRows(const AnalysisResult& result, std::vector<std::string>* lines) {
  std::vector<std::string> parts;
  int more = 0;
  for (const Exclusion& exclusion : result.exclusions) {
    if (exclusion.rule != ExclusionRule::kNonFinite && exclusion.rule != ExclusionRule::kDuplicateFingerprint) continue;
    if (parts.size() < 3) {
      parts.push_back(absl::StrCat(exclusion.source, ", ", exclusion.detail));
    } else {
      ++more;
    }
  }
  if (parts.empty()) return;
  lines->push_back(absl::StrCat(" left out: ", absl::StrJoin(parts, "; "), more > 0 ? absl::StrCat("; and ", more, " more") : "",
                                ".  cure: correct or delete them, or choose other columns by --column"));
}

void AddWarnings(const AnalysisResult& result, std::vector<std::string>* lines) {
  std::vector<std::string> parts;
  for (const Warning& warning : result.warnings) {
    parts.push_back(warning.code == Code::kTokensDerived || warning.code == Code::kConventionUnknown
                        ? ToString(warning.code)
                        : absl::StrCat(ToString(warning.code), ", ", warning.message));
  }
  if (!parts.empty()) lines->push_back(absl::StrCat(" warnings: ", absl::StrJoin(parts, "; ")));
}

}  // namespace

const Interval* ShownInterval(const Estimate& estimate) {
  if (const Interval* interval = estimate.At(95)) return interval;
  const auto widest = std::max_element(estimate.intervals.begin(), estimate.intervals.end(),
                                       [](const Interval& x, const Interval& y) { return x.level < y.level; });
  return widest == estimate.intervals.end() ? nullptr : &*widest;
}

std::string CountInterval(const Estimate& estimate) {
  const Interval* interval = ShownInterval(estimate);
  if (interval == nullptr) return "";
  const std::string shown = FormatCount(estimate.value);
  double unit = 1;
  switch (shown.empty() ? '\0' : shown.back()) {
    case 'K': unit = 1e3; break;
    case 'M': unit = 1e6; break;
    case 'B': unit = 1e9; break;
    case 'T': unit = 1e12; break;
    default: break;
  }
  const auto end = [unit](double value) { return std::isfinite(value) ? FormatSignificant(value / unit, 3) : "open"; };
  return absl::StrCat(" [", end(interval->lo), ", ", end(interval->hi), "]");
}

std::string PlainInterval(const Estimate& estimate, int digits) {
  const Interval* interval = ShownInterval(estimate);
  if (interval == nullptr) return "";
  const auto end = [digits](double value) { return std::isfinite(value) ? FormatSignificant(value, digits) : "open"; };
  return absl::StrCat(" [", end(interval->lo), ", ", end(interval->hi), "]");
}

std::string NamedCount(const std::string& name, const Estimate& estimate) {
  return absl::StrCat(name, " ", FormatCount(estimate.value), CountInterval(estimate));
}

std::string CompatibleWith(const Estimate& a) {
  const Interval* interval = a.At(95);
  if (interval == nullptr) return "";
  const auto holds = [interval](double exponent) { return interval->lo <= exponent && exponent <= interval->hi; };
  // Hoffmann et al. 2022, table 2, by approach; Kaplan et al. 2020.
  const bool hoffmann = holds(0.50) || holds(0.49) || holds(0.46), kaplan = holds(0.73);
  if (hoffmann && kaplan) return "compatible with Hoffmann (0.46-0.50) and with Kaplan (0.73)";
  if (hoffmann) return "compatible with Hoffmann (0.46-0.50), not with Kaplan (0.73)";
  if (kaplan) return "compatible with Kaplan (0.73), not with Hoffmann (0.46-0.50)";
  return "compatible neither with Hoffmann (0.46-0.50) nor with Kaplan (0.73)";
}

std::vector<std::string> FitLines(const AnalysisResult& result) {
  std::vector<std::string> lines;
  if (result.parametric) {
    const LawForm form = result.parametric->law.form;
    lines.push_back(absl::StrCat(Kept(result), "  ", Certified(result.parametric->certificate),
                                 form == LawForm::kChinchilla ? "" : absl::StrCat("  form ", ToString(form))));
    AddParametric(result, &lines);
  } else {
    lines.push_back(absl::StrCat(Kept(result), "  no law of the loss"));
  }
  if (result.isoflop) AddIsoflop(result, &lines);
  if (result.envelope) AddEnvelope(*result.envelope, &lines);
  if (result.agreement) AddVerdict(*result.agreement, &lines);
  if (result.forms) AddForms(*result.forms, &lines);
  if (result.holdout) AddHoldout(*result.holdout, &lines);
  AddSensitivity(result, &lines);
  if (result.noise.sigma > 0) {
    lines.push_back(absl::StrCat(" noise of the loss ", FormatSignificant(100 * result.noise.sigma, 2), "%, ",
                                 result.noise.from_replicates
                                     ? absl::StrCat("from ", Plural(result.noise.cells, "cell"), " with several seeds")
                                     : "from the residuals"));
  }
  AddBadRows(result, &lines);
  AddWarnings(result, &lines);
  return lines;
}

}  // namespace isoflop
