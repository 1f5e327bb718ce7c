#include "analysis/design_batch.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analysis/frontier.h"
#include "analysis/prediction.h"

namespace isoflop {
namespace {

// A cooldown of one trunk to one D is one run: chosen again it would tell nothing new.
std::string CooldownKey(const DesignCandidate& candidate) {
  return candidate.from_trunk.empty() ? "" : absl::StrFormat("%s %.17g", candidate.from_trunk, candidate.tokens);
}

}  // namespace

double DesignLaw::RelativeCut(const LawVector& J) const {
  const LawVector VJ = V * J;
  const double covariance = g.dot(VJ);
  return covariance * covariance / ((1 + J.dot(VJ)) * variance);
}

void DesignLaw::Add(const LawVector& J) {
  const LawVector VJ = V * J;
  V -= VJ * VJ.transpose() / (1 + J.dot(VJ));
  variance = g.dot(V * g);
}

DesignBatch::DesignBatch(const AnalysisResult& result, int laws, ExperimentDesign* design)
    : result_(result), center_(CenterOf(result.rows)), design_(design) {
  for (const KeptRow& row : result.rows) spent_ += row.flops;
  const ComputeModel compute = ComputeModelOf(result);
  std::vector<LossLaw> fitted = {result.parametric->law};
  fitted.insert(fitted.end(), result.bootstrap.laws.begin(), result.bootstrap.laws.end());
  for (const LossLaw& law : fitted) {
    if (laws_before_.size() >= static_cast<size_t>(std::max(laws, 1))) break;
    if (!HasOptimum(law)) continue;
    std::optional<LawMatrix> V = InverseInformation(law, center_, result.rows);
    if (!V) continue;
    DesignLaw entry{law, *V, LnOptimumGradient(law, center_, compute, design->target_flops)};
    entry.variance = entry.variance_before = entry.g.dot(entry.V * entry.g);
    if (entry.variance > 0 && std::isfinite(entry.variance)) laws_before_.push_back(std::move(entry));
  }
  laws_ = laws_before_;
}

void DesignBatch::Consider(std::vector<DesignCandidate> candidates) {
  candidates_ = std::move(candidates);
  jacobians_.clear();
  for (const DesignCandidate& candidate : candidates_) {
    for (const DesignLaw& law : laws_) {
      jacobians_.push_back(LnLossGradient(law.law, center_, candidate.params, candidate.tokens));
    }
  }
}

double DesignBatch::Cut(size_t candidate) const {
  double sum = 0;
  for (size_t k = 0; k < laws_.size(); ++k) sum += laws_[k].RelativeCut(jacobians_[candidate * laws_.size() + k]);
  return sum / static_cast<double>(laws_.size());
}

std::optional<size_t> DesignBatch::Best(double flops_left, double least_charge, double worth) const {
  std::optional<size_t> best;
  double best_score = worth / spent_;
  for (size_t c = 0; c < candidates_.size(); ++c) {
    if (candidates_[c].flops > flops_left || used_cooldowns_.count(CooldownKey(candidates_[c])) > 0) continue;
    const double score = Cut(c) / std::max(candidates_[c].flops, least_charge);
    if (score > best_score) {
      best_score = score;
      best = c;
    }
  }
  return best;
}

void DesignBatch::Take(size_t candidate) {
  const DesignCandidate chosen = candidates_[candidate];
  const double percent = std::max(1.0, 100 * Cut(candidate));
  if (!chosen.from_trunk.empty()) used_cooldowns_.insert(CooldownKey(chosen));
  Add(chosen, 1, absl::StrFormat("cuts the variance of ln N*(C_T) by %.0f%%", percent));
}

void DesignBatch::Add(const DesignCandidate& candidate, int seeds, const std::string& why) {
  for (DesignLaw& law : laws_) {
    const LawVector J = LnLossGradient(law.law, center_, candidate.params, candidate.tokens);
    for (int i = 0; i < seeds; ++i) law.Add(J);
  }
  flops_ += seeds * candidate.flops;
  trials_ += seeds;
  std::vector<DesignTrial>& trials = design_->trials;
  const auto same = std::find_if(trials.begin(), trials.end(), [&](const DesignTrial& trial) {
    return trial.params == candidate.params && trial.tokens == candidate.tokens && candidate.from_trunk.empty() &&
           trial.from_trunk.empty();
  });
  if (same != trials.end()) {
    same->seeds += seeds;
    same->flops += seeds * candidate.flops;
    return;
  }
  const bool trained = IsTrained(result_, candidate.params, candidate.tokens);
  trials.push_back({candidate.params, candidate.tokens, seeds * candidate.flops, candidate.from_trunk, seeds,
                    trained ? absl::StrCat("another seed: ", why) : why, 0});
}

double DesignBatch::ExpectedFactor() const {
  double ratio = 0;
  for (const DesignLaw& law : laws_) ratio += law.variance / law.variance_before;
  ratio /= static_cast<double>(laws_.size());
  double log_factor = std::log(design_->factor_now);
  if (!std::isfinite(log_factor)) {
    const DesignLaw& fitted = laws_.front();
    const double s2 = EffectiveVariance(fitted.law, result_.rows, DeltaOf(result_.options)).value_or(0);
    log_factor = 2 * 1.96 * std::sqrt(s2 * fitted.variance_before);
  }
  return std::exp(log_factor * std::sqrt(ratio));
}

void DesignBatch::FillFactors() {
  laws_ = laws_before_;
  for (DesignTrial& trial : design_->trials) {
    for (DesignLaw& law : laws_) {
      const LawVector J = LnLossGradient(law.law, center_, trial.params, trial.tokens);
      for (int i = 0; i < trial.seeds; ++i) law.Add(J);
    }
    trial.factor_after = ExpectedFactor();
  }
}

}  // namespace isoflop
