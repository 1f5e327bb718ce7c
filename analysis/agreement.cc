#include "analysis/agreement.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "analysis/agreement_causes.h"
#include "analysis/approach_numbers.h"
#include "analysis/statistics.h"
#include "study/format.h"

namespace isoflop {
namespace {

// A removal narrows a difference of ln N* when at most this share of it is left.
constexpr double kNarrows = 0.9;
constexpr double kWidestFactor = 4;      // hi/lo of the 95 % interval of N*(C_T)
constexpr double kPracticalWaste = 0.02; // deadweight
constexpr size_t kFewestDraws = 20;
constexpr Approach kAll[] = {Approach::kEnvelope, Approach::kIsoflop, Approach::kParametric};

// hi/lo of the 95 % interval of approach 3's N*(C_T); nullopt without draws. A draw
// without optimum is left out of it, as of the pairs.
std::optional<double> FactorOf(const ApproachReader& reader, absl::Span<const ResampledFit> draws) {
  std::vector<double> ln_params;
  for (const ResampledFit& draw : draws) {
    if (const auto numbers = reader.OfDraw(Approach::kParametric, draw)) ln_params.push_back(numbers->ln_params);
  }
  if (ln_params.size() < kFewestDraws) return std::nullopt;
  std::sort(ln_params.begin(), ln_params.end());
  return std::exp(SortedQuantile(ln_params, 0.975) - SortedQuantile(ln_params, 0.025));
}

bool IsJudged(const ApproachDifference& difference) { return EstimateIn(difference.ln_params_at_target) != nullptr; }

// "N*(1e13) is 48.0K, 50.1K and 47.9K by approaches 1, 2 and 3".
std::string OptimaText(const Agreement& agreement, double target_flops) {
  std::vector<std::string> optima, names;
  for (const ApproachCost& cost : agreement.costs) {
    optima.push_back(FormatCount(cost.params_at_target));
    names.push_back(absl::StrCat(static_cast<int>(cost.approach)));
  }
  const auto list = [](std::vector<std::string> items) {
    const std::string last = items.back();
    items.pop_back();
    return absl::StrCat(absl::StrJoin(items, ", "), " and ", last);
  };
  return absl::StrCat("N*(", FormatFlops(target_flops), ") is ", list(std::move(optima)), " by approaches ",
                      list(std::move(names)));
}

// "by +22% [+9%, +38%]" of a difference of logs; "by a factor 0.0123 [0.011, 0.0141]"
// where it passes a half or a double.
std::string FactorText(const Estimate& difference) {
  const Interval& interval = difference.intervals.front();
  const double largest = std::max({std::abs(difference.value), std::abs(interval.lo), std::abs(interval.hi)});
  if (largest > std::log(2)) {
    return absl::StrFormat("by a factor %.3g [%.3g, %.3g]", std::exp(difference.value), std::exp(interval.lo),
                           std::exp(interval.hi));
  }
  const auto percent = [](double ln) { return absl::StrFormat("%+.3g%%", 100 * std::expm1(ln)); };
  return absl::StrCat("by ", percent(difference.value), " [", percent(interval.lo), ", ", percent(interval.hi), "]");
}

// The real difference that is largest in ln N*; nullptr: none.
const ApproachDifference* LargestReal(const Agreement& agreement) {
  const ApproachDifference* largest = nullptr;
  double size = -1;
  for (const ApproachDifference& difference : agreement.differences) {
    if (!difference.real) continue;
    const double own = std::abs(EstimateIn(difference.ln_params_at_target)->value);
    if (own > size) largest = &difference;
    size = std::max(size, own);
  }
  return largest;
}

std::string DifferenceText(const ApproachDifference& difference) {
  const Estimate& exponent = *EstimateIn(difference.exponent);
  return absl::StrFormat(
      "approach %d's N* differs from approach %d's %s, its exponent by %+.3f [%+.3f, %+.3f] (95%%, Holm)",
      static_cast<int>(difference.first), static_cast<int>(difference.second),
      FactorText(*EstimateIn(difference.ln_params_at_target)), exponent.value, exponent.intervals.front().lo,
      exponent.intervals.front().hi);
}

// "0.12%", "35%", "over 99%".
std::string WasteText(double fraction) {
  return fraction > 0.99 ? std::string("over 99%") : absl::StrFormat("%.2g%%", 100 * fraction);
}

const ApproachCost& Costliest(const Agreement& agreement) {
  return *std::max_element(agreement.costs.begin(), agreement.costs.end(), [](const auto& x, const auto& y) {
    return x.wasted_fraction < y.wasted_fraction;
  });
}

// The verdict on what there is, without looking for a cause.
Agreement Judge(const AnalysisResult& result, absl::Span<const ResampledFit> draws, double target_flops) {
  Agreement agreement;
  const ApproachReader reader(result, target_flops);
  const auto cannot_tell = [&](std::string reason) {
    agreement.verdict = Verdict::kCannotTell;
    agreement.reason = std::move(reason);
    return agreement;
  };
  std::vector<Approach> fitted;
  std::vector<std::string> missing;
  for (const Approach approach : kAll) {
    std::string why;
    if (reader.Full(approach, &why)) {
      fitted.push_back(approach);
    } else {
      missing.push_back(absl::StrCat(ToString(approach), ": ", why));
    }
  }
  const bool has_law = !fitted.empty() && fitted.back() == Approach::kParametric;
  if (has_law) {
    std::string why;
    for (const Approach approach : fitted) {
      const ApproachNumbers numbers = *reader.Full(approach, &why);
      agreement.costs.push_back({approach, numbers.exponent, std::exp(numbers.ln_params),
                                 reader.WastedFractionOf(numbers.ln_params)});
    }
  }
  const std::string others = absl::StrJoin(missing, "; ");
  if (!has_law) return cannot_tell(absl::StrCat("there is no interval of N* without approach 3 (", others, ")"));
  if (fitted.size() < 2) return cannot_tell(absl::StrCat("only approach 3 could be fitted (", others, ")"));

  agreement.differences = CompareApproaches(reader, fitted, draws, result.bootstrap.method);
  const std::optional<double> factor = FactorOf(reader, draws);
  if (!factor) {
    return cannot_tell(absl::StrCat("too few bootstrap draws (", draws.size(), ") tell the interval of N*(",
                                    FormatFlops(target_flops), ")"));
  }
  const std::string factor_text = absl::StrFormat("the 95%% interval of N*(%s) spans a factor %.3g",
                                                  FormatFlops(target_flops), *factor);
  if (!(*factor < kWidestFactor)) {
    return cannot_tell(absl::StrFormat("%s, and from %g on nothing can be told", factor_text, kWidestFactor));
  }
  std::string refused;
  int judged = 0;
  for (const ApproachDifference& difference : agreement.differences) {
    judged += IsJudged(difference);
    if (!IsJudged(difference)) absl::StrAppend(&refused, "; ", std::get<Refusal>(difference.exponent).message);
  }
  if (judged == 0) return cannot_tell(absl::StrCat("no two approaches can be compared", refused));
  if (!missing.empty()) absl::StrAppend(&refused, "; ", others);

  const std::string optima = OptimaText(agreement, target_flops);
  const ApproachDifference* largest = LargestReal(agreement);
  if (largest == nullptr) {
    agreement.verdict = Verdict::kAgree;
    agreement.reason = absl::StrCat(optima, ", no difference of N* or its exponent leaves out 0 (95%, Holm over ",
                                    Plural(judged, "pair"), "), and ", factor_text, refused);
    return agreement;
  }
  const ApproachCost& costliest = Costliest(agreement);
  const std::string waste = absl::StrFormat("the costliest, %s's, wastes %s of the compute",
                                            ToString(costliest.approach), WasteText(costliest.wasted_fraction));
  if (costliest.wasted_fraction < kPracticalWaste) {
    agreement.verdict = Verdict::kAgreeInPractice;
    agreement.reason = absl::StrCat(optima, ": ", DifferenceText(*largest), ", but ", waste, refused);
    return agreement;
  }
  agreement.verdict = Verdict::kDisagree;
  agreement.reason = absl::StrCat(optima, ": ", DifferenceText(*largest), ", and ", waste, refused);
  return agreement;
}

bool Agrees(Verdict verdict) { return verdict == Verdict::kAgree || verdict == Verdict::kAgreeInPractice; }

// |ln N*(C_T)| of the pair, first to second; nullopt: one of them cannot be told.
std::optional<double> DifferenceOf(const Agreement& agreement, Approach first, Approach second) {
  for (const ApproachDifference& difference : agreement.differences) {
    if (difference.first != first || difference.second != second) continue;
    const Estimate* estimate = EstimateIn(difference.ln_params_at_target);
    if (estimate != nullptr) return std::abs(estimate->value);
  }
  return std::nullopt;
}

// The cause that leaves least of the largest difference.
struct Narrowest {
  std::string name;
  double left = 0;  // |ln N*(C_T)| of the pair
};

// Removes one cause and judges again; true when that mends it.
bool Try(const Cause& cause, double target_flops, const std::function<PartFits(const StudyPart&)>& reanalyze,
         Agreement* agreement, Narrowest* narrowest) {
  if (!cause.part) {
    agreement->causes_tried.push_back(absl::StrCat(cause.name, ": ", cause.removal));
    return false;
  }
  const PartFits part = reanalyze(*cause.part);
  const Agreement then = Judge(part.result, part.draws, target_flops);
  agreement->causes_tried.push_back(absl::StrCat(cause.name, ": ", cause.removal, " the approaches ",
                                                 then.verdict == Verdict::kDisagree ? "still " : "",
                                                 then.verdict == Verdict::kCannotTell ? "cannot be compared (" : "",
                                                 then.verdict == Verdict::kCannotTell ? then.reason + ")"
                                                                                      : ToString(then.verdict)));
  if (!Agrees(then.verdict)) {
    const ApproachDifference* largest = LargestReal(*agreement);
    const std::optional<double> left = DifferenceOf(then, largest->first, largest->second);
    if (then.verdict == Verdict::kDisagree && left && *left < narrowest->left) *narrowest = {cause.name, *left};
    return false;
  }
  agreement->cause = cause.name;
  return true;
}

}  // namespace

Agreement JudgeAgreement(const AnalysisResult& result, absl::Span<const ResampledFit> draws,
                         const std::function<PartFits(const StudyPart&)>& reanalyze) {
  Agreement agreement = Judge(result, draws, result.target_flops);
  if (agreement.verdict != Verdict::kDisagree) return agreement;
  const ApproachDifference* largest = LargestReal(agreement);
  const double whole = std::abs(EstimateIn(largest->ln_params_at_target)->value);
  Narrowest narrowest{"", kNarrows * whole};
  for (const Cause& cause : CausesOfRows(result)) {
    if (Try(cause, result.target_flops, reanalyze, &agreement, &narrowest)) return agreement;
  }
  if (Try(InfluentialRows(result, largest->first, largest->second), result.target_flops, reanalyze, &agreement, &narrowest)) {
    return agreement;
  }
  if (!narrowest.name.empty()) {
    agreement.narrows_most =
        absl::StrFormat("%s (a factor %.3g is left of %.3g)", narrowest.name, std::exp(narrowest.left), std::exp(whole));
  }
  return agreement;
}

std::string NarrowsMost(const Agreement& agreement) {
  return agreement.narrows_most.empty() ? "" : "; nearest comes " + agreement.narrows_most;
}

std::string CauseText(const Agreement& agreement) {
  if (agreement.cause.empty() || agreement.causes_tried.empty()) return agreement.cause;
  return agreement.causes_tried.back();
}

}  // namespace isoflop
