#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "analysis/report/report_parts.h"
#include "study/format.h"

namespace isoflop {

double MainLevel(const AnalysisResult& result) {
  const std::vector<double>& levels = result.options.spec.levels;
  return levels.empty() ? 95 : *std::max_element(levels.begin(), levels.end());
}

std::string LevelAndMethod(const Estimate& estimate, double level) {
  if (estimate.At(level) == nullptr) return "";
  return absl::StrFormat("%g %%%s%s", level, estimate.method.empty() ? "" : ", ", estimate.method);
}

std::string WithInterval(const Estimate& estimate, double level, std::string (*format)(double)) {
  std::string text = format(estimate.value);
  if (const Interval* interval = estimate.At(level)) {
    absl::StrAppend(&text, " [", format(interval->lo), ", ", format(interval->hi), "]");
  }
  return text;
}

std::string FormatExponent(double value) { return absl::StrFormat("%.2f", value); }

std::string ExactText(double value) { return std::isfinite(value) ? absl::StrFormat("%.10g", value) : ""; }

std::string LossLabel(const AnalysisResult& result) {
  return result.options.spec.loss == LossUnit::kNats ? "loss [nats/token]" : "loss [bits/byte]";
}

std::string CountWords(const AnalysisResult& result) {
  if (!result.count_known) return "convention unknown";
  switch (result.options.count) {
    case CountConvention::kTotal: return "total";
    case CountConvention::kNonEmbedding: return "non-embedding";
    case CountConvention::kNonEmbeddingPlusHead: return "non-embedding + head";
  }
  return "";
}

std::string ParamsLabel(const AnalysisResult& result) { return absl::StrCat("N, ", CountWords(result), " [parameters]"); }

std::string FlopsLabel(const AnalysisResult& result) {
  return result.options.flops == FlopsConvention::k6nd ? "C = 6ND [FLOPs]" : "C, by architecture [FLOPs]";
}

std::string FitWords(const AnalysisResult& result) {
  if (!result.parametric.has_value()) return absl::StrCat("n = ", result.rows.size());
  return absl::StrCat("n = ", result.rows.size(), ", ", result.parametric->certificate.objective);
}

namespace {

// "compatible with Hoffmann, not with Kaplan": a published exponent lies in the
// interval of a, or not.
std::string Compatibility(const Estimate& a, double level) {
  const Interval* interval = a.At(level);
  if (interval == nullptr) return "";
  const auto holds = [&](std::initializer_list<double> values) {
    return std::any_of(values.begin(), values.end(), [&](double v) { return interval->lo <= v && v <= interval->hi; });
  };
  const bool hoffmann = holds({0.50, 0.49, 0.46}), kaplan = holds({0.73});
  if (hoffmann && kaplan) return "compatible with Hoffmann (0.46–0.50) and with Kaplan (0.73)";
  if (hoffmann) return "compatible with Hoffmann (0.46–0.50), not with Kaplan (0.73)";
  if (kaplan) return "compatible with Kaplan (0.73), not with Hoffmann (0.46–0.50)";
  return "compatible neither with Hoffmann (0.46–0.50) nor with Kaplan (0.73)";
}

// How far the trials are, empty when all have ended or none are known.
std::string ProgressSentence(const ReportContext& context) {
  int done = 0, all = 0, open = 0;
  for (const ReportTrial& trial : context.trials) {
    if (trial.is_trunk) continue;
    ++all;
    done += trial.state == TrialState::kCompleted ? 1 : 0;
    open += IsFinal(trial.state) ? 0 : 1;
  }
  if (open == 0) return "";
  return absl::StrCat("The study has not ended: ", done, " of ", Plural(all, "observation"), " are in.");
}

std::string IsoflopSentence(const AnalysisResult& result, double level) {
  if (!result.isoflop.has_value()) return "";
  const IsoflopFit& fit = *result.isoflop;
  if (!fit.params_law.has_value()) return "";
  return absl::StrCat("Approach 2 (", fit.accepted, " of ", Plural(static_cast<int64_t>(fit.budgets.size()), "IsoFLOP budget"), "): N* grows as C^", WithInterval(fit.params_law->exponent, level, FormatExponent), ".");
}

}  // namespace

std::vector<std::string> VerdictSentences(const AnalysisResult& result, const ReportContext& context) {
  const double level = MainLevel(result);
  std::vector<std::string> out;
  if (result.parametric.has_value()) {
    const Estimate& a = result.parametric->a;
    const std::string how = LevelAndMethod(a, level), compatible = Compatibility(a, level);
    out.push_back(absl::StrCat("N* grows as C^", WithInterval(a, level, FormatExponent), how.empty() ? "" : absl::StrCat(" (", how, ")"),
                               compatible.empty() ? "" : "; " + compatible, "."));
  } else if (result.isoflop.has_value() && result.isoflop->params_law.has_value()) {
    const Estimate& a = result.isoflop->params_law->exponent;
    out.push_back(absl::StrCat("N* grows as C^", WithInterval(a, level, FormatExponent), " by approach 2 alone."));
  } else {
    out.push_back("No law yet: the observations do not carry a fit.");
  }
  if (std::string progress = ProgressSentence(context); !progress.empty()) out.push_back(progress);
  if (result.parametric.has_value()) {
    if (std::string isoflop = IsoflopSentence(result, level); !isoflop.empty()) out.push_back(isoflop);
  }
  if (result.agreement.has_value()) {
    out.push_back(absl::StrCat("The approaches ", ToString(result.agreement->verdict),
                               result.agreement->reason.empty() ? "." : absl::StrCat(": ", result.agreement->reason, ".")));
  }
  // The ratio at the largest budget that was trained: what the study itself saw.
  if (const Frontier* frontier = FrontierOf(result, Approach::kParametric); frontier != nullptr && !frontier->points.empty()) {
    const FrontierPoint* nearest = &frontier->points.front();
    for (const FrontierPoint& point : frontier->points) {
      if (std::abs(point.log10_over_max) < std::abs(nearest->log10_over_max)) nearest = &point;
    }
    out.push_back(absl::StrCat("At ", FormatFlops(nearest->budget_flops), " FLOPs ",
                               WithInterval(nearest->tokens_per_parameter, level, FormatRatio),
                               " tokens per parameter are best: N* ", WithInterval(nearest->params, level, FormatCount), ", D* ",
                               WithInterval(nearest->tokens, level, FormatTokens), "."));
  }
  if (result.holdout.has_value() && result.holdout->demonstrated_decades > 0) {
    out.push_back(absl::StrFormat("Demonstrated to %.3gx the largest training budget.", std::pow(10, result.holdout->demonstrated_decades)));
  } else if (result.max_flops > 0) {
    out.push_back(absl::StrCat("Everything beyond the largest budget kept, ", FormatFlops(result.max_flops), " FLOPs, is extrapolated."));
  }
  return out;
}

std::vector<ReportNote> RefusalNotes(const AnalysisResult& result) {
  std::vector<ReportNote> notes;
  const auto add = [&](const std::string& where, const Refusal& refusal) {
    notes.push_back({ToString(refusal.code), absl::StrCat(where, ": ", refusal.message), refusal.cure});
  };
  if (result.parametric_refusal.has_value()) add("Approach 3", *result.parametric_refusal);
  if (result.isoflop.has_value() && result.isoflop->refusal.has_value()) add("Approach 2", *result.isoflop->refusal);
  if (result.envelope.has_value() && result.envelope->refusal.has_value()) add("Approach 1", *result.envelope->refusal);
  return notes;
}

std::string CureOf(Code code) {
  switch (code) {
    case Code::kConventionUnknown: return "--column params_total=... names the count";
    case Code::kTokensDerived: return "give the tokens as a column: errors of D and N are tied now";
    case Code::kFewClusters: return "more runs: add seeds, sizes or budgets to the study";
    case Code::kNoiseUnknown: return "add `seeds: [1, 2]` or `replicates:` to the study";
    case Code::kMinimumAtEdge: return "widen `grid.spread` or move `grid.center`";
    case Code::kTooFewPoints: return "more sizes in that budget";
    default: return "";
  }
}

const char* ColorOf(Approach approach) {
  switch (approach) {
    case Approach::kEnvelope: return kColorEnvelope;
    case Approach::kIsoflop: return kColorIsoflop;
    case Approach::kParametric: return kColorParametric;
  }
  return kColorInk;
}

std::vector<int64_t> SeedsOf(const AnalysisResult& result) {
  std::vector<int64_t> seeds;
  for (const KeptRow& row : result.rows) seeds.push_back(row.observation.seed);
  std::sort(seeds.begin(), seeds.end());
  seeds.erase(std::unique(seeds.begin(), seeds.end()), seeds.end());
  return seeds;
}

Glyph MarkOfSeed(const std::vector<int64_t>& seeds, int64_t seed) {
  static constexpr Glyph kMarks[] = {Glyph::kCircle, Glyph::kSquare, Glyph::kTriangle, Glyph::kDiamond};
  const auto at = std::find(seeds.begin(), seeds.end(), seed);
  return kMarks[static_cast<size_t>(at - seeds.begin()) % std::size(kMarks)];
}

Range FlopsRange(const AnalysisResult& result) {
  Range range{INFINITY, 0};
  const auto take = [&](double flops) {
    if (!(flops > 0) || !std::isfinite(flops)) return;
    range.lo = std::min(range.lo, flops);
    range.hi = std::max(range.hi, flops);
  };
  for (const KeptRow& row : result.rows) take(row.flops);
  for (const Exclusion& exclusion : result.exclusions) take(exclusion.flops.value_or(0));
  return range.hi > 0 ? range : Range{1, 1};
}

const Frontier* FrontierOf(const AnalysisResult& result, Approach approach) {
  for (const Frontier& frontier : result.frontiers) {
    if (frontier.approach == approach) return &frontier;
  }
  return nullptr;
}

std::string HoverOf(const KeptRow& row) {
  std::string text = absl::StrCat(EscapeXml(row.observation.source), "<br>N ", FormatCount(row.params), "  D ", FormatTokens(row.tokens),
                                  "  C ", FormatFlops(row.flops), "<br>loss ", FormatLoss(row.loss));
  if (row.predicted_loss.has_value()) absl::StrAppend(&text, ", predicted ", FormatLoss(*row.predicted_loss));
  return text;
}

}  // namespace isoflop
