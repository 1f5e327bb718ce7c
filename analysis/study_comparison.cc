#include "analysis/study_comparison.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "analysis/bootstrap.h"
#include "analysis/frontier.h"
#include "analysis/joint_fit.h"
#include "analysis/prediction.h"
#include "analysis/resample.h"
#include "analysis/statistics.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kRejectedBelow = 0.05;
constexpr size_t kStudies = 2;
// Streams: seed + offset, one a procedure.
constexpr uint64_t kResamplingOffset[] = {0, 101};
constexpr uint64_t kExponentsOffset[] = {201, 202};
constexpr uint64_t kSharedEOffset[] = {301, 302};

// One study's side of the comparison.
struct Side {
  const AnalysisResult* result = nullptr;
  std::string name;
  FitRows rows;
  LawFit own;
  ComputeModel compute;
  std::string method;
};
using Sides = std::array<Side, kStudies>;

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
  options.objective =
      result.options.spec.objective == FitObjective::kMse ? FitObjective::kMse : FitObjective::kHuber;
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

std::optional<Refusal> RefuseMixture(const Side& first, const Side& second, std::vector<Warning>* warnings) {
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

std::optional<Refusal> RefuseRows(const Side& side) {
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

// --- fits --------------------------------------------------------------------------------------

using TwoRows = std::array<FitRows, kStudies>;
using RowPointers = std::array<const FitRows*, kStudies>;
RowPointers PointersTo(const TwoRows& rows) { return {&rows[0], &rows[1]}; }

// The best separate fits from the studies' own optima and from a joint point: never
// above the joint f.
std::array<Refit, kStudies> RefitApart(const TwoRows& rows, const Sides& sides, const JointTheta* joint,
                                       const LawFitOptions& options) {
  std::array<Refit, kStudies> fits;
  for (size_t s = 0; s < kStudies; ++s) {
    std::vector<Theta> starts = {sides[s].own.theta};
    starts.insert(starts.end(), sides[s].own.other_basins.begin(), sides[s].own.other_basins.end());
    if (joint != nullptr) starts.push_back(ThetaOfStudy(*joint, static_cast<int>(s)));
    fits[s] = RefitLossLaw(rows[s], options, starts);
  }
  return fits;
}

// Studies drawn from the laws of `null` with residuals of it, each study's own.
// `statistic` gives T of such a pair.
SharingTest ResidualTest(const Sides& sides, const JointTheta& null, double f_null, double f_free, int draws,
                         uint64_t seed, const uint64_t* offsets, bool least_squares, int threads,
                         const std::function<double(const TwoRows&)>& statistic) {
  SharingTest test;
  test.draws = draws;
  const size_t rows = sides[0].rows.size() + sides[1].rows.size();
  const double nothing = 1e-14 * static_cast<double>(rows);
  if (f_free <= nothing) {  // no noise to draw from
    test.p = f_null <= nothing ? 1 : 1.0 / (draws + 1);
    test.statistic = f_null <= nothing ? 0 : std::numeric_limits<double>::infinity();
    return test;
  }
  test.statistic = std::max(0.0, (f_null - f_free) / f_free);

  std::array<std::vector<double>, kStudies> fitted, residuals;
  std::array<std::vector<uint32_t>, kStudies> indices;  // draw after draw
  for (size_t s = 0; s < kStudies; ++s) {
    const FitRows& study = sides[s].rows;
    const Theta theta = ThetaOfStudy(null, static_cast<int>(s));
    for (size_t i = 0; i < study.size(); ++i) {
      double p[ChinchillaForm::kTerms];
      fitted[s].push_back(HuberObjective<ChinchillaForm>::LnLoss(theta, study.n[i], study.d[i], p));
      residuals[s].push_back(study.ln_loss[i] - fitted[s].back());
    }
    const double middle = least_squares ? Mean(residuals[s]) : Median(residuals[s]);
    for (double& r : residuals[s]) r -= middle;
    std::mt19937 generator(static_cast<uint32_t>(seed + offsets[s]));
    const uint32_t m = static_cast<uint32_t>(study.size());
    for (size_t i = 0; i < m * static_cast<size_t>(draws); ++i) indices[s].push_back(DrawIndex(&generator, m));
  }
  std::vector<double> drawn(static_cast<size_t>(draws));
  ParallelFor(draws, threads, [&](int first, int last) {
    TwoRows pair = {sides[0].rows, sides[1].rows};
    for (int draw = first; draw < last; ++draw) {
      for (size_t s = 0; s < kStudies; ++s) {
        const size_t m = pair[s].size();
        for (size_t i = 0; i < m; ++i) {
          pair[s].ln_loss[i] = fitted[s][i] + residuals[s][indices[s][static_cast<size_t>(draw) * m + i]];
          pair[s].loss[i] = std::exp(pair[s].ln_loss[i]);
        }
      }
      drawn[static_cast<size_t>(draw)] = statistic(pair);
    }
  });
  int beyond = 0;
  for (const double t : drawn) beyond += !(t < test.statistic);
  test.p = (1.0 + beyond) / (draws + 1);
  return test;
}

std::vector<JointTheta> StartsOf(const JointFit& fit) {
  std::vector<JointTheta> starts = {fit.theta};
  starts.insert(starts.end(), fit.other_basins.begin(), fit.other_basins.end());
  return starts;
}

double RelativeGain(double f_null, double f_free) { return f_free > 0 ? std::max(0.0, (f_null - f_free) / f_free) : 0; }

SharingTest TestExponents(const Sides& sides, const JointFit& joint, const ComparisonOptions& options,
                          const LawFitOptions& fit_options) {
  const TwoRows rows = {sides[0].rows, sides[1].rows};
  const std::array<Refit, kStudies> apart = RefitApart(rows, sides, &joint.theta, fit_options);
  const std::vector<JointTheta> starts = StartsOf(joint);
  return ResidualTest(sides, joint.theta, joint.certificate.f, apart[0].f + apart[1].f, options.test_draws,
                      options.seed, kExponentsOffset, fit_options.objective == FitObjective::kMse, options.threads,
                      [&](const TwoRows& drawn) {
                        const JointRefit null = RefitJointly(PointersTo(drawn), false, fit_options, starts);
                        const std::array<Refit, kStudies> free = RefitApart(drawn, sides, &null.theta, fit_options);
                        return RelativeGain(null.f, free[0].f + free[1].f);
                      });
}

SharingTest TestSharedE(const Sides& sides, const JointFit& one, const JointFit& two, const ComparisonOptions& options,
                        const LawFitOptions& fit_options) {
  const std::vector<JointTheta> starts = StartsOf(one);
  const double f_two = std::min(two.certificate.f, one.certificate.f);
  return ResidualTest(sides, one.theta, one.certificate.f, f_two, options.test_draws, options.seed, kSharedEOffset,
                      fit_options.objective == FitObjective::kMse, options.threads, [&](const TwoRows& drawn) {
                        const JointRefit null = RefitJointly(PointersTo(drawn), true, fit_options, starts);
                        const std::array<JointTheta, 2> free_starts = {two.theta, null.theta};
                        const JointRefit free = RefitJointly(PointersTo(drawn), false, fit_options, free_starts);
                        return RelativeGain(null.f, free.f);
                      });
}

// --- resampling both -------------------------------------------------------------------------------

FitRows RowsInDraw(const FitRows& rows, absl::Span<const double> weights) {
  FitRows drawn;
  drawn.n0 = rows.n0;
  drawn.d0 = rows.d0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    drawn.n.push_back(rows.n[i]);
    drawn.d.push_back(rows.d[i]);
    drawn.loss.push_back(rows.loss[i]);
    drawn.ln_loss.push_back(rows.ln_loss[i]);
    drawn.weight.push_back(weights[i]);
  }
  return drawn;
}

using TwoLaws = std::array<LossLaw, kStudies>;

// Laws of both, a pair a draw; nullopt where a study's draw carries none.
std::vector<std::optional<TwoLaws>> ResampleBoth(const Sides& sides, const JointFit* joint, bool shared_E,
                                                 const ComparisonOptions& options, const LawFitOptions& fit_options) {
  std::array<std::vector<uint16_t>, kStudies> counts;
  for (size_t s = 0; s < kStudies; ++s) {
    const std::vector<KeptRow>& rows = sides[s].result->rows;
    counts[s] = DrawCounts(BootstrapClusters(rows, sides[s].method), rows.size(), options.draws,
                           options.seed + kResamplingOffset[s]);
  }
  std::vector<std::optional<TwoLaws>> laws(static_cast<size_t>(std::max(options.draws, 0)));
  const std::vector<JointTheta> starts = joint == nullptr ? std::vector<JointTheta>() : StartsOf(*joint);
  ParallelFor(options.draws, options.threads, [&](int first, int last) {
    for (int draw = first; draw < last; ++draw) {
      TwoRows rows;
      bool refused = false;
      for (size_t s = 0; s < kStudies; ++s) {
        const std::vector<KeptRow>& kept = sides[s].result->rows;
        std::vector<double> weights(kept.size());
        for (size_t i = 0; i < kept.size(); ++i) {
          weights[i] = counts[s][static_cast<size_t>(draw) * kept.size() + i] * kept[i].weight;
        }
        refused = refused || RefuseFit(kept, weights);
        if (!refused) rows[s] = RowsInDraw(sides[s].rows, weights);
      }
      if (refused) continue;
      TwoLaws pair;
      double f = 0;
      if (joint != nullptr) {
        const JointRefit refit = RefitJointly(PointersTo(rows), shared_E, fit_options, starts);
        f = refit.f;
        for (size_t s = 0; s < kStudies; ++s) pair[s] = LawOf(rows[s], ThetaOfStudy(refit.theta, static_cast<int>(s)));
      } else {
        const std::array<Refit, kStudies> refits = RefitApart(rows, sides, nullptr, fit_options);
        for (size_t s = 0; s < kStudies; ++s) {
          f += refits[s].f;
          pair[s] = LawOf(rows[s], refits[s].theta);
        }
      }
      if (std::isfinite(f)) laws[static_cast<size_t>(draw)] = pair;
    }
  });
  return laws;
}

// --- the multiplier ---------------------------------------------------------------------------------

// Three losses that both frontiers pass inside their data, the easiest first; empty:
// they share none.
std::vector<double> CommonLosses(const Sides& sides, const TwoLaws& laws, std::string* ranges) {
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

MultiplierRow MultiplierAt(const Sides& sides, const TwoLaws& laws,
                           const std::vector<std::optional<TwoLaws>>& draws, double loss,
                           const std::vector<double>& levels, const std::string& method) {
  MultiplierRow row;
  row.loss = loss;
  if (loss <= laws[0].E || loss <= laws[1].E) {
    const size_t s = loss <= laws[0].E ? 0 : 1;
    const Refusal refusal{Code::kNoInteriorOptimum,
                          absl::StrCat("loss ", FormatLoss(loss), " is not above E = ", FormatLoss(laws[s].E), " of ", sides[s].name),
                          "ask for a higher loss"};
    row.flops_first = row.flops_second = row.multiplier = refusal;
    return row;
  }
  const auto flops = [&](size_t s, const LossLaw& law) { return HasOptimum(law) ? sides[s].compute.FlopsForLoss(law, loss) : kNan; };
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
      for (const std::string& bound : certificate.at_bounds) absl::StrAppend(&bounds, bounds.empty() ? "" : ", ", bound);
      warnings->push_back({Code::kBoundHit, absl::StrCat("joint fit: ", bounds)});
      break;
    }
    case FitOutcome::kMultipleBasins:
      warnings->push_back({Code::kMultipleBasins, "joint fit: a second optimum is hardly worse"});
      break;
    case FitOutcome::kMaxIterations:
      warnings->push_back({Code::kMaxIterations, absl::StrFormat("joint fit: the last Newton step was %.2g, 1e-9 is demanded",
                                                                 certificate.max_newton_step)});
      break;
    case FitOutcome::kSingular:
      warnings->push_back({Code::kSingular, "joint fit: the Hessian is not positive definite at the best point"});
      break;
  }
}

}  // namespace

StudyComparison CompareStudies(const AnalysisResult& first, const std::string& first_name,
                               const AnalysisResult& second, const std::string& second_name,
                               const ComparisonOptions& options) {
  StudyComparison comparison;
  comparison.first = first_name;
  comparison.second = second_name;
  comparison.rows_first = static_cast<int>(first.rows.size());
  comparison.rows_second = static_cast<int>(second.rows.size());
  Sides sides;
  sides[0].result = &first;
  sides[0].name = first_name;
  sides[1].result = &second;
  sides[1].name = second_name;
  for (const Side& side : sides) {
    comparison.refusal = RefuseRows(side);
    if (comparison.refusal) return comparison;
  }
  comparison.refusal = RefuseMixture(sides[0], sides[1], &comparison.warnings);
  if (comparison.refusal) return comparison;

  const LawFitOptions fit_options = FitOptionsOf(first);
  for (Side& side : sides) {
    side.rows = FitRowsOf(side.result->rows);
    side.own = FitLossLaw(side.rows, fit_options);
    side.compute = ComputeModelOf(*side.result);
    const std::string& asked = side.result->options.spec.bootstrap_method;
    side.method = asked == "pairs" || asked == "cluster" ? asked : AutoBootstrapMethod(side.result->rows);
  }
  comparison.method_first = sides[0].method;
  comparison.method_second = sides[1].method;

  const RowPointers rows = {&sides[0].rows, &sides[1].rows};
  const std::array<Theta, kStudies> own = {sides[0].own.theta, sides[1].own.theta};
  const JointFit two = FitJointly(rows, own, false, fit_options);
  const JointFit one = FitJointly(rows, own, true, fit_options);
  comparison.exponents_test = TestExponents(sides, two, options, fit_options);
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
  const std::string method = sides[0].method == sides[1].method
                                 ? sides[0].method
                                 : absl::StrCat(sides[0].method, " and ", sides[1].method);
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
