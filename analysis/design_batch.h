// One batch of a design: trials chosen one after the other by rank-one updates of
// every law's V. Internal to experiment_design.
//
//   V <- V - V J J' V / (1 + J' V J)        (s_eff^2 = 1: it cancels in relative cuts)
//
// Not thread-safe; one batch is one thread's.
#ifndef ISOFLOP_ANALYSIS_DESIGN_BATCH_H_
#define ISOFLOP_ANALYSIS_DESIGN_BATCH_H_

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "analysis/analysis_result.h"
#include "analysis/design_candidates.h"
#include "analysis/fit_variance.h"

namespace isoflop {

// What one law says of the design so far.
struct DesignLaw {
  LossLaw law;
  LawMatrix V;
  LawVector g;
  double variance_before = 0, variance = 0;  // g'Vg

  // The share of g'Vg that a trial with Jacobian J takes away.
  double RelativeCut(const LawVector& J) const;
  void Add(const LawVector& J);
};

class DesignBatch {
 public:
  // Over the fitted law and the first bootstrap laws that have an optimum, `laws` in
  // all. `result` and `design` must outlive it; `design` takes the trials.
  DesignBatch(const AnalysisResult& result, int laws, ExperimentDesign* design);

  bool HasLaws() const { return !laws_.empty(); }
  double flops() const { return flops_; }        // of the trials chosen
  int trials() const { return trials_; }         // seeds counted
  double flops_spent() const { return spent_; }  // by the study so far

  // Sets the candidates, with their Jacobians under every law.
  void Consider(std::vector<DesignCandidate> candidates);

  // The candidate within `flops_left` whose mean relative cut a FLOP is largest, each
  // charged `least_charge` at least: a batch has a limit of trials too, and a trial far
  // below its share of the FLOPs leaves them unspent. nullopt: none cuts
  // `worth` of the variance per share of the FLOPs spent.
  std::optional<size_t> Best(double flops_left, double least_charge, double worth) const;
  void Take(size_t candidate);

  // `seeds` runs of `candidate`; a cell that is in the batch already gets more seeds.
  void Add(const DesignCandidate& candidate, int seeds, const std::string& why);

  // hi/lo expected with the batch so far: the bootstrap's, shrunk as the delta method
  // says; where the bootstrap's is open, the delta method's own.
  double ExpectedFactor() const;

  // Fills factor_after, trial after trial in the order of the list: seeds that were
  // chosen later stand with the first of their cell.
  void FillFactors();

 private:
  double Cut(size_t candidate) const;  // mean over the laws

  // Constant after construction.
  const AnalysisResult& result_;
  const LawCenter center_;
  ExperimentDesign* const design_;
  double spent_ = 0;
  std::vector<DesignLaw> laws_before_;

  // State.
  std::vector<DesignLaw> laws_;
  std::vector<DesignCandidate> candidates_;
  std::vector<LawVector> jacobians_;  // candidate after candidate, by law
  std::set<std::string> used_cooldowns_;
  double flops_ = 0;
  int trials_ = 0;
};

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_DESIGN_BATCH_H_
