// From a study's YAML file to its plan: what `plan`, `run` and `submit` share.
#ifndef ISOFLOP_TOOLS_ISOFLOP_STUDY_LOADING_H_
#define ISOFLOP_TOOLS_ISOFLOP_STUDY_LOADING_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "study/plan.h"
#include "study/planner.h"
#include "study/study_spec.h"
#include "tools/isoflop/environment.h"

namespace isoflop {

struct LoadingOptions {
  // `--set key=value`, in order.
  std::vector<std::string> overrides;
  // The slots that time is told for; 0: what this machine has for the study's
  // slot kind (cores, or 1 GPU).
  int slots = 0;
  // A device of study_loading.cc's table ("H100", from `--slots 8xH100`), whose
  // memory and peak speed are assumed; empty: this machine.
  std::string device;
  // Look for completed trials of the same fingerprint in environment.db.
  bool look_up_known = true;
  // Told while data are prepared; may be empty.
  std::function<void(const std::string& line)> progress;
};

struct LoadedStudy {
  StudySpec spec;
  PlanFacts facts;
  Plan plan;
  std::string yaml_path;       // as given
  std::string yaml_text;       // as read
  std::string directory;       // of the YAML, absolute: a custom trainer runs there
  std::string dataset_path;    // of dataset.json, prepared if need be
};

// Reads the YAML at `yaml_path`, prepares its data into environment.datasets
// (once; found again by hash), looks up what is known in environment.db
// read-only (no store is no error) and plans. NotFound: no such file.
// InvalidArgument: the YAML, the data or the plan, as they say.
absl::StatusOr<LoadedStudy> LoadStudy(const std::string& yaml_path, const Environment& environment,
                                      const LoadingOptions& options = {});

// "4", "gpu:4", "8xH100": the number of slots and the device, if one is named.
// InvalidArgument with a cure otherwise. Empty text leaves both alone.
absl::Status ParseSlots(const std::string& text, int* slots, std::string* device);

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_STUDY_LOADING_H_
