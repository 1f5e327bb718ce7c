// Where observations come from: a study of the store, or a CSV of anyone.
#ifndef ISOFLOP_ANALYSIS_OBSERVATIONS_H_
#define ISOFLOP_ANALYSIS_OBSERVATIONS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "analysis/analysis_options.h"
#include "study/ids.h"
#include "study/observation.h"
#include "study/study_spec.h"

namespace isoflop {

class ResultStore;

// The study's trials that could be observations (trunks cannot), finished or
// not; `with_curves`: with their loss points, which approach 1 needs. Errors are the
// store's.
absl::StatusOr<std::vector<Observation>> LoadStudyObservations(ResultStore& store, StudyId study,
                                                               bool with_curves = false);

// What the study's YAML asks of its analysis.
AnalysisOptions AnalysisOptionsOf(const StudySpec& spec);

struct CsvOptions {
  std::vector<std::string> columns;      // `params=Model Size`: what a column holds
  std::vector<std::string> derivations;  // `tokens=flops/(6*params)`
};

// One observation a row of the CSV in `text`; `name` heads the messages.
//
// Columns are found by their headers: those of our own export, and those of the
// published files in tests/data; `options` wins. Any two of N, D and
// C give the third by C = 6ND, marked derived. An empty cell is missing; a loss
// that is missing or not a number becomes NaN, which the analysis excludes
// by name. Rows that agree in every cell are copies of one: they share a
// fingerprint, and the analysis keeps the first.
//
// InvalidArgument, each with row or column and a cure: what ParseCsv refuses; a
// cell that is no number; no column, or several, for what is needed; a
// `--column` or `--derive` that names nothing there is (did-you-mean).
absl::StatusOr<std::vector<Observation>> ReadCsvObservations(absl::string_view text, const std::string& name,
                                                             const CsvOptions& options = {});

}  // namespace isoflop

#endif  // ISOFLOP_ANALYSIS_OBSERVATIONS_H_
