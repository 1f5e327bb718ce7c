#include "analysis/isoflop_section.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "analysis/power_law.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr double kLn10 = 2.302585092994046;

absl::Span<const double> UsableVariances(const std::vector<double>& variances) {
  for (const double variance : variances) {
    if (!(variance > 0)) return {};
  }
  return variances;
}

}  // namespace

IsoflopSection FitSection(absl::Span<const KeptRow> rows, const BudgetGroup& group, absl::Span<const double> weights,
                          absl::Span<const double> losses, const IsoflopOptions& options) {
  IsoflopSection section{.budget_flops = group.budget_flops,
                         .method = options.minimum,
                         .with_tokens = options.flops == FlopsConvention::kExact};
  std::vector<double> x, z, y, w;
  for (const size_t row : group.rows) {
    if (!(weights[row] > 0)) continue;
    x.push_back(std::log10(rows[row].params));
    if (section.with_tokens) z.push_back(std::log10(rows[row].tokens));
    y.push_back(losses[row]);
    w.push_back(weights[row]);
    section.sizes += x.size() == 1 || x.back() != x[x.size() - 2];  // N rises
  }
  section.points = static_cast<int>(x.size());
  if (x.empty()) return section;
  section.lowest = x.front();
  section.highest = x.back();
  section.parabola = FitParabola(x, y, w);
  if (options.minimum != MinimumMethod::kQuadratic) {
    section.by_params = MinimumOfSection(options.minimum, x, y, w);
  } else if (section.parabola && section.parabola->parabola.p > 0) {
    section.by_params = SectionMinimum{.x = section.parabola->vertex,
                                       .loss = section.parabola->minimum,
                                       .unit_var_x = section.parabola->unit_var_vertex,
                                       .unit_var_loss = section.parabola->unit_var_minimum,
                                       .rss = section.parabola->rss};
  }
  if (section.with_tokens) section.by_tokens = MinimumOfSection(options.minimum, z, y, w);
  return section;
}

namespace {

// Sum of squares around the section's curve, and its degrees of freedom.
struct Scatter {
  double rss = 0;
  int freedom = 0;
};
Scatter ScatterOf(const IsoflopSection& section) {
  if (section.by_params) return {section.by_params->rss, section.points - section.by_params->parameters};
  if (section.parabola) return {section.parabola->rss, section.points - 3};
  return {};
}

}  // namespace

double PooledSigma(absl::Span<const IsoflopSection> sections) {
  double rss = 0;
  int freedom = 0;
  for (const IsoflopSection& section : sections) {
    const Scatter scatter = ScatterOf(section);
    if (scatter.freedom <= 0) continue;
    rss += scatter.rss;
    freedom += scatter.freedom;
  }
  return freedom > 0 ? std::sqrt(rss / freedom) : 0;
}

double SigmaOf(const IsoflopSection& section, double pooled) {
  const Scatter scatter = ScatterOf(section);
  return scatter.freedom >= 3 ? std::sqrt(scatter.rss / scatter.freedom) : pooled;
}

std::optional<Refusal> RejectSection(const IsoflopSection& section, double pooled) {
  const std::string at = absl::StrCat("budget ", FormatFlops(section.budget_flops), ": ");
  const std::string more = "more sizes, or more seeds against noise";
  const int needed = SizesNeeded(section.method);
  const std::string curve = section.method == MinimumMethod::kQuadratic ? "parabola"
                            : section.method == MinimumMethod::kCubic   ? "cubic"
                                                                        : "spline";
  if (!section.parabola || section.sizes < needed) {
    return Refusal{Code::kTooFewPoints,
                   absl::StrCat(at, Plural(section.sizes, "size"), ", a ", curve, " needs ", needed),
                   "train more sizes at this budget"};
  }
  const Parabola& parabola = section.parabola->parabola;
  if (!(parabola.p > 0)) return Refusal{Code::kNotConvex, absl::StrCat(at, "the parabola opens downwards"), more};
  if (!section.by_params) return Refusal{Code::kNotConvex, absl::StrCat(at, "the ", curve, " has no minimum"), more};
  if (section.by_params->x <= section.lowest || section.by_params->x >= section.highest) {
    const bool low = section.by_params->x <= section.lowest;
    return Refusal{Code::kMinimumAtEdge,
                   absl::StrCat(at, "no size is ", low ? "smaller" : "larger", " than the minimum"),
                   absl::StrCat("train ", low ? "smaller" : "larger", " sizes at this budget")};
  }
  if (parabola.p < 2 * SigmaOf(section, pooled) * std::sqrt(section.parabola->unit_var_p)) {
    return Refusal{Code::kNotConvex, absl::StrCat(at, "the parabola is flat within two standard errors"),
                   "a wider spread of sizes, or more seeds against noise"};
  }
  if (section.with_tokens && !section.by_tokens) {
    return Refusal{Code::kNotConvex, absl::StrCat(at, "the ", curve, " in tokens has no minimum"), more};
  }
  return std::nullopt;
}

void AddMinimum(const IsoflopSection& section, double sigma, IsoflopMinima* minima) {
  const double params = std::pow(10, section.by_params->x);
  const double variance = kLn10 * kLn10 * section.by_params->VarianceOfX(sigma);
  minima->flops.push_back(section.budget_flops);
  minima->params.push_back(params);
  minima->params_variance.push_back(variance);
  if (section.with_tokens) {
    minima->tokens.push_back(std::pow(10, section.by_tokens->x));
    minima->tokens_variance.push_back(kLn10 * kLn10 * section.by_tokens->VarianceOfX(sigma));
  } else {
    minima->tokens.push_back(section.budget_flops / (6 * params));
    minima->tokens_variance.push_back(variance);
  }
}

IsoflopPowerLaws FitMinima(const IsoflopMinima& minima, bool with_tokens, bool weighted) {
  IsoflopPowerLaws laws;
  const auto fit = [&](const std::vector<double>& values, const std::vector<double>& variances) {
    return FitPowerLaw(minima.flops, values, weighted ? UsableVariances(variances) : absl::Span<const double>());
  };
  laws.params = fit(minima.params, minima.params_variance);
  if (with_tokens) {
    laws.tokens = fit(minima.tokens, minima.tokens_variance);
  } else {
    laws.tokens = laws.params;  // the same errors
    laws.tokens.exponent.value = 1 - laws.params.exponent.value;
    laws.tokens.ln_coefficient.value = -std::log(6.0) - laws.params.ln_coefficient.value;
  }
  return laws;
}

}  // namespace isoflop
