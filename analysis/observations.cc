#include "analysis/observations.h"

#include "store/result_store.h"

namespace isoflop {

absl::StatusOr<std::vector<Observation>> LoadStudyObservations(ResultStore& store, StudyId study, bool with_curves) {
  return store.LoadObservations(study, {.with_curves = with_curves});
}

AnalysisOptions AnalysisOptionsOf(const StudySpec& spec) {
  AnalysisOptions options;
  options.spec = spec.analysis;
  options.count = spec.grid.count;
  options.flops = spec.grid.flops;
  return options;
}

}  // namespace isoflop
