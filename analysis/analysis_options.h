// What an analysis is asked to do: the study's `analysis:` keys and what the
// command line adds.
#ifndef ISOFLOP_ANALYSIS_ANALYSIS_OPTIONS_H_
#define ISOFLOP_ANALYSIS_ANALYSIS_OPTIONS_H_

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "study/param_counts.h"
#include "study/study_spec.h"

namespace isoflop {

struct AnalysisOptions {
  // Options that affect results.
  AnalysisSpec spec;  // form, objective, delta, outliers, bootstrap, levels, goal, ...
  CountConvention count = CountConvention::kNonEmbeddingPlusHead;
  FlopsConvention flops = FlopsConvention::k6nd;
  // Budgets in FLOPs that the optimal and the efficiency table must have a row
  // for.
  std::vector<double> budgets;
  // The evaluation set that losses must come from; empty: all must share one.
  std::string eval_sha256;
  // Observation::source of the rows that the user's filter left out.
  std::set<std::string> filtered_sources;
  // D_inf of the inference-aware optimum and U of the data-constrained one; empty:
  // defaults, and the data set's own.
  std::vector<double> inference_tokens;
  std::optional<double> unique_tokens;
  // N*(C) further than 3 decades beyond the largest C kept.
  bool allow_extrapolation = false;

  // The sections beside the fit that are computed: all for `report`, fewer where a
  // line is asked for.
  struct Sections {
    bool agreement = true;
    bool sensitivity = true;
    bool holdout = true;
    bool uncertainty = true;  // BCa, profiles, influence, coverage
    bool forms = true;
    bool conventions = true;
    bool design = true;       // the next trials
    static Sections None() { return {false, false, false, false, false, false, false}; }
  };
  Sections sections = Sections::None();

  // Options that affect speed only.
  int threads = 0;  // of the bootstrap; 0: one a core
};

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_ANALYSIS_OPTIONS_H_
