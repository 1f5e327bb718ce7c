// YAML to StudySpec, with every check that one key or two contradicting keys
// allow; what needs the data or the expanded grid is PlanStudy's.
//
// Pure: no file is opened. Thread-safe.
#ifndef ISOFLOP_STUDY_STUDY_YAML_H_
#define ISOFLOP_STUDY_STUDY_YAML_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "study/study_spec.h"

namespace isoflop {

// Reads `text`; `source_name` ("study.yaml") heads each message. `overrides`
// are the `--set` flags, "grid.budgets=[1e17,1e18]", in order: each value is
// YAML and takes the place of a key or adds it.
//
// InvalidArgument: up to 20 errors in the order of the text, each as
// `name:line:column: what`, the line with a caret, and `cure: ...` unless the
// message holds it. Errors of an override are named `--set grid.budgets`.
absl::StatusOr<StudySpec> ParseStudyYaml(const std::string& text, const std::string& source_name,
                                         const std::vector<std::string>& overrides = {});

// The spec with every default stated, as YAML that parses to an equal spec.
// What `plan -o yaml` prints and the store keeps.
std::string ResolvedYaml(const StudySpec& spec);

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_STUDY_YAML_H_
