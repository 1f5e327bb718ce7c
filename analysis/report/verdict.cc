// The verdict box, the refusals and the cures.
#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "analysis/agreement.h"
#include "analysis/report/report_parts.h"
#include "study/format.h"

namespace isoflop {
namespace {

// The most moves that the box names; the sheet has all.
constexpr size_t kMostSensitivities = 3;
constexpr double kSensitiveSe = 2;

// A reason as the end of a sentence: without its own full stop.
std::string WithoutStop(const std::string& text) { return std::string(absl::StripSuffix(text, ".")); }

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

std::string ExponentSentence(const AnalysisResult& result, double level) {
  if (result.parametric.has_value()) {
    const Estimate& a = result.parametric->a;
    const std::string how = LevelAndMethod(a, level), compatible = Compatibility(a, level);
    return absl::StrCat("N* grows as C^", WithInterval(a, level, FormatExponent), how.empty() ? "" : absl::StrCat(" (", how, ")"),
                        compatible.empty() ? "" : "; " + compatible, ".");
  }
  if (result.isoflop.has_value() && result.isoflop->params_law.has_value()) {
    return absl::StrCat("N* grows as C^", WithInterval(result.isoflop->params_law->exponent, level, FormatExponent), " by approach 2 alone.");
  }
  if (result.envelope.has_value() && result.envelope->params_law.has_value()) {
    return absl::StrCat("N* grows as C^", WithInterval(result.envelope->params_law->exponent, level, FormatExponent), " by approach 1 alone.");
  }
  return "No law yet: the observations do not carry a fit.";
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

// What a law lacks where it is read furthest out: more than half of the largest budget's
// trials did not end. Empty otherwise.
std::string LargestBudgetSentence(const AnalysisResult& result) {
  const auto did_not_end = [](ExclusionRule rule) {
    return rule == ExclusionRule::kNotCompleted || rule == ExclusionRule::kDiverged || rule == ExclusionRule::kNonFinite ||
           rule == ExclusionRule::kScheduleNotEnded;
  };
  double largest = result.max_flops;
  for (const Exclusion& exclusion : result.exclusions) {
    if (did_not_end(exclusion.rule)) largest = std::max(largest, exclusion.flops.value_or(0));
  }
  const double from = largest / (1 + result.options.spec.budget_tolerance);
  int kept = 0, missing = 0;
  std::map<std::string, int> by_rule;
  for (const KeptRow& row : result.rows) kept += row.flops >= from ? 1 : 0;
  for (const Exclusion& exclusion : result.exclusions) {
    if (!did_not_end(exclusion.rule) || exclusion.flops.value_or(0) < from) continue;
    ++missing;
    ++by_rule[ToString(exclusion.rule)];
  }
  if (missing <= kept) return "";
  std::vector<std::string> reasons;
  for (const auto& [rule, count] : by_rule) reasons.push_back(absl::StrCat(count, " ", rule));
  return absl::StrCat("Of the largest budget, ", FormatFlops(largest), " FLOPs, **", kept == 0 ? "none" : absl::StrCat("only ", kept), " of ",
                      Plural(kept + missing, "observation"), "** could be fitted (", absl::StrJoin(reasons, ", "), ").");
}

// Approach 2 beside the headline, where no verdict compares the two.
std::string IsoflopSentence(const AnalysisResult& result, double level) {
  if (!result.parametric.has_value() || !result.isoflop.has_value() || !result.isoflop->params_law.has_value()) return "";
  const IsoflopFit& fit = *result.isoflop;
  return absl::StrCat("Approach 2 (", fit.accepted, " of ", Plural(static_cast<int64_t>(fit.budgets.size()), "IsoFLOP budget"), "): N* grows as C^",
                      WithInterval(fit.params_law->exponent, level, FormatExponent), ".");
}

std::vector<std::string> AgreementSentences(const AnalysisResult& result) {
  if (!result.agreement.has_value()) return {};
  const Agreement& agreement = *result.agreement;
  const std::string approaches = result.frontiers.size() == 3 ? "three approaches" : result.frontiers.size() == 2 ? "two approaches" : "approaches";
  const std::string reason = agreement.reason.empty() ? "." : absl::StrCat(": ", WithoutStop(agreement.reason), ".");
  std::vector<std::string> out;
  if (agreement.verdict == Verdict::kCannotTell) {
    out.push_back(absl::StrCat("Whether the ", approaches, " agree the data **cannot tell**", reason));
  } else {
    out.push_back(absl::StrCat("The ", approaches, " **", ToString(agreement.verdict), "**", reason));
  }
  if (agreement.verdict == Verdict::kDisagree) {
    out.push_back(agreement.cause.empty() ? absl::StrCat("No cause was found whose removal mends the disagreement", NarrowsMost(agreement), ".")
                                          : absl::StrCat("The first cause whose removal mends it: ", WithoutStop(CauseText(agreement)), "."));
  }
  return out;
}

// The ratio at the largest budget that was trained: what the study itself saw.
std::string RatioSentence(const AnalysisResult& result, double level) {
  const Frontier* frontier = FrontierOf(result, Approach::kParametric);
  if (frontier == nullptr || frontier->points.empty()) return "";
  const FrontierPoint* nearest = &frontier->points.front();
  for (const FrontierPoint& point : frontier->points) {
    if (std::abs(point.log10_over_max) < std::abs(nearest->log10_over_max)) nearest = &point;
  }
  return absl::StrCat("At ", FormatFlops(nearest->budget_flops), " FLOPs ", WithInterval(nearest->tokens_per_parameter, level, FormatRatio),
                      " tokens per parameter are best: N* ", WithInterval(nearest->params, level, FormatCount), ", D* ",
                      WithInterval(nearest->tokens, level, FormatTokens), ".");
}

std::vector<std::string> HoldoutSentences(const AnalysisResult& result) {
  std::vector<std::string> out;
  const double demonstrated = result.holdout.has_value() ? result.holdout->demonstrated_decades : 0;
  if (demonstrated > 0) {
    out.push_back(absl::StrFormat("Demonstrated to %.3gx the largest budget (held-out error within %g %%).", std::pow(10, demonstrated),
                                  100 * result.options.spec.holdout_error));
  } else if (result.max_flops > 0 && !result.frontiers.empty()) {
    out.push_back(absl::StrCat("Everything beyond the largest budget kept, ", FormatFlops(result.max_flops), " FLOPs, is extrapolated."));
  }
  if (result.holdout.has_value() && !result.holdout->refusal.has_value() && !result.holdout->windows.empty() && result.holdout->skill <= 0) {
    out.push_back(absl::StrFormat("On held-out budgets the law is **no better than a prediction without a law**: skill %.2f, mean error %.2g %%.",
                                  result.holdout->skill, 100 * result.holdout->mean_relative_error));
  }
  return out;
}

// The choices that move N*(C_T) by over two standard errors, the largest first.
std::string SensitivitySentence(const AnalysisResult& result) {
  std::vector<std::string> moves;
  size_t all = 0;
  for (const SensitivityRow& row : result.sensitivity) {
    const Estimate* delta = EstimateIn(row.delta_ln_params);
    if (delta == nullptr || !row.ln_params_in_se.has_value() || !(std::abs(*row.ln_params_in_se) > kSensitiveSe)) continue;
    if (++all > kMostSensitivities) continue;
    moves.push_back(absl::StrFormat("%s (x%.2f, %.1f SE)", row.name, std::exp(delta->value), std::abs(*row.ln_params_in_se)));
  }
  if (moves.empty()) return "";
  return absl::StrCat("N* at ", FormatFlops(result.target_flops), " FLOPs is **sensitive** to choices, by over ", kSensitiveSe,
                      " standard errors: ", absl::StrJoin(moves, ", "), all > moves.size() ? absl::StrCat(" and ", all - moves.size(), " more (T9).") : ".");
}

}  // namespace

std::vector<std::string> VerdictSentences(const AnalysisResult& result, const ReportContext& context) {
  const double level = MainLevel(result);
  std::vector<std::string> out = {ExponentSentence(result, level)};
  const auto add = [&](std::string sentence) {
    if (!sentence.empty()) out.push_back(std::move(sentence));
  };
  add(ProgressSentence(context));
  add(LargestBudgetSentence(result));
  if (!result.agreement.has_value()) add(IsoflopSentence(result, level));
  for (std::string& sentence : AgreementSentences(result)) add(std::move(sentence));
  add(RatioSentence(result, level));
  for (std::string& sentence : HoldoutSentences(result)) add(std::move(sentence));
  add(SensitivitySentence(result));
  return out;
}

std::vector<ReportNote> RefusalNotes(const AnalysisResult& result) {
  std::vector<ReportNote> notes;
  const auto add = [&](const std::string& where, const std::optional<Refusal>& refusal) {
    if (refusal.has_value()) notes.push_back({ToString(refusal->code), absl::StrCat(where, ": ", refusal->message), refusal->cure});
  };
  add("Approach 3", result.parametric_refusal);
  if (result.isoflop.has_value()) add("Approach 2", result.isoflop->refusal);
  if (result.envelope.has_value()) add("Approach 1", result.envelope->refusal);
  if (result.holdout.has_value()) add("Hold-out", result.holdout->refusal);
  if (result.design.has_value()) add("Next trials", result.design->refusal);
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
    case Code::kMultipleBasins: return "more budgets or sizes tell the basins apart; T8c has the next one";
    case Code::kDeltaNearLad: return "a larger `--delta`; T9 shows what it moves";
    case Code::kWeaklyIdentified: return "`isoflop extend --auto` adds what narrows it; or `--form tied`";
    case Code::kBootstrapJumps: return "more observations, or fewer parameters: `--form tied`";
    case Code::kCoverage: return "read the wider of percentile and BCa (T8), or `--method wild`";
    case Code::kLackOfFit: return "try `--form auto`; look for a pattern in F14";
    case Code::kApproachesDisagree: return "read the causes tried in section Optimum";
    case Code::kSensitive: return "state the choice beside the number; T9 has all";
    default: return "";
  }
}

}  // namespace isoflop
