#include "analysis/analysis_warnings.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/sensitivity.h"
#include "study/format.h"

namespace isoflop {
namespace {

void WarnOfCertificate(AnalysisResult* result) {
  const Certificate& certificate = result->parametric->certificate;
  const auto warn = [&](Code code, std::string message) { result->warnings.push_back({code, std::move(message)}); };
  switch (certificate.outcome) {
    case FitOutcome::kOptimal:
      break;
    case FitOutcome::kBoundHit: {
      std::string bounds;
      for (const std::string& bound : certificate.at_bounds) absl::StrAppend(&bounds, bounds.empty() ? "" : ", ", bound);
      warn(Code::kBoundHit, bounds);
      break;
    }
    case FitOutcome::kMaxIterations:
      warn(Code::kMaxIterations, absl::StrFormat("the last Newton step was %.2g, 1e-9 is demanded",
                                                 certificate.max_newton_step));
      break;
    case FitOutcome::kSingular:
      warn(Code::kSingular, "the Hessian is not positive definite at the best point");
      break;
    case FitOutcome::kMultipleBasins:
      warn(Code::kMultipleBasins, absl::StrFormat("a second optimum has f %.4g and a %.3f, the best f %.4g and a %.3f",
                                                  *certificate.next_basin_f, *certificate.next_basin_a, certificate.f,
                                                  result->parametric->law.a()));
      break;
  }
  const int rows = static_cast<int>(result->rows.size());
  if (result->options.spec.objective == FitObjective::kHuber && 4 * certificate.rows_within_delta < rows) {
    warn(Code::kDeltaNearLad, absl::StrCat(certificate.rows_within_delta, " of ", rows, " rows inside delta"));
  }
}

// One warning a code: budgets of the same fate are counted, the first is told.
void WarnOfBudgets(const IsoflopFit& fit, AnalysisResult* result) {
  std::map<Code, std::pair<int, std::string>> by_code;  // how many, the first
  const auto add = [&](Code code, const std::string& message) {
    std::pair<int, std::string>& entry = by_code[code];
    if (entry.first++ == 0) entry.second = message;
  };
  for (const IsoflopBudget& budget : fit.budgets) {
    const std::string at = absl::StrCat("budget ", FormatFlops(budget.budget_flops));
    if (budget.rejection) {
      add(budget.rejection->code, budget.rejection->message);
    } else if (budget.sizes < 5) {
      add(Code::kTooFewPoints, absl::StrCat(at, ": only ", Plural(budget.sizes, "size")));
    }
    if (budget.snapped) {
      add(Code::kBudgetSnapped,
          absl::StrFormat("%s: %s within %.1f%% taken as one", at,
                          Plural(static_cast<int64_t>(budget.rows.size()), "row"), 100 * budget.snap_range));
    }
  }
  for (const auto& [code, entry] : by_code) {
    const auto& [count, first] = entry;
    result->warnings.push_back(
        {code, count == 1 ? first : absl::StrCat(count, " of ", fit.budgets.size(), " budgets, first: ", first)});
  }
}

void WarnOfUncertainty(AnalysisResult* result) {
  const auto warn = [&](Code code, std::string message) { result->warnings.push_back({code, std::move(message)}); };
  const BootstrapSummary& bootstrap = result->bootstrap;
  if (result->parametric) {
    const Interval* a = result->parametric->a.At(95);
    if (a != nullptr && a->hi - a->lo > 0.4) {
      warn(Code::kWeaklyIdentified, absl::StrFormat("the 95%% interval of a is [%.2f, %.2f]", a->lo, a->hi));
    }
  }
  if (!result->noise.from_replicates && !result->rows.empty()) {
    warn(Code::kNoiseUnknown, "no cell has two seeds; sigma is taken from the residuals");
  }
  if (bootstrap.method == "cluster" && bootstrap.draws > 0 && bootstrap.clusters < 10) {
    warn(Code::kFewClusters, absl::StrCat(Plural(bootstrap.clusters, "cluster"), ", 10 are wanted"));
  }
  std::string open;
  for (const Profile& profile : result->profiles) {
    if (profile.lo && profile.hi) continue;
    absl::StrAppend(&open, open.empty() ? "" : ", ", profile.name);
  }
  if (!open.empty()) warn(Code::kWeaklyIdentified, absl::StrCat("open profiles: ", open));
  if (result->noise.lack_of_fit && result->noise.lack_of_fit->p < 0.05) {
    const LackOfFit& lack = *result->noise.lack_of_fit;
    warn(Code::kLackOfFit, absl::StrFormat("the cells scatter round the law by more than seeds do: F(%d, %d) %.2f, p %.2g",
                                           lack.df_law, lack.df_seeds, lack.F, lack.p));
  }
  if (result->coverage) {
    std::string missed;
    for (const CoverageRow& row : result->coverage->rows) {
      if (row.covered_percent >= 92 && row.covered_percent <= 98) continue;
      absl::StrAppendFormat(&missed, "%s%s %.1f%%", missed.empty() ? "" : ", ", row.name, row.covered_percent);
    }
    if (!missed.empty()) warn(Code::kCoverage, absl::StrCat("of studies of this design, 95% intervals hold the truth in: ", missed));
  }
  if (bootstrap.jump_share > 0.05) {
    warn(Code::kBootstrapJumps,
         absl::StrFormat("another basin won %.1f%% of the draws", 100 * bootstrap.jump_share));
  }
}

// "demonstrated to 10x the largest budget", in the words of the verdict.
void WarnOfReach(AnalysisResult* result) {
  const auto warn = [&](Code code, std::string message) { result->warnings.push_back({code, std::move(message)}); };
  const bool extrapolated = std::any_of(result->optimal.begin(), result->optimal.end(),
                                        [](const OptimalRow& row) { return row.extrapolated; });
  if (extrapolated && result->holdout && !result->holdout->refusal) {
    warn(Code::kExtrapolation,
         absl::StrFormat("optima beyond %s FLOPs lie outside what hold-out demonstrated (%.3gx the largest budget)",
                         FormatFlops(result->max_flops * std::pow(10, result->holdout->demonstrated_decades)),
                         std::pow(10, result->holdout->demonstrated_decades)));
  } else if (extrapolated) {
    warn(Code::kExtrapolation, absl::StrCat("optima beyond ", FormatFlops(result->max_flops), " FLOPs lie outside the data"));
  }
  if (result->agreement && result->agreement->verdict == Verdict::kDisagree) {
    const std::string& cause = result->agreement->cause;
    warn(Code::kApproachesDisagree, absl::StrCat("the approaches disagree on N*(C_T); ",
                                                 cause.empty() ? "no cause was found" : "first cause: ", cause));
  }
  for (const SensitivityRow& row : result->sensitivity) {
    // Sorted: the first that counts is the strongest. Another count of N is another
    // quantity, not another answer.
    if (IsSensitive(row) && row.group != "convention") {
      warn(Code::kSensitive, absl::StrFormat("%s moves N*(C_T) by a factor %.3g, %.2g standard errors", row.name,
                                             std::exp(EstimateIn(row.delta_ln_params)->value), *row.ln_params_in_se));
      break;
    }
  }
}

}  // namespace

void AddWarnings(AnalysisResult* result) {
  if (result->parametric) {
    WarnOfCertificate(result);
  } else if (result->parametric_refusal) {
    result->warnings.push_back({result->parametric_refusal->code, result->parametric_refusal->message});
  }
  if (result->isoflop) WarnOfBudgets(*result->isoflop, result);
  WarnOfUncertainty(result);
  WarnOfReach(result);
  std::stable_sort(result->warnings.begin(), result->warnings.end(),
                   [](const Warning& x, const Warning& y) { return x.code < y.code; });
}

}  // namespace isoflop
