#include "analysis/approach_numbers.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/isoflop_bias.h"
#include "analysis/statistics.h"
#include "study/format.h"

namespace isoflop {
namespace {

constexpr double kAlpha = 0.05;
constexpr double kMostMissing = 0.05;
constexpr size_t kFewestDraws = 20;

// The share of rising `draws` at or below 0, the inverse of SortedQuantile: an
// interval of level 1 - alpha leaves out 0 exactly when 2 min(F, 1 - F) < alpha.
double ShareBelowZero(absl::Span<const double> rising) {
  const double last = static_cast<double>(rising.size() - 1);
  if (rising.front() == 0 && rising.back() == 0) return 0.5;
  if (rising.front() >= 0) return 0;
  if (rising.back() <= 0) return 1;
  const size_t above = static_cast<size_t>(std::upper_bound(rising.begin(), rising.end(), 0.0) - rising.begin());
  const double lo = rising[above - 1], hi = rising[above];
  return (static_cast<double>(above - 1) + (0 - lo) / (hi - lo)) / last;
}

// One difference of one pair, waiting for its level.
struct Difference {
  double value = 0;
  std::vector<double> draws;  // rising
  double p = 1;
};

Difference MakeDifference(double value, std::vector<double> draws) {
  Difference difference{.value = value, .draws = std::move(draws)};
  std::sort(difference.draws.begin(), difference.draws.end());
  const double share = ShareBelowZero(difference.draws);
  difference.p = 2 * std::min(share, 1 - share);
  return difference;
}

struct Pair {
  ApproachDifference difference;
  Difference exponent, ln_params, loss;
};

// Holm's levels over the pairs for one of the quantities; `decides`: an interval that
// leaves out 0 makes the pair's difference real.
void ApplyHolm(std::vector<Pair*> pairs, Difference Pair::* which, Quantity ApproachDifference::* to, bool decides,
               const std::string& method) {
  std::stable_sort(pairs.begin(), pairs.end(), [&](const Pair* x, const Pair* y) { return (x->*which).p < (y->*which).p; });
  double alpha = 0;
  bool rejecting = true;
  for (size_t k = 0; k < pairs.size(); ++k) {
    if (rejecting) alpha = kAlpha / static_cast<double>(pairs.size() - k);
    const Difference& difference = pairs[k]->*which;
    Estimate estimate{.value = difference.value};
    estimate.se = StandardDeviation(difference.draws);
    estimate.intervals.push_back({100 * (1 - kAlpha), SortedQuantile(difference.draws, alpha / 2),
                                  SortedQuantile(difference.draws, 1 - alpha / 2)});
    estimate.method = absl::StrCat(method, ", Holm over ", Plural(static_cast<int64_t>(pairs.size()), "pair"));
    const Interval& interval = estimate.intervals.front();
    if (interval.lo > 0 || interval.hi < 0) {
      pairs[k]->difference.real = pairs[k]->difference.real || decides;
    } else {
      rejecting = false;
    }
    pairs[k]->difference.*to = std::move(estimate);
  }
}

}  // namespace

ApproachReader::ApproachReader(const AnalysisResult& result, double target_flops)
    : result_(result), target_flops_(target_flops), compute_(ComputeModelOf(result.rows, result.options.flops)) {
  for (const KeptRow& row : result.rows) {
    min_flops_ = min_flops_ > 0 ? std::min(min_flops_, row.flops) : row.flops;
    max_flops_ = std::max(max_flops_, row.flops);
  }
}

std::optional<ApproachNumbers> ApproachReader::OfLaw(const LossLaw& law) const {
  if (!HasOptimum(law)) return std::nullopt;
  ApproachNumbers numbers{law.a(), std::log(compute_.OptimumAt(law, target_flops_).params)};
  if (!compute_.is_6nd() && max_flops_ > min_flops_) {
    numbers.exponent =
        std::log(compute_.OptimumAt(law, max_flops_).params / compute_.OptimumAt(law, min_flops_).params) /
        std::log(max_flops_ / min_flops_);
  }
  if (!std::isfinite(numbers.exponent) || !std::isfinite(numbers.ln_params)) return std::nullopt;
  return numbers;
}

std::optional<ApproachNumbers> ApproachReader::Full(Approach approach, std::string* why) const {
  const auto of_power_law = [&](const PowerLaw& law) {
    return ApproachNumbers{law.exponent.value, law.ln_coefficient.value + law.exponent.value * std::log(target_flops_)};
  };
  switch (approach) {
    case Approach::kParametric: {
      if (!result_.parametric) {
        *why = result_.parametric_refusal ? result_.parametric_refusal->message : "no law was fitted";
        return std::nullopt;
      }
      const std::optional<ApproachNumbers> numbers = OfLaw(result_.parametric->law);
      if (!numbers) *why = "its law has no optimum inside a budget";
      return numbers;
    }
    case Approach::kIsoflop:
      if (result_.isoflop && result_.isoflop->params_law_corrected) {
        return of_power_law(*result_.isoflop->params_law_corrected);
      }
      *why = !result_.isoflop               ? "no budgets"
             : result_.isoflop->refusal     ? result_.isoflop->refusal->message
             : !result_.isoflop->params_law ? "no power law"
                                            : "its bias cannot be told without a law of approach 3";
      return std::nullopt;
    case Approach::kEnvelope:
      if (result_.envelope && result_.envelope->params_law) return of_power_law(*result_.envelope->params_law);
      *why = result_.envelope && result_.envelope->refusal ? result_.envelope->refusal->message : "no envelope";
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<ApproachNumbers> ApproachReader::OfDraw(Approach approach, const ResampledFit& draw) const {
  const double ln_target = std::log(target_flops_);
  switch (approach) {
    case Approach::kParametric:
      return draw.law ? OfLaw(*draw.law) : std::nullopt;
    case Approach::kIsoflop:
      if (!draw.isoflop || !draw.isoflop->corrected) return std::nullopt;
      return ApproachNumbers{draw.isoflop->corrected->params_exponent,
                             draw.isoflop->corrected->params_ln_coefficient +
                                 draw.isoflop->corrected->params_exponent * ln_target};
    case Approach::kEnvelope:
      if (!draw.envelope) return std::nullopt;
      return ApproachNumbers{draw.envelope->params_exponent,
                             draw.envelope->params_ln_coefficient + draw.envelope->params_exponent * ln_target};
  }
  return std::nullopt;
}

double ApproachReader::LossOf(double ln_params) const {
  const double params = std::exp(ln_params);
  return result_.parametric->law.LossAt(params, target_flops_ / compute_.FlopsAt(params, 1));
}

double ApproachReader::WastedFractionOf(double ln_params) const {
  return 1 - compute_.FlopsForLoss(result_.parametric->law, LossOf(ln_params)) / target_flops_;
}

std::vector<ApproachDifference> CompareApproaches(const ApproachReader& reader, absl::Span<const Approach> approaches,
                                                  absl::Span<const ResampledFit> draws, const std::string& method) {
  const size_t m = approaches.size();
  std::vector<ApproachNumbers> full;
  std::vector<std::vector<std::optional<ApproachNumbers>>> of_draws(m);
  std::vector<std::vector<double>> losses(m);
  for (size_t k = 0; k < m; ++k) {
    std::string why;
    full.push_back(*reader.Full(approaches[k], &why));
    for (const ResampledFit& draw : draws) {
      of_draws[k].push_back(reader.OfDraw(approaches[k], draw));
      losses[k].push_back(of_draws[k].back() ? reader.LossOf(of_draws[k].back()->ln_params) : 0);
    }
  }
  std::vector<Pair> pairs;
  for (size_t i = 0; i < m; ++i) {
    for (size_t j = i + 1; j < m; ++j) {
      Pair pair;
      pair.difference.first = approaches[i];
      pair.difference.second = approaches[j];
      std::vector<double> exponent, ln_params, loss;
      for (size_t draw = 0; draw < draws.size(); ++draw) {
        const std::optional<ApproachNumbers>&x = of_draws[i][draw], &y = of_draws[j][draw];
        if (!x || !y) continue;
        exponent.push_back(x->exponent - y->exponent);
        ln_params.push_back(x->ln_params - y->ln_params);
        loss.push_back(losses[i][draw] - losses[j][draw]);
      }
      const size_t found = exponent.size();
      pair.difference.missing_share =
          draws.empty() ? 1 : static_cast<double>(draws.size() - found) / static_cast<double>(draws.size());
      if (pair.difference.missing_share > kMostMissing || found < kFewestDraws) {
        const Refusal refusal{Code::kWeaklyIdentified,
                              absl::StrFormat("%s or %d finds no optimum in %.1f%% of %d draws", ToString(approaches[i]),
                                              static_cast<int>(approaches[j]), 100 * pair.difference.missing_share,
                                              draws.size()),
                              "more budgets, and sizes on both sides of each minimum"};
        pair.difference.exponent = pair.difference.ln_params_at_target = pair.difference.loss_at_target = refusal;
      } else {
        pair.exponent = MakeDifference(full[i].exponent - full[j].exponent, std::move(exponent));
        pair.ln_params = MakeDifference(full[i].ln_params - full[j].ln_params, std::move(ln_params));
        pair.loss = MakeDifference(reader.LossOf(full[i].ln_params) - reader.LossOf(full[j].ln_params), std::move(loss));
      }
      pairs.push_back(std::move(pair));
    }
  }
  std::vector<Pair*> judged;
  for (Pair& pair : pairs) {
    if (!pair.exponent.draws.empty()) judged.push_back(&pair);
  }
  ApplyHolm(judged, &Pair::exponent, &ApproachDifference::exponent, true, method);
  ApplyHolm(judged, &Pair::ln_params, &ApproachDifference::ln_params_at_target, true, method);
  ApplyHolm(judged, &Pair::loss, &ApproachDifference::loss_at_target, false, method);
  std::vector<ApproachDifference> differences;
  for (Pair& pair : pairs) differences.push_back(std::move(pair.difference));
  return differences;
}

}  // namespace isoflop
