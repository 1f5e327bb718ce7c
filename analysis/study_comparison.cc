#include "analysis/study_comparison.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "analysis/bootstrap.h"
#include "analysis/frontier.h"
#include "analysis/joint_fit.h"
#include "analysis/law_fit.h"
#include "analysis/prediction.h"
#include "analysis/resample.h"
#include "analysis/study_pair.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kRejectedBelow = 0.05;

FitRows FitRowsOf(absl::Span<const KeptRow> kept) {
  std::vector<double> params, tokens, loss;
  for (const KeptRow& row : kept) {
    params.push_back(row.params);
    tokens.push_back(row.tokens);
    loss.push_back(row.loss);
  }
  FitRows rows = MakeFitRows(params, tokens, loss);
  for (size_t i = 0; i < kept.size(); ++i) rows.weight[i] = kept[i].weight;
  return rows;
}

LawFitOptions FitOptionsOf(const AnalysisResult& result) {
  LawFitOptions options;
  options.delta = result.options.spec.delta;
  // The joint fit knows Huber and least squares of log loss; the certificate names
  // the one that was used.
  options.objective = result.options.spec.objective == FitObjective::kMse ? FitObjective::kMse : FitObjective::kHuber;
  return options;
}

// --- may they be compared? -------------------------------------------------------------------

std::set<std::string> Distinct(const AnalysisResult& result, std::string Observation::*member) {
  std::set<std::string> values;
  for (const KeptRow& row : result.rows) values.insert(row.observation.*member);
  values.erase("");
  return values;
}

std::string ShortNames(const std::set<std::string>& values) {
  std::string text;
  for (const std::string& value : values) absl::StrAppend(&text, text.empty() ? "" : ", ", value.substr(0, 12));
  return text;
}

std::optional<Refusal> RefuseMixture(const StudySide& first, const StudySide& second, std::vector<Warning>* warnings) {
  const AnalysisSpec& x = first.result->options.spec;
  const AnalysisSpec& y = second.result->options.spec;
  if (x.loss != y.loss) {
    return Refusal{Code::kMixedEvaluation,
                   absl::StrCat(first.name, " is in ", ToString(x.loss), ", ", second.name, " in ", ToString(y.loss)),
                   "analysis.loss: bits_per_byte in both"};
  }
  const auto differ = [&](std::string Observation::*member, std::string* text) {
    const std::set<std::string> a = Distinct(*first.result, member), b = Distinct(*second.result, member);
    *text = absl::StrCat(first.name, ": ", ShortNames(a), "; ", second.name, ": ", ShortNames(b));
    return std::make_pair(!a.empty() && !b.empty() && (a != b || a.size() > 1), a.empty() || b.empty());
  };
  std::string text;
  const auto [sets_differ, sets_unknown] = differ(&Observation::eval_sha256, &text);
  if (sets_differ) {
    return Refusal{Code::kMixedEvaluation, absl::StrCat("losses of different evaluation sets (", text, ")"),
                   "evaluate both studies on one set, or --where \"eval_sha256 = '...'\""};
  }
  if (sets_unknown) {
    warnings->push_back({Code::kMixedEvaluation,
                         "a study does not say which evaluation set its losses are of; one set is taken for granted"});
  }
  if (x.loss == LossUnit::kNats && differ(&Observation::tokenizer_sha256, &text).first) {
    return Refusal{Code::kMixedEvaluation, absl::StrCat("nats of different tokenizers (", text, ")"),
                   "analysis.loss: bits_per_byte"};
  }
  if (first.result->options.count != second.result->options.count ||
      first.result->options.flops != second.result->options.flops) {
    return Refusal{Code::kConventionUnknown, "N or C is counted in two ways", "the same --count and --flops for both"};
  }
  if (x.objective != y.objective || x.delta != y.delta) {
    return Refusal{Code::kConventionUnknown, "the studies were analysed under two objectives",
                   "the same objective and delta for both"};
  }
  return std::nullopt;
}

std::optional<Refusal> RefuseRows(const StudySide& side) {
  std::vector<double> weights;
  for (const KeptRow& row : side.result->rows) weights.push_back(row.weight);
  std::optional<Refusal> refusal;
  if (side.result->rows.empty()) {
    refusal = Refusal{Code::kUnderdetermined, "no row is left to fit", "isoflop fit STUDY"};
  } else {
    refusal = RefuseFit(side.result->rows, weights);
  }
  if (refusal) refusal->message = absl::StrCat(side.name, ": ", refusal->message);
  return refusal;
}

// --- the multiplier ---------------------------------------------------------------------------------

// Three losses that both frontiers pass inside their data, the easiest first; empty:
// they share none.
std::vector<double> CommonLosses(const StudyPair& sides, const TwoLaws& laws, std::string* ranges) {
  double lo = 0, hi = std::numeric_limits<double>::infinity();
  for (size_t s = 0; s < kStudies; ++s) {
    double least = std::numeric_limits<double>::infinity(), most = 0;
    for (const KeptRow& row : sides[s].result->rows) {
      least = std::min(least, row.flops);
      most = std::max(most, row.flops);
    }
    const double from = sides[s].compute.OptimumAt(laws[s], least).loss;
    const double to = sides[s].compute.OptimumAt(laws[s], most).loss;
    absl::StrAppend(ranges, s == 0 ? "" : ", ", sides[s].name, " from ", FormatLoss(from), " to ", FormatLoss(to));
    lo = std::max(lo, to);
    hi = std::min(hi, from);
  }
  if (!(lo < hi)) return {};
  std::vector<double> losses;
  for (const double share : {5.0 / 6, 1.0 / 2, 1.0 / 6}) {
    const double loss = lo + share * (hi - lo), rounded = std::round(1000 * loss) / 1000;
    losses.push_back(hi - lo > 0.03 ? rounded : loss);
  }
  return losses;
}

MultiplierRow MultiplierAt(const StudyPair& sides, const TwoLaws& laws,
                           const std::vector<std::optional<TwoLaws>>& draws, double loss,
                           const std::vector<double>& levels, const std::string& method) {
  MultiplierRow row;
  row.loss = loss;
  if (loss <= laws[0].E || loss <= laws[1].E) {
    const size_t s = loss <= laws[0].E ? 0 : 1;
    const Refusal refusal{
        Code::kNoInteriorOptimum,
        absl::StrCat("loss ", FormatLoss(loss), " is not above E = ", FormatLoss(laws[s].E), " of ", sides[s].name),
        "ask for a higher loss"};
    row.flops_first = row.flops_second = row.multiplier = refusal;
    return row;
  }
  const auto flops = [&](size_t s, const LossLaw& law) {
    return HasOptimum(law) ? sides[s].compute.FlopsForLoss(law, loss) : kNan;
  };
  std::vector<double> first, second, ratio;
  for (const std::optional<TwoLaws>& pair : draws) {
    if (!pair) continue;
    first.push_back(flops(0, (*pair)[0]));
    second.push_back(flops(1, (*pair)[1]));
    ratio.push_back(first.back() / second.back());
  }
  const double c1 = flops(0, laws[0]), c2 = flops(1, laws[1]);
  row.flops_first = EstimateFromDraws(c1, std::move(first), levels, method);
  row.flops_second = EstimateFromDraws(c2, std::move(second), levels, method);
  row.multiplier = EstimateFromDraws(c1 / c2, std::move(ratio), levels, method);
  return row;
}

void WarnOfOutcome(const Certificate& certificate, std::vector<Warning>* warnings) {
  switch (certificate.outcome) {
    case FitOutcome::kOptimal:
      break;
    case FitOutcome::kBoundHit: {
      std::string bounds;
      for (const std::string& bound : certificate.at_bounds)
        absl::StrAppend(&bounds, bounds.empty() ? "" : ", ", bound);
      warnings->push_back({Code::kBoundHit, absl::StrCat("joint fit: ", bounds)});
      break;
    }
    case FitOutcome::kMultipleBasins:
      warnings->push_back({Code::kMultipleBasins, "joint fit: a second optimum is hardly worse"});
      break;
    case FitOutcome::kMaxIterations:
      warnings->push_back(
          {Code::kMaxIterations,
           absl::StrFormat("joint fit: the last Newton step was %.2g, 1e-9 is demanded", certificate.max_newton_step)});
      break;
    case FitOutcome::kSingular:
      warnings->push_back({Code::kSingular, "joint fit: the Hessian is not positive definite at the best point"});
      break;
  }
}

}  // namespace

StudyComparison CompareStudies(const AnalysisResult& first, const std::string& first_name, const AnalysisResult& second,
                               const std::string& second_name, const ComparisonOptions& options) {
  StudyComparison comparison;
  comparison.first = first_name;
  comparison.second = second_name;
  comparison.rows_first = static_cast<int>(first.rows.size());
  comparison.rows_second = static_cast<int>(second.rows.size());
  StudyPair sides;
  sides[0].result = &first;
  sides[0].name = first_name;
  sides[1].result = &second;
  sides[1].name = second_name;
  for (const StudySide& side : sides) {
    comparison.refusal = RefuseRows(side);
    if (comparison.refusal) return comparison;
  }
  comparison.refusal = RefuseMixture(sides[0], sides[1], &comparison.warnings);
  if (comparison.refusal) return comparison;

  const LawFitOptions fit_options = FitOptionsOf(first);
  for (StudySide& side : sides) {
    side.rows = FitRowsOf(side.result->rows);
    side.own = FitLossLaw(side.rows, fit_options);
    side.compute = ComputeModelOf(*side.result);
    const std::string& asked = side.result->options.spec.bootstrap_method;
    side.method = asked == "pairs" || asked == "cluster" ? asked : AutoBootstrapMethod(side.result->rows);
  }
  comparison.method_first = sides[0].method;
  comparison.method_second = sides[1].method;

  const std::array<const FitRows*, kStudies> rows = {&sides[0].rows, &sides[1].rows};
  const TwoLaws own = {sides[0].own.law, sides[1].own.law};
  const JointFit two = FitJointly(rows, own, false, fit_options);
  const JointFit one = FitJointly(rows, own, true, fit_options);
  comparison.exponents_test = TestSharedExponents(sides, two, options, fit_options);
  comparison.E_test = TestSharedE(sides, one, two, options, fit_options);
  comparison.shared_exponents_p = comparison.exponents_test.p;
  comparison.shared_E_p = comparison.E_test.p;
  comparison.shared_exponents = comparison.shared_exponents_p >= kRejectedBelow;
  comparison.shared_E = comparison.shared_exponents && comparison.shared_E_p >= kRejectedBelow;

  const JointFit& joint = comparison.shared_E ? one : two;
  comparison.certificate = joint.certificate;
  const TwoLaws laws = comparison.shared_exponents ? joint.laws : TwoLaws{sides[0].own.law, sides[1].own.law};
  comparison.law_first = laws[0];
  comparison.law_second = laws[1];
  if (!comparison.shared_exponents) {
    comparison.warnings.push_back(
        {Code::kLackOfFit, absl::StrFormat("shared exponents are rejected (p = %.3g): the multiplier changes with the "
                                           "loss, and comes of each study's own fit",
                                           comparison.shared_exponents_p)});
  }
  WarnOfOutcome(joint.certificate, &comparison.warnings);

  const std::vector<std::optional<TwoLaws>> draws =
      ResampleBoth(sides, comparison.shared_exponents ? &joint : nullptr, comparison.shared_E, options, fit_options);
  comparison.draws = options.draws;
  for (const std::optional<TwoLaws>& pair : draws) comparison.failed += !pair.has_value();
  const std::string method =
      sides[0].method == sides[1].method ? sides[0].method : absl::StrCat(sides[0].method, " and ", sides[1].method);
  const auto over_draws = [&](size_t s, double LossLaw::*number) {
    std::vector<double> values;
    for (const std::optional<TwoLaws>& pair : draws) {
      if (pair) values.push_back((*pair)[s].*number);
    }
    return EstimateFromDraws(laws[s].*number, std::move(values), options.levels, method);
  };
  comparison.alpha = over_draws(0, &LossLaw::alpha);
  comparison.beta = over_draws(0, &LossLaw::beta);
  comparison.alpha_second = over_draws(1, &LossLaw::alpha);
  comparison.beta_second = over_draws(1, &LossLaw::beta);
  comparison.E_first = over_draws(0, &LossLaw::E);
  comparison.E_second = over_draws(1, &LossLaw::E);

  for (size_t s = 0; s < kStudies; ++s) {
    if (HasOptimum(laws[s])) continue;
    comparison.refusal = Refusal{Code::kNoInteriorOptimum,
                                 absl::StrCat(sides[s].name, ": the fitted law has no optimum inside a budget"),
                                 "rows that vary N and D more"};
    return comparison;
  }
  std::string ranges;
  std::vector<double> common = CommonLosses(sides, laws, &ranges);
  if (common.empty() && options.losses.empty()) {
    comparison.refusal = Refusal{Code::kExtrapolation, absl::StrCat("the frontiers share no loss (", ranges, ")"),
                                 "budgets at which both reach the same losses"};
    return comparison;
  }
  if (!options.losses.empty()) {
    if (common.empty()) {
      comparison.warnings.push_back({Code::kExtrapolation, absl::StrCat("the frontiers share no loss (", ranges, ")")});
    }
    common = options.losses;
  }
  for (const double loss : common) {
    comparison.multipliers.push_back(MultiplierAt(sides, laws, draws, loss, options.levels, method));
  }
  std::stable_sort(comparison.warnings.begin(), comparison.warnings.end(),
                   [](const Warning& x, const Warning& y) { return x.code < y.code; });
  return comparison;
}

}  // namespace isoflop
