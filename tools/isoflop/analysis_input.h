// What `fit`, `predict`, `report`, `compare` and `extend` analyse: a study of the store or a CSV, and
// the flags that say how.
#ifndef ISOFLOP_TOOLS_ISOFLOP_ANALYSIS_INPUT_H_
#define ISOFLOP_TOOLS_ISOFLOP_ANALYSIS_INPUT_H_

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "analysis/analysis_options.h"
#include "analysis/analysis_result.h"
#include "study/observation.h"
#include "tools/isoflop/command.h"

namespace isoflop {

// Flags as typed; what is not given leaves the study's own options alone.
struct AnalysisFlags {
  std::string source;  // STUDY, a YAML or a CSV; empty: the newest study
  std::vector<std::string> columns, derivations;  // of a CSV
  std::string form, objective, weights, method, count, flops, where, delta, goal;
  std::optional<int> outliers, draws;
  std::optional<uint64_t> seed;
  bool allow_extrapolation = false;
  bool with_curves = false;  // no flag: set by the commands that show approach 1
};

// Puts the positional SOURCE and the flags on `app`, without those named in
// `without` ("--flops"). `flags` must outlive it.
void AddAnalysisFlags(CLI::App& app, AnalysisFlags* flags, const std::set<std::string>& without = {});
// The flags alone.
void AddAnalysisOptions(CLI::App& app, AnalysisFlags* flags, const std::set<std::string>& without = {});

// InvalidArgument: `flag: what`, and the cure.
absl::Status BadFlag(const std::string& flag, const std::string& what, const std::string& cure);

// What `isoflop WORD` takes as a CSV: by its ending, or a file that is no YAML.
bool IsCsv(const std::string& source);

struct AnalysisInput {
  std::string name;  // the study's name, or the CSV's file name
  bool is_csv = false;
  bool is_newest = false;  // nobody named it
  std::vector<Observation> observations;
  AnalysisOptions options;  // the study's `analysis:`, then the flags
};

// Reads the source. NotFound: no such study or file. InvalidArgument: a flag, the
// CSV, or the SQL of --where.
absl::StatusOr<AnalysisInput> LoadAnalysisInput(const AnalysisFlags& flags, const Context& context);

// A refusal on stderr, as "fit: kUnderdetermined: what" and its cure.
void PrintRefusal(const std::string& command, const Refusal& refusal);

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_ANALYSIS_INPUT_H_
