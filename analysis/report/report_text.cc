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

std::string CountWords(CountConvention count) {
  switch (count) {
    case CountConvention::kTotal: return "total";
    case CountConvention::kNonEmbedding: return "non-embedding";
    case CountConvention::kNonEmbeddingPlusHead: return "non-embedding + head";
  }
  return "";
}

std::string CountWords(const AnalysisResult& result) {
  return result.count_known ? CountWords(result.options.count) : "convention unknown";
}

std::string FlopsWords(FlopsConvention flops) { return flops == FlopsConvention::k6nd ? "6ND" : "by architecture"; }

const Interval* BcaAt(const Estimate& estimate, double level) {
  for (const Interval& interval : estimate.bca) {
    if (interval.level == level) return &interval;
  }
  return nullptr;
}

std::string FormText(LawForm form) {
  switch (form) {
    case LawForm::kChinchilla: return "L = E + A N^-alpha + B D^-beta";
    case LawForm::kTied: return "L = E + A N^-alpha + B D^-alpha";
    case LawForm::kGadre: return "L = E + A N^-alpha + B D^-alpha, tied in other coordinates (Gadre et al. 2024)";
    case LawForm::kKaplan: return "L = (A N^-alpha + B D^-1)^kappa (Kaplan et al. 2020)";
    case LawForm::kMultiplicative: return "L = E + A N^-alpha D^-beta";
    case LawForm::kDataConstrained: return "L = E + A N'^-alpha + B D'^-beta, data-constrained (Muennighoff et al. 2023)";
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
