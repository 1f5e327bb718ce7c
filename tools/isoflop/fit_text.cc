#include "tools/isoflop/fit_text.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
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

void AddParametric(const AnalysisResult& result, std::vector<std::string>* lines) {
  const ParametricFit& fit = *result.parametric;
  const Interval* shown = ShownInterval(fit.E);
  lines->push_back(absl::StrCat(
      " E ", FormatSignificant(fit.E.value, 6), ParameterInterval(fit.E), "  A ", FormatSignificant(fit.A.value, 6),
      ParameterInterval(fit.A), "  B ", FormatSignificant(fit.B.value, 6), ParameterInterval(fit.B), "  alpha ",
      FormatSignificant(fit.alpha.value, 6), "  beta ", FormatSignificant(fit.beta.value, 6),
      shown == nullptr ? "" : absl::StrFormat("  %g%%, %s", shown->level, fit.E.method)));
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
  lines->push_back(absl::StrCat("  unweighted: N* = ", exact(*fit.params_law_ols), "  D* = ", exact(*fit.tokens_law_ols)));
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
    lines.push_back(absl::StrCat(Kept(result), "  ", Certified(result.parametric->certificate)));
    AddParametric(result, &lines);
  } else {
    lines.push_back(absl::StrCat(Kept(result), "  no law of the loss"));
  }
  if (result.isoflop) AddIsoflop(result, &lines);
  if (result.noise.sigma > 0) {
    lines.push_back(absl::StrCat(" noise of the loss ", FormatSignificant(100 * result.noise.sigma, 2), "%, ",
                                 result.noise.from_replicates
                                     ? absl::StrCat("from ", Plural(result.noise.cells, "cell"), " with several seeds")
                                     : "from the residuals"));
  }
  AddWarnings(result, &lines);
  return lines;
}

}  // namespace isoflop
