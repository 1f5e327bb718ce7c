#include "analysis/observations.h"

#include "store/result_store.h"

namespace isoflop {

absl::StatusOr<std::vector<Observation>> LoadStudyObservations(ResultStore& store, StudyId study) {
  return store.LoadObservations(study);
}

AnalysisOptions AnalysisOptionsOf(const StudySpec& spec) {
  AnalysisOptions options;
  options.spec = spec.analysis;
  options.count = spec.grid.count;
  options.flops = spec.grid.flops;
  return options;
}

}  // namespace isoflop
