// Which sizes a study could train next, and which of its trunks a cooldown could go
// on from.
#ifndef ISOFLOP_TOOLS_ISOFLOP_EXTEND_SHAPES_H_
#define ISOFLOP_TOOLS_ISOFLOP_EXTEND_SHAPES_H_

#include <string>

#include "absl/status/statusor.h"
#include "analysis/analysis_options.h"
#include "analysis/experiment_design.h"

namespace isoflop {

struct ExtendChoices {
  DesignOptions design;    // shapes and the most tokens; empty shapes: those of the rows
  int64_t next_trial = 0;  // the number that the next trial of the store gets
};

// The ladder of the study's YAML and the shapes that it trained, N and C under the
// conventions of `options`, with the committed checkpoints of completed trunks. D
// goes to twice the longest and, where data may not repeat, to the unique tokens.
// NotFound: no such study.
absl::StatusOr<ExtendChoices> StudyChoices(const std::string& db, const std::string& study,
                                           const AnalysisOptions& options);

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_EXTEND_SHAPES_H_
